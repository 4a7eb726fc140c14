// Package servers starts and stops the servers an installation keeps to itself: PostgreSQL and Redis as child processes, NATS
// inside the own process. It is for kontor-local and for tests; elsewhere these servers are somebody else's.
//
// A child dies with the process that started it, even when that one is killed. Nothing here ever signals a process it did not start.
package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// ProcessConfig describes a child process.
type ProcessConfig struct {
	Name  string   // for messages; default the program's path
	Path  string   // the program
	Args  []string // without the program itself
	Env   []string // nil passes on the parent's
	Dir   string   // working folder; empty means the parent's
	Stdin string   // what it reads; a place for secrets that must not show in its arguments
	Log   string   // file that its output is appended to, mode 0600; empty throws the output away

	Credential *syscall.Credential // run as another user; needs root
	Files      []*os.File          // inherited from file descriptor 3 on; the caller still closes them

	// DeathSignal is what the child gets when the parent dies, however it dies. 0 means SIGKILL.
	DeathSignal syscall.Signal
}

// Process is a child process. It leads a process group of its own, so that Ctrl-C at the terminal reaches the parent alone, which then
// stops its children in order.
type Process struct {
	name string
	log  string
	os   *os.Process
	done chan struct{}
	err  error // valid once done is closed
}

// ErrProcessEnded says that a child is not running any more.
var ErrProcessEnded = errors.New("the process has ended")

// StartProcess starts a child. It does not wait for it to be of use: only the caller knows when that is.
func StartProcess(cfg ProcessConfig) (*Process, error) {
	if cfg.Name == "" {
		cfg.Name = cfg.Path
	}
	if cfg.DeathSignal == 0 {
		cfg.DeathSignal = syscall.SIGKILL
	}
	cmd := exec.Command(cfg.Path, cfg.Args...)
	cmd.Env = cfg.Env
	cmd.Dir = cfg.Dir
	cmd.ExtraFiles = cfg.Files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: cfg.DeathSignal, Credential: cfg.Credential}
	if cfg.Stdin != "" {
		cmd.Stdin = strings.NewReader(cfg.Stdin)
	}
	if cfg.Log != "" {
		log, err := os.OpenFile(cfg.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("start %s: %w", cfg.Name, err)
		}
		defer func() { _ = log.Close() }()
		cmd.Stdout, cmd.Stderr = log, log
	}
	p := &Process{name: cfg.Name, log: cfg.Log, done: make(chan struct{})}
	started := make(chan error, 1)
	go p.run(cmd, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cfg.Name, err)
	}
	return p, nil
}

// run keeps one thread for the child's whole life: Linux sends the death signal when the thread that forked the child ends, not the
// process, and Go ends threads as it likes unless a goroutine holds on to them.
func (p *Process) run(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	p.os = cmd.Process
	started <- nil
	p.err = cmd.Wait()
	close(p.done)
}

// PID is the child's process id.
func (p *Process) PID() int { return p.os.Pid }

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the child ended: nil when it is still running or ended with status 0.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Running reports that the child has not ended. A paused child runs.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Signal sends the child, and it alone, a signal.
func (p *Process) Signal(signal syscall.Signal) error {
	err := p.os.Signal(signal)
	if errors.Is(err, os.ErrProcessDone) {
		err = ErrProcessEnded
	}
	if err != nil {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// Stop wakes the child if it is paused, asks it to end by the given signal and waits; when grace has passed or ctx is done, it kills the
// child and all that the child started. Stopping an ended child does nothing. The error says that force was needed.
func (p *Process) Stop(ctx context.Context, signal syscall.Signal, grace time.Duration) error {
	if !p.Running() {
		return nil
	}
	if err := errors.Join(p.Resume(), p.Signal(signal)); err != nil && !errors.Is(err, ErrProcessEnded) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
	}
	if err := p.Kill(); err != nil {
		return err
	}
	return fmt.Errorf("stop %s: it did not end within its time and was killed", p.name)
}

// Kill ends the child and all that the child started at once, as a power cut would, and returns when the child is gone.
func (p *Process) Kill() error {
	if !p.Running() {
		return nil
	}
	// Stopped first, it can neither start others nor reap those it has, so their ids stay theirs until they are signalled.
	if err := p.Signal(syscall.SIGSTOP); err != nil && !errors.Is(err, ErrProcessEnded) {
		return err
	}
	for _, pid := range p.family(syscall.SIGSTOP) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err := p.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, ErrProcessEnded) {
		return err
	}
	<-p.done
	return nil
}

// Pause freezes the child and all that the child started, as a stalled machine would. Connections stay open and nothing answers.
func (p *Process) Pause() error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	p.family(syscall.SIGSTOP)
	return nil
}

// Resume lets a paused child go on. It does nothing to one that was not paused.
func (p *Process) Resume() error {
	p.family(syscall.SIGCONT)
	return p.Signal(syscall.SIGCONT)
}

// family signals every process below the child and returns their ids. It goes downwards, level by level, so that a parent is
// stopped before its children are listed.
func (p *Process) family(signal syscall.Signal) []int {
	if !p.Running() {
		return nil
	}
	var all []int
	level := []int{p.PID()}
	for len(level) > 0 {
		children := childrenOf(level)
		for _, pid := range children {
			_ = syscall.Kill(pid, signal) // a child that is gone in between needs no signal
		}
		all = append(all, children...)
		level = children
	}
	return all
}

// childrenOf lists the processes whose parent is one of the given ones.
func childrenOf(parents []int) []int {
	var children []int
	eachProcess(func(pid int) {
		if parent, ok := parentOf(pid); ok && slices.Contains(parents, parent) {
			children = append(children, pid)
		}
	})
	return children
}

// logTail is the end of the child's log, for an error message.
func (p *Process) logTail() string { return tailOf(p.log) }

func tailOf(path string) string {
	const most = 2000 // bytes
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, size-most), io.SeekStart)
	}
	content, _ := io.ReadAll(io.LimitReader(f, most))
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}
