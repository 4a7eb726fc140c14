// Package harness drives a whole suite from outside, the way a person at a
// terminal and programs on the network do: it starts kontor-local, talks to the
// gateway, reads caught mail, and kills, pauses and starts parts again.
//
// Launch and Suite's methods answer errors, for programs; Start is for tests.
package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"kontor.internal/libs/servers"
)

const (
	// startTime bounds a start; a cold one should take under 15 s on an idle machine.
	startTime = 2 * time.Minute
	// stopTime bounds an orderly stop.
	stopTime = 45 * time.Second
	// pollEvery is how often something is looked at that tells nobody when it changes.
	pollEvery = 20 * time.Millisecond
)

// Options of a suite.
type Options struct {
	// Program is kontor-local; Build makes it from the source.
	Program string
	// Data is the data folder. It is kept between starts.
	Data string
	// Processes runs every service in processes of its own, Copies of each.
	Processes bool
	Copies    int
	// TestClock lets MoveClock move the suite's business dates.
	TestClock bool
	// Reset empties the data folder at the first start.
	Reset bool
}

func (o Options) arguments() []string {
	args := []string{"--data", o.Data}
	if o.Processes {
		args = append(args, "--processes", fmt.Sprintf("--copies=%d", max(o.Copies, 1)))
	}
	if o.TestClock {
		args = append(args, "--test-clock")
	}
	if o.Reset {
		args = append(args, "--reset")
	}
	return args
}

// State is where everything is, as kontor-local writes it into its data folder
// when it is ready.
type State struct {
	PID             int                 `json:"pid"`
	HTTP            string              `json:"http"`
	GRPC            string              `json:"grpc"`
	CA              string              `json:"ca"`
	Control         string              `json:"control"`
	ControlToken    string              `json:"controlToken"`
	FirstStaffToken string              `json:"firstStaffToken"`
	Postgres        string              `json:"postgres"`
	Redis           string              `json:"redis"`
	NATS            string              `json:"nats"`
	SMTP            string              `json:"smtp"`
	PostgresURL     string              `json:"postgresUrl"`
	RedisURL        string              `json:"redisUrl"`
	Services        map[string][]string `json:"services"`
	PIDs            map[string]int      `json:"pids"`
	Data            string              `json:"data"`
	Started         map[string]int64    `json:"startedMs"`
}

// Suite is one instance. Its addresses change with every start; clients made
// before a restart work after it.
type Suite struct {
	options Options
	inbox   Inbox
	sources atomic.Uint32 // source addresses given out so far

	mu      sync.Mutex
	process *servers.Process
	state   State
	closers []func()
}

// Launch starts a suite and returns when it is ready.
func Launch(ctx context.Context, o Options) (*Suite, error) {
	s := &Suite{options: o}
	s.inbox = Inbox{suite: s}
	if err := s.Start(ctx); err != nil {
		return nil, err
	}
	s.options.Reset = false
	return s, nil
}

// Start starts a suite that was stopped or killed, on the same data.
func (s *Suite) Start(ctx context.Context) error {
	if s.running() {
		return errors.New("the suite runs already")
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	process, err := servers.StartProcess(servers.ProcessConfig{
		Name: "kontor-local", Path: s.options.Program, Args: s.options.arguments(),
		Log: s.LogFile(), DeathSignal: syscall.SIGTERM, // So that it stops in order when the test is killed.
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.process = process
	s.mu.Unlock()
	var state State
	err = Poll(ctx, func() (bool, error) {
		if !process.Running() {
			return false, fmt.Errorf("kontor-local ended before it was ready: %w; its log:\n%s", process.Err(), s.LogTail())
		}
		state, err = readState(s.options.Data)
		return err == nil && state.PID == process.PID(), nil
	})
	if err != nil {
		return errors.Join(fmt.Errorf("start the suite: %w", err), process.Kill())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
	return nil
}

func readState(data string) (State, error) {
	var state State
	raw, err := os.ReadFile(filepath.Join(data, "kontor-local.json"))
	if err != nil {
		return state, err
	}
	return state, json.Unmarshal(raw, &state)
}

// State is where everything is now.
func (s *Suite) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Has says whether this build of the suite runs a service.
func (s *Suite) Has(service string) bool {
	_, ok := s.State().Services[service]
	return ok
}

// Inbox is the caught mail.
func (s *Suite) Inbox() Inbox { return s.inbox }

func (s *Suite) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process != nil && s.process.Running()
}

// Stop stops the suite as Ctrl-C does. It is an error when kontor-local does
// not end with status 0, or leaves a process behind.
func (s *Suite) Stop(ctx context.Context) error {
	if !s.running() {
		return nil
	}
	family := descendants(s.process.PID())
	if err := s.process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	select {
	case <-s.process.Done():
	case <-ctx.Done():
		return errors.Join(errors.New("kontor-local did not stop in time"), s.process.Kill())
	}
	if err := s.process.Err(); err != nil {
		return fmt.Errorf("kontor-local stopped with %w; its log:\n%s", err, s.LogTail())
	}
	if left := append(living(family), usersOf(s.options.Data)...); len(left) > 0 {
		return fmt.Errorf("kontor-local left processes behind: %v", left)
	}
	return nil
}

// KillAll kills kontor-local as a power cut would, and waits until all that it
// started is gone. It is an error when something stays.
func (s *Suite) KillAll(ctx context.Context) error {
	if !s.running() {
		return errors.New("the suite does not run")
	}
	family := descendants(s.process.PID())
	if err := s.process.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-s.process.Done()
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	err := Poll(ctx, func() (bool, error) { return len(living(family)) == 0, nil })
	if err != nil {
		return fmt.Errorf("kontor-local was killed, and these live on: %v", living(family))
	}
	return nil
}

// Close stops the suite and all clients and proxies, whatever their state.
func (s *Suite) Close() error {
	s.mu.Lock()
	closers := s.closers
	s.closers = nil
	s.mu.Unlock()
	for _, c := range closers {
		c()
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	return s.Stop(ctx)
}

func (s *Suite) onClose(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closers = append(s.closers, do)
}

// LogFile is where kontor-local's output goes, over all starts.
func (s *Suite) LogFile() string { return filepath.Clean(s.options.Data) + ".log" }

// LogTail is the end of kontor-local's log, and of those of its processes.
func (s *Suite) LogTail() string {
	files, _ := filepath.Glob(filepath.Join(s.options.Data, "logs", "*.log"))
	var all strings.Builder
	for _, file := range append([]string{s.LogFile()}, files...) {
		const most = 8 << 10
		raw, err := os.ReadFile(file)
		if err != nil || len(raw) == 0 {
			continue
		}
		fmt.Fprintf(&all, "%s:\n%s\n", filepath.Base(file), raw[max(0, len(raw)-most):])
	}
	return all.String()
}

// Poll asks until the answer is yes, an error, or ctx ends.
func Poll(ctx context.Context, so func() (bool, error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if yes, err := so(); yes || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
