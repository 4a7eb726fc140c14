package postgres

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// Schema holds the tables that libs keep in every service's database, and River's. A service's own tables stand in `public`.
const Schema = "kontor"

//go:embed schema/*.sql
var schema embed.FS

// Migrate brings the database up to date: the tables of libs, River's, then the service's own migrations, which are
// goose files at the root of the given file system (nil: none). One copy of a service migrates; others wait for it.
func Migrate(ctx context.Context, pool *pgxpool.Pool, migrations fs.FS) (err error) {
	// Connections of its own: the service's give up a statement after a while.
	cfg := pool.Config()
	cfg.MaxConns, cfg.MinConns, cfg.MinIdleConns = minConns, 0, 0
	delete(cfg.ConnConfig.RuntimeParams, "statement_timeout")
	own, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer own.Close()
	db := stdlib.OpenDBFromPool(own)
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := locked(ctx, db, func() error { return migrate(ctx, own, db, migrations) }); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// locked runs fn while no other copy migrates this database.
func locked(ctx context.Context, db *sql.DB, fn func() error) (err error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 600)) // Tries each second for 10 minutes.
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := locker.SessionLock(ctx, conn); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, locker.SessionUnlock(context.WithoutCancel(ctx), conn)) }()
	return fn()
}

func migrate(ctx context.Context, pool *pgxpool.Pool, db *sql.DB, migrations fs.FS) error {
	if _, err := pool.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+Schema); err != nil {
		return err
	}
	ours, err := fs.Sub(schema, "schema")
	if err != nil {
		return err
	}
	if err := up(ctx, db, ours, Schema+".libs_migration"); err != nil {
		return fmt.Errorf("tables of libs: %w", err)
	}
	river, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: Schema})
	if err != nil {
		return err
	}
	if _, err := river.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("tables of River: %w", err)
	}
	if migrations == nil {
		return nil
	}
	return up(ctx, db, migrations, Schema+".service_migration")
}

func up(ctx context.Context, db *sql.DB, files fs.FS, table string) error {
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName(table), goose.WithDisableGlobalRegistry(true))
	if errors.Is(err, goose.ErrNoMigrations) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// Fingerprint names what Migrate would bring about, so that a test's template is made again only when that changes.
func Fingerprint(migrations fs.FS) (string, error) {
	river, err := rivermigrate.New(riverpgxv5.New(nil), &rivermigrate.Config{Schema: Schema})
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "river %d\n", len(river.AllVersions()))
	for _, files := range []fs.FS{schema, migrations} {
		if files == nil {
			continue
		}
		err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := fs.ReadFile(files, path)
			fmt.Fprintf(sum, "%s %d\n%s", path, len(content), content)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}
