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

// Raised is what a collection learns when it raises the generation.
type Raised struct {
	// Committed are all snapshots that are.
	Committed []Known
	// Suspects are what the ledger's Raise gave.
	Suspects Suspects
}

// Collected is what a collection did.
type Collected struct {
	// Suspects to settle the ledger with.
	Suspects Suspects
	// Deleted objects.
	Deleted int
	// Kept packs and manifests.
	Kept int
}

// Collect takes away what no snapshot needs any more, as Ledger tells; raise raises the generation. It may be stopped anywhere and repeated. When
// the manifest of a committed snapshot can't be read, nothing is taken away.
func Collect(ctx context.Context, repo Repository, raise func(ctx context.Context) (Raised, error)) (*Collected, error) {
	r, err := repo.reader()
	if err != nil {
		return nil, err
	}
	listed, err := r.repo.listed(ctx)
	if err != nil {
		return nil, err
	}
	raised, err := raise(ctx)
	if err != nil {
		return nil, err
	}
	needed := map[string]bool{}
	for _, k := range raised.Committed {
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
	suspected := make(map[string]bool, len(raised.Suspects))
	for _, key := range raised.Suspects {
		suspected[key] = true
	}
	done := &Collected{}
	for _, key := range listed {
		switch {
		case needed[key]:
			done.Kept++
		case suspected[key]:
			if err := r.repo.store.Delete(ctx, key); err != nil {
				return nil, err
			}
			done.Deleted++
		default:
			done.Suspects = append(done.Suspects, key)
		}
	}
	return done, nil
}

// listed are the objects of a repository, manifests first. What has another name than Kontor gives is somebody else's.
func (r repository) listed(ctx context.Context) (all []string, err error) {
	for _, folder := range []string{r.manifests(), r.packs()} {
		found, err := names(ctx, r.store, folder)
		if err != nil {
			return nil, err
		}
		for _, name := range found {
			whole := written(name)
			if _, manifest := parseRef(whole); manifest || isPack(whole) {
				all = append(all, folder+name)
			}
		}
	}
	return all, nil
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
	keys, err := r.listed(ctx) // Manifests first: half destroyed, nothing looks whole.
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := r.store.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}
