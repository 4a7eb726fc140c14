package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/failure"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/backup/internal/names"
	"kontor.internal/snapshot/pgtool"
)

const (
	mostTables  = 1000
	mostSamples = 10
	mostKey     = 500
)

// table is what a table looks like on one side.
type table struct {
	schema, name string
	columns, key []string
}

func (t table) full() string { return t.schema + "." + t.name }

// side is one database, seen as it was at one moment.
type side struct {
	giveBack func()
	conn     *pgx.Conn
	tx       pgx.Tx
	tables   map[string]table
}

// compare holds the live books against a copy, each as it is at one moment.
func (e *Engine) compare(ctx context.Context, of names.Company, restored uuid.UUID, target string, progress func(done, total int64)) (*backupv1.Comparison, error) {
	old, err := e.openSide(ctx, of, target)
	if err != nil {
		return nil, err
	}
	defer old.close(ctx)
	live, err := e.openSide(ctx, of, "")
	if err != nil {
		return nil, err
	}
	defer live.close(ctx)
	result := &backupv1.Comparison{RestoredCopy: of.RestoredCopy(restored), CompareTime: timestamppb.New(e.Clock.Now())}
	all := union(old.tables, live.tables)
	for i, name := range all {
		difference, err := compareTable(ctx, old, live, name)
		if err != nil {
			return nil, notCompared(ctx, name, err)
		}
		result.Truncated = result.Truncated || (difference != nil && len(result.Tables) == mostTables)
		switch {
		case difference == nil:
			result.EqualTables++
		case len(result.Tables) < mostTables:
			result.Tables = append(result.Tables, difference)
		}
		progress(int64(i+1), int64(len(all)))
	}
	return result, nil
}

func notCompared(ctx context.Context, table string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return failure.New(commonv1.Reason_REASON_COPY_NOT_COMPARED, "detail", table).Wrap(err)
}

func (e *Engine) openSide(ctx context.Context, of names.Company, target string) (_ *side, err error) {
	opened, err := e.Databases.OpenForDump(ctx, &tenancyv1.OpenForDumpRequest{Company: of.Name(), Target: target})
	if err != nil {
		return nil, err
	}
	s := &side{giveBack: func() { e.closeDump(ctx, of, opened.GetLogin()) }}
	if s.conn, err = pgtool.Connect(ctx, loginOf(opened.GetLogin())); err != nil {
		s.giveBack()
		return nil, err
	}
	if s.tx, err = s.conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}); err == nil {
		// Fails rather than leaves rows out that policies hide; and the same text for the same value on both sides.
		_, err = s.tx.Exec(ctx, `SET LOCAL row_security = off; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO';
			SET LOCAL IntervalStyle = 'iso_8601'; SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'; SET LOCAL search_path = ''`)
	}
	if err == nil {
		s.tables, err = readTables(ctx, s.tx)
	}
	if err != nil {
		s.close(ctx)
		return nil, notCompared(ctx, "catalogue", err)
	}
	return s, nil
}

func (s *side) close(ctx context.Context) {
	_ = s.conn.Close(context.WithoutCancel(ctx))
	s.giveBack()
}

func readTables(ctx context.Context, tx pgx.Tx) (map[string]table, error) {
	rows, err := tx.Query(ctx, `
		SELECT n.nspname, c.relname,
			(SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
				WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
			(SELECT array_agg(a.attname::text ORDER BY k.n) FROM pg_catalog.pg_index i,
				unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, n), pg_catalog.pg_attribute a
				WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.attnum)
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`)
	if err != nil {
		return nil, err
	}
	found := map[string]table{}
	var t table
	_, err = pgx.ForEachRow(rows, []any{&t.schema, &t.name, &t.columns, &t.key}, func() error {
		found[t.full()] = t
		t = table{}
		return nil
	})
	return found, err
}

func union(a, b map[string]table) []string {
	var all []string
	for name := range a {
		all = append(all, name)
	}
	for name := range b {
		if _, both := a[name]; !both {
			all = append(all, name)
		}
	}
	sort.Strings(all)
	return all
}

// compareTable is nil when the table is equal on both sides.
func compareTable(ctx context.Context, old, live *side, name string) (*backupv1.TableDifference, error) {
	was, inOld := old.tables[name]
	is, inLive := live.tables[name]
	switch {
	case !inLive:
		d := &backupv1.TableDifference{Schema: was.schema, Table: was.name, Fate: backupv1.TableFate_TABLE_FATE_MISSING}
		err := count(ctx, old.tx, was, &d.RowsInCopy)
		d.Removed = d.RowsInCopy
		return d, err
	case !inOld:
		d := &backupv1.TableDifference{Schema: is.schema, Table: is.name, Fate: backupv1.TableFate_TABLE_FATE_ADDED}
		err := count(ctx, live.tx, is, &d.RowsLive)
		d.Added = d.RowsLive
		return d, err
	}
	query := rowsQuery(was, is)
	d := &backupv1.TableDifference{Schema: is.schema, Table: is.name, Fate: backupv1.TableFate_TABLE_FATE_CHANGED}
	if err := merge(ctx, old.tx, live.tx, query, d); err != nil {
		return nil, err
	}
	if d.GetAdded()+d.GetRemoved()+d.GetChanged() == 0 && slices.Equal(was.columns, is.columns) {
		return nil, nil
	}
	return d, nil
}

func count(ctx context.Context, tx pgx.Tx, t table, into *int64) error {
	return tx.QueryRow(ctx, "SELECT count(*) FROM "+pgx.Identifier{t.schema, t.name}.Sanitize()).Scan(into)
}

// rowsQuery lists a table's rows in an order that is the same on both sides:
// by key with the rest as a hash, or whole where there is no common key.
func rowsQuery(was, is table) string {
	common := slices.DeleteFunc(slices.Clone(is.columns), func(c string) bool { return !slices.Contains(was.columns, c) })
	key := is.key
	if len(key) == 0 || !slices.Equal(was.key, is.key) {
		key = common
	}
	list := func(columns []string) string {
		quoted := make([]string, len(columns))
		for i, c := range columns {
			quoted[i] = "t." + pgx.Identifier{c}.Sanitize()
		}
		return strings.Join(quoted, ", ")
	}
	return fmt.Sprintf(`SELECT k, h FROM (
		SELECT (SELECT pg_catalog.to_jsonb(x) FROM (SELECT %s) x)::pg_catalog.text AS k, pg_catalog.md5(ROW(%s)::pg_catalog.text) AS h FROM %s t
	) r ORDER BY k COLLATE pg_catalog."C", h COLLATE pg_catalog."C"`, list(key), list(common), pgx.Identifier{is.schema, is.name}.Sanitize())
}

// walk goes through one side's rows.
type walk struct {
	rows pgx.Rows
	key  string
	hash string
	seen int64
	more bool
}

func (w *walk) next() error {
	if w.more = w.rows.Next(); !w.more {
		return w.rows.Err()
	}
	w.seen++
	return w.rows.Scan(&w.key, &w.hash)
}

// merge walks through both sides at once; neither is held in memory.
func merge(ctx context.Context, old, live pgx.Tx, query string, d *backupv1.TableDifference) (err error) {
	was, is := &walk{}, &walk{}
	if was.rows, err = old.Query(ctx, query); err != nil {
		return err
	}
	defer was.rows.Close()
	if is.rows, err = live.Query(ctx, query); err != nil {
		return err
	}
	defer is.rows.Close()
	if err := errors.Join(was.next(), is.next()); err != nil {
		return err
	}
	for was.more || is.more {
		if err := step(was, is, d); err != nil {
			return err
		}
	}
	d.RowsInCopy, d.RowsLive = was.seen, is.seen
	return nil
}

func step(was, is *walk, d *backupv1.TableDifference) error {
	switch {
	case !is.more || (was.more && was.key < is.key):
		d.Removed++
		sample(d, was.key, backupv1.RowFate_ROW_FATE_REMOVED, d.Removed)
		return was.next()
	case !was.more || is.key < was.key:
		d.Added++
		sample(d, is.key, backupv1.RowFate_ROW_FATE_ADDED, d.Added)
		return is.next()
	}
	if was.hash != is.hash {
		d.Changed++
		sample(d, is.key, backupv1.RowFate_ROW_FATE_CHANGED, d.Changed)
	}
	return errors.Join(was.next(), is.next())
}

func sample(d *backupv1.TableDifference, key string, fate backupv1.RowFate, nth int64) {
	if nth > mostSamples {
		return
	}
	if len(key) > mostKey {
		key = strings.ToValidUTF8(key[:mostKey], "")
	}
	d.Samples = append(d.Samples, &backupv1.RowDifference{Key: key, Fate: fate})
}
