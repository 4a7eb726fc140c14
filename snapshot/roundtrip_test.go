package snapshot_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"kontor.internal/libs/blob"
	"kontor.internal/libs/servers"
	"kontor.internal/libs/servers/servertest"
	"kontor.internal/snapshot"
	"kontor.internal/snapshot/internal/anybooks"
	"kontor.internal/snapshot/pgtool"
)

// checks is how many books are drawn where KONTOR_SOAK does not say it.
const checks = 4

// TestEveryRestoreIsTheDatabaseOfItsMoment draws books, changes them again and again, and makes a snapshot each time. All of
// them must verify, and be restored to exactly what was there. KONTOR_SOAK is how many books are drawn.
func TestEveryRestoreIsTheDatabaseOfItsMoment(t *testing.T) {
	soak(t)
	b := setup(t)
	rapid.Check(t, func(rt *rapid.T) {
		l := b.begin(rt)
		for _, s := range anybooks.Draw(rt) {
			l.must(s)
		}
		l.snapshot(snapshot.Order{})
		for range rapid.IntRange(1, 3).Draw(rt, "rounds") {
			l.change(rt)
			l.loseMemory(rt)
			l.snapshot(snapshot.Order{Previous: l.last(), Whole: rapid.IntRange(0, 4).Draw(rt, "whole") == 0})
		}
		l.restoreAll()
	})
}

// soak has rapid draw as often as KONTOR_SOAK says.
func soak(t *testing.T) {
	t.Helper()
	n := checks
	if text := os.Getenv("KONTOR_SOAK"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	if flag.Lookup("rapid.checks").Value.String() == flag.Lookup("rapid.checks").DefValue {
		require.NoError(t, flag.Set("rapid.checks", strconv.Itoa(n)))
	}
	require.NoError(t, flag.Set("rapid.nofailfile", "true"))
}

// bundle is a server and what works on it.
type bundle struct {
	server *servers.Postgres
	caFile string
	tools  pgtool.Tools

	mu    sync.Mutex
	admin *pgx.Conn
}

// asAdmin carries out a statement as the server's superuser.
func (b *bundle) asAdmin(t test, statement string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	_, err := b.admin.Exec(context.Background(), statement, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
}

// owner is an ordinary login, as companies have.
const owner = "office"

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{}
	b.server, b.caFile = servertest.TLSPostgres(t)
	var err error
	b.tools, err = pgtool.Find(t.Context(), filepath.Dir(b.server.Program("pg_dump")))
	require.NoError(t, err)
	b.admin, err = pgx.Connect(t.Context(), b.server.DSN(""))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.admin.Close(context.Background())) })
	b.asAdmin(t, fmt.Sprintf("DROP ROLE IF EXISTS %s; CREATE ROLE %s LOGIN PASSWORD '%s'", owner, owner, b.server.Password()))
	return b
}

// test is a test, or one drawing of a test by rapid.
type test interface {
	require.TestingT
	Helper()
	Context() context.Context
	Cleanup(func())
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// database makes an empty one.
func (b *bundle) database(t test) *pgtool.Login {
	t.Helper()
	name := "books_" + uuid.NewString()
	b.asAdmin(t, fmt.Sprintf("CREATE DATABASE %q OWNER %s TEMPLATE template0", name, owner))
	login := &pgtool.Login{Host: b.server.SocketDir(), Port: b.server.Port(), Database: name, User: owner, Password: b.server.Password()}
	if login.Host == "" {
		ca, err := os.ReadFile(b.caFile)
		require.NoError(t, err)
		login.Host, login.CA = "127.0.0.1", string(ca)
	}
	return login
}

func (b *bundle) drop(t test, login *pgtool.Login) {
	t.Helper()
	b.asAdmin(t, fmt.Sprintf("DROP DATABASE %q WITH (FORCE)", login.Database))
}

// life of books: what happens to them, and the snapshots that were made on the way.
type life struct {
	*bundle
	t     test
	login *pgtool.Login
	conn  *pgx.Conn
	repo  snapshot.Repository
	cache string
	made  []moment
}

// moment is a snapshot with what was there when it was made.
type moment struct {
	known snapshot.Known
	rows  int64
	print map[string]string
}

func (b *bundle) begin(t test) *life {
	t.Helper()
	dir, err := os.MkdirTemp("", "kontor-roundtrip-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	bucket, err := blob.Open(t.Context(), "file://"+filepath.Join(dir, "store"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bucket.Close()) })
	names, data := sha256.Sum256([]byte("names")), sha256.Sum256([]byte("data"))
	l := &life{bundle: b, t: t, login: b.database(t), cache: filepath.Join(dir, "cache")}
	t.Cleanup(func() { b.drop(t, l.login) })
	l.repo = snapshot.Repository{Store: snapshot.In(bucket), Folder: "company", Keys: snapshot.Keys{
		Company: uuid.NewSHA1(uuid.Nil, nil), Names: names[:], Data: map[uint32][]byte{1: data[:]}, Current: 1,
	}}
	l.connect()
	t.Cleanup(func() { require.NoError(t, l.conn.Close(context.Background())) })
	return l
}

func (l *life) connect() {
	var err error
	l.conn, err = pgtool.Connect(context.Background(), l.login)
	require.NoError(l.t, err)
}

func (l *life) last() *snapshot.Known { return &l.made[len(l.made)-1].known }

// must carries out a statement.
func (l *life) must(statement string) {
	l.t.Helper()
	if _, err := l.conn.Exec(l.t.Context(), statement, pgx.QueryExecModeSimpleProtocol); err != nil {
		l.t.Fatalf("%s: %v", statement, err)
	}
}

// change carries out drawn statements. What PostgreSQL refuses has changed nothing.
func (l *life) change(rt *rapid.T) {
	tables, err := anybooks.Look(rt.Context(), l.conn)
	require.NoError(rt, err)
	for _, s := range anybooks.Change(rt, tables...) {
		_, err := l.conn.Exec(rt.Context(), s, pgx.QueryExecModeSimpleProtocol)
		var refused *pgconn.PgError
		switch {
		case errors.As(err, &refused):
			rt.Logf("refused (%s): %s", refused.Message, s)
		case err != nil:
			rt.Fatalf("%s: %v", s, err)
		}
	}
	require.NoError(rt, anybooks.Settle(rt.Context(), l.conn))
}

// loseMemory does to the cache what may happen to one.
func (l *life) loseMemory(rt *rapid.T) {
	way := rapid.SampledFrom([]string{"", "", "", "", "removed", "cut off", "overwritten"}).Draw(rt, "cache")
	files, err := filepath.Glob(filepath.Join(l.cache, "*"))
	require.NoError(rt, err)
	for i, file := range files {
		if way == "" || rapid.IntRange(0, 2).Draw(rt, fmt.Sprint("spared", i)) == 0 {
			continue
		}
		content, err := os.ReadFile(file)
		require.NoError(rt, err)
		at := rapid.IntRange(0, max(0, len(content)-1)).Draw(rt, "at")
		switch way {
		case "removed":
			require.NoError(rt, os.Remove(file))
			continue
		case "cut off":
			content = content[:at]
		case "overwritten":
			content[at] ^= 0x55
		}
		require.NoError(rt, os.WriteFile(file, content, 0o600))
	}
}

// snapshot makes one and keeps what there was.
func (l *life) snapshot(o snapshot.Order) {
	l.t.Helper()
	print, err := anybooks.Print(l.t.Context(), l.conn)
	require.NoError(l.t, err)
	if len(l.made)%2 == 0 { // Else it stays open, with what it has counted and not told yet.
		require.NoError(l.t, l.conn.Close(l.t.Context()))
		l.connect()
	}
	l.snapshotNow(o, print)
}

func (l *life) snapshotNow(o snapshot.Order, print map[string]string) {
	l.t.Helper()
	n := uint64(len(l.made) + 1)
	o.Tools, o.Login, o.Cache = l.tools, l.login, l.cache
	o.Ref = snapshot.Ref{Sequence: n, Snapshot: uuid.NewSHA1(uuid.Nil, []byte(l.login.Database+strconv.FormatUint(n, 10)))}
	o.Moment = time.Unix(int64(n), 0)
	made, err := snapshot.Make(l.t.Context(), l.repo, o)
	require.NoError(l.t, err)
	l.made = append(l.made, moment{made.Known, made.Rows, print})
}

// restoreAll verifies and restores every snapshot, two at once.
func (l *life) restoreAll() {
	l.t.Helper()
	found := make([]error, len(l.made))
	var work errgroup.Group
	work.SetLimit(2)
	logins := make([]*pgtool.Login, len(l.made))
	for i, m := range l.made {
		logins[i] = l.database(l.t)
		work.Go(func() error {
			found[i] = l.restore(l.t.Context(), m, logins[i])
			return nil
		})
	}
	_ = work.Wait() // Failures are in found.
	for i, login := range logins {
		l.drop(l.t, login)
		if found[i] != nil {
			found[i] = fmt.Errorf("snapshot %d of %d: %w", i+1, len(l.made), found[i])
		}
	}
	require.NoError(l.t, errors.Join(found...))
}

func (l *life) restore(ctx context.Context, m moment, login *pgtool.Login) (err error) {
	if err := snapshot.Verify(ctx, l.repo, snapshot.VerifyOrder{Ref: m.known.Ref, Head: &m.known.Head}); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	restored, err := snapshot.Restore(ctx, l.repo, snapshot.RestoreOrder{Tools: l.tools, Login: login, Ref: m.known.Ref, Head: &m.known.Head})
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	unlike, err := snapshot.CompareAgainst(ctx, l.repo, snapshot.AgainstOrder{Login: login, Ref: m.known.Ref, Head: &m.known.Head})
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	for _, u := range unlike {
		return fmt.Errorf("%s of %s.%s unlike: %d rows, %d restored", u.What, u.Schema, u.Name, u.RowsInSnapshot, u.RowsInDatabase)
	}
	conn, err := pgtool.Connect(ctx, login)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	print, err := anybooks.Print(ctx, conn)
	if err != nil {
		return err
	}
	for _, d := range anybooks.Differences(m.print, print) {
		err = errors.Join(err, errors.New(d))
	}
	if restored.Rows != m.rows {
		err = errors.Join(err, fmt.Errorf("%d rows instead of %d", restored.Rows, m.rows))
	}
	return err
}
