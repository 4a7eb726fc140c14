package pgrestore

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// openFiles are the pipes, the locale and what else the C library opens.
const openFiles = 32

// limit binds a process: it writes no files and leaves no image behind when it falls.
func limit(pid int, l Limits) error {
	for resource, value := range map[int]uint64{
		unix.RLIMIT_AS: l.Memory, unix.RLIMIT_CPU: uint64(l.CPU / time.Second), unix.RLIMIT_FSIZE: 0,
		unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: openFiles,
	} {
		if err := unix.Prlimit(pid, resource, &unix.Rlimit{Cur: value, Max: value}, nil); err != nil {
			return fmt.Errorf("limit pg_restore: %w", err)
		}
	}
	return nil
}
