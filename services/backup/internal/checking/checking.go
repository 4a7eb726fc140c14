// Package checking tries by itself, again and again, whether the copies of companies' books can be read and restored.
package checking

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/postgres"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/backup/internal/checking/checkingdb"
	"kontor.internal/services/backup/internal/names"
	"kontor.internal/services/backup/internal/schedule"
	"kontor.internal/services/backup/internal/snapshot"
)

// Queue is where checks wait; apart from that of snapshots, which a long drill must not keep waiting.
const Queue = "checking"

// Kinds of checks: each company has one of each.
const (
	ofRepository = "repository" // the newest snapshot is read back
	ofArchive    = "archive"    // the newest archive is read back
	ofRestore    = "drill"      // the newest snapshot is restored and compared
)

// Settings are how often.
type Settings struct {
	// SamplePercent of the companies, at least one, have their newest snapshot verified each SampleEvery.
	SamplePercent int
	SampleEvery   time.Duration
	// WholeEvery is the longest that a company's newest snapshot and its newest archive go without being verified.
	WholeEvery time.Duration
	// DrillEvery is how often a company's newest snapshot is restored.
	DrillEvery time.Duration
}

// Valid says whether they can be followed.
func (s Settings) Valid() bool {
	return s.SamplePercent >= 0 && s.SamplePercent <= 100 && min(s.SampleEvery, s.WholeEvery, s.DrillEvery) >= time.Minute
}

// every says how often a kind of check is made.
func (s Settings) every(kind string) schedule.Rules {
	if kind == ofRestore {
		return schedule.Rules{Interval: s.DrillEvery}
	}
	return schedule.Rules{Interval: s.WholeEvery}
}

// again is when what could not be done is tried once more: after 1, 2, 4 … minutes, at the latest after an hour.
var again = schedule.Rules{Interval: time.Hour}

// Deps are what checks are made with.
type Deps struct {
	Settings Settings
	DB       *pgxpool.Pool
	Clock    clock.Clock
	IDs      id.Source
	Log      *slog.Logger
	Engine   *snapshot.Engine
}

// Checker makes the checks.
type Checker struct {
	Deps
	jobs *jobs.Client
}

// New returns a checker.
func New(d Deps) *Checker { return &Checker{Deps: d} }

func (c *Checker) db() *checkingdb.Queries { return checkingdb.New(c.DB) }

var constraints = postgres.Constraints{}

// check is one of a company's.
type check struct {
	Subscriber uuid.UUID `json:"subscriber"`
	Company    uuid.UUID `json:"company"`
	What       string    `json:"what"`
}

// Kind of the job.
func (check) Kind() string { return "check_snapshot" }

// InsertOpts: what failed, or was killed, comes again by its row. River never ends a job without a time limit that was
// killed: none may stand in the way of the next.
func (check) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: Queue, MaxAttempts: 1} }

func (k check) of() names.Company { return names.Company{Subscriber: k.Subscriber, ID: k.Company} }

type worker struct {
	river.WorkerDefaults[check]
	checker *Checker
}

// Timeout: a restore takes as long as it takes.
func (*worker) Timeout(*river.Job[check]) time.Duration { return -1 }

// Work makes one check.
func (w *worker) Work(ctx context.Context, job *river.Job[check]) error {
	return w.checker.carryOut(ctx, job.Args)
}

// AddWorkers adds the checks' worker.
func (c *Checker) AddWorkers(workers *river.Workers) { river.AddWorker(workers, &worker{checker: c}) }

// UseJobs gives the client that checks are queued with; the client needs the workers first.
func (c *Checker) UseJobs(client *jobs.Client) { c.jobs = client }

// Periodic are the timers.
func (c *Checker) Periodic(every time.Duration) []jobs.Periodic {
	return []jobs.Periodic{
		{Name: "queue-checks", Every: every, AtStart: true, Run: c.queueDue},
	}
}

// queueDue queues the checks whose turn has come, those first that have waited longest.
func (c *Checker) queueDue(ctx context.Context) error {
	now := c.Clock.Now()
	if err := errors.Join(c.plan(ctx, now), c.sample(ctx, now)); err != nil {
		return constraints.Translate(err)
	}
	due, err := c.db().Due(ctx, now)
	if err != nil {
		return constraints.Translate(err)
	}
	for _, k := range due {
		err := postgres.InTx(ctx, c.DB, func(tx pgx.Tx) error {
			// It comes again if its job is lost.
			again := checkingdb.PostponeParams{Company: k.Company, Kind: k.Kind, DueTime: now.Add(again.Interval)}
			if err := checkingdb.New(tx).Postpone(ctx, again); err != nil {
				return err
			}
			return c.jobs.InsertTx(ctx, tx, check{Subscriber: k.Subscriber, Company: k.Company, What: k.Kind}, nil)
		})
		if err != nil {
			return constraints.Translate(err)
		}
	}
	return nil
}

// plan gives each new company its own place in the intervals.
func (c *Checker) plan(ctx context.Context, now time.Time) error {
	fresh, err := c.db().Unplanned(ctx)
	if err != nil {
		return err
	}
	for _, of := range fresh {
		err := postgres.InTx(ctx, c.DB, func(tx pgx.Tx) error {
			for _, kind := range []string{ofRepository, ofArchive, ofRestore} {
				p := checkingdb.PlanParams{Company: of.ID, Kind: kind, Subscriber: of.Subscriber, DueTime: c.Settings.every(kind).Next(of.ID, now)}
				if err := checkingdb.New(tx).Plan(ctx, p); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sample has the newest snapshot of some companies verified, whichever they are.
func (c *Checker) sample(ctx context.Context, now time.Time) error {
	next := now.Add(c.Settings.SampleEvery)
	if err := c.db().BeginSampling(ctx, next); err != nil || c.Settings.SamplePercent == 0 {
		return err
	}
	return postgres.InTx(ctx, c.DB, func(tx pgx.Tx) error {
		q := checkingdb.New(tx)
		taken, err := q.TakeSample(ctx, checkingdb.TakeSampleParams{Now: now, NextTime: next})
		if err != nil || taken == 0 {
			return err
		}
		return q.DrawSample(ctx, checkingdb.DrawSampleParams{Now: now, Percent: float64(c.Settings.SamplePercent)})
	})
}

// held is a check that somebody works on.
type held struct {
	check
	failures int32
	claim    uuid.UUID
}

// take takes a check, or none when another is at it.
func (c *Checker) take(ctx context.Context, k check) (*held, error) {
	h := &held{check: k, claim: c.IDs()}
	var err error
	h.failures, err = c.db().Take(ctx, checkingdb.TakeParams{Company: k.Company, Kind: k.What, Claim: h.claim})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // Nothing to do.
	}
	return h, constraints.Translate(err)
}

// carryOut makes a check, or notes when it is tried again.
func (c *Checker) carryOut(ctx context.Context, k check) error {
	h, err := c.take(ctx, k)
	if err != nil || h == nil {
		return err
	}
	alive, stop := snapshot.KeepAlive(ctx, func(ctx context.Context) (int64, error) {
		return c.db().Keep(ctx, checkingdb.KeepParams{Company: k.Company, Kind: k.What, Claim: h.claim})
	})
	defer stop()
	switch k.What {
	case ofRepository:
		err = c.Engine.VerifyNewest(alive, k.of(), backupv1.SnapshotForm_SNAPSHOT_FORM_IN_REPOSITORY)
	case ofArchive:
		err = c.Engine.VerifyNewest(alive, k.of(), backupv1.SnapshotForm_SNAPSHOT_FORM_ARCHIVE)
	default:
		err = c.Engine.DrillNewest(alive, k.of(), h.failures > 0)
	}
	return c.release(alive, h, err)
}

// cleaning bounds what is done after the work has ended.
const cleaning = 30 * time.Second

// release says when the check's next turn is: by its rules, or soon when it could not be made. One that stopped with the service
// is begun again by the next copy that looks.
func (c *Checker) release(ctx context.Context, h *held, failed error) error {
	now := c.Clock.Now()
	p := checkingdb.ReleaseParams{Company: h.Company, Kind: h.What, Claim: h.claim, Failures: h.failures, DueTime: c.Settings.every(h.What).Next(h.Company, now)}
	none := failed != nil && failure.From(failed).Reason() == commonv1.Reason_REASON_NOT_FOUND // Nothing to check.
	switch {
	case failed == nil || none:
		p.Failures = 0
	case ctx.Err() != nil:
		p.DueTime = now
	default:
		if h.What != ofRestore || errors.Is(failed, snapshot.ErrNotRestored) { // That no restore was begun says nothing of the next one.
			p.Failures++
		}
		p.DueTime = again.Retry(now, int(p.Failures))
		c.Log.WarnContext(ctx, "a check was not made", "company", h.of().Name(), "what", h.What, "err", failed)
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleaning)
	defer cancel()
	return constraints.Translate(c.db().Release(clean, p))
}
