package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	snapshotv1 "kontor.internal/proto/gen/go/kontor/snapshot/v1"
)

// RefusedError says why a database can't be copied whole. Nothing was written.
type RefusedError struct {
	// What stands in the way, e.g. `row security hides rows of`.
	What string
	// Which objects, as PostgreSQL writes their names; the first few.
	Objects []string
}

func (e *RefusedError) Error() string {
	return "snapshot: refused: " + e.What + ": " + strings.Join(e.Objects, ", ")
}

// table is a table to be read.
type table struct {
	oid, file   uint32
	schema      string
	name        string
	size        int64 // bytes of its file
	columns     []column
	keys        int    // of them are the key, the first
	definition  string // which versions of catalog rows its columns are
	plain       bool   // values look the same whatever else is defined
	state       *snapshotv1.TableState
	order       string // what the key's order hangs on: types, collations and their versions
	exact       bool   // the key's first column can be the lead
	largeObject bool   // stands for the contents of large objects
}

type column struct {
	name string
	kind string // its type, as SQL writes it
}

// lead is the first column of the key, by which ranges of a table are told apart; false when it is none of the types that the
// server can sort into ranges and in which equal values look the same.
func (t *table) lead() (column, bool) {
	if !t.exact {
		return column{}, false
	}
	return t.columns[0], true
}

func (t *table) relation() *snapshotv1.Relation {
	return &snapshotv1.Relation{Schema: t.schema, Name: t.name}
}

func (t *table) quoted() string { return pgx.Identifier{t.schema, t.name}.Sanitize() }

func (t *table) columnNames() []string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return names
}

// own leaves out what belongs to the server or to an extension: that comes with them.
const own = `n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
	AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`

// listTables: the key is the primary key, or else a unique one that is never null. Generated columns are made anew. Values
// of the types that a database has of its own, and names of objects, look different when a definition has changed.
const listTables = `
SELECT c.oid, COALESCE(pg_catalog.pg_relation_filenode(c.oid), 0)::oid, n.nspname, c.relname, pg_catalog.pg_table_size(c.oid),
	COALESCE(key.columns, '{}'),
	ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum),
	ARRAY(SELECT pg_catalog.format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_attribute a
		WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum),
	(SELECT COALESCE(pg_catalog.md5(pg_catalog.string_agg(pg_catalog.concat(a.ctid, a.xmin), ',' ORDER BY a.attnum)), '') FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0),
	NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
		WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND (y.oid >= 16384 OR y.typname ~ '^_?reg')),
	EXISTS (SELECT FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_collation o ON o.oid = a.attcollation
		WHERE a.attrelid = c.oid AND a.attname = key.columns[1] AND COALESCE(o.collisdeterministic, true) AND a.atttypid = ANY (
			'{smallint,integer,bigint,oid,uuid,date,timestamp,timestamptz,text,varchar,bytea,bool}'::pg_catalog.regtype[])),
	COALESCE((SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', pg_catalog.format_type(a.atttypid, a.atttypmod), a.attcollation, CASE a.attcollation WHEN 0 THEN NULL
			WHEN 100 THEN (SELECT pg_catalog.pg_database_collation_actual_version(oid) FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
			ELSE pg_catalog.pg_collation_actual_version(a.attcollation) END), ',' ORDER BY pg_catalog.array_position(key.columns, a.attname::text))
		FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = ANY (key.columns)), '')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
	SELECT ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (number, place)
		JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
		WHERE k.place <= i.indnkeyatts ORDER BY k.place) AS columns
	FROM pg_catalog.pg_index i
	WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
		AND NOT EXISTS (SELECT FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (number, place) JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
			WHERE k.place <= i.indnkeyatts AND (NOT a.attnotnull OR a.attgenerated <> ''))
	ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid LIMIT 1) key ON true
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND ` + own + `
ORDER BY n.nspname, c.relname`

func readTables(ctx context.Context, tx pgx.Tx) ([]*table, error) {
	rows, err := tx.Query(ctx, listTables)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (*table, error) {
		t := &table{}
		var keys, names, kinds []string
		if err := row.Scan(&t.oid, &t.file, &t.schema, &t.name, &t.size, &keys, &names, &kinds, &t.definition, &t.plain, &t.exact, &t.order); err != nil {
			return nil, err
		}
		t.keys = len(keys)
		for _, key := range keys {
			t.columns = append(t.columns, column{key, kinds[slices.Index(names, key)]})
		}
		for i, name := range names {
			if !slices.Contains(keys, name) {
				t.columns = append(t.columns, column{name, kinds[i]})
			}
		}
		return t, nil
	})
}

// obstacles are what a copy could not hold, or could not read, each with the query that finds it.
var obstacles = []struct{ what, query string }{
	{"row security hides rows of", `SELECT c.oid::regclass::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND pg_catalog.row_security_active(c.oid) AND ` + own},
	{"no right to read", `SELECT c.oid::regclass::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'S') AND c.relpersistence <> 't' AND ` + own + ` AND NOT CASE c.relkind
			WHEN 'r' THEN pg_catalog.has_table_privilege(c.oid, 'SELECT') ELSE pg_catalog.has_sequence_privilege(c.oid, 'SELECT') END`},
	{"rows that are not in the database", `SELECT c.oid::regclass::text FROM pg_catalog.pg_class c WHERE c.relkind = 'f'`},
	{"an extension that is not allowed", `SELECT extname::text FROM pg_catalog.pg_extension WHERE extname <> ALL ($1)`},
	{"an extension's own table that holds rows", `SELECT c.oid::regclass::text FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_class c ON c.oid = ANY (e.extconfig)`},
	{"an event trigger", `SELECT evtname::text FROM pg_catalog.pg_event_trigger`},
	// Aggregates are written so, and range types bring some along.
	{"a function in a language that only a superuser may use", `SELECT p.oid::regprocedure::text FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
		WHERE p.oid >= 16384 AND p.prokind <> 'a' AND NOT l.lanpltrusted AND l.lanname <> 'sql'
			AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype IN ('e', 'i'))`},
}

// DefaultExtensions are those that a company database may have: they bring no rows of their own, and PostgreSQL trusts
// an ordinary owner to make them.
var DefaultExtensions = []string{
	"plpgsql", "btree_gin", "btree_gist", "citext", "cube", "dict_int", "fuzzystrmatch", "hstore", "intarray", "isn", "lo", "ltree", "pg_trgm", "pgcrypto",
	"seg", "tablefunc", "tcn", "tsm_system_rows", "tsm_system_time", "unaccent", "uuid-ossp",
}

// named is how many objects an error names.
const named = 5

// refuse finds what stands in a copy's way before anything is written.
func refuse(ctx context.Context, tx pgx.Tx, extensions []string) error {
	for _, o := range obstacles {
		var args []any
		if strings.Contains(o.query, "$1") {
			args = append(args, extensions)
		}
		rows, err := tx.Query(ctx, o.query+fmt.Sprintf(" ORDER BY 1 LIMIT %d", named), args...)
		if err != nil {
			return err
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return &RefusedError{What: o.what, Objects: found}
		}
	}
	return nil
}

// sequencesAtOnce bounds one statement.
const sequencesAtOnce = 200

// readSequences reads where sequences stand. They know no transactions: read after the snapshot began, they are never behind its rows.
func readSequences(ctx context.Context, tx pgx.Tx) ([]*snapshotv1.Sequence, error) {
	rows, err := tx.Query(ctx, `SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND `+own+` ORDER BY n.nspname, c.relname`)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*snapshotv1.Sequence, error) {
		r := &snapshotv1.Relation{}
		return &snapshotv1.Sequence{Relation: r}, row.Scan(&r.Schema, &r.Name)
	})
	if err != nil {
		return nil, err
	}
	for some := range slices.Chunk(all, sequencesAtOnce) {
		if err := readValues(ctx, tx, some); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func readValues(ctx context.Context, tx pgx.Tx, some []*snapshotv1.Sequence) error {
	parts := make([]string, len(some))
	for i, s := range some {
		parts[i] = fmt.Sprintf("SELECT %d, last_value, is_called FROM %s", i, quote(s.GetRelation()))
	}
	rows, err := tx.Query(ctx, strings.Join(parts, " UNION ALL "), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return err
	}
	var i int
	var value int64
	var called bool
	_, err = pgx.ForEachRow(rows, []any{&i, &value, &called}, func() error {
		some[i].LastValue, some[i].IsCalled = value, called
		return nil
	})
	return err
}

func quote(r *snapshotv1.Relation) string {
	return pgx.Identifier{r.GetSchema(), r.GetName()}.Sanitize()
}

// readViews lists the materialised views that are filled, those that others look at first. One that looks at a view that is
// not filled any more is left out: PostgreSQL can't fill it.
func readViews(ctx context.Context, tx pgx.Tx) ([]*snapshotv1.Relation, error) {
	rows, err := tx.Query(ctx, `
WITH RECURSIVE looks (viewer, at) AS (
	SELECT DISTINCT r.ev_class, d.refobjid FROM pg_catalog.pg_rewrite r
	JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid <> r.ev_class
), depth (oid, depth) AS (
	SELECT c.oid, 0 FROM pg_catalog.pg_class c WHERE c.relkind IN ('v', 'm')
	UNION
	SELECT l.viewer, d.depth + 1 FROM depth d JOIN looks l ON l.at = d.oid WHERE d.depth < 100
), unfilled (oid) AS (
	SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relkind = 'm' AND NOT c.relispopulated
	UNION
	SELECT l.viewer FROM unfilled u JOIN looks l ON l.at = u.oid
)
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'm' AND c.oid NOT IN (SELECT oid FROM unfilled) AND `+own+`
ORDER BY (SELECT max(depth) FROM depth WHERE depth.oid = c.oid), n.nspname, c.relname`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (*snapshotv1.Relation, error) {
		r := &snapshotv1.Relation{}
		return r, row.Scan(&r.Schema, &r.Name)
	})
}
