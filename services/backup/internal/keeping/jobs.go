package keeping

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"kontor.internal/libs/jobs"
)

// Queue is where tidying waits; its limit is how much is done at once.
const Queue = "keeping"

// turn is the tidying of one company's copies.
type turn struct {
	Subscriber uuid.UUID `json:"subscriber"`
	Company    uuid.UUID `json:"company"`
}

// Kind of the job.
func (turn) Kind() string { return "tidy_copies" }

// InsertOpts: what failed, or was killed, comes again by its row.
func (turn) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: Queue, MaxAttempts: 1} }

type turnWorker struct {
	river.WorkerDefaults[turn]
	keeper *Keeper
}

// Timeout: a repository is as large as it is.
func (*turnWorker) Timeout(*river.Job[turn]) time.Duration { return -1 }

// Work tidies.
func (w *turnWorker) Work(ctx context.Context, job *river.Job[turn]) error {
	return w.keeper.takeTurn(ctx, job.Args)
}

// rewrapping is the wrapping of all keys anew.
type rewrapping struct{}

// Kind of the job.
func (rewrapping) Kind() string { return "rewrap_keys" }

// InsertOpts: it comes again every day.
func (rewrapping) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: Queue, MaxAttempts: 1}
}

type rewrapper struct {
	river.WorkerDefaults[rewrapping]
	keeper *Keeper
}

// Timeout: there are as many keys as there are.
func (*rewrapper) Timeout(*river.Job[rewrapping]) time.Duration { return -1 }

// Work wraps anew what an earlier key-encryption key has wrapped.
func (w *rewrapper) Work(ctx context.Context, _ *river.Job[rewrapping]) error {
	return w.keeper.rewrapAll(ctx)
}

// AddWorkers adds the keeper's workers.
func (k *Keeper) AddWorkers(workers *river.Workers) {
	river.AddWorker(workers, &turnWorker{keeper: k})
	river.AddWorker(workers, &rewrapper{keeper: k})
}

// UseJobs gives the keeper the client that its work is queued with.
func (k *Keeper) UseJobs(client *jobs.Client) { k.jobs = client }

// Periodic are the keeper's timers.
func (k *Keeper) Periodic(check time.Duration) []jobs.Periodic {
	all := []jobs.Periodic{
		{Name: "queue-tidying", Every: check, Run: k.tidyDue},
		{Name: "look-who-left", Every: check, Run: k.lookDue},
	}
	if k.Rewrap {
		rewrap := func(ctx context.Context) error { return k.jobs.Insert(ctx, rewrapping{}, nil) }
		all = append(all, jobs.Periodic{Name: "rewrap-keys", Every: 24 * time.Hour, AtStart: true, Run: rewrap})
	}
	return all
}
