package snapshot

import (
	"bytes"
	"encoding/binary"

	"github.com/minio/highwayhash"
)

// hashRows gives each row of a chunk a keyed hash, by which rows are told apart
// without their bytes. It is a pseudo-random function: nobody who writes rows can make two look alike.
func (n *naming) hashRows(room []uint64, c *chunk) []uint64 {
	begin := uint32(0)
	for _, end := range c.ends {
		room = append(room, highwayhash.Sum64(c.lines[begin:end], n.rows))
		begin = end
	}
	return room
}

// changes are written as steps: how many rows of the base are kept, how many
// are left out, how many bytes of new rows follow; each a varint.

// diff writes what makes a chunk out of another, of which only the hashes are known.
// Both are in the same order, so that kept rows come in the same order too.
func diff(room []byte, base, rows []uint64, c *chunk) []byte {
	var at map[uint64]int // where a row stands in the base; made when the first one differs
	b, r := 0, 0
	for r < len(rows) || b < len(base) {
		kept := 0
		for b < len(base) && r < len(rows) && base[b] == rows[r] {
			b, r, kept = b+1, r+1, kept+1
		}
		if at == nil {
			at = positions(base, b)
		}
		first, next := r, len(base)
		for ; r < len(rows); r++ {
			if i, ok := at[rows[r]]; ok && i >= b {
				next = i
				break
			}
		}
		fresh := lines(c, first, r)
		room = binary.AppendUvarint(room, uint64(kept))
		room = binary.AppendUvarint(room, uint64(next-b))
		room = binary.AppendUvarint(room, uint64(len(fresh)))
		room = append(room, fresh...)
		b = next
	}
	return room
}

// positions of the base's rows from one on. Of equal rows the last counts: what stands between is left out and written anew.
func positions(base []uint64, from int) map[uint64]int {
	at := make(map[uint64]int, len(base)-from)
	for i := from; i < len(base); i++ {
		at[base[i]] = i
	}
	return at
}

func lines(c *chunk, from, to int) []byte {
	if from == to {
		return nil
	}
	begin := uint32(0)
	if from > 0 {
		begin = c.ends[from-1]
	}
	return c.lines[begin:c.ends[to-1]]
}

// apply undoes diff: it appends the chunk's lines to room.
func apply(room, base, changes []byte, want int) ([]byte, error) {
	begin := len(room)
	for len(changes) > 0 {
		var step [3]uint64
		for i := range step {
			value, n := binary.Uvarint(changes)
			if n <= 0 {
				return nil, damagedf("a step of changes is cut off")
			}
			step[i], changes = value, changes[n:]
		}
		kept, ok := run(base, step[0])
		if !ok || step[2] > uint64(len(changes)) {
			return nil, damagedf("changes go beyond their base")
		}
		left, ok := run(base[len(kept):], step[1])
		if !ok || len(room)-begin+len(kept)+int(step[2]) > want {
			return nil, damagedf("changes go beyond their base")
		}
		room = append(append(room, kept...), changes[:step[2]]...)
		base, changes = base[len(kept)+len(left):], changes[step[2]:]
	}
	if len(base) > 0 || len(room)-begin != want {
		return nil, damagedf("changes make %d bytes instead of %d", len(room)-begin, want)
	}
	return room, nil
}

// run is the first rows of lines.
func run(lines []byte, rows uint64) ([]byte, bool) {
	end := 0
	for range rows {
		newline := bytes.IndexByte(lines[end:], '\n')
		if newline < 0 {
			return nil, false
		}
		end += newline + 1
	}
	return lines[:end], true
}
