package servers_test

import (
	"context"
	"crypto/rand"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"kontor.internal/libs/servers"
)

func startPostgres(t *testing.T, cfg servers.PostgresConfig) *servers.Postgres {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	p, err := servers.StartPostgres(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { stopped(t, p.Stop) })
	return p
}

func ask(ctx context.Context, dsn, query string) (answer string, err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = conn.QueryRow(ctx, query).Scan(&answer)
	return answer, err
}

func requireAnswer(t *testing.T, want, dsn, query string) {
	t.Helper()
	have, err := ask(t.Context(), dsn, query)
	require.NoError(t, err)
	require.Equal(t, want, have)
}

func TestPostgresRunsWithTheSettingsAskedFor(t *testing.T) {
	p := startPostgres(t, servers.PostgresConfig{
		NoFsync: true, MaxConnections: 33, SharedBuffers: "24MB", Settings: map[string]string{"work_mem": "5MB"},
	})
	for setting, want := range map[string]string{
		"fsync": "off", "max_connections": "33", "shared_buffers": "24MB", "work_mem": "5MB", "listen_addresses": "127.0.0.1",
		"TimeZone": "UTC", "server_encoding": "UTF8", "data_checksums": "on", "is_superuser": "on", "password_encryption": "scram-sha-256",
	} {
		requireAnswer(t, want, p.DSN(""), "SHOW "+setting)
	}
	durable := startPostgres(t, servers.PostgresConfig{})
	for _, setting := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		requireAnswer(t, "on", durable.DSN(""), "SHOW "+setting)
	}
	require.NotEqual(t, p.Password(), durable.Password())
}

func TestPostgresStartsWellUnderASecondFromTheCache(t *testing.T) {
	startPostgres(t, servers.PostgresConfig{NoFsync: true}) // fills the cache
	began := time.Now()
	startPostgres(t, servers.PostgresConfig{NoFsync: true})
	// The bound is loose for busy machines; making a cluster from nothing takes several times longer than copying one.
	require.Less(t, time.Since(began), 3*time.Second)
}

func TestPostgresTakesAPasswordOnlyOverEveryDoor(t *testing.T) {
	p := startPostgres(t, servers.PostgresConfig{NoFsync: true, Dir: shortDir(t)})
	wrong, err := url.Parse(p.DSN(""))
	require.NoError(t, err)
	wrong.User = url.UserPassword("postgres", "wrong")
	_, err = ask(t.Context(), wrong.String(), "SELECT 'in'")
	require.ErrorContains(t, err, "28P01")

	socket := "host=" + p.SocketDir() + " port=" + strconv.Itoa(p.Port()) + " user=postgres dbname=postgres password="
	requireAnswer(t, "in", socket+p.Password(), "SELECT 'in'")
	_, err = ask(t.Context(), socket+"wrong", "SELECT 'in'")
	require.ErrorContains(t, err, "28P01")

	info, err := os.Stat(p.PasswordFile())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	log, err := os.ReadFile(p.LogFile())
	require.NoError(t, err)
	require.NotContains(t, string(log), p.Password())
}

func TestPostgresWithACertificateRefusesPlainConnections(t *testing.T) {
	files := serverCertificate(t)
	p := startPostgres(t, servers.PostgresConfig{NoFsync: true, TLS: files})
	require.Contains(t, p.DSN("x"), "sslmode=verify-full")
	requireAnswer(t, "TLSv1.3", p.DSN(""), "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")

	plain := strings.Replace(p.DSN(""), "sslmode=verify-full", "sslmode=disable", 1)
	_, err := ask(t.Context(), plain, "SELECT 'in'")
	require.ErrorContains(t, err, "28000")

	other := strings.Replace(p.DSN(""), url.QueryEscape(files.CA), url.QueryEscape(serverCertificate(t).CA), 1)
	_, err = ask(t.Context(), other, "SELECT 'in'")
	require.ErrorContains(t, err, "unknown authority")
}

func TestPostgresTakesUpARenewedCertificate(t *testing.T) {
	files, renewed := serverCertificate(t), serverCertificate(t)
	p := startPostgres(t, servers.PostgresConfig{NoFsync: true, TLS: files})
	for from, to := range map[string]string{renewed.CA: files.CA, renewed.Cert: files.Cert, renewed.Key: files.Key} {
		require.NoError(t, os.Rename(from, to))
	}
	_, err := ask(t.Context(), p.DSN(""), "SELECT 'in'")
	require.ErrorContains(t, err, "unknown authority", "the new authority does not vouch for the old certificate")
	require.NoError(t, p.Reload())
	eventually(t, "the new certificate is shown", func() bool {
		_, err := ask(t.Context(), p.DSN(""), "SELECT 'in'")
		return err == nil
	})
}

func TestPostgresKeepsPortPasswordAndDataOverARestart(t *testing.T) {
	p := startPostgres(t, servers.PostgresConfig{NoFsync: true})
	before, pid := p.DSN(""), p.Process().PID()
	requireAnswer(t, "1", before, "WITH x AS (SELECT 1) SELECT set_config('a.b', '1', false) FROM x")
	write(t, before, "CREATE TABLE kept (a int)")
	require.NoError(t, p.Restart(t.Context()))
	require.Equal(t, before, p.DSN(""))
	require.NotEqual(t, pid, p.Process().PID())
	requireAnswer(t, "kept", before, "SELECT 'kept'::text FROM pg_tables WHERE tablename = 'kept'")
}

func TestPostgresKeepsWhatWasCommittedWhenKilled(t *testing.T) {
	p := startPostgres(t, servers.PostgresConfig{})
	write(t, p.DSN(""), "CREATE TABLE kept (a int)")
	require.NoError(t, p.Kill())
	_, err := ask(within(t, time.Second), p.DSN(""), "SELECT 'in'")
	require.Error(t, err)
	require.NoError(t, p.Restart(t.Context()))
	requireAnswer(t, "kept", p.DSN(""), "SELECT 'kept'::text FROM pg_tables WHERE tablename = 'kept'")
}

func TestAPausedPostgresAnswersNoOldConnectionEither(t *testing.T) {
	p := startPostgres(t, servers.PostgresConfig{NoFsync: true})
	conn, err := pgx.Connect(t.Context(), p.DSN(""))
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	require.NoError(t, p.Pause())
	require.ErrorIs(t, conn.Ping(within(t, 200*time.Millisecond)), context.DeadlineExceeded)
	require.NoError(t, p.Resume())
	requireAnswer(t, "in", p.DSN(""), "SELECT 'in'")

	require.NoError(t, p.Pause())
	stopped(t, p.Stop)
	require.False(t, p.Process().Running())
}

func TestPostgresStopsWithClientsConnected(t *testing.T) {
	p := startPostgres(t, servers.PostgresConfig{NoFsync: true})
	conn, err := pgx.Connect(t.Context(), p.DSN(""))
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	stopped(t, p.Stop)
	stopped(t, p.Stop)
	require.NoError(t, p.Restart(t.Context()), "a stopped server can be started again")
}

func TestPostgresOutlivesAStalePidFileWithALivingStrangersID(t *testing.T) {
	dir := t.TempDir()
	p := startPostgres(t, servers.PostgresConfig{NoFsync: true, Dir: dir})
	require.NoError(t, p.Kill())
	stranger := sleeper(t)
	path := filepath.Join(dir, "data", "postmaster.pid")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(content), "\n")
	require.NoError(t, os.WriteFile(path, []byte(strconv.Itoa(stranger.PID())+"\n"+rest), 0o600))
	require.NoError(t, p.Restart(t.Context()))
	require.True(t, stranger.Running())
}

func TestPostgresOnATakenPortFailsAndSaysSo(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	port := l.Addr().(*net.TCPAddr).Port
	_, err = servers.StartPostgres(t.Context(), servers.PostgresConfig{Dir: t.TempDir(), NoFsync: true, Port: port})
	require.ErrorContains(t, err, "port "+strconv.Itoa(port)+": in use")
}

func TestPostgresThatCannotStartShowsTheEndOfItsLog(t *testing.T) {
	_, err := servers.StartPostgres(t.Context(), servers.PostgresConfig{
		Dir: t.TempDir(), NoFsync: true, Settings: map[string]string{"no_such_setting": "1"},
	})
	require.ErrorContains(t, err, "no_such_setting")
}

func TestAMachineWithoutPostgresIsToldWhatToInstall(t *testing.T) {
	_, err := servers.StartPostgres(t.Context(), servers.PostgresConfig{Dir: t.TempDir(), BinDir: t.TempDir()})
	require.ErrorIs(t, err, servers.ErrPostgresMissing)
	require.ErrorContains(t, err, "apt-get install -y postgresql")
}

func TestManyStartersMakeOneTemplate(t *testing.T) {
	cache := t.TempDir()
	var all sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		dir := t.TempDir()
		all.Go(func() {
			p, err := servers.StartPostgres(t.Context(), servers.PostgresConfig{Dir: dir, NoFsync: true, CacheDir: cache})
			if err == nil {
				err = p.Stop(t.Context())
			}
			errs[i] = err
		})
	}
	all.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	entries, err := os.ReadDir(cache)
	require.NoError(t, err)
	require.Len(t, entries, 2, "the template and its lock")
}

func TestAHalfMadeClusterIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "data.new", "base"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "password"), []byte("of the half\n"), 0o600))
	p := startPostgres(t, servers.PostgresConfig{NoFsync: true, Dir: dir})
	requireAnswer(t, "in", p.DSN(""), "SELECT 'in'")
}

func TestPostgresIsEndedByItsProcessID(t *testing.T) {
	p := startPostgres(t, servers.PostgresConfig{NoFsync: true})
	require.NoError(t, p.Process().Signal(syscall.SIGINT))
	<-p.Process().Done() // whoever supervises it learns of an end that it did not ask for
	require.NoError(t, p.Restart(t.Context()))
}

func write(t *testing.T, dsn, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	_, err = conn.Exec(t.Context(), statement)
	require.NoError(t, err)
}

// shortDir is a folder whose name leaves room for a socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(os.TempDir(), "kontor-"+rand.Text()[:8])
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}
