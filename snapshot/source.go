package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"kontor.internal/snapshot/pgtool"
)

// source is a database as of one moment. Its transaction stays open until
// close: with it the exported snapshot ends, and whoever still reads by it fails.
type source struct {
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

// beginTries bounds how often a snapshot is begun anew because tables were made meanwhile.
const beginTries = 5

// begin takes the snapshot and makes it known to the other connections. All tables are locked first, as readers do: TRUNCATE
// heeds no snapshot, and one between the snapshot and the reading would empty the copy.
func (s *source) begin(ctx context.Context) error {
	for range beginTries {
		locked, err := s.beginOnce(ctx)
		if err != nil {
			return err
		}
		there, err := lockable(ctx, s.conn)
		if err != nil {
			return err
		}
		if len(without(slices.Collect(maps.Keys(there)), slices.Collect(maps.Keys(locked)))) == 0 {
			return s.tx.QueryRow(ctx, `SELECT pg_catalog.pg_export_snapshot()`).Scan(&s.id)
		}
		if err := s.tx.Rollback(ctx); err != nil {
			return err
		}
	}
	return errors.New("snapshot: tables are being made faster than they can be locked")
}

// beginOnce locks before the transaction's first query, which is what sees the snapshot.
func (s *source) beginOnce(ctx context.Context) (map[string]string, error) {
	tables, err := lockable(ctx, s.conn)
	if err != nil {
		return nil, err
	}
	if s.tx, err = frozen(ctx, s.conn); err != nil {
		return nil, err
	}
	for some := range slices.Chunk(slices.Sorted(maps.Values(tables)), locksAtOnce) {
		if _, err := s.tx.Exec(ctx, "LOCK TABLE ONLY "+strings.Join(some, ", ONLY ")+" IN ACCESS SHARE MODE", pgx.QueryExecModeSimpleProtocol); err != nil {
			return nil, err
		}
	}
	return tables, nil
}

// locksAtOnce bounds one statement.
const locksAtOnce = 500

// lockable are the names of the tables that may be read, by name and object id.
func lockable(ctx context.Context, conn *pgx.Conn) (map[string]string, error) {
	rows, err := conn.Query(ctx, `SELECT c.oid::text, n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AND `+own, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return nil, err
	}
	tables := map[string]string{}
	var oid, schema, name string
	_, err = pgx.ForEachRow(rows, []any{&oid, &schema, &name}, func() error {
		quoted := pgx.Identifier{schema, name}.Sanitize()
		tables[oid+" "+quoted] = quoted
		return nil
	})
	return tables, err
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
	q := "SELECT " + strings.Join(columns, ", ") + " FROM ONLY " + t.quoted() + " AS t" + t.where(r, ">=")
	switch {
	case t.keys > 0:
		return q + " ORDER BY " + strings.Join(columns[:t.keys], ", ")
	case len(columns) > 0:
		return q + ` ORDER BY ROW(` + strings.Join(columns, ", ") + `)::text COLLATE "C"`
	default:
		return q
	}
}

// compare a row's key with another's, or with the first columns of another's.
func (t *table) compare(operator string, key []string) string {
	columns, values := make([]string, len(key)), make([]string, len(key))
	for i, c := range t.columns[:len(key)] {
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

// divide finds keys that part a range of a table in so many pieces, about evenly, by looking at a sample of its pages. They
// are values of the key's first column, where those are many enough.
func divide(ctx context.Context, tx pgx.Tx, t *table, r keyRange, pieces int) ([][]string, error) {
	if t.keys == 0 || pieces < 2 {
		return nil, nil
	}
	if len(r.from) <= 1 && len(r.to) <= 1 {
		cuts, err := divideBy(ctx, tx, t, r, pieces, 1)
		if err != nil || len(cuts) >= (pieces-1)/2 || t.keys == 1 {
			return cuts, err
		}
	}
	return divideBy(ctx, tx, t, r, pieces, t.keys)
}

// divideBy parts a range by the first columns of the key.
func divideBy(ctx context.Context, tx pgx.Tx, t *table, r keyRange, pieces, columns int) ([][]string, error) {
	keys, order := make([]string, columns), make([]string, columns)
	for i, c := range t.columns[:columns] {
		order[i] = pgx.Identifier{c.name}.Sanitize()
		keys[i] = order[i] + "::text"
	}
	percent := min(100, 100*float64(samplesAPart*pieces)/float64(max(1, t.size/pageBytes)))
	rows, err := tx.Query(ctx, fmt.Sprintf("SELECT ARRAY[%s] FROM ONLY %s AS t TABLESAMPLE SYSTEM (%f) REPEATABLE (1)%s ORDER BY %s",
		strings.Join(keys, ", "), t.quoted(), percent, t.where(r, ">"), strings.Join(order, ", ")), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return nil, err
	}
	sample, err := pgx.CollectRows(rows, pgx.RowTo[[]string])
	if err != nil {
		return nil, err
	}
	var cuts [][]string
	last := r.from
	for i := 1; i < pieces && len(sample) > pieces; i++ {
		cut := sample[i*len(sample)/pieces]
		if !slices.Equal(last, cut) && !slices.Equal(sample[0], cut) {
			cuts, last = append(cuts, cut), cut
		}
	}
	return cuts, nil
}

// where bounds a query to a range that begins at a key, or behind it.
func (t *table) where(r keyRange, begin string) string {
	var bounds []string
	if len(r.from) > 0 {
		bounds = append(bounds, t.compare(begin, r.from))
	}
	if len(r.to) > 0 {
		bounds = append(bounds, t.compare("<", r.to))
	}
	if len(bounds) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(bounds, " AND ")
}
