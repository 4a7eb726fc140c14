// Package scratch makes company databases for tests: an owner that can't log in, a database of its own, logins.
package scratch

import (
	"context"
	"fmt"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"kontor.internal/kits/kit"
	"kontor.internal/libs/servers/servertest"
)

var count atomic.Int64

// Database is an empty company database, as the suite makes them: owned by a role that can't log in.
type Database struct {
	Name   string
	Owner  string    // role that owns it
	Prefix string    // of the group roles
	DSN    string    // the superuser's, in it
	Conn   *pgx.Conn // the superuser's, in it
}

// New makes a database on the test server.
func New(t testing.TB) *Database {
	t.Helper()
	server := servertest.Postgres(t)
	n := count.Add(1)
	d := &Database{Name: fmt.Sprintf("company_%d", n), Owner: fmt.Sprintf("owner_%d", n), Prefix: fmt.Sprintf("c%d", n)}
	d.DSN = at(t, server, d.Name)
	admin := connect(t, server)
	for _, sql := range []string{"CREATE ROLE " + d.Owner + " NOLOGIN", "CREATE DATABASE " + d.Name + " OWNER " + d.Owner} {
		if _, err := admin.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	d.Conn = connect(t, d.DSN)
	return d
}

// Apply brings the database to a kit's release with grants.
func (d *Database) Apply(t testing.TB, k *kit.Kit) kit.Applied {
	t.Helper()
	if err := k.CreateGroups(t.Context(), d.Conn, d.Prefix); err != nil {
		t.Fatal(err)
	}
	applied, err := k.Apply(t.Context(), d.Conn, kit.Install{Owner: d.Owner, Prefix: d.Prefix})
	if err != nil {
		t.Fatal(err)
	}
	return applied
}

// Login makes a login role with some of a kit's permissions, bound to an account and fiscal years (0 for no bound), and
// connects as it.
func (d *Database) Login(t testing.TB, k *kit.Kit, binding kit.Binding, permissions ...string) *pgx.Conn {
	t.Helper()
	binding.Login = fmt.Sprintf("%s_login_%d", d.Prefix, count.Add(1))
	d.Exec(t, "CREATE ROLE "+binding.Login+" LOGIN PASSWORD 'secret'")
	for _, group := range k.GroupsFor(d.Prefix, permissions, false) {
		d.Exec(t, "GRANT "+group+" TO "+binding.Login)
	}
	if binding.Account != "" {
		if err := kit.Bind(t.Context(), d.Conn, binding); err != nil {
			t.Fatal(err)
		}
	}
	config, err := pgx.ParseConfig(d.DSN)
	if err != nil {
		t.Fatal(err)
	}
	config.User, config.Password = binding.Login, "secret"
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, conn)
	return conn
}

// Exec runs a statement as the superuser.
func (d *Database) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := d.Conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// Value returns the one value of a query run as the superuser.
func Value[T any](t testing.TB, db kit.Querier, sql string, args ...any) T {
	t.Helper()
	var value T
	if err := db.QueryRow(t.Context(), sql, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, conn)
	return conn
}

func closeAfter(t testing.TB, conn *pgx.Conn) {
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
}

// at returns a server's DSN with another database.
func at(t testing.TB, dsn, database string) string {
	t.Helper()
	parsed, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	parsed.Path = "/" + database
	return parsed.String()
}
