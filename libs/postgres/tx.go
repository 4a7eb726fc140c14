package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// TxStarter begins transactions: a pool or a connection.
type TxStarter interface {
	BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error)
}

// attempts is how often InTx tries a transaction that lost against another one.
const attempts = 5

// InTx runs fn in one read-committed transaction: committed when fn returns nil, rolled back when it returns an error or
// panics. A transaction that PostgreSQL gives up for the sake of another one (deadlock, serialization failure) is run
// again, up to five times: fn must have no effect outside tx.
func InTx(ctx context.Context, db TxStarter, fn func(tx pgx.Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := once(ctx, db, fn)
		if err == nil || attempt == attempts || !lostRace(err) {
			return err
		}
		// Half to all of 10, 20, 40, 80 ms, so that the two don't meet again.
		pause := time.NewTimer((10 * time.Millisecond << (attempt - 1)) / 2 * time.Duration(100+rand.IntN(100)) / 100) //nolint:gosec // No secret.
		select {
		case <-ctx.Done():
			pause.Stop()
			return err
		case <-pause.C:
		}
	}
}

func once(ctx context.Context, db TxStarter, fn func(tx pgx.Tx) error) (err error) {
	tx, err := db.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	committed := false
	defer func() {
		if !committed { // fn failed or panics.
			rollback(ctx, tx)
		}
	}()
	if err := fn(tx); err != nil {
		return err
	}
	committed = true // A failed commit has rolled back, or broken the connection.
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// rollback ends the transaction even if its context is over; otherwise the pool would throw the connection away.
func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = tx.Rollback(ctx) // The pool drops a connection that can't roll back; fn's error is the one to tell.
}

func lostRace(err error) bool {
	var fault *pgconn.PgError
	if !errors.As(err, &fault) {
		return false
	}
	return fault.Code == "40001" || fault.Code == "40P01"
}
