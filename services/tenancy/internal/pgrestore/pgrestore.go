// Package pgrestore reads archives with PostgreSQL's pg_restore, which is kept
// on a short lead: it gets the archive on its standard input, no database to
// talk to, nothing of this process's environment, and little memory and time.
package pgrestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

var (
	// ErrArchive tells that pg_restore can't make sense of the archive.
	ErrArchive = errors.New("pgrestore: the archive can't be read")
	// ErrTooLarge tells that more comes out of the archive than may.
	ErrTooLarge = errors.New("pgrestore: the archive unpacks to too much")
)

// Open gives an archive's bytes from the start; it may be called again.
type Open func(ctx context.Context) (io.ReadCloser, error)

// Limits keep an archive that was made to harm from taking the machine.
type Limits struct {
	Time   time.Duration
	CPU    time.Duration
	Memory uint64 // bytes of address space
	// Stall is how long nothing may go in or come out.
	Stall time.Duration
	// Bytes is how much may come out at the most, and Ratio how many times what went in; Free bytes always may. Tables as
	// text pack to a tenth, repetitive ones to a thirtieth.
	Bytes, Free int64
	Ratio       int64
}

// DefaultLimits let a copy of 20 GiB through.
var DefaultLimits = Limits{
	Time: 2 * time.Hour, CPU: time.Hour, Memory: 2 << 30, Stall: 5 * time.Minute, Bytes: 64 << 30, Free: 1 << 30, Ratio: 50,
}

// waiting is how long its pipes may stay open after its end.
const waiting = 5 * time.Second

// longestComplaint is how much of what pg_restore says is kept.
const longestComplaint = 2000

// Program is pg_restore under its limits.
type Program struct {
	path   string
	limits Limits
}

// Find finds pg_restore by its name or path.
func Find(name string, limits Limits) (*Program, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return nil, fmt.Errorf("pgrestore: %w", err)
	}
	return &Program{path: path, limits: limits}, nil
}

// Limits are what the program is bound by.
func (p *Program) Limits() Limits { return p.limits }

// Run feeds an archive to pg_restore and gives what it writes to read. ErrArchive when pg_restore refuses the archive, or
// stalls; ErrTooLarge when more comes out than may; what read or the archive's reader failed with comes before that.
func (p *Program) Run(ctx context.Context, open Open, read func(io.Reader) error, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, p.limits.Time)
	defer cancel()
	archive, err := open(ctx)
	if err != nil {
		return err
	}
	defer archive.Close()

	cmd := exec.CommandContext(ctx, p.path, args...)
	// The archive is data of strangers: no variable may point pg_restore at a server, a password file or a service.
	cmd.Env = []string{"LC_ALL=C", "PATH=" + filepath.Dir(p.path)}
	cmd.Dir = "/"
	cmd.WaitDelay = waiting
	complaint := &head{limit: longestComplaint}
	cmd.Stderr = complaint
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("pgrestore: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("pgrestore: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("pgrestore: %w", err)
	}
	// It sees no byte of the archive before it is limited.
	if err := limit(cmd.Process.Pid, p.limits); err != nil {
		return errors.Join(fmt.Errorf("pgrestore: %w", err), cmd.Process.Kill(), ended(cmd.Wait()))
	}
	flow := &flow{limits: p.limits}
	defer flow.watch(cancel)()
	fed := make(chan error, 1)
	go func() { fed <- feed(stdin, flow.in(archive)) }()
	script := flow.out(stdout)
	readErr := read(script)
	if readErr == nil {
		_, readErr = io.Copy(io.Discard, script)
	}
	if readErr != nil {
		cancel() // Nobody reads on, so it would wait for ever.
	}
	feedErr := <-fed
	exit := cmd.Wait()
	switch {
	case errors.Is(readErr, ErrTooLarge):
		return readErr
	case flow.stalled.Load():
		return fmt.Errorf("%w: it stalls", ErrArchive)
	}
	return p.verdict(ctx, readErr, feedErr, exit, complaint)
}

// verdict says which of the things that went wrong caused the others.
func (p *Program) verdict(ctx context.Context, readErr, feedErr, exit error, complaint *head) error {
	switch {
	case exit == nil && readErr == nil && feedErr == nil:
		return nil
	case feedErr != nil && !errors.Is(feedErr, context.Canceled):
		return feedErr
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%w: it takes too long", ErrArchive)
	case readErr == nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case exit != nil && ctx.Err() == nil:
		return fmt.Errorf("%w: %w: %s", ErrArchive, exit, complaint)
	case complaint.Len() > 0: // It was ended because read gave up at what an earlier failure had left.
		return errors.Join(readErr, fmt.Errorf("%w: %s", ErrArchive, complaint))
	}
	return readErr
}

// feed passes the archive on until the program has seen enough of it.
func feed(stdin io.WriteCloser, archive io.Reader) error {
	defer stdin.Close()
	for buffer := make([]byte, 256<<10); ; {
		n, err := archive.Read(buffer)
		if n > 0 {
			if _, err := stdin.Write(buffer[:n]); err != nil {
				return nil // It ended: its exit says whether that was well.
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// ended leaves out that a program ended as it was told to.
func ended(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return nil
		}
	}
	return err
}

// head keeps the beginning of what is written.
type head struct {
	bytes.Buffer
	limit int
}

// Write keeps what there is room for.
func (h *head) Write(p []byte) (int, error) {
	if room := h.limit - h.Len(); room > 0 {
		h.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// String is one line.
func (h *head) String() string { return strings.Join(strings.Fields(h.Buffer.String()), " ") }
