package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/postgres/pgtest"
)

type letter struct {
	To string `json:"to"`
}

func (letter) Kind() string { return "letter" }

// start runs a client until the test ends.
func start(t *testing.T, pool *pgxpool.Pool, workers *river.Workers, periodic ...jobs.Periodic) *jobs.Client {
	t.Helper()
	client, err := jobs.New(jobs.Config{MaxWorkers: 4}, jobs.Options{
		Pool: pool, Service: "tried", Log: slog.New(slog.DiscardHandler), Workers: workers, Periodic: periodic,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- client.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return client
}

func next[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func TestAJobActsAsTheServiceForWhoCausedIt(t *testing.T) {
	pool, came, workers := pgtest.New(t, nil), make(chan caller.Caller, 1), river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[letter]) error {
		if job.Args.To == "b@example.com" {
			came <- caller.From(ctx)
		}
		return nil
	}))
	client := start(t, pool, workers)
	ctx := caller.With(t.Context(), caller.Caller{Account: "accounts/a", Locale: "lv", RequestID: "r", Token: "secret"})

	undone := errors.New("undone")
	err := postgres.InTx(ctx, pool, func(tx pgx.Tx) error {
		if err := client.InsertTx(ctx, tx, letter{To: "b@example.com"}, nil); err != nil {
			return err
		}
		return undone
	})
	if !errors.Is(err, undone) {
		t.Fatal(err)
	}
	err = postgres.InTx(ctx, pool, func(tx pgx.Tx) error { return client.InsertTx(ctx, tx, letter{To: "b@example.com"}, nil) })
	if err != nil {
		t.Fatal(err)
	}
	want := caller.Caller{Service: "tried", OnBehalfOf: "accounts/a", Locale: "lv", RequestID: "r"}
	if got := next(t, came); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	var jobsThere int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM kontor.river_job WHERE kind = 'letter'`).Scan(&jobsThere); err != nil || jobsThere != 1 {
		t.Errorf("%d jobs, %v: the rolled back one must not be there", jobsThere, err)
	}
}

func TestATimerRunsAgainAndAgain(t *testing.T) {
	ticks := make(chan struct{}, 100)
	start(t, pgtest.New(t, nil), nil, jobs.Periodic{
		Name: "tick", Every: time.Second, AtStart: true,
		Run: func(context.Context) error { ticks <- struct{}{}; return nil },
	})
	next(t, ticks)
	next(t, ticks)
}

func TestTwoTimersOfOneNameAreRefused(t *testing.T) {
	run := func(context.Context) error { return nil }
	_, err := jobs.New(jobs.Config{}, jobs.Options{
		Pool: pgtest.New(t, nil), Service: "tried", Log: slog.New(slog.DiscardHandler),
		Periodic: []jobs.Periodic{{Name: "tick", Every: time.Second, Run: run}, {Name: "tick", Every: time.Second, Run: run}},
	})
	if err == nil {
		t.Fatal("was taken")
	}
}
