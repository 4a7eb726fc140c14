// Package second keeps second copies of companies' repositories in other regions, so that a region may be lost whole.
package second

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
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/postgres"
	"kontor.internal/services/backup/internal/names"
	"kontor.internal/services/backup/internal/repository"
	"kontor.internal/services/backup/internal/second/seconddb"
	"kontor.internal/snapshot"
)

const (
	// Queue is where copies wait; its limit is how many are made at once.
	Queue = "second"
	// atOnce is how many companies of a region are queued together.
	atOnce = 100
	// again is how long after a copy was queued it is queued again, whatever became of it. Of two at once one copies.
	again = 10 * time.Minute
)

// Copier copies repositories to the regions that their second copies are kept in.
type Copier struct {
	DB           *pgxpool.Pool
	Clock        clock.Clock
	Log          *slog.Logger
	Repositories *repository.Repositories
	// CollectEvery is how often it is looked for what is not needed there any more.
	CollectEvery time.Duration

	jobs *jobs.Client
}

// turn is one repository's copy.
type turn struct {
	Subscriber uuid.UUID `json:"subscriber"`
	Company    uuid.UUID `json:"company"`
	Region     string    `json:"region"`
}

// Kind of the job.
func (turn) Kind() string { return "second_copy" }

// InsertOpts: what failed, or was killed, comes again by its row.
func (turn) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: Queue, MaxAttempts: 1} }

type turnWorker struct {
	river.WorkerDefaults[turn]
	copier *Copier
}

// Timeout: a copy takes as long as it takes.
func (*turnWorker) Timeout(*river.Job[turn]) time.Duration { return -1 }

// Work copies one repository.
func (w *turnWorker) Work(ctx context.Context, job *river.Job[turn]) error {
	of := repository.Of{Company: names.Company{Subscriber: job.Args.Subscriber, ID: job.Args.Company}, Region: job.Args.Region}
	return w.copier.copy(ctx, of)
}

// AddWorkers adds the worker that copies.
func (c *Copier) AddWorkers(workers *river.Workers) { river.AddWorker(workers, &turnWorker{copier: c}) }

// UseJobs gives the copier the client that its turns are queued with.
func (c *Copier) UseJobs(client *jobs.Client) { c.jobs = client }

// Periodic is the copier's timer.
func (c *Copier) Periodic(check time.Duration) []jobs.Periodic {
	return []jobs.Periodic{{Name: "queue-second-copies", Every: check, AtStart: true, Run: c.queue}}
}

// queue queues the repositories that have something new.
func (c *Copier) queue(ctx context.Context) error {
	db := seconddb.New(c.DB)
	regions, err := db.RegionsInUse(ctx)
	if err != nil {
		return err
	}
	for _, region := range regions {
		second := c.Repositories.Stores.Second(region)
		if second == "" {
			continue
		}
		behind, err := db.Behind(ctx, seconddb.BehindParams{Region: region, Second: second, Now: c.Clock.Now(), Most: atOnce})
		if err != nil {
			return err
		}
		for _, b := range behind {
			if err := c.queueOne(ctx, turn{Subscriber: b.Subscriber, Company: b.Company, Region: region}, second); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Copier) queueOne(ctx context.Context, t turn, second string) error {
	return postgres.InTx(ctx, c.DB, func(tx pgx.Tx) error {
		err := seconddb.New(tx).Postpone(ctx, seconddb.PostponeParams{
			Company: t.Company, Region: t.Region, Second: second, NextTime: c.Clock.Now().Add(again),
		})
		if err != nil {
			return err
		}
		return c.jobs.InsertTx(ctx, tx, t, nil)
	})
}

// copy brings a second copy up to date. It may be stopped anywhere and repeated.
func (c *Copier) copy(ctx context.Context, of repository.Of) error {
	place, second, ok := c.Repositories.SecondPlace(of)
	if !ok {
		return nil
	}
	return c.Repositories.Alone(ctx, "second "+place.Folder, func() error {
		copied, err := snapshot.Copy(ctx, c.Repositories.Place(of), place)
		if err != nil {
			note := seconddb.NoteFailedParams{Company: of.ID, Region: of.Region, Second: second, NextTime: c.Clock.Now().Add(again)}
			return errors.Join(err, seconddb.New(c.DB).NoteFailed(context.WithoutCancel(ctx), note))
		}
		if err := c.noteCopied(ctx, of, second, int64(copied.Latest.Sequence)); err != nil {
			return err
		}
		return c.collect(ctx, of, second)
	})
}

// noteCopied notes the newest committed snapshot that is there.
func (c *Copier) noteCopied(ctx context.Context, of repository.Of, second string, latest int64) error {
	db := seconddb.New(c.DB)
	newest, err := db.NewestCommitted(ctx, seconddb.NewestCommittedParams{Company: of.ID, Region: of.Region, Newest: latest})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return db.NoteCopied(ctx, seconddb.NoteCopiedParams{
		Company: of.ID, Region: of.Region, Second: second, Sequence: newest.Sequence, ShownTime: newest.CreateTime,
	})
}

// collect takes away there what is not needed any more. Nothing else writes there meanwhile.
func (c *Copier) collect(ctx context.Context, of repository.Of, second string) error {
	db := seconddb.New(c.DB)
	known, err := db.GetCopy(ctx, seconddb.GetCopyParams{Company: of.ID, Region: of.Region, Second: second})
	if err != nil || known.CollectTime.After(c.Clock.Now()) {
		return err
	}
	repo, err := c.Repositories.OpenSecond(ctx, of)
	if err != nil {
		return err
	}
	done, err := snapshot.Collect(ctx, repo, func(ctx context.Context) (snapshot.Raised, error) {
		raised := snapshot.Raised{Suspects: known.Suspects}
		rows, err := db.Committed(ctx, seconddb.CommittedParams{Company: of.ID, Region: of.Region, Newest: known.Sequence})
		for _, row := range rows {
			raised.Committed = append(raised.Committed, repository.Known(row.ID, row.Sequence, row.Head))
		}
		return raised, err
	})
	if err != nil {
		return err
	}
	suspects := done.Suspects
	if suspects == nil {
		suspects = snapshot.Suspects{}
	}
	return db.NoteCollected(ctx, seconddb.NoteCollectedParams{
		Company: of.ID, Region: of.Region, Second: second, Suspects: suspects, CollectTime: c.Clock.Now().Add(c.CollectEvery),
	})
}

// Lag is how far a second copy is behind.
type Lag struct {
	// Region that it is in.
	Region string
	// Shown is the moment that its newest snapshot shows; nil before the first.
	Shown *time.Time
	// Behind the newest snapshot of the repository.
	Behind time.Duration
}

// Lag tells how far a repository's second copy is behind; zero when there is to be none.
func (c *Copier) Lag(ctx context.Context, of repository.Of) (Lag, error) {
	second := c.Repositories.Stores.Second(of.Region)
	if second == "" {
		return Lag{}, nil
	}
	found, err := seconddb.New(c.DB).Lag(ctx, seconddb.LagParams{Company: of.ID, Region: of.Region, Second: second})
	if errors.Is(err, pgx.ErrNoRows) {
		return Lag{Region: second}, nil
	}
	lag := Lag{Region: second, Shown: found.ShownTime}
	if err == nil && found.ShownTime != nil {
		lag.Behind = max(found.Newest.Sub(*found.ShownTime), 0)
	}
	return lag, err
}
