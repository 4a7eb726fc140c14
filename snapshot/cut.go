package snapshot

import (
	"bytes"
	"fmt"

	"github.com/zeebo/xxh3"
)

const (
	// chunkBytes is how long chunks are on average.
	chunkBytes = 64 << 10
	// maxChunkBytes ends a chunk in which no key happened to be a cut.
	maxChunkBytes = 512 << 10
	// rowLimit is the longest line that is taken.
	rowLimit = 64 << 20
)

// RowTooLongError says that a row is longer than a snapshot can take.
type RowTooLongError struct{ Bytes int }

func (e *RowTooLongError) Error() string {
	return fmt.Sprintf("snapshot: a row of %d bytes; %d is the limit", e.Bytes, rowLimit)
}

// chunk is a run of rows: lines of COPY's text format, in the key's order.
type chunk struct {
	lines []byte
	ends  []uint32 // where each row ends in lines
	start uint64   // the hash of the first row's key
}

func (c *chunk) reset() { c.lines, c.ends = c.lines[:0], c.ends[:0] }

// cutter makes chunks of rows. A chunk begins where the hash of a row's key
// says so, whatever stands around it: a row that comes, goes or changes moves no other cut.
// The chance grows with the row's length, so that chunks have about the same length in every table.
type cutter struct {
	seed  uint64
	keys  int // columns of the key, which stand first in a line; 0: the whole line is the key
	emit  func(*chunk) error
	open  chunk
	last  []byte // the key before, of tables without one: equal rows are not cut apart
	rows  uint64
	bytes uint64
	part  []byte // of a line that came in more than one message
}

// Write takes one line, newline included, as COPY sends them.
func (c *cutter) Write(line []byte) (int, error) {
	if len(line) == 0 {
		return 0, nil
	}
	if len(c.part) > 0 || bytes.IndexByte(line, '\n') != len(line)-1 {
		return len(line), c.irregular(line)
	}
	return len(line), c.row(line)
}

// irregular takes a message that is not exactly one line. PostgreSQL sends none today; the protocol allows it.
func (c *cutter) irregular(p []byte) error {
	c.part = append(c.part, p...)
	for {
		end := bytes.IndexByte(c.part, '\n')
		if end < 0 {
			if len(c.part) > rowLimit {
				return &RowTooLongError{len(c.part)}
			}
			return nil
		}
		if err := c.row(c.part[:end+1]); err != nil {
			return err
		}
		c.part = append(c.part[:0], c.part[end+1:]...)
	}
}

func (c *cutter) row(line []byte) error {
	if len(line) > rowLimit {
		return &RowTooLongError{len(line)}
	}
	key := keyOf(line, c.keys)
	hash := xxh3.HashSeed(key, c.seed)
	if len(c.open.ends) > 0 && (c.cuts(hash, key, len(line)) || len(c.open.lines)+len(line) > maxChunkBytes) {
		if err := c.flush(); err != nil {
			return err
		}
	}
	if len(c.open.ends) == 0 {
		c.open.start = hash
	}
	if c.keys == 0 {
		c.last = append(c.last[:0], key...)
	}
	c.open.lines = append(c.open.lines, line...)
	c.open.ends = append(c.open.ends, uint32(len(c.open.lines)))
	c.rows++
	c.bytes += uint64(len(line))
	return nil
}

// cuts says whether a chunk begins at a key. One row in chunkBytes/length does.
func (c *cutter) cuts(hash uint64, key []byte, length int) bool {
	if length < chunkBytes && hash >= uint64(length)*(1<<64/chunkBytes) {
		return false
	}
	return c.keys > 0 || !bytes.Equal(key, c.last)
}

func (c *cutter) flush() error {
	if len(c.open.ends) == 0 {
		return nil
	}
	err := c.emit(&c.open)
	c.open.reset()
	return err
}

// close takes the last chunk.
func (c *cutter) close() error {
	if len(c.part) > 0 {
		return damagedf("the server's last line has no end")
	}
	return c.flush()
}

// keyOf is the beginning of a line with its first columns.
func keyOf(line []byte, columns int) []byte {
	end := 0
	for range columns {
		tab := bytes.IndexByte(line[end:], '\t')
		if tab < 0 {
			return line[:len(line)-1]
		}
		end += tab + 1
	}
	if columns == 0 {
		return line
	}
	return line[:end-1]
}
