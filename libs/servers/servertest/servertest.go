// Package servertest gives tests real servers of their own: one PostgreSQL a test process, Redis and NATS one a test.
package servertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"kontor.internal/libs/servers"
)

// shared is the process's PostgreSQL. The one package variable here: nothing else spans the tests of a process.
var shared = sync.OnceValues(startPostgres)

// Postgres is the superuser's connection URL to a private PostgreSQL server that all tests of the process share, so make a database
// of your own. It does not write to disk safely, takes 300 connections, and ends with the process.
func Postgres(t testing.TB) string {
	t.Helper()
	p, err := shared()
	if err != nil {
		t.Fatalf("start PostgreSQL for tests: %v", err)
	}
	return p.DSN("")
}

// IgnoreShared tells goleak of the one goroutine that outlives the tests on purpose: it waits for the shared PostgreSQL's end.
func IgnoreShared() goleak.Option {
	return goleak.IgnoreAnyFunction("kontor.internal/libs/servers.(*Process).run")
}

// Redis is the address (127.0.0.1 and port) of an empty Redis server without a password, which is the test's own and ends with it.
func Redis(t testing.TB) string {
	t.Helper()
	return StartRedis(t).Address()
}

// StartRedis is Redis for tests that restart, pause or kill it.
func StartRedis(t testing.TB) *servers.Redis {
	t.Helper()
	r, err := servers.StartRedis(t.Context(), servers.RedisConfig{Dir: t.TempDir(), NoPassword: true})
	if err != nil {
		t.Fatalf("start Redis for a test: %v", err)
	}
	t.Cleanup(func() { stop(t, r.Stop) })
	return r
}

// NATS is the URL of a NATS server with JetStream, without authentication, which is the test's own and ends with it.
func NATS(t testing.TB) string {
	t.Helper()
	return StartNATS(t).URL()
}

// StartNATS is NATS for tests that restart it.
func StartNATS(t testing.TB) *servers.NATS {
	t.Helper()
	n, err := servers.StartNATS(t.Context(), servers.NATSConfig{Dir: t.TempDir(), NoAuth: true, NoSync: true})
	if err != nil {
		t.Fatalf("start NATS for a test: %v", err)
	}
	t.Cleanup(func() { stop(t, n.Stop) })
	return n
}

func stop(t testing.TB, stop func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := stop(ctx); err != nil {
		t.Errorf("stop a test's server: %v", err)
	}
}

func startPostgres() (*servers.Postgres, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	base = filepath.Join(base, "kontor", "servertest")
	if err := os.MkdirAll(base, 0o700); err != nil {
		return nil, fmt.Errorf("make a folder for test servers: %w", err)
	}
	sweep(base)
	dir, err := os.MkdirTemp(base, "pg")
	if err != nil {
		return nil, fmt.Errorf("make a folder for a test server: %w", err)
	}
	return servers.StartPostgres(context.Background(), servers.PostgresConfig{
		Dir: dir, NoFsync: true, MaxConnections: 300, SharedBuffers: "64MB",
		Settings: map[string]string{"autovacuum": "off", "max_wal_size": "256MB", "jit": "off"},
	})
}

// sweep removes what earlier test processes left: nothing tells a test process that its last test is over, so each one tidies up
// after its predecessors. A folder's lock shows that its process lives; a young one may not be locked yet.
func sweep(base string) {
	folders, _ := filepath.Glob(filepath.Join(base, "pg*"))
	for _, folder := range folders {
		lock, err := os.Open(filepath.Join(folder, "lock"))
		if err != nil {
			continue // being made
		}
		if info, err := lock.Stat(); err != nil || time.Since(info.ModTime()) < time.Minute {
			_ = lock.Close()
			continue
		}
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			_ = os.RemoveAll(folder)
		} else if !errors.Is(err, unix.EWOULDBLOCK) {
			fmt.Fprintf(os.Stderr, "servertest: %v\n", err)
		}
		_ = lock.Close()
	}
}
