package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"kontor.internal/snapshot/pgtool"
)

// source is a database as of one moment. Its transaction stays open until
// close: with it the exported snapshot ends, and whoever still reads by it fails.
type source struct {
	tools pgtool.Tools
	login *pgtool.Login
	conn  *pgx.Conn
	tx    pgx.Tx
	id    string // of the exported snapshot
}

// settings make values look the same whoever is asked, and take away what could hide rows or end the reading.
const settings = `SET search_path = ''; SET row_security = off; SET client_encoding = 'UTF8'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres';
SET TimeZone = 'UTC'; SET extra_float_digits = 3; SET bytea_output = 'hex'; SET xmloption = 'content'; SET lc_monetary = 'C'; SET statement_timeout = 0;
SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '15s'; SET synchronize_seqscans = off; SET jit = off; SET max_parallel_workers_per_gather = 0`

func connect(ctx context.Context, login *pgtool.Login) (*pgx.Conn, error) {
	conn, err := pgtool.Connect(ctx, login)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, settings, pgx.QueryExecModeSimpleProtocol); err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return conn, nil
}

// frozen begins a transaction that reads as of one moment.
func frozen(ctx context.Context, conn *pgx.Conn) (pgx.Tx, error) {
	return conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
}

// begin takes the snapshot and makes it known to the other connections.
func (s *source) begin(ctx context.Context) (err error) {
	if s.tx, err = frozen(ctx, s.conn); err != nil {
		return err
	}
	return s.tx.QueryRow(ctx, `SELECT pg_catalog.pg_export_snapshot()`).Scan(&s.id)
}

// lane reads tables on a connection of its own, as of the source's moment.
func (s *source) lane(ctx context.Context) (*pgx.Conn, error) {
	conn, err := connect(ctx, s.login)
	if err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT "+literal(s.id), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return conn, nil
}

func (s *source) close(ctx context.Context) error {
	return s.conn.Close(ctx)
}

// span of a table's keys: from one, up to but without another; empty ones are open.
type keyRange struct{ from, to []string }

// copyRows has the server send a range of a table's rows, in the order of its key.
func copyRows(ctx context.Context, conn *pgx.Conn, t *table, r keyRange, to io.Writer) error {
	_, err := conn.PgConn().CopyTo(ctx, to, "COPY ("+t.selection(r)+") TO STDOUT")
	return err
}

// largeObjectsFrom has the contents of large objects as rows: object, place in units of its length, bytes. Those of others
// than the login's own roles are not there: whoever may connect could leave one that nobody else may read.
const largeObjectsFrom = `pg_catalog.pg_largeobject_metadata m,
	LATERAL (SELECT pg_catalog.lo_lseek64(pg_catalog.lo_open(m.oid, 262144), 0, 2) AS bytes OFFSET 0) s,
	LATERAL pg_catalog.generate_series(0, GREATEST(0, (s.bytes - 1) / 262144)) p (place)
	WHERE pg_catalog.pg_has_role(m.lomowner, 'USAGE')`

// objectPiece is how many bytes of a large object stand in a row.
const objectPiece = 262144

func largeObjects() *table {
	return &table{schema: "pg_catalog", name: "pg_largeobject", keys: 2, largeObject: true, columns: []column{{"loid", "oid"}, {"place", "bigint"}, {"data", "bytea"}}}
}

// selection is the query for a range's rows.
func (t *table) selection(r keyRange) string {
	if t.largeObject {
		return fmt.Sprintf("SELECT m.oid, p.place, pg_catalog.lo_get(m.oid, p.place * %d, %d) FROM %s ORDER BY m.oid, p.place", objectPiece, objectPiece, largeObjectsFrom)
	}
	columns := make([]string, len(t.columns))
	for i, c := range t.columns {
		columns[i] = pgx.Identifier{c.name}.Sanitize()
	}
	q := "SELECT " + strings.Join(columns, ", ") + " FROM ONLY " + t.quoted() + " AS t"
	var where []string
	if len(r.from) > 0 {
		where = append(where, t.compare(">=", r.from))
	}
	if len(r.to) > 0 {
		where = append(where, t.compare("<", r.to))
	}
	if len(where) > 0 {
		q += " WHERE " + strings.Join(where, " AND ")
	}
	switch {
	case t.keys > 0:
		return q + " ORDER BY " + strings.Join(columns[:t.keys], ", ")
	case len(columns) > 0:
		return q + ` ORDER BY ROW(` + strings.Join(columns, ", ") + `)::text COLLATE "C"`
	default:
		return q
	}
}

// compare a row's key with another's.
func (t *table) compare(operator string, key []string) string {
	columns, values := make([]string, t.keys), make([]string, t.keys)
	for i, c := range t.columns[:t.keys] {
		columns[i] = pgx.Identifier{c.name}.Sanitize()
		values[i] = literal(key[i]) + "::" + c.kind
	}
	return "(" + strings.Join(columns, ", ") + ") " + operator + " (" + strings.Join(values, ", ") + ")"
}

// literal writes a value for SQL, whatever is in it.
func literal(s string) string {
	return " E'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

const (
	// partBytes is how much of a table one connection reads at a time.
	partBytes = 64 << 20
	// samplesAPart pages are looked at to find keys that part a table evenly.
	samplesAPart = 64
	pageBytes    = 8192
)

// divide finds keys that part a range of a table in so many pieces, about evenly, by looking at a sample of its pages.
func divide(ctx context.Context, tx pgx.Tx, t *table, r keyRange, pieces int) ([][]string, error) {
	if t.keys == 0 || pieces < 2 {
		return nil, nil
	}
	keys := make([]string, t.keys)
	for i, c := range t.columns[:t.keys] {
		keys[i] = pgx.Identifier{c.name}.Sanitize() + "::text"
	}
	percent := min(100, 100*float64(samplesAPart*pieces)/float64(max(1, t.size/pageBytes)))
	q := fmt.Sprintf("SELECT ARRAY[%s] FROM ONLY %s AS t TABLESAMPLE SYSTEM (%f) REPEATABLE (1)", strings.Join(keys, ", "), t.quoted(), percent)
	var where []string
	if len(r.from) > 0 {
		where = append(where, t.compare(">", r.from))
	}
	if len(r.to) > 0 {
		where = append(where, t.compare("<", r.to))
	}
	if len(where) > 0 {
		q += " WHERE " + strings.Join(where, " AND ")
	}
	order := make([]string, t.keys)
	for i, c := range t.columns[:t.keys] {
		order[i] = pgx.Identifier{c.name}.Sanitize()
	}
	rows, err := tx.Query(ctx, q+" ORDER BY "+strings.Join(order, ", "), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return nil, err
	}
	sample, err := pgx.CollectRows(rows, pgx.RowTo[[]string])
	if err != nil {
		return nil, err
	}
	var cuts [][]string
	for i := 1; i < pieces && len(sample) > pieces; i++ {
		cut := sample[i*len(sample)/pieces]
		if len(cuts) == 0 || !slices.Equal(cuts[len(cuts)-1], cut) {
			cuts = append(cuts, cut)
		}
	}
	return cuts, nil
}
