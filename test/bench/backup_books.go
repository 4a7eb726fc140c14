package bench

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/servers"
	"kontor.internal/snapshot/pgtool"
)

// scripts make an office's books and work on them.
//
//go:embed books/*.sql
var scripts embed.FS

// textPerThousand is about how many MB of COPY text the books have for each thousand entries that they are asked for.
const textPerThousand = 0.54

// startBooks starts the server that the books lie on. It writes to the disk safely, and nothing but the measurements works
// in it.
func startBooks(ctx context.Context, folder string) (*servers.Postgres, error) {
	return servers.StartPostgres(ctx, servers.PostgresConfig{
		Dir: filepath.Join(folder, "postgres"), SharedBuffers: "512MB",
		Settings: map[string]string{"autovacuum": "off", "max_wal_size": "4GB", "maintenance_work_mem": "256MB"},
	})
}

// books are one database.
type books struct {
	server   *servers.Postgres
	database string
	// thousands of entries that they were made with.
	thousands int
}

// newBooks makes and fills a database.
func newBooks(ctx context.Context, server *servers.Postgres, database string, thousands int) (*books, error) {
	b := &books{server: server, database: database, thousands: thousands}
	if err := b.admin(ctx, "CREATE DATABASE "+database); err != nil {
		return nil, err
	}
	for _, script := range []string{"schema", "fill"} {
		if err := b.work(ctx, script); err != nil {
			return nil, err
		}
	}
	return b, b.settle(ctx)
}

// login is how tools reach the books.
func (b *books) login() *pgtool.Login {
	return &pgtool.Login{
		Host: b.server.SocketDir(), Port: b.server.Port(), Database: b.database, User: "postgres", Password: b.server.Password(),
	}
}

// work has a session do one of the scripts and waits until the server has forgotten it: a session tells what it changed
// in which table when it ends.
func (b *books) work(ctx context.Context, script string) error {
	text, err := scripts.ReadFile("books/" + script + ".sql")
	if err != nil {
		return err
	}
	if err := b.session(ctx, b.database, strings.ReplaceAll(string(text), "$1", strconv.Itoa(b.thousands))); err != nil {
		return fmt.Errorf("%s.sql: %w", script, err)
	}
	return b.alone(ctx)
}

// settle leaves the database as it is after a night: cleaned up, its statistics fresh, and on the disk.
func (b *books) settle(ctx context.Context) error {
	if err := b.session(ctx, b.database, "VACUUM (ANALYZE, FREEZE)"); err != nil {
		return err
	}
	return errors.Join(b.alone(ctx), b.checkpoint(ctx))
}

// checkpoint writes what is changed to the disk, so that no measurement pays for what came before it.
func (b *books) checkpoint(ctx context.Context) error { return b.admin(ctx, "CHECKPOINT") }

// drop the database.
func (b *books) drop(ctx context.Context) error {
	return b.admin(ctx, "DROP DATABASE IF EXISTS "+b.database+" WITH (FORCE)")
}

// admin does something at the server rather than in the books.
func (b *books) admin(ctx context.Context, statement string) error {
	return b.session(ctx, "", statement)
}

// session does what a script says in a session of its own.
func (b *books) session(ctx context.Context, database, script string) (err error) {
	conn, err := pgx.Connect(ctx, b.server.DSN(database))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	_, err = conn.PgConn().Exec(ctx, script).ReadAll()
	return err
}

// alone waits until nobody is connected to the books.
func (b *books) alone(ctx context.Context) (err error) {
	conn, err := pgx.Connect(ctx, b.server.DSN(""))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var there bool
		if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = $1)", b.database).Scan(&there); err != nil || !there {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
