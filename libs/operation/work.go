package operation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

const (
	// heartbeat is how often a worker gives a sign of life and hears of a cancel.
	heartbeat = 500 * time.Millisecond
	// lost is after how long without one its work is begun again.
	lost = 10 * time.Second
	// shown is how often progress is written at the most.
	shown = 200 * time.Millisecond
	// finishing bounds the writing of an end.
	finishing = 10 * time.Second
)

// Deps are what operations work with.
type Deps struct {
	Pool  *pgxpool.Pool
	Store *Store
	Texts *failure.Texts
	Log   *slog.Logger
	// Service is the service's own name, as which work acts.
	Service string
}

// Work does what a kind of operation is for. It is idempotent: after a crash
// it runs again from the start. When its context ends with ErrCancelled it
// undoes what it began (on context.WithoutCancel) and returns an error; a
// cancel that comes too late may be ignored.
type Work func(ctx context.Context, run *Run) (result proto.Message, err error)

// Register adds the worker for all kinds of a service's operations.
func Register(workers *river.Workers, d Deps, works map[string]Work) {
	river.AddWorker(workers, &worker{deps: d, works: works})
}

// Periodic are the timers that operations need.
func Periodic(d Deps) []jobs.Periodic {
	return []jobs.Periodic{
		{Name: "recover-operations", Every: 5 * time.Second, AtStart: true, Run: func(ctx context.Context) error { return recoverLost(ctx, d, lost) }},
		{Name: "purge-operations", Every: time.Hour, Run: func(ctx context.Context) error {
			_, err := d.Pool.Exec(ctx, `DELETE FROM kontor.operation WHERE ended < clock_timestamp() - $1::interval`, Kept)
			return postgres.Constraints{}.Translate(err)
		}},
	}
}

// recoverLost begins the work of dead workers again, under the next run's
// number, so that a worker that was only slow can't write any more.
func recoverLost(ctx context.Context, d Deps, silent time.Duration) error {
	return postgres.InTx(ctx, d.Pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			UPDATE kontor.operation SET run = run + 1, heartbeat = NULL
			WHERE id IN (
				SELECT id FROM kontor.operation
				WHERE heartbeat < clock_timestamp() - $1::interval FOR UPDATE SKIP LOCKED)
			RETURNING id, run`, silent)
		if err != nil {
			return postgres.Constraints{}.Translate(err)
		}
		again, err := pgx.CollectRows(rows, pgx.RowToStructByPos[job])
		if err != nil {
			return postgres.Constraints{}.Translate(err)
		}
		for _, j := range again {
			d.Log.WarnContext(ctx, "operation is begun again", "operation", j.Operation, "run", j.Run)
			if _, err := d.Store.river.InsertTx(ctx, tx, j, nil); err != nil {
				return fmt.Errorf("operation: %w", err)
			}
		}
		return nil
	})
}

// Run is one attempt at an operation.
type Run struct {
	// Name is `subscribers/S/operations/O`.
	Name string
	// Subscriber is `subscribers/S`.
	Subscriber string
	// Kind of work.
	Kind string

	deps   Deps
	id     string
	number int32
	input  []byte

	mu    sync.Mutex
	wrote time.Time
	key   string
}

// Input reads what Start was given.
func (r *Run) Input(into proto.Message) error {
	var input anypb.Any
	if err := proto.Unmarshal(r.input, &input); err != nil {
		return fmt.Errorf("operation: input: %w", err)
	}
	return input.UnmarshalTo(into)
}

// Progress says how far the work is. It is cheap: between two steps it writes
// five times a second at the most. What could not be written is said next time.
func (r *Run) Progress(ctx context.Context, done, total int64, stepKey, step string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if stepKey == r.key && time.Since(r.wrote) < shown && done < total {
		return
	}
	_, err := r.deps.Pool.Exec(ctx, `
		UPDATE kontor.operation SET done = $3, total = $4, step_key = $5, step = $6, revision = revision + 1,
			updated = clock_timestamp(), heartbeat = clock_timestamp()
		WHERE id = $1 AND run = $2 AND ended IS NULL`, r.id, r.number, done, total, stepKey, step)
	if err != nil {
		r.deps.Log.DebugContext(ctx, "progress was not written", "operation", r.id, "err", err)
		return
	}
	r.wrote, r.key = time.Now(), stepKey
}

type worker struct {
	river.WorkerDefaults[job]
	deps  Deps
	works map[string]Work
}

// Timeout: operations take as long as they take; their sign of life bounds them.
func (w *worker) Timeout(*river.Job[job]) time.Duration { return -1 }

// Work runs one attempt.
func (w *worker) Work(ctx context.Context, j *river.Job[job]) error {
	r, err := w.begin(ctx, j.Args)
	if err != nil || over(r.state) || r.run != j.Args.Run {
		return err
	}
	run := &Run{
		Name: r.subscriber + "/operations/" + r.id, Subscriber: r.subscriber, Kind: r.kind,
		deps: w.deps, id: r.id, number: r.run, input: r.input,
	}
	ctx = caller.With(ctx, caller.Caller{Service: w.deps.Service, OnBehalfOf: r.account, Locale: r.locale})
	result, err := w.attend(ctx, run, r)
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishing)
	defer cancel()
	switch {
	case err == nil:
		return w.succeed(finish, run, result)
	case errors.Is(err, ErrCancelled):
		return w.end(finish, run, commonv1.Operation_STATE_CANCELLED, nil, nil)
	case ctx.Err() != nil:
		return w.giveBack(finish, run) // The service stops; another goes on.
	default:
		return w.fail(finish, run, r, err)
	}
}

// begin marks the operation as worked on and reads it.
func (w *worker) begin(ctx context.Context, j job) (record, error) {
	var r record
	err := r.scan(w.deps.Pool.QueryRow(ctx, `
		UPDATE kontor.operation SET heartbeat = clock_timestamp(), updated = clock_timestamp(), revision = revision + 1,
			state = CASE WHEN state = $3 THEN $4::integer ELSE state END
		WHERE id = $1 AND run = $2 AND ended IS NULL RETURNING `+columns,
		j.Operation, j.Run, commonv1.Operation_STATE_QUEUED, commonv1.Operation_STATE_RUNNING))
	if errors.Is(err, pgx.ErrNoRows) {
		return record{state: int32(commonv1.Operation_STATE_CANCELLED)}, nil // Over, or another run's.
	}
	return r, postgres.Constraints{}.Translate(err)
}

// attend does the work while giving signs of life and listening for a cancel.
func (w *worker) attend(ctx context.Context, run *Run, r record) (proto.Message, error) {
	work, ok := w.works[r.kind]
	if !ok {
		return nil, fmt.Errorf("operation: nobody does %s", r.kind)
	}
	working, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if commonv1.Operation_State(r.state) == commonv1.Operation_STATE_CANCELLING {
		stop(ErrCancelled)
	}
	var attendant sync.WaitGroup
	attendant.Go(func() { w.beat(working, run, stop) })
	result, err := work(working, run)
	cancelled := errors.Is(context.Cause(working), ErrCancelled)
	stop(nil)
	attendant.Wait()
	if err != nil && cancelled {
		err = errors.Join(err, ErrCancelled)
	}
	return result, err
}

// beat gives signs of life until ctx ends. It ends the work when it was
// cancelled, or when another run has taken over.
func (w *worker) beat(ctx context.Context, run *Run, stop context.CancelCauseFunc) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var state int32
		err := w.deps.Pool.QueryRow(ctx, `
			UPDATE kontor.operation SET heartbeat = clock_timestamp() WHERE id = $1 AND run = $2 AND ended IS NULL
			RETURNING state`, run.id, run.number).Scan(&state)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			stop(errors.New("another worker has taken over"))
			return
		case err == nil && commonv1.Operation_State(state) == commonv1.Operation_STATE_CANCELLING:
			stop(ErrCancelled)
		}
	}
}

func (w *worker) succeed(ctx context.Context, run *Run, result proto.Message) error {
	wrapped, err := anypb.New(result)
	if err != nil {
		return fmt.Errorf("operation: result: %w", err)
	}
	raw, err := proto.Marshal(wrapped)
	if err != nil {
		return fmt.Errorf("operation: result: %w", err)
	}
	return w.end(ctx, run, commonv1.Operation_STATE_SUCCEEDED, raw, nil)
}

func (w *worker) fail(ctx context.Context, run *Run, r record, failed error) error {
	w.deps.Log.WarnContext(ctx, "operation failed", "operation", run.id, "kind", run.Kind, "err", failed)
	typed := failure.From(failed)
	if typed.Reason() == commonv1.Reason_REASON_INTERNAL {
		typed = failure.New(commonv1.Reason_REASON_INTERNAL, "error_id", run.id)
	}
	raw, err := proto.Marshal(failure.Status(typed, w.deps.Texts, r.locale).Proto())
	if err != nil {
		return fmt.Errorf("operation: error: %w", err)
	}
	return w.end(ctx, run, commonv1.Operation_STATE_FAILED, nil, raw)
}

// end writes how it ended, unless another run has taken over.
func (w *worker) end(ctx context.Context, run *Run, state commonv1.Operation_State, result, failed []byte) error {
	_, err := w.deps.Pool.Exec(ctx, `
		UPDATE kontor.operation SET state = $3, result = $4, error = $5, heartbeat = NULL, revision = revision + 1,
			updated = clock_timestamp(), ended = clock_timestamp()
		WHERE id = $1 AND run = $2 AND ended IS NULL`, run.id, run.number, state, result, failed)
	return postgres.Constraints{}.Translate(err)
}

// giveBack lets the next recovery begin the work again at once.
func (w *worker) giveBack(ctx context.Context, run *Run) error {
	_, err := w.deps.Pool.Exec(ctx, `UPDATE kontor.operation SET heartbeat = '-infinity' WHERE id = $1 AND run = $2 AND ended IS NULL`,
		run.id, run.number)
	return postgres.Constraints{}.Translate(err)
}
