package snapshot

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"kontor.internal/snapshot/pgtool"
)

// counted is what another database's session sees of a database: its rest, and how many are connected.
func (o *office) counted(t *testing.T, login *pgtool.Login) (r Rest, connected int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), o.server.DSN("postgres"))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	var system int64
	err = conn.QueryRow(t.Context(), `SELECT (SELECT system_identifier FROM pg_control_system()), d.oid, (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
		COALESCE((extract(epoch FROM pg_stat_get_db_stat_reset_time(d.oid)) * 1000000)::bigint, 0), pg_stat_get_db_sessions(d.oid), pg_stat_get_db_numbackends(d.oid)
		FROM pg_database d WHERE d.datname = $1`, login.Database).Scan(&system, &r.Database, &r.Start, &r.Reset, &r.Sessions, &connected)
	require.NoError(t, err)
	r.System = uint64(system)
	return r, connected
}

// rested waits until nobody is connected.
func (o *office) rested(t *testing.T, login *pgtool.Login) Rest {
	t.Helper()
	var found Rest
	require.Eventually(t, func() bool {
		r, connected := o.counted(t, login)
		found = r
		return connected == 0
	}, 10*time.Second, time.Millisecond)
	return found
}

// atRest makes snapshots until one finds the database at rest: whoever was there a moment ago may not be gone yet.
func (o *office) atRest(t *testing.T, repo Repository, login *pgtool.Login, from uint64, previous *Made) *Made {
	t.Helper()
	for sequence := from; sequence < from+20; sequence++ {
		order := o.order(login, "", sequence, previous)
		order.Rest = true
		if made := o.snapshot(t, repo, order); made.Rest != nil {
			return made
		}
	}
	require.Fail(t, "it never comes to rest")
	return nil
}

func TestADatabaseThatNobodyCameToIsAtRest(t *testing.T) {
	o := newOffice(t)
	login := o.books(t)
	repo, _ := folder(t)
	first := o.atRest(t, repo, login, 1, nil)
	require.Equal(t, *first.Rest, o.rested(t, login), "the snapshot's own sessions are in the count")

	o.exec(t, login.Database, "SELECT 1") // Whatever it did: somebody was there.
	require.NotEqual(t, *first.Rest, o.rested(t, login))

	second := o.atRest(t, repo, login, 100, first)
	require.Equal(t, *second.Rest, o.rested(t, login))
	o.exec(t, login.Database, "SELECT pg_stat_reset()")
	require.NotEqual(t, *second.Rest, o.rested(t, login))
}

func TestADatabaseIsNotAtRestWhileSomebodyIsConnectedOrSomethingIsPrepared(t *testing.T) {
	o := newOffice(t)
	login := o.books(t)
	repo, _ := folder(t)
	conn, err := pgx.Connect(t.Context(), o.server.DSN(login.Database))
	require.NoError(t, err)
	order := o.order(login, "", 1, nil)
	order.Rest = true
	require.Nil(t, o.snapshot(t, repo, order).Rest)
	require.NoError(t, conn.Close(t.Context()))
	o.atRest(t, repo, login, 2, nil)
}

// Somebody comes after the snapshot's moment, does one thing and goes before it is looked who is there.
func TestWhatIsDoneWhileASnapshotIsMadeBreaksTheRest(t *testing.T) {
	o := newOffice(t)
	for what, statement := range map[string]string{
		"insert":       "CREATE TABLE IF NOT EXISTS seen (n int); INSERT INTO seen VALUES (1)",
		"insert only":  "INSERT INTO noted VALUES (1)",
		"rolled back":  "BEGIN; INSERT INTO noted VALUES (1); ROLLBACK",
		"delete":       "DELETE FROM noted",
		"nextval":      "SELECT nextval('numbers')",
		"setval":       "SELECT setval('numbers', 1000)",
		"definition":   "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"comment":      "COMMENT ON TABLE noted IS 'x'",
		"large object": "SELECT lo_from_bytea(0, 'x')",
		"unlogged":     "CREATE UNLOGGED TABLE light (n int)",
	} {
		t.Run(what, func(t *testing.T) {
			login := o.books(t)
			o.exec(t, login.Database, "CREATE TABLE noted (n int); INSERT INTO noted VALUES (0); CREATE SEQUENCE numbers; "+
				"ALTER TABLE noted OWNER TO "+login.User+"; ALTER SEQUENCE numbers OWNER TO "+login.User)
			repo, _ := folder(t)
			order := o.order(login, "", 1, nil)
			order.Rest = true
			var once sync.Once
			order.Progress = func(int64, int64) {
				once.Do(func() { o.exec(t, login.Database, "SET lock_timeout = '1s'; "+statement) })
			}
			made, err := Make(t.Context(), repo, order)
			require.NoError(t, err)
			require.Nil(t, made.Rest)
		})
	}
}
