package snapshot

import (
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// How a record's content is written, its first byte.
const (
	plain      = 0
	compressed = 1
	columns    = 2 // compressed, rows' values column by column
)

// contentLimit bounds what a record may grow to when it is read: a chunk of one row of the longest that is taken.
const contentLimit = rowLimit + maxChunkBytes

// ErrDamaged says that stored bytes are not what was written: altered, swapped or cut off.
var ErrDamaged = errors.New("snapshot: damaged")

func damagedf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// coders are shared: each call of theirs stands alone.
var coders = sync.OnceValue(func() (c struct {
	encode *zstd.Encoder
	decode *zstd.Decoder
	err    error
},
) {
	var errs [2]error
	// Checksums are left out: every record is authenticated.
	c.encode, errs[0] = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false), zstd.WithEncoderConcurrency(8),
		zstd.WithWindowSize(maxChunkBytes))
	c.decode, errs[1] = zstd.NewReader(nil, zstd.WithDecoderConcurrency(8), zstd.WithDecoderMaxMemory(contentLimit))
	c.err = errors.Join(errs[:]...)
	return c
})

// encode compresses contents where that makes them shorter. The result is appended to room.
func encode(room, content []byte) ([]byte, error) {
	c := coders()
	if c.err != nil {
		return nil, fmt.Errorf("snapshot: zstd: %w", c.err)
	}
	begin := len(room)
	out := c.encode.EncodeAll(content, append(room, compressed))
	if len(out)-begin > len(content) {
		out = append(append(out[:begin], plain), content...)
	}
	return out, nil
}

// decode undoes encode; the result has exactly want bytes, at most contentLimit.
func decode(stored []byte, want int) ([]byte, error) {
	if len(stored) == 0 || want < 0 || want > contentLimit {
		return nil, damagedf("a record of %d bytes for %d", len(stored), want)
	}
	c := coders()
	if c.err != nil {
		return nil, fmt.Errorf("snapshot: zstd: %w", c.err)
	}
	out := stored[1:]
	switch stored[0] {
	case plain:
	case columns:
		return decodeRows(stored, want)
	case compressed:
		var err error
		if out, err = c.decode.DecodeAll(stored[1:], make([]byte, 0, min(want, 4*maxChunkBytes))); err != nil {
			return nil, damagedf("zstd: %v", err)
		}
	default:
		return nil, damagedf("written in a way %d", stored[0])
	}
	if len(out) != want {
		return nil, damagedf("%d bytes instead of %d", len(out), want)
	}
	return out, nil
}
