package snapshot

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	snapshotv1 "kontor.internal/proto/gen/go/kontor/snapshot/v1"
)

// VerifyOrder says what to read back.
type VerifyOrder struct {
	// Ref names the snapshot.
	Ref Ref
	// Head that its manifest must have; nil when it is not known.
	Head *Head
	// AtOnce is how many parts are read at once; 0 means 3.
	AtOnce int
	// Progress hears how many bytes of rows were read, from many goroutines; it may be nil.
	Progress func(done, all int64)
}

// Verify reads a snapshot back: every chunk is decrypted, put together and hashed. ErrDamaged says that it can't be restored.
func Verify(ctx context.Context, repo Repository, o VerifyOrder) error {
	r, err := repo.reader()
	if err != nil {
		return err
	}
	m, _, err := r.readManifest(ctx, o.Ref, o.Head)
	if err != nil {
		if errors.Is(err, ErrMissing) {
			return damagedf("the manifest is missing")
		}
		return err
	}
	if o.AtOnce == 0 {
		o.AtOnce = connections
	}
	var done atomic.Int64
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(o.AtOnce)
	work.Go(func() error {
		for _, p := range m.GetSchema() {
			if _, err := r.piece(ctx, p); err != nil {
				return err
			}
		}
		return nil
	})
	parts, all := partsOf(m)
	for _, p := range parts {
		work.Go(func() error {
			return r.chunks(ctx, p, func(e entry, lines []byte) error {
				if n := done.Add(int64(len(lines))); o.Progress != nil {
					o.Progress(n, all)
				}
				if n := uint64(len(chunkOf(lines).ends)); n != e.rows {
					return damagedf("a chunk of %d rows instead of %d", n, e.rows)
				}
				return nil
			})
		})
	}
	return work.Wait()
}

// partsOf a snapshot, the largest first, and how many bytes of lines they have.
func partsOf(m *snapshotv1.Manifest) (parts []*snapshotv1.Part, all int64) {
	for _, t := range append(slices.Clone(m.GetTables()), m.GetLargeObjects()) {
		parts = append(parts, t.GetParts()...)
		all += int64(t.GetBytes())
	}
	slices.SortStableFunc(parts, func(a, b *snapshotv1.Part) int { return int(b.GetBytes()) - int(a.GetBytes()) })
	return parts, all
}
