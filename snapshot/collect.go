package snapshot

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
)

// List names the snapshots that a repository has, oldest first. Whoever trusts
// only what was committed compares them with what is written elsewhere.
func List(ctx context.Context, repo Repository) ([]Ref, error) {
	r := repo.inner()
	var refs []Ref
	err := r.store.List(ctx, r.manifests(), func(key string, _ int64) error {
		if ref, ok := parseRef(strings.TrimPrefix(key, r.manifests())); ok {
			refs = append(refs, ref)
		}
		return nil
	})
	return refs, err
}

// Drop takes a snapshot away. What nothing else needs of it goes with later collections.
func Drop(ctx context.Context, repo Repository, ref Ref) error {
	r := repo.inner()
	return r.store.Delete(ctx, r.manifest(ref))
}

// Generation counts a repository's collections.
//
// Collections and snapshots go on at the same time without locks, by two rules.
// A collection first raises the generation, then asks which snapshots are committed, and takes away only what was
// unreferenced in the collection before as well. A snapshot notes the generation in which it begins, and MayCommit when it
// is committed, in the same transaction that commits it. So whatever a snapshot refers to, or has written, was at most
// suspected once when it commits, and stays.
type Generation int64

// MayCommit says whether a snapshot that began in a generation may be committed in another.
func MayCommit(began, now Generation) bool { return now-began <= 1 }

// Suspects are objects that a collection found unreferenced: packs, and manifests of snapshots that were not committed.
type Suspects []string

// Collected is what a collection did.
type Collected struct {
	// Suspects to give to the next collection.
	Suspects Suspects
	// Deleted objects.
	Deleted int
	// Kept packs.
	Kept int
}

// Collect takes away what no snapshot needs any more. live are all committed snapshots, asked for after the generation was
// raised; before is what the collection before suspected. It may be stopped anywhere and repeated. When the manifest of
// a live snapshot can't be read, nothing is taken away.
func Collect(ctx context.Context, repo Repository, live []Known, before Suspects) (*Collected, error) {
	r, err := repo.reader()
	if err != nil {
		return nil, err
	}
	needed := map[string]bool{}
	for _, k := range live {
		m, err := r.readManifest(ctx, k.Ref, &k.Head)
		if err != nil {
			if errors.Is(err, ErrMissing) {
				err = damagedf("the manifest of snapshot %d is missing", k.Sequence)
			}
			return nil, err
		}
		needed[r.repo.manifest(k.Ref)] = true
		for id := range slices.Chunk(m.GetPacks(), 16) {
			needed[r.repo.pack(Pack(id))] = true
		}
	}
	done := &Collected{}
	for _, folder := range []string{r.repo.manifests(), r.repo.packs()} {
		if err := done.folder(ctx, r.repo, folder, needed, before); err != nil {
			return nil, err
		}
	}
	return done, nil
}

// folder collects one kind of objects. What has another name than Kontor gives is somebody else's and stays.
func (c *Collected) folder(ctx context.Context, r repository, folder string, needed map[string]bool, before Suspects) error {
	var gone []string
	err := r.store.List(ctx, folder, func(key string, _ int64) error {
		name := written(strings.TrimPrefix(key, folder))
		_, manifest := parseRef(name)
		switch {
		case !manifest && !isPack(name):
		case needed[key]:
			c.Kept++
		case slices.Contains(before, key):
			gone = append(gone, key)
		default:
			c.Suspects = append(c.Suspects, key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range gone {
		if err := r.store.Delete(ctx, key); err != nil {
			return err
		}
		c.Deleted++
	}
	return nil
}

// written is the name under which an object was being written that a killed process left in a folder: gocloud's fileblob
// writes beside it, under its name and a time.
func written(name string) string {
	if left, ok := strings.CutSuffix(name, ".tmp"); ok {
		name, _, _ = strings.Cut(left, ".")
	}
	return name
}

func isPack(name string) bool {
	id, err := hex.DecodeString(name)
	return err == nil && len(id) == len(Pack{})
}

// Destroy takes away all of a repository: every copy of a company's books in it.
func Destroy(ctx context.Context, repo Repository) error {
	r := repo.inner()
	for _, folder := range []string{r.manifests(), r.packs()} { // Manifests first: half destroyed, nothing looks whole.
		var keys []string
		err := r.store.List(ctx, folder, func(key string, _ int64) error {
			keys = append(keys, key)
			return nil
		})
		if err != nil {
			return err
		}
		for _, key := range keys {
			if err := r.store.Delete(ctx, key); err != nil {
				return err
			}
		}
	}
	return nil
}
