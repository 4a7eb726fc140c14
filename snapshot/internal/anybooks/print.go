package anybooks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// exact settings have the server write values so that different ones look different, and the same ones the same.
const exact = `SET search_path = ''; SET extra_float_digits = 3; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC';
SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET xmloption = 'content'`

// mine says that a relation c of a schema n is neither the server's nor an extension's.
const mine = `c.oid >= 16384 AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`

// prints are queries of which each gives names and what there is to say of them. Relations are named by regclass, which
// writes the schema.
var prints = []struct{ what, query string }{
	{"schema", `SELECT n.nspname::text, '' FROM pg_namespace n WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'`},
	{"extension", `SELECT extname::text, concat(extversion, extnamespace::regnamespace) FROM pg_extension`},
	{"relation", `SELECT c.oid::regclass::text, concat_ws('|', c.relkind, c.relpersistence, c.relreplident, c.relrowsecurity, c.relforcerowsecurity, c.reloptions,
		pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid), (SELECT string_agg(inhparent::regclass::text, ',' ORDER BY inhseqno) FROM pg_inherits WHERE inhrelid = c.oid),
		CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind NOT IN ('t', 'i', 'I') AND ` + mine},
	{"column", `SELECT c.oid::regclass || '.' || quote_ident(a.attname), concat_ws('|', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, a.attstorage,
		a.attstattarget, a.attcompression, a.attislocal, a.attinhcount, a.attoptions, (SELECT collname FROM pg_collation WHERE oid = a.attcollation),
		(SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = a.attrelid AND adnum = a.attnum))
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.relkind NOT IN ('t', 'i', 'I', 'S') AND ` + mine},
	// Columns that a table inherits come first in a copy, wherever they stood.
	{"order of columns", `SELECT c.oid::regclass::text, (SELECT string_agg(quote_ident(attname), ',' ORDER BY attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'c')
		AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid) AND ` + mine},
	{"constraint", `SELECT COALESCE(NULLIF(conrelid, 0)::regclass::text, contypid::regtype::text) || ' ' || conname,
		concat_ws('|', pg_get_constraintdef(c.oid), convalidated, conislocal, coninhcount, connoinherit)
		FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace WHERE c.oid >= 16384 AND n.nspname NOT LIKE 'pg\_%'`},
	{"index", `SELECT i.indexrelid::regclass::text, concat_ws('|', pg_get_indexdef(i.indexrelid), i.indisclustered, i.indisreplident, i.indisvalid, i.indisprimary, i.indimmediate)
		FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ` + mine},
	{"trigger", `SELECT tgrelid::regclass || ' ' || tgname, concat(pg_get_triggerdef(oid), tgenabled) FROM pg_trigger WHERE NOT tgisinternal`},
	{"rule", `SELECT ev_class::regclass || ' ' || rulename, concat(pg_get_ruledef(oid), ev_enabled) FROM pg_rewrite WHERE oid >= 16384`},
	{"policy", `SELECT polrelid::regclass || ' ' || polname, concat_ws('|', polcmd, polpermissive, polroles::regrole[], pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) FROM pg_policy`},
	{"function", `SELECT p.oid::regprocedure::text, pg_get_functiondef(p.oid) FROM pg_proc p WHERE p.oid >= 16384 AND p.prokind <> 'a' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')`},
	{"aggregate", `SELECT aggfnoid::text, concat_ws('|', aggtransfn, aggtranstype::regtype, agginitval) FROM pg_aggregate WHERE aggfnoid >= 16384::oid AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = aggfnoid AND d.deptype = 'e')`},
	{"type", `SELECT t.oid::regtype::text, concat_ws('|', typtype, typnotnull, typdefault, format_type(typbasetype, typtypmod),
		(SELECT string_agg(quote_literal(enumlabel), ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid),
		(SELECT rngsubtype::regtype FROM pg_range WHERE rngtypid = t.oid))
		FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid >= 16384 AND n.nspname NOT LIKE 'pg\_%' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')`},
	{"collation", `SELECT collname::text, concat_ws('|', collprovider, collisdeterministic, collcollate) FROM pg_collation WHERE oid >= 16384`},
	{"statistics", `SELECT stxname::text, pg_get_statisticsobjdef(oid) FROM pg_statistic_ext`},
	{"comment", `SELECT o.type || ' ' || o.identity, d.description FROM pg_description d, pg_identify_object(d.classoid, d.objoid, d.objsubid) o
		WHERE d.objoid >= 16384 OR o.identity = 'public'`},
	{"sequence", `SELECT format('%I.%I', schemaname, sequencename), concat_ws('|', data_type, start_value, min_value, max_value, increment_by, cycle, cache_size) FROM pg_sequences`},
	{"owner of sequence", `SELECT objid::regclass::text, concat(refobjid::regclass, deptype, (SELECT attname FROM pg_attribute WHERE attrelid = refobjid AND attnum = refobjsubid))
		FROM pg_depend d JOIN pg_class c ON c.oid = d.objid WHERE c.relkind = 'S' AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0`},
	{"large object", `SELECT oid::text, length(lo_get(oid)) || ' ' || md5(lo_get(oid)) FROM pg_largeobject_metadata`},
}

// Print tells all there is in a database: two of the same print are the same. What hangs on the place of a row or on the
// number of an object is left out. Nobody may write in the meantime.
func Print(ctx context.Context, conn *pgx.Conn) (map[string]string, error) {
	if _, err := conn.Exec(ctx, exact, pgx.QueryExecModeSimpleProtocol); err != nil {
		return nil, err
	}
	print := map[string]string{}
	for _, p := range prints {
		if err := add(ctx, conn, print, p.what, p.query); err != nil {
			return nil, fmt.Errorf("print of each %s: %w", p.what, err)
		}
	}
	if err := addSequences(ctx, conn, print); err != nil {
		return nil, err
	}
	if err := addRows(ctx, conn, print); err != nil {
		return nil, err
	}
	_, err := conn.Exec(ctx, "RESET ALL", pgx.QueryExecModeSimpleProtocol)
	return print, err
}

func add(ctx context.Context, conn *pgx.Conn, print map[string]string, what, query string) error {
	rows, err := conn.Query(ctx, query, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return err
	}
	var name string
	var said *string
	_, err = pgx.ForEachRow(rows, []any{&name, &said}, func() error {
		key, text := what+" "+name, "NULL"
		if said != nil {
			text = *said
		}
		if old, ok := print[key]; ok { // The same name twice, e.g. of types that are not told apart by it.
			text = old + "\n" + text
		}
		print[key] = text
		return nil
	})
	return err
}

// relations lists the relations of a kind, with their columns by name.
func relations(ctx context.Context, conn *pgx.Conn, query string) (names []string, columns [][]string, err error) {
	rows, err := conn.Query(ctx, query, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return nil, nil, err
	}
	var name string
	var of []string
	_, err = pgx.ForEachRow(rows, []any{&name, &of}, func() error {
		names, columns = append(names, name), append(columns, slices.Clone(of))
		return nil
	})
	return names, columns, err
}

func addSequences(ctx context.Context, conn *pgx.Conn, print map[string]string) error {
	names, _, err := relations(ctx, conn, `SELECT c.oid::regclass::text, '{}'::text[] FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S' AND `+mine)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := add(ctx, conn, print, "state of sequence", "SELECT "+quoted(name)+"::text, last_value || ' ' || is_called FROM "+name); err != nil {
			return err
		}
	}
	return nil
}

// withRows are tables, each for itself, and filled views. A view that looks at one that is not filled counts as not filled:
// a copy's can't be. Rows that are spread by the hash of an enum may lie in another partition of a copy, so that is looked at as one.
const withRows = `
WITH RECURSIVE spread (oid) AS (
	SELECT partrelid FROM pg_partitioned_table WHERE partstrat = 'h'
), under (oid) AS (
	SELECT inhrelid FROM pg_inherits JOIN spread ON inhparent = oid
	UNION SELECT inhrelid FROM pg_inherits JOIN under ON inhparent = oid
), hollow (oid) AS (
	SELECT oid FROM pg_class WHERE relkind = 'm' AND NOT relispopulated
	UNION
	SELECT r.ev_class FROM hollow h JOIN pg_depend d ON d.refobjid = h.oid AND d.refclassid = 'pg_class'::regclass AND d.classid = 'pg_rewrite'::regclass
	JOIN pg_rewrite r ON r.oid = d.objid
)
SELECT CASE WHEN c.relkind = 'r' THEN 'ONLY ' ELSE '' END || c.oid::regclass,
	ARRAY(SELECT quote_ident(attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE (c.relkind = 'r' AND c.oid NOT IN (SELECT oid FROM under) OR c.relkind = 'p' AND c.oid IN (SELECT oid FROM spread)
	OR c.relkind = 'm' AND c.oid NOT IN (SELECT oid FROM hollow)) AND ` + mine

func addRows(ctx context.Context, conn *pgx.Conn, print map[string]string) error {
	names, columns, err := relations(ctx, conn, withRows)
	if err != nil {
		return err
	}
	for i, name := range names {
		query := fmt.Sprintf("SELECT %s::text, count(*) || ' ' || md5(COALESCE(string_agg(md5, '' ORDER BY md5), '')) FROM (SELECT md5(ROW(%s)::text) FROM %s x) rows",
			quoted(name), strings.Join(columns[i], ", "), name)
		if err := add(ctx, conn, print, "rows of", query); err != nil {
			return fmt.Errorf("print of %s: %w", name, err)
		}
	}
	return nil
}

// Differences tells what two prints do not agree in.
func Differences(a, b map[string]string) []string {
	var all []string
	for key, in := range a {
		if other, ok := b[key]; !ok {
			all = append(all, fmt.Sprintf("%s: only in the first: %s", key, in))
		} else if other != in {
			all = append(all, fmt.Sprintf("%s: %s, but %s", key, in, other))
		}
	}
	for key, in := range b {
		if _, ok := a[key]; !ok {
			all = append(all, fmt.Sprintf("%s: only in the second: %s", key, in))
		}
	}
	slices.Sort(all)
	return all
}

// unfilled says that a view could not be filled because it looks at one that is not.
func unfilled(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == "55000"
}
