package attempt_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/postgres/pgtest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/identity/internal/attempt"
	"kontor.internal/services/identity/migrations"
)

type bundle struct {
	pool  *pgxpool.Pool
	now   *clock.Fake
	store *attempt.Store
}

func setup(t *testing.T) bundle {
	t.Helper()
	b := bundle{pool: pgtest.New(t, migrations.FS), now: clock.NewFake(at(0))}
	b.store = attempt.NewStore(b.pool, b.now)
	return b
}

// someone is an account that exists.
func (b bundle) someone(t *testing.T) attempt.Target {
	t.Helper()
	account := id.New()
	_, err := b.pool.Exec(t.Context(), `INSERT INTO account (id, kind, state, full_name, language, self_registered, create_time)
		VALUES ($1, 'person', 'pending', '', 'en', true, $2)`, account, at(0))
	require.NoError(t, err)
	return attempt.Target{Account: account, Address: "192.0.2.7"}
}

func (b bundle) succeed(t *testing.T, a *attempt.Attempt) {
	t.Helper()
	require.NoError(t, postgres.InTx(t.Context(), b.pool, func(tx pgx.Tx) error { return a.Succeed(t.Context(), tx) }))
}

func count(t *testing.T, pool *pgxpool.Pool, sql string) (n int) {
	t.Helper()
	require.NoError(t, pool.QueryRow(context.Background(), sql).Scan(&n))
	return n
}

func TestAWaitIsToldAndEnds(t *testing.T) {
	b := setup(t)
	target := b.someone(t)
	for range 5 {
		_, err := b.store.Begin(t.Context(), target)
		require.NoError(t, err)
	}
	_, err := b.store.Begin(t.Context(), target)
	require.Equal(t, commonv1.Reason_REASON_TOO_MANY_ATTEMPTS, failure.Reason(err))
	require.Equal(t, "2", failure.From(err).Meta("retry_seconds"))
	b.now.Advance(2 * time.Second)
	_, err = b.store.Begin(t.Context(), target)
	require.NoError(t, err)
}

func TestARightAttemptForgetsWrongOnesBeforeIt(t *testing.T) {
	b := setup(t)
	target := b.someone(t)
	for range 4 {
		_, err := b.store.Begin(t.Context(), target)
		require.NoError(t, err)
	}
	right, err := b.store.Begin(t.Context(), target)
	require.NoError(t, err)
	b.succeed(t, right)
	for range 5 {
		_, err := b.store.Begin(t.Context(), target)
		require.NoError(t, err)
	}
	_, err = b.store.Begin(t.Context(), target)
	require.Error(t, err)
}

func TestAnAttemptThatCouldNotBeTriedCostsNothing(t *testing.T) {
	b := setup(t)
	target := b.someone(t)
	for range 20 {
		a, err := b.store.Begin(t.Context(), target)
		require.NoError(t, err)
		require.NoError(t, a.Withdraw(t.Context()))
	}
}

func TestOneAddressIsSlowedOverAllAccounts(t *testing.T) {
	b := setup(t)
	for i := range 100 {
		_, err := b.store.Begin(t.Context(), attempt.Target{Key: string(rune('a' + i)), Address: "198.51.100.1"})
		require.NoError(t, err)
	}
	_, err := b.store.Begin(t.Context(), attempt.Target{Key: "another", Address: "198.51.100.1"})
	require.Equal(t, commonv1.Reason_REASON_TOO_MANY_ATTEMPTS, failure.Reason(err))
	_, err = b.store.Begin(t.Context(), attempt.Target{Key: "another", Address: "198.51.100.2"})
	require.NoError(t, err)
	require.Zero(t, count(t, b.pool, `SELECT count(*) FROM attempt WHERE subject LIKE '%another%'`), "what was typed is not stored")
}

func TestWhatNoLongerMattersIsForgotten(t *testing.T) {
	b := setup(t)
	target := b.someone(t)
	right, err := b.store.Begin(t.Context(), target)
	require.NoError(t, err)
	b.succeed(t, right)
	_, err = b.store.Begin(t.Context(), attempt.Target{Key: "x", Address: "198.51.100.1"})
	require.NoError(t, err)

	require.NoError(t, b.store.Purge(t.Context()))
	require.NotZero(t, count(t, b.pool, "SELECT count(*) FROM attempt"))
	b.now.Advance(3 * time.Hour)
	require.NoError(t, b.store.Purge(t.Context()))
	require.Zero(t, count(t, b.pool, "SELECT count(*) FROM attempt"))
	require.Equal(t, 1, count(t, b.pool, "SELECT count(*) FROM known_address"))
	b.now.Advance(91 * 24 * time.Hour)
	require.NoError(t, b.store.Purge(t.Context()))
	require.Zero(t, count(t, b.pool, "SELECT count(*) FROM known_address"))
}
