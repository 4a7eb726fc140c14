package snapshot

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// progressTable has, while a database is being filled, what of it is done: each filling is noted in the transaction that fills.
const progressTable = "kontor_restore.done"

// errOther says that the database was being filled from something else.
var errOther = errors.New("snapshot: the database has rows of another restore")

// progress is how far a restore has come.
type progress struct{ done map[string]bool }

// name of the restore: the same snapshot, shared out in the same way.
func (r *restorer) name() string {
	return fmt.Sprintf("snapshot %s %d by %d", hex.EncodeToString(r.manifest.GetSnapshot()), r.Ref.Sequence, r.Connections)
}

// found reads how far an attempt before came; nil when it did not come as far as to fill.
func (r *restorer) found(ctx context.Context, conn *pgx.Conn) (*progress, error) {
	var there bool
	if err := conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", progressTable).Scan(&there); err != nil || !there {
		return nil, err
	}
	rows, err := conn.Query(ctx, "SELECT what FROM "+progressTable)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	p := &progress{done: map[string]bool{}}
	for _, what := range list {
		p.done[what] = true
	}
	if !p.done[r.name()] {
		return nil, errOther
	}
	return p, nil
}

// beginFilling notes that the definitions are there.
func (r *restorer) beginFilling(ctx context.Context, conn *pgx.Conn) (*progress, error) {
	schema, _, _ := strings.Cut(progressTable, ".")
	_, err := conn.Exec(ctx, "BEGIN; CREATE SCHEMA "+schema+"; CREATE TABLE "+progressTable+" (what text PRIMARY KEY); INSERT INTO "+
		progressTable+" VALUES ("+literal(r.name())+"); COMMIT", pgx.QueryExecModeSimpleProtocol)
	return &progress{done: map[string]bool{}}, err
}

// noteDone says, in the transaction that did it, that something is done.
func noteDone(ctx context.Context, tx pgx.Tx, what string) error {
	_, err := tx.Exec(ctx, "INSERT INTO "+progressTable+" VALUES ($1)", what)
	return err
}

// endFilling takes the notes away. What comes then can't be gone on with, only begun anew.
func endFilling(ctx context.Context, conn *pgx.Conn) error {
	schema, _, _ := strings.Cut(progressTable, ".")
	_, err := conn.Exec(ctx, "DROP SCHEMA "+schema+" CASCADE")
	return err
}
