// Package pgtest gives each test a migrated database of its own on a real server.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/libs/id"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/servers/servertest"
)

// patience bounds every step: a machine may be busy, but not for ever.
const patience = 2 * time.Minute

// New returns a pool on a fresh database that has been migrated as a service's is. The database is dropped when the test
// ends; the test must have given back every connection by then.
func New(t testing.TB, migrations fs.FS) *pgxpool.Pool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	pool, err := postgres.Open(ctx, postgres.Config{DSN: NewDSN(t, migrations), MaxConns: 10, StatementTimeout: 30 * time.Second})
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// NewDSN is New for tests that open the pool by a configuration: it returns the database's connection URL.
func NewDSN(t testing.TB, migrations fs.FS) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	server := servertest.Postgres(t)
	template, err := ensureTemplate(ctx, server, migrations)
	if err != nil {
		t.Fatalf("pgtest: template: %v", err)
	}
	name := "test_" + id.NewString()
	if err := execute(ctx, server, fmt.Sprintf("CREATE DATABASE %q TEMPLATE %q", name, template)); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := execute(ctx, server, fmt.Sprintf("DROP DATABASE %q WITH (FORCE)", name)); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return database(server, name)
}

// ensureTemplate makes the migrated database that tests' are copied from, unless the server has it. Tests that run at
// once, in this process or another, wait for one to make it.
func ensureTemplate(ctx context.Context, server string, migrations fs.FS) (_ string, err error) {
	print, err := postgres.Fingerprint(migrations)
	if err != nil {
		return "", err
	}
	name := "template_" + print
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }() // Frees the lock.
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtext($1))", name); err != nil {
		return "", err
	}
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there); err != nil || there {
		return name, err
	}
	return name, makeTemplate(ctx, conn, server, name, migrations)
}

// makeTemplate gives the database its name only when it is whole.
func makeTemplate(ctx context.Context, conn *pgx.Conn, server, name string, migrations fs.FS) error {
	aside := name + "_new"
	for _, statement := range []string{"DROP DATABASE IF EXISTS %q WITH (FORCE)", "CREATE DATABASE %q TEMPLATE template0"} {
		if _, err := conn.Exec(ctx, fmt.Sprintf(statement, aside)); err != nil {
			return err
		}
	}
	pool, err := postgres.Open(ctx, postgres.Config{DSN: database(server, aside)})
	if err != nil {
		return err
	}
	err = postgres.Migrate(ctx, pool, migrations)
	pool.Close()
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, fmt.Sprintf("ALTER DATABASE %q RENAME TO %q", aside, name))
	return err
}

func execute(ctx context.Context, server, statement string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

// database is the server's connection URL with another database.
func database(server, name string) string {
	parsed, err := url.Parse(server)
	if err != nil { // The server made it.
		panic(err)
	}
	parsed.Path = "/" + name
	return parsed.String()
}
