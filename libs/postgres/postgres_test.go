package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"kontor.internal/libs/config"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/postgres/pgtest"
	"kontor.internal/libs/servers/servertest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, servertest.IgnoreShared()) }

func migrations() fstest.MapFS {
	return fstest.MapFS{"00001_shelf.sql": {Data: []byte(`-- +goose Up
CREATE TABLE shelf (
    id    integer CONSTRAINT shelf_pk PRIMARY KEY,
    title text NOT NULL CONSTRAINT shelf_title_once UNIQUE,
    room  integer CONSTRAINT shelf_room_positive CHECK (room > 0)
);
INSERT INTO shelf VALUES (1, 'one', 1), (2, 'two', 2);
`)}}
}

func TestConfigIsLoadable(t *testing.T) {
	keys := config.Describe(postgres.Config{})
	if len(keys) != 3 || !keys[0].Secret || !keys[0].Required {
		t.Errorf("keys = %+v", keys)
	}
}

func TestOpenHidesThePasswordOfAMalformedURL(t *testing.T) {
	_, err := postgres.Open(t.Context(), postgres.Config{DSN: "postgres://u:geheim@host:port/x"})
	if err == nil || strings.Contains(err.Error(), "geheim") {
		t.Errorf("err = %v", err)
	}
}

func TestStatementsAreGivenUp(t *testing.T) {
	pool, err := postgres.Open(t.Context(), postgres.Config{DSN: pgtest.NewDSN(t, nil), StatementTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	_, err = pool.Exec(t.Context(), "SELECT pg_sleep(60)")
	want(t, postgres.Constraints(nil).Translate(err), commonv1.Reason_REASON_DEADLINE_EXCEEDED)
}

func TestMigrateTwiceAndAtOnceIsDoneOnce(t *testing.T) {
	empty, err := postgres.Open(t.Context(), postgres.Config{DSN: pgtest.NewDSN(t, nil)})
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	var copies sync.WaitGroup
	for range 3 {
		copies.Go(func() {
			if err := postgres.Migrate(t.Context(), empty, migrations()); err != nil {
				t.Error(err)
			}
		})
	}
	copies.Wait()
	var count int
	if err := empty.QueryRow(t.Context(), "SELECT count(*) FROM shelf").Scan(&count); err != nil || count != 2 {
		t.Errorf("shelves = %d, %v", count, err)
	}
}

func TestLibsTablesNameTheirConstraints(t *testing.T) {
	pgtest.CheckConstraintsNamed(t, pgtest.New(t, migrations()), postgres.Constraints{"shelf_title_once": 1, "shelf_pk": 1})
}

func TestInTx(t *testing.T) {
	pool := pgtest.New(t, migrations())
	room := func() (n int) {
		if err := pool.QueryRow(t.Context(), "SELECT room FROM shelf WHERE id = 1").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	set := func(tx pgx.Tx, n int) error {
		_, err := tx.Exec(t.Context(), "UPDATE shelf SET room = $1 WHERE id = 1", n)
		return err
	}
	t.Run("commits", func(t *testing.T) {
		if err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error { return set(tx, 5) }); err != nil || room() != 5 {
			t.Errorf("room = %d, %v", room(), err)
		}
	})
	t.Run("rolls back on an error", func(t *testing.T) {
		refused := errors.New("refused")
		err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error { return errors.Join(set(tx, 6), refused) })
		if !errors.Is(err, refused) || room() != 5 {
			t.Errorf("room = %d, %v", room(), err)
		}
	})
	t.Run("rolls back on a panic", func(t *testing.T) {
		func() {
			defer func() { _ = recover() }()
			_ = postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error { _ = set(tx, 7); panic("now") })
		}()
		if room() != 5 || pool.Stat().AcquiredConns() != 0 {
			t.Errorf("room = %d, connections kept = %d", room(), pool.Stat().AcquiredConns())
		}
	})
	t.Run("rolls back when the context ends, and keeps the connection", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		err := postgres.InTx(ctx, pool, func(tx pgx.Tx) error {
			err := set(tx, 8)
			cancel()
			return errors.Join(err, ctx.Err())
		})
		if !errors.Is(err, context.Canceled) || room() != 5 {
			t.Errorf("room = %d, %v", room(), err)
		}
	})
}

// Two transactions take two rows in opposite order: PostgreSQL gives one of them up, and it must be run again.
func TestInTxSurvivesADeadlock(t *testing.T) {
	pool := pgtest.New(t, migrations())
	var tries atomic.Int32
	var met sync.WaitGroup
	met.Add(2)
	run := func(first, second int) error {
		waited := false
		return postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
			tries.Add(1)
			if _, err := tx.Exec(t.Context(), "UPDATE shelf SET room = room + 1 WHERE id = $1", first); err != nil {
				return err
			}
			if !waited {
				waited = true
				met.Done()
				met.Wait()
			}
			_, err := tx.Exec(t.Context(), "UPDATE shelf SET room = room + 1 WHERE id = $1", second)
			return err
		})
	}
	var both sync.WaitGroup
	for _, order := range [][2]int{{1, 2}, {2, 1}} {
		both.Go(func() {
			if err := run(order[0], order[1]); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	var sum int
	if err := pool.QueryRow(t.Context(), "SELECT sum(room) FROM shelf").Scan(&sum); err != nil || sum != 3+4 || tries.Load() < 3 {
		t.Errorf("rooms = %d after %d tries, %v", sum, tries.Load(), err)
	}
}

func TestTranslate(t *testing.T) {
	pool := pgtest.New(t, migrations())
	rules := postgres.Constraints{"shelf_title_once": commonv1.Reason_REASON_ALREADY_EXISTS}
	exec := func(sql string) error { _, err := pool.Exec(t.Context(), sql); return err }
	row := func() error {
		var n int
		return pool.QueryRow(t.Context(), "SELECT id FROM shelf WHERE id = 77").Scan(&n)
	}
	gone, err := postgres.Open(t.Context(), postgres.Config{DSN: pgtest.NewDSN(t, nil)})
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, unreachable := pgx.Connect(t.Context(), "postgres://127.0.0.1:1/none?sslmode=disable")
	_, cancelled := pool.Exec(ended, "SELECT 1")
	typed := failure.NotFound("x")
	for name, c := range map[string]struct {
		err  error
		want commonv1.Reason
	}{
		"a named constraint":    {rules.Translate(exec("INSERT INTO shelf VALUES (3, 'one', 1)"), "resource", "shelves/3"), commonv1.Reason_REASON_ALREADY_EXISTS},
		"another constraint":    {rules.Translate(exec("INSERT INTO shelf VALUES (3, 'x', -1)")), commonv1.Reason_REASON_INTERNAL},
		"no row":                {postgres.NotFound(row(), "shelves/77"), commonv1.Reason_REASON_NOT_FOUND},
		"a typed error":         {rules.Translate(typed), commonv1.Reason_REASON_NOT_FOUND},
		"a wrong statement":     {rules.Translate(exec("SELEKT")), commonv1.Reason_REASON_INTERNAL},
		"an unreachable server": {rules.Translate(unreachable), commonv1.Reason_REASON_UNAVAILABLE},
		"the caller went away":  {rules.Translate(cancelled), commonv1.Reason_REASON_CANCELLED},
		"an ended session":      {rules.Translate(exec("SELECT pg_terminate_backend(pg_backend_pid())")), commonv1.Reason_REASON_UNAVAILABLE},
		"nothing":               {rules.Translate(nil), commonv1.Reason_REASON_UNSPECIFIED},
	} {
		t.Run(name, func(t *testing.T) { want(t, c.err, c.want) })
	}
	texts, err := failure.LoadTexts()
	if err != nil {
		t.Fatal(err)
	}
	shown := failure.Status(rules.Translate(exec("INSERT INTO shelf VALUES (3, 'x', -1)")), texts, "en")
	if strings.Contains(shown.String(), "shelf") {
		t.Errorf("the driver's text is shown: %v", shown)
	}
}

func want(t *testing.T, err error, reason commonv1.Reason) {
	t.Helper()
	if got := failure.Reason(err); got != reason {
		t.Errorf("reason = %v, want %v (%v)", got, reason, err)
	}
}
