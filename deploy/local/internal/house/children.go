package house

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"kontor.internal/libs/servers"
)

// ChildCommand is the hidden command of a child: `kontor-local service <name>`.
const ChildCommand = "service"

// children are the services as processes of their own. None is restarted by
// itself: whoever tries faults decides.
type children struct {
	house *House

	mu      sync.Mutex
	running map[string]*servers.Process // by name and number, `identity-1`
}

func newChildren(h *House) *children {
	return &children{house: h, running: map[string]*servers.Process{}}
}

func (c *children) startAll() error {
	for _, p := range c.house.programs {
		for n := range c.house.copies(p) {
			if err := c.start(p, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *children) start(p program, n int) error {
	environ, err := c.house.environ(p, n)
	if err != nil {
		return err
	}
	key := adminKey(p.name, n)
	process, err := servers.StartProcess(servers.ProcessConfig{
		Name: key, Path: c.house.options.Executable, Args: []string{ChildCommand, p.name},
		Env: append(environ, "PATH="+os.Getenv("PATH"), "HOME="+os.Getenv("HOME")),
		Log: c.house.folder.Join("logs", key+".log"),
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", key, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running[key] = process
	return nil
}

// act does something to a copy: `start`, `stop`, `kill`, `pause`, `resume`.
func (c *children) act(ctx context.Context, key, action string) error {
	if action == "start" {
		return c.again(key)
	}
	c.mu.Lock()
	process, ok := c.running[key]
	c.mu.Unlock()
	if !ok {
		return fmt.Errorf("there is no %s among the processes", key)
	}
	switch action {
	case "stop":
		return process.Stop(ctx, syscall.SIGTERM, 15*time.Second)
	case "kill":
		return process.Kill()
	case "pause":
		return process.Pause()
	case "resume":
		return process.Resume()
	default:
		return fmt.Errorf("can't %s", action)
	}
}

// again starts a copy that has ended.
func (c *children) again(key string) error {
	for _, p := range c.house.programs {
		for n := range c.house.copies(p) {
			if adminKey(p.name, n) != key {
				continue
			}
			c.mu.Lock()
			process, ok := c.running[key]
			c.mu.Unlock()
			if ok && process.Running() {
				return fmt.Errorf("%s runs already", key)
			}
			return c.start(p, n)
		}
	}
	return fmt.Errorf("there is no %s", key)
}

// pids by name and number.
func (c *children) pids() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	pids := map[string]int{}
	for key, process := range c.running {
		if process.Running() {
			pids[key] = process.PID()
		}
	}
	return pids
}

// stop ends all, the gateway first.
func (c *children) stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var wait sync.WaitGroup
	failed := make(chan error, len(c.running))
	for _, process := range c.running {
		if !process.Running() {
			continue
		}
		wait.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			_ = process.Resume() // One that is paused could not hear the signal.
			failed <- process.Stop(ctx, syscall.SIGTERM, 10*time.Second)
		})
	}
	wait.Wait()
	close(failed)
	var all []error
	for err := range failed {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// RunChild runs one service in this process, with settings from the
// environment. It is what a child does.
func RunChild(ctx context.Context, name string) error {
	for _, p := range programs() {
		if p.name == name {
			return p.run(ctx, kontorOnly(os.Environ()), func() {})
		}
	}
	return fmt.Errorf("there is no service %s", name)
}
