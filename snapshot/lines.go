package snapshot

import (
	"context"
	"errors"
	"io"
	"slices"

	snapshotv1 "kontor.internal/proto/gen/go/kontor/snapshot/v1"
)

// reader opens the repository for reading.
func (r Repository) reader() (*reader, error) {
	if err := r.Keys.check(); err != nil {
		return nil, err
	}
	naming, err := r.Keys.naming()
	if err != nil {
		return nil, err
	}
	return newReader(r.inner(), r.Keys, naming), nil
}

// piece reads a piece of a byte stream.
func (r *reader) piece(ctx context.Context, p *snapshotv1.Piece) ([]byte, error) {
	at, err := fromLocation(p.GetLocation())
	if err != nil {
		return nil, err
	}
	if len(p.GetName()) != nameBytes {
		return nil, damagedf("a piece without a name")
	}
	name := Name(p.GetName())
	stored, err := r.open(ctx, nil, at, record{kind: kindPiece, name: name})
	if err != nil {
		return nil, err
	}
	content, err := decode(stored, int(p.GetBytes()))
	if err != nil {
		return nil, err
	}
	if r.naming.name(kindPiece, content) != name {
		return nil, damagedf("a piece has other content than its name says")
	}
	return content, nil
}

// chunksAhead are decoded before they are asked for.
const chunksAhead = 8

// lineReader gives a part's lines, decoded by a goroutine of its own.
type lineReader struct {
	chunks chan []byte
	open   []byte
	cancel context.CancelFunc
	failed chan error
}

// lines reads a part's lines in order. It must be stopped.
func (r *reader) lines(ctx context.Context, p *snapshotv1.Part, read func(bytes int)) *lineReader {
	ctx, cancel := context.WithCancel(ctx)
	l := &lineReader{chunks: make(chan []byte, chunksAhead), cancel: cancel, failed: make(chan error, 1)}
	go func() {
		err := r.chunks(ctx, p, func(_ entry, lines []byte) error {
			select {
			case l.chunks <- lines:
				read(len(lines))
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		close(l.chunks)
		l.failed <- err
	}()
	return l
}

func (l *lineReader) Read(b []byte) (int, error) {
	for len(l.open) == 0 {
		chunk, ok := <-l.chunks
		if !ok {
			if err := <-l.failed; err != nil {
				l.failed <- err
				return 0, err
			}
			l.failed <- nil
			return 0, io.EOF
		}
		l.open = chunk
	}
	n := copy(b, l.open)
	l.open = l.open[n:]
	return n, nil
}

// stop ends the reading and says why it failed, if it did.
func (l *lineReader) stop() error {
	l.cancel()
	for range l.chunks { //nolint:revive // Let go of what waits.
	}
	err := <-l.failed
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// chunks reads a part's chunks in order.
func (r *reader) chunks(ctx context.Context, p *snapshotv1.Part, each func(e entry, lines []byte) error) error {
	var rows, sum uint64
	err := r.leaves(ctx, p, func(Name, location) {}, func(chunks []entry) error {
		for some := range slices.Chunk(chunks, chunksRead) {
			ahead, err := r.ahead(ctx, places(some))
			if err != nil {
				return err
			}
			for _, c := range some {
				lines, err := r.chunk(ctx, ahead, c)
				if err != nil {
					return err
				}
				rows, sum = rows+c.rows, sum+uint64(len(lines))
				if err := each(c, lines); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil && (rows != p.GetRows() || sum != p.GetBytes()) {
		return damagedf("a part of %d rows, %d bytes instead of %d, %d", rows, sum, p.GetRows(), p.GetBytes())
	}
	return err
}

// chunksRead are read from the store together.
const chunksRead = 64
