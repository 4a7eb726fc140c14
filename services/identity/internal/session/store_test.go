package session

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/id"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/postgres/pgtest"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	"kontor.internal/services/identity/internal/link"
	"kontor.internal/services/identity/migrations"
)

func TestSessionsAndLinksAreForgottenLongAfterTheirEnd(t *testing.T) {
	start := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	pool, now := pgtest.New(t, migrations.FS), clock.NewFake(start)
	store, links := &Store{Real: now, Clock: now}, link.NewStore(id.New)
	person := id.New()
	_, err := pool.Exec(t.Context(), `INSERT INTO account (id, kind, state, full_name, language, self_registered, create_time)
		VALUES ($1, 'person', 'pending', '', 'en', true, $2)`, person, start)
	require.NoError(t, err)
	inTx := func(do func(tx pgx.Tx) error) {
		t.Helper()
		require.NoError(t, postgres.InTx(t.Context(), pool, do))
	}
	begin := func() uuid.UUID {
		t.Helper()
		s := Session{ID: id.New(), Account: person, Created: start, Refreshed: start, State: State{
			IdleExpires: start.Add(IdleLife), Expires: start.Add(Life),
		}}
		inTx(func(tx pgx.Tx) error { return store.Insert(t.Context(), tx, s) })
		return s.ID
	}
	ended, idle := begin(), begin()
	inTx(func(tx pgx.Tx) error {
		return store.End(t.Context(), tx, person, ended, identityv1.SessionEnd_SESSION_END_SIGNED_OUT)
	})
	inTx(func(tx pgx.Tx) error {
		_, err := links.Create(t.Context(), tx, link.PasswordReset, person, start)
		return err
	})

	left := func() (sessions []uuid.UUID) {
		t.Helper()
		require.NoError(t, store.Purge(t.Context(), pool))
		rows, err := pool.Query(t.Context(), "SELECT id FROM session ORDER BY id")
		require.NoError(t, err)
		sessions, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		require.NoError(t, err)
		return sessions
	}
	now.Advance(keptAfterEnd)
	require.Equal(t, []uuid.UUID{ended, idle}, left())
	now.Advance(time.Second)
	require.Equal(t, []uuid.UUID{idle}, left())
	now.Set(start.Add(IdleLife + keptAfterEnd + time.Second))
	require.Empty(t, left())

	var kept int
	require.NoError(t, links.Purge(t.Context(), pool, start.Add(time.Hour)))
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM link").Scan(&kept))
	require.Equal(t, 1, kept)
	require.NoError(t, links.Purge(t.Context(), pool, start.Add(time.Hour+time.Second)))
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM link").Scan(&kept))
	require.Zero(t, kept)
}
