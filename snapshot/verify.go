package snapshot

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
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
	m, err := r.readManifest(ctx, o.Ref, o.Head)
	if err != nil {
		if errors.Is(err, ErrMissing) {
			return fmt.Errorf("%w: the manifest: %w", ErrDamaged, err)
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
	work.Go(func() error {
		for id := range slices.Chunk(m.GetPacks(), 16) {
			if err := r.checkPack(ctx, Pack(id)); err != nil {
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
	for _, t := range slices.Concat(m.GetTables(), []*snapshotv1.Table{m.GetLargeObjects()}, filesTables(m)) {
		parts = append(parts, t.GetParts()...)
		all += int64(t.GetBytes())
	}
	slices.SortStableFunc(parts, func(a, b *snapshotv1.Part) int { return int(b.GetBytes()) - int(a.GetBytes()) })
	return parts, all
}

// checkPack says whether a pack is as long as its directory says, and the directory authentic.
func (r *reader) checkPack(ctx context.Context, id Pack) error {
	size, err := r.size(ctx, id)
	if err != nil {
		return err
	}
	if size == 0 {
		return fmt.Errorf("%w: pack %s: %w", ErrDamaged, id, ErrMissing)
	}
	if size < int64(headBytes+tagBytes+tailBytes) {
		return damagedf("pack %s is cut off", id)
	}
	aead, err := r.cipher(ctx, id)
	if err != nil {
		return err
	}
	tail, err := r.bytes(ctx, id, size-int64(tailBytes), int64(tailBytes))
	if err != nil {
		return err
	}
	length, count := int64(binary.BigEndian.Uint32(tail)), binary.BigEndian.Uint32(tail[4:])
	if string(tail[8:]) != packEnd || length != int64(count)*entryBytes+tagBytes || length > size-int64(headBytes+tailBytes) {
		return damagedf("pack %s has no end", id)
	}
	sealed, err := r.bytes(ctx, id, size-int64(tailBytes)-length, length)
	if err != nil {
		return err
	}
	directory, err := aead.Open(nil, nonce(count), sealed, bound(r.keys.Company, id, count, record{kind: kindDirectory}))
	if err != nil {
		return damagedf("the directory of pack %s is not authentic", id)
	}
	end := int64(headBytes)
	for e := range slices.Chunk(directory, entryBytes) {
		end += int64(binary.BigEndian.Uint32(e[entryBytes-4:]))
	}
	if end+length+int64(tailBytes) != size {
		return damagedf("pack %s is not as long as its records", id)
	}
	return nil
}
