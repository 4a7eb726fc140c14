// Package servertest gives tests real servers of their own: one PostgreSQL a test process, Redis and NATS one a test.
package servertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"kontor.internal/libs/mtls"
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

// sharedTLS is the same with TLS, as a cluster of company databases has it.
var sharedTLS = sync.OnceValues(startPostgresTLS)

// TLSPostgres is a server like Postgres's, another one, which takes only connections over TLS at 127.0.0.1, and the file
// with the CA that signed its certificate.
func TLSPostgres(t testing.TB) (server *servers.Postgres, caFile string) {
	t.Helper()
	p, err := sharedTLS()
	if err != nil {
		t.Fatalf("start PostgreSQL with TLS for tests: %v", err)
	}
	return p.server, p.caFile
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
	dir, err := newFolder()
	if err != nil {
		return nil, err
	}
	return start(dir, mtls.Files{})
}

type tlsServer struct {
	server *servers.Postgres
	caFile string
}

func startPostgresTLS() (tlsServer, error) {
	dir, err := newFolder()
	if err != nil {
		return tlsServer{}, err
	}
	authority, err := mtls.OpenAuthority(mtls.AuthorityConfig{Dir: filepath.Join(dir, "authority")})
	if err != nil {
		return tlsServer{}, err
	}
	files, err := authority.IssueServer(mtls.ServerRequest{Name: "postgres-test"})
	if err != nil {
		return tlsServer{}, err
	}
	p, err := start(filepath.Join(dir, "postgres"), files)
	return tlsServer{server: p, caFile: authority.CAFile()}, err
}

func start(dir string, files mtls.Files) (*servers.Postgres, error) {
	return servers.StartPostgres(context.Background(), servers.PostgresConfig{
		Dir: dir, TLS: files, NoFsync: true, MaxConnections: 300, SharedBuffers: "64MB",
		Settings: map[string]string{"autovacuum": "off", "max_wal_size": "256MB", "jit": "off"},
	})
}

// newFolder makes a folder for a server that ends with the process.
func newFolder() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	base = filepath.Join(base, "kontor", "servertest")
	if err := os.MkdirAll(base, 0o700); err != nil {
		return "", fmt.Errorf("make a folder for test servers: %w", err)
	}
	sweep(base)
	dir, err := os.MkdirTemp(base, "pg")
	if err != nil {
		return "", fmt.Errorf("make a folder for a test server: %w", err)
	}
	return dir, nil
}

// sweep removes what earlier test processes left: nothing tells a test process that its last test is over, so each one tidies up
// after its predecessors. A folder's lock shows that its process lives; a young one may not be locked yet.
func sweep(base string) {
	locks, _ := filepath.Glob(filepath.Join(base, "pg*", "lock"))
	ofTLS, _ := filepath.Glob(filepath.Join(base, "pg*", "postgres", "lock"))
	for _, name := range append(locks, ofTLS...) {
		folder := filepath.Join(base, strings.SplitN(strings.TrimPrefix(name, base+"/"), "/", 2)[0])
		lock, err := os.Open(name)
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
