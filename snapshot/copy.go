package snapshot

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// Place is where a repository lies, for those who have no keys to it.
type Place struct {
	Store  Store
	Folder string
}

// Copied is what a copy to another place did.
type Copied struct {
	// Snapshots, Packs and Bytes that the other place did not have.
	Snapshots, Packs int
	Bytes            int64
	// Latest snapshot that both have now; zero without any.
	Latest Ref
}

// copiesAtOnce are objects on their way at the same time.
const copiesAtOnce = 4

// Copy brings another place, in another region say, up to date with a repository. Objects never change, so what is there is
// not looked at again; and it is done without keys. Snapshots are copied oldest first, each after all packs of its time, so
// wherever it is stopped, what is there is whole. What a collection has taken away here stays there until it is collected there.
func Copy(ctx context.Context, from, to Place) (*Copied, error) {
	here, there := repository{from.Store, from.Folder + "/"}, repository{to.Store, to.Folder + "/"}
	// Manifests first: packs that one needs are written before it.
	manifests, err := names(ctx, here.store, here.manifests())
	if err != nil {
		return nil, err
	}
	packs, err := names(ctx, here.store, here.packs())
	if err != nil {
		return nil, err
	}
	haveManifests, err := names(ctx, there.store, there.manifests())
	if err != nil {
		return nil, err
	}
	havePacks, err := names(ctx, there.store, there.packs())
	if err != nil {
		return nil, err
	}
	done := &Copied{}
	if done.Packs, err = done.copy(ctx, here.store, here.packs(), there.store, there.packs(), missing(packs, havePacks)); err != nil {
		return nil, err
	}
	for _, name := range manifests {
		ref, ok := parseRef(name)
		if !ok {
			continue
		}
		if !slices.Contains(haveManifests, name) {
			n, err := done.copy(ctx, here.store, here.manifests(), there.store, there.manifests(), []string{name})
			if err != nil {
				return nil, err
			}
			done.Snapshots += n
		}
		done.Latest = ref
	}
	return done, nil
}

// names of the objects in a folder, in order.
func names(ctx context.Context, store Store, folder string) (all []string, err error) {
	err = store.List(ctx, folder, func(key string, _ int64) error {
		all = append(all, strings.TrimPrefix(key, folder))
		return nil
	})
	return all, err
}

func missing(all, have []string) []string {
	known := make(map[string]bool, len(have))
	for _, name := range have {
		known[name] = true
	}
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return known[name] || !isPack(name) })
}

// copy says how many of the objects it copied: one that was collected meanwhile is left out.
func (c *Copied) copy(ctx context.Context, from Store, fromFolder string, to Store, toFolder string, names []string) (int, error) {
	sizes := make([]int64, len(names))
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(copiesAtOnce)
	for i, name := range names {
		work.Go(func() (err error) {
			sizes[i], err = copyObject(ctx, from, fromFolder+name, to, toFolder+name)
			if errors.Is(err, ErrMissing) {
				sizes[i], err = 0, nil
			}
			return err
		})
	}
	if err := work.Wait(); err != nil {
		return 0, err
	}
	copied := 0
	for _, size := range sizes {
		if size > 0 {
			c.Bytes += size
			copied++
		}
	}
	return copied, nil
}

func copyObject(ctx context.Context, from Store, fromKey string, to Store, toKey string) (n int64, err error) {
	source, err := from.Open(ctx, fromKey, 0, -1)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	object, err := to.Create(ctx, toKey)
	if err != nil {
		return 0, err
	}
	if n, err = io.Copy(object, source); err != nil {
		object.Abort()
		return 0, err
	}
	return n, object.Commit()
}
