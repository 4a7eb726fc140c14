// Package postgres opens a service's database, migrates it, runs transactions and turns the database's errors into
// typed ones. It also holds the schema `kontor`, the tables that the packages of libs keep in every service's database.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Config says which database to use, and how much of it.
type Config struct {
	DSN              string        `koanf:"dsn" doc:"Database of this service, as a PostgreSQL connection URL." secret:"true" required:"true"`
	MaxConns         int32         `koanf:"max_conns" default:"10" doc:"Connections that one copy opens at most; at least 4."`
	StatementTimeout time.Duration `koanf:"statement_timeout" default:"30s" doc:"After how long the database gives up a statement; migrations have no limit."`
}

// minConns leaves room for the relay's own connection beside work.
const minConns = 4

// Option changes how Open connects.
type Option func(*pgxpool.Config)

// WithTracer traces statements; telemetry makes one.
func WithTracer(tracer pgx.QueryTracer) Option {
	return func(c *pgxpool.Config) { c.ConnConfig.Tracer = tracer }
}

// WithName tells the database which program connects, for its own lists and logs.
func WithName(name string) Option {
	return func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["application_name"] = name }
}

// Open connects to the database and returns when it has answered.
func Open(ctx context.Context, cfg Config, options ...Option) (*pgxpool.Pool, error) {
	parsed, err := pgxpool.ParseConfig(cfg.DSN)
	if err != nil {
		return nil, errors.New("postgres: the connection URL is malformed") // The cause may quote the password.
	}
	parsed.MaxConns = max(cfg.MaxConns, minConns)
	parsed.ConnConfig.RuntimeParams["timezone"] = "UTC"
	if cfg.StatementTimeout > 0 {
		parsed.ConnConfig.RuntimeParams["statement_timeout"] = strconv.FormatInt(cfg.StatementTimeout.Milliseconds(), 10)
	}
	for _, option := range options {
		option(parsed)
	}
	pool, err := pgxpool.NewWithConfig(ctx, parsed)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("postgres: connect: %w", err)
	}
	return pool, nil
}
