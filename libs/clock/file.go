package clock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// FileClock is the system's clock shifted by an offset that is kept in a small file. All processes of a suite that name
// the same file share one business date. The file holds one Go duration, such as "72h0m0s".
type FileClock struct {
	path string

	mu     sync.Mutex
	seen   os.FileInfo // what the last read offset was read from; nil while the file is absent
	offset time.Duration
}

// File returns a clock that follows the offset in the file at path. An absent file is an offset of zero. A file that
// can't be read or parsed leaves the last good offset in force; Offset tells why.
func File(path string) *FileClock { return &FileClock{path: path} }

// Now returns the system's time plus the file's present offset, in UTC.
func (c *FileClock) Now() time.Time {
	offset, _ := c.refresh() // a broken file keeps the last good offset
	return System{}.Now().Add(offset)
}

// Offset returns the offset now in force, and the error of reading it, if any.
func (c *FileClock) Offset() (time.Duration, error) { return c.refresh() }

func (c *FileClock) refresh() (time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := os.Stat(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		c.seen, c.offset = nil, 0
		return 0, nil
	}
	if err != nil {
		return c.offset, fmt.Errorf("clock: %w", err)
	}
	if unchanged(c.seen, info) {
		return c.offset, nil
	}
	offset, err := readOffset(c.path)
	if err != nil {
		return c.offset, err
	}
	c.seen, c.offset = info, offset
	return offset, nil
}

// unchanged compares the inode too: two writes within the file system's time resolution have the same mtime, but a
// rename always brings another inode.
func unchanged(seen, now os.FileInfo) bool {
	return seen != nil && os.SameFile(seen, now) && seen.ModTime().Equal(now.ModTime()) && seen.Size() == now.Size()
}

func readOffset(path string) (time.Duration, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("clock: %w", err)
	}
	offset, err := time.ParseDuration(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("clock: offset in %s: %w", path, err)
	}
	return offset, nil
}

// SetOffset writes d to the file at path for every FileClock that follows it. The file is replaced in one step, so a
// reader sees the old offset or the new one.
func SetOffset(path string, d time.Duration) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	_, err = file.WriteString(d.String() + "\n")
	err = errors.Join(err, file.Chmod(0o644), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name()) // best effort: the write has failed already
		return fmt.Errorf("clock: %w", err)
	}
	return nil
}
