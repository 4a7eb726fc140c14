// Package jobs runs a service's work outside requests: River on the service's
// own database, shared by its copies. A job that is inserted in a transaction
// runs after its commit, at least once; so jobs are idempotent.
package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"kontor.internal/libs/caller"
)

// Schema that River's tables lie in.
const Schema = "kontor"

// Config of jobs.
type Config struct {
	MaxWorkers int `koanf:"max_workers" doc:"Jobs that one copy works on at once." default:"8"`
}

// Periodic is a timer. Of all copies of a service one runs it.
type Periodic struct {
	// Name, unique in the service; two letters or more.
	Name string
	// Every is the interval, in real time.
	Every time.Duration
	// AtStart runs it when a copy becomes the one that keeps the time, too.
	AtStart bool
	// Run is the work.
	Run func(ctx context.Context) error
}

// Options of a client.
type Options struct {
	// Pool is the service's database.
	Pool *pgxpool.Pool
	// Service is the service's own name, as which jobs act.
	Service string
	// Log gets failures.
	Log *slog.Logger
	// Workers by kind of job; nil for none but the timers.
	Workers *river.Workers
	// Periodic timers.
	Periodic []Periodic
	// Queues beyond the default one, with how many of each run at once in a copy.
	Queues map[string]int
}

// Client inserts jobs and works on them.
type Client struct {
	// River is for what this package does not say.
	River *river.Client[pgx.Tx]
}

// stopWithin bounds the wait for jobs under way; those that take longer are
// cancelled and run again later.
const stopWithin = 8 * time.Second

// lostAfter is when a job that was begun counts as lost, since the copy that
// worked on it was killed: a little over the minute that River gives a job.
// Kinds with a longer time-out of their own are left alone that long.
const lostAfter = river.JobTimeoutDefault + 5*time.Second

// New returns a client. It works only while Run runs.
func New(cfg Config, o Options) (*Client, error) {
	workers := o.Workers
	if workers == nil {
		workers = river.NewWorkers()
	}
	timers := timerWorker{byName: map[string]func(ctx context.Context) error{}}
	river.AddWorker(workers, &timers)
	var periodic []*river.PeriodicJob
	for _, p := range o.Periodic {
		if timers.byName[p.Name] != nil {
			return nil, fmt.Errorf("jobs: two timers are called %s", p.Name)
		}
		timers.byName[p.Name] = p.Run
		periodic = append(periodic, periodicJob(p))
	}
	queues := map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: max(cfg.MaxWorkers, 1)}}
	for name, limit := range o.Queues {
		queues[name] = river.QueueConfig{MaxWorkers: limit}
	}
	client, err := river.NewClient(riverpgxv5.New(o.Pool), &river.Config{
		Schema: Schema, Queues: queues, Workers: workers, PeriodicJobs: periodic, Logger: quiet(o.Log),
		RescueStuckJobsAfter: lostAfter,
		Middleware:           []rivertype.Middleware{&actor{service: o.Service, log: o.Log}},
	})
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return &Client{River: client}, nil
}

// Insert adds a job.
func (c *Client) Insert(ctx context.Context, args river.JobArgs, opts *river.InsertOpts) error {
	_, err := c.River.Insert(ctx, args, opts)
	return wrap(err)
}

// InsertTx adds a job that runs once the transaction has committed.
func (c *Client) InsertTx(ctx context.Context, tx pgx.Tx, args river.JobArgs, opts *river.InsertOpts) error {
	_, err := c.River.InsertTx(ctx, tx, args, opts)
	return wrap(err)
}

func wrap(err error) error {
	if err != nil {
		return fmt.Errorf("jobs: insert: %w", err)
	}
	return nil
}

// Run works until ctx ends, then lets jobs under way finish.
func (c *Client) Run(ctx context.Context) error {
	if err := c.River.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("jobs: start: %w", err)
	}
	<-ctx.Done()
	soft, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	err := c.River.Stop(soft)
	if errors.Is(err, context.DeadlineExceeded) {
		hard, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		err = c.River.StopAndCancel(hard)
	}
	if err != nil {
		return fmt.Errorf("jobs: stop: %w", err)
	}
	return nil
}

// timer is the job of every Periodic.
type timer struct {
	Name string `json:"name"`
}

// Kind of the job.
func (timer) Kind() string { return "timer" }

// InsertOpts: a timer whose last run is still waiting needs no second one, and
// one that failed comes again by itself.
func (timer) InsertOpts() river.InsertOpts {
	return river.InsertOpts{
		MaxAttempts: 1,
		UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
			rivertype.JobStateRetryable, rivertype.JobStateScheduled,
		}},
	}
}

func periodicJob(p Periodic) *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(p.Every),
		func() (river.JobArgs, *river.InsertOpts) { return timer{Name: p.Name}, nil },
		&river.PeriodicJobOpts{RunOnStart: p.AtStart})
}

type timerWorker struct {
	river.WorkerDefaults[timer]
	byName map[string]func(ctx context.Context) error
}

// Work runs the timer. One that a newer copy has and this one lacks is left to
// that copy.
func (w *timerWorker) Work(ctx context.Context, job *river.Job[timer]) error {
	run, ok := w.byName[job.Args.Name]
	if !ok {
		return nil
	}
	return run(ctx)
}

// caused is what a job's metadata says of who wanted it.
type caused struct {
	By        string `json:"kontor_caused_by,omitempty"`
	Locale    string `json:"kontor_locale,omitempty"`
	RequestID string `json:"kontor_request_id,omitempty"`
}

// actor notes in each job who caused it, and lets it act as the service on
// that account's behalf.
type actor struct {
	river.MiddlewareDefaults
	service string
	log     *slog.Logger
}

// InsertMany notes who caused the jobs.
func (a *actor) InsertMany(ctx context.Context, params []*rivertype.JobInsertParams, insert func(context.Context) ([]*rivertype.JobInsertResult, error)) ([]*rivertype.JobInsertResult, error) {
	who := caller.From(ctx)
	by := who.OnBehalfOf
	if by == "" {
		by = who.Account
	}
	for _, p := range params {
		merged, err := merge(p.Metadata, caused{By: by, Locale: who.Locale, RequestID: who.RequestID})
		if err != nil {
			return nil, err
		}
		p.Metadata = merged
	}
	return insert(ctx)
}

// Work makes the job's context and logs a failure once.
func (a *actor) Work(ctx context.Context, job *rivertype.JobRow, work func(context.Context) error) error {
	var c caused
	if err := json.Unmarshal(job.Metadata, &c); err != nil {
		return fmt.Errorf("jobs: metadata: %w", err)
	}
	ctx = caller.With(ctx, caller.Caller{Service: a.service, OnBehalfOf: c.By, Locale: c.Locale, RequestID: c.RequestID})
	err := work(ctx)
	if err != nil && ctx.Err() == nil {
		a.log.WarnContext(ctx, "job failed", "kind", job.Kind, "job", job.ID, "attempt", job.Attempt, "err", err)
	}
	return err
}

func merge(metadata []byte, c caused) ([]byte, error) {
	all := map[string]any{}
	if len(metadata) > 0 {
		if err := json.Unmarshal(metadata, &all); err != nil {
			return nil, fmt.Errorf("jobs: metadata: %w", err)
		}
	}
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("jobs: metadata: %w", err)
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("jobs: metadata: %w", err)
	}
	return json.Marshal(all)
}

// quiet keeps River's own talk to warnings: outcomes are logged here.
func quiet(log *slog.Logger) *slog.Logger {
	return slog.New(atLeastError{log.Handler()})
}

type atLeastError struct{ slog.Handler }

// Enabled is true from errors on.
func (h atLeastError) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelError
}

// WithAttrs keeps the limit.
func (h atLeastError) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeastError{h.Handler.WithAttrs(attrs)}
}

// WithGroup keeps the limit.
func (h atLeastError) WithGroup(name string) slog.Handler {
	return atLeastError{h.Handler.WithGroup(name)}
}
