package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// pollEvery is how often the starter looks whether a server has come up, or an old one has gone.
const pollEvery = 5 * time.Millisecond

// eachProcess calls visit with the id of every process that can be seen.
func eachProcess(visit func(pid int)) {
	dir, err := os.Open("/proc")
	if err != nil {
		return
	}
	defer func() { _ = dir.Close() }()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			visit(pid)
		}
	}
}

// parentOf reads a process's parent out of /proc/<pid>/stat; the second field, in parentheses, may itself hold anything.
func parentOf(pid int) (int, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0, false
	}
	parent, err := strconv.Atoi(string(fields[1]))
	return parent, err == nil
}

// processesIn lists the processes whose working folder is dir.
func processesIn(dir string) []int {
	want, err := os.Stat(dir)
	if err != nil {
		return nil
	}
	var pids []int
	eachProcess(func(pid int) {
		if have, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid), "cwd")); err == nil && os.SameFile(want, have) {
			pids = append(pids, pid)
		}
	})
	return pids
}

var (
	// errBusy says that something else holds what is asked for.
	errBusy = errors.New("in use")
	// errEnded says that there is nothing more to wait for.
	errEnded = errors.New("it ended")
)

// poll calls attempt every few milliseconds until it succeeds, and gives its last error when ctx is done or ended is closed; either
// also interrupts an attempt.
func poll(ctx context.Context, ended <-chan struct{}, attempt func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	watch.Go(func() {
		select {
		case <-ended:
			cancel(errEnded)
		case <-ctx.Done():
		}
	})
	defer cancel(nil)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := attempt(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// lockFolder makes the folder and takes it for this process, waiting a moment for an earlier owner that is about to end. The lock
// goes with the file's closing, so a killed process leaves none behind.
func lockFolder(ctx context.Context, dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the server's folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the server's folder: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if err := poll(ctx, nil, func(context.Context) error { return tryLock(f) }); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("folder %s belongs to another running process: %w", dir, err)
	}
	return f, nil
}

func tryLock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errBusy
	}
	return err
}

// awaitEmpty waits until no process works in dir any more: a server of an earlier life that is still shutting down. It never
// hurries one along.
func awaitEmpty(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return poll(ctx, nil, func(context.Context) error {
		pids := processesIn(dir)
		if len(pids) == 0 {
			return nil
		}
		return fmt.Errorf("an earlier server still works in %s, processes %s", dir, strings.Trim(fmt.Sprint(pids), "[]"))
	})
}
