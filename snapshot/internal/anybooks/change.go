package anybooks

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"
)

// Table is what Change needs to know of a table.
type Table struct {
	Schema, Name string
	// Names and Kinds of the columns that can be written, in their order.
	Names, Kinds []string
	// Index is the name of one, empty where there is none.
	Index string
	// Parted tables hold no rows of their own.
	Parted bool
}

func (t Table) quoted() string { return quote(t.Schema, t.Name) }

// Look finds a database's tables.
func Look(ctx context.Context, conn *pgx.Conn) ([]Table, error) {
	rows, err := conn.Query(ctx, `SELECT n.nspname, c.relname,
		ARRAY(SELECT attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum),
		ARRAY(SELECT format_type(atttypid, atttypmod) FROM pg_attribute a WHERE a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum),
		COALESCE((SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
			WHERE i.indrelid = c.oid AND m.amname = 'btree' AND i.indpred IS NULL ORDER BY x.relname LIMIT 1), ''), c.relkind = 'p'
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND c.oid >= 16384 AND n.nspname NOT LIKE 'pg\_%' ORDER BY n.nspname, c.relname`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Table])
}

// Change gives statements that change some books, each to be carried out by itself. PostgreSQL may refuse one of them, where
// a key is taken or something hangs on what is dropped; the others are to be carried out all the same.
func Change(t *rapid.T, tables ...Table) []string {
	var all []string
	for range rapid.IntRange(0, 6).Draw(t, "changes") {
		if rapid.IntRange(0, 4).Draw(t, "elsewhere") == 0 || len(tables) == 0 {
			some := rapid.SampledFrom(elsewhere).Draw(t, "change")
			all = append(all, strings.ReplaceAll(some, "$n", fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "n"))))
			continue
		}
		of := rapid.SampledFrom(tables).Draw(t, "table")
		all = append(all, rapid.SampledFrom(changes).Draw(t, "way")(t, of)...)
	}
	return all
}

// elsewhere are changes of other things than one table. $n is a digit that is drawn.
var elsewhere = []string{
	`ALTER TYPE types.mood RENAME VALUE 'calm' TO 'calm$n'`,
	`ALTER TYPE types.mood RENAME VALUE 'so so' TO 'calm'`,
	`ALTER TYPE types.mood ADD VALUE IF NOT EXISTS 'new$n' BEFORE 'so so'`,
	`ALTER TYPE types.amount RENAME ATTRIBUTE felt TO "felt $n"`,
	`ALTER DOMAIN types.share SET DEFAULT 0.$n`,
	`CREATE TABLE "new $n" AS SELECT i AS id, 'n' || i / 3 AS t FROM generate_series(1, 1000 * $n) i`,
	`ALTER TABLE "new $n" ADD PRIMARY KEY (id)`,
	`CREATE TABLE "now with key" (id integer PRIMARY KEY, at timestamp DEFAULT '2024-12-24 12:00', t varchar(9) DEFAULT 'v$n')`,
	`INSERT INTO "now with key" SELECT FROM generate_series(1, 1)`,
	`INSERT INTO "now with key" SELECT i * 10 + $n FROM generate_series(1, 500) i`,
	`SELECT nextval('"Used"'), nextval('down')`,
	`SELECT setval('unused', 8$n, $n > 4)`,
	`ALTER SEQUENCE down INCREMENT -7 RESTART`,
	`SELECT lo_from_bytea(20000$n, convert_to(repeat('abc$n', 100000), 'UTF8'))`,
	`SELECT lo_put(oid, $n00, 'changed') FROM pg_largeobject_metadata WHERE pg_has_role(lomowner, 'USAGE')`,
	`SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE pg_has_role(lomowner, 'USAGE') AND oid % 3 = $n % 3`,
	`DO $d$ BEGIN PERFORM lo_truncate(lo_open(100003, 131072), 30$n); END $d$`,
	`REFRESH MATERIALIZED VIEW stored`,
	`REFRESH MATERIALIZED VIEW "not filled"`,
	`REFRESH MATERIALIZED VIEW first`,
	`REFRESH MATERIALIZED VIEW stored WITH NO DATA`,
	`COMMENT ON SCHEMA public IS 'number $n'`,
	`VACUUM FULL`,
	`VACUUM FREEZE`,
	`ANALYZE`,
	`CREATE SCHEMA "s $n"`,
	`ALTER TABLE secret DISABLE ROW LEVEL SECURITY`,
	`ALTER TABLE "Named" RENAME TO "renamed $n"`,
	`ALTER TABLE "Named" DROP COLUMN t`,
	`ALTER FUNCTION "Twice" RENAME TO "Twice $n"`,
	`ALTER TABLE watched ENABLE TRIGGER quiet`,
}

// changes of one table.
var changes = []func(t *rapid.T, of Table) []string{
	insert, insert, update, update, update, updateKey, remove, remove, column, column, convert, table, reorder,
}

// some rows of a table, by their content.
func some(t *rapid.T) string {
	n := rapid.SampledFrom([]int{1, 2, 10, 300}).Draw(t, "one in")
	return fmt.Sprintf("abs(hashtext(x::text)::bigint) %% %d = %d", n, rapid.IntRange(0, n-1).Draw(t, "which"))
}

// insert a row, or many that are like rows of the table but have other keys.
func insert(t *rapid.T, of Table) []string {
	var names, values []string
	for i, sql := range of.Kinds {
		k, ok := kindOf(sql)
		if !ok {
			continue
		}
		names = append(names, quote(of.Names[i]))
		values = append(values, "("+k.bulk+")::"+k.sql)
	}
	if len(names) == 0 {
		return []string{"INSERT INTO " + of.quoted() + " DEFAULT VALUES"}
	}
	from := rapid.IntRange(-100, 20000).Draw(t, "from")
	rows := rapid.SampledFrom([]int{1, 5, 900}).Draw(t, "rows")
	return []string{fmt.Sprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM generate_series(%d, %d) i ON CONFLICT DO NOTHING",
		of.quoted(), strings.Join(names, ", "), strings.Join(values, ", "), from, from+rows-1)}
}

// update a column of some rows to a drawn value, or to values that count.
func update(t *rapid.T, of Table) []string {
	i, k, ok := written(t, of)
	if !ok {
		return nil
	}
	value := k.value(t, rapid.IntRange(-9, 99).Draw(t, "i"))
	if rapid.IntRange(0, 3).Draw(t, "by content") == 0 {
		value = k.of("(hashtext(x::text) % 1000)")
	}
	return []string{fmt.Sprintf("UPDATE %s x SET %s = %s WHERE %s", of.quoted(), quote(of.Names[i]), value, some(t))}
}

// written draws a column of a kind that has values.
func written(t *rapid.T, of Table) (int, kind, bool) {
	if len(of.Kinds) == 0 {
		return 0, kind{}, false
	}
	i := rapid.IntRange(0, len(of.Kinds)-1).Draw(t, "column")
	k, ok := kindOf(of.Kinds[i])
	return i, k, ok
}

// updateKey gives rows other keys, so that they lie elsewhere in the table's order.
func updateKey(t *rapid.T, of Table) []string {
	for i, sql := range of.Kinds {
		c := quote(of.Names[i])
		switch sql {
		case "integer", "bigint":
			return []string{fmt.Sprintf("UPDATE %s x SET %s = %s + 1000000 WHERE %s", of.quoted(), c, c, some(t))}
		case "text", "character varying(60)":
			return []string{fmt.Sprintf("UPDATE %s x SET %s = 'moved ' || %s WHERE %s", of.quoted(), c, c, some(t))}
		}
	}
	return nil
}

func remove(t *rapid.T, of Table) []string {
	if rapid.IntRange(0, 5).Draw(t, "all") == 0 {
		return []string{"TRUNCATE " + of.quoted() + rapid.SampledFrom([]string{"", " CASCADE", " RESTART IDENTITY"}).Draw(t, "how")}
	}
	return []string{fmt.Sprintf("DELETE FROM %s x WHERE %s", of.quoted(), some(t))}
}

// column comes or goes. One that comes again has its old name and other values, which no count of rows tells.
func column(t *rapid.T, of Table) []string {
	add := "ALTER TABLE " + of.quoted() + " ADD COLUMN " + rapid.SampledFrom([]string{
		`late integer DEFAULT 7`, `late integer`, `late text DEFAULT E'\t\\N'`, `late timestamptz DEFAULT '2020-01-01 00:00+00'`,
		`late uuid DEFAULT gen_random_uuid()`, `late serial`, `late integer GENERATED ALWAYS AS (3) STORED`,
	}).Draw(t, "added")
	drop := "ALTER TABLE " + of.quoted() + " DROP COLUMN "
	if len(of.Names) == 0 || rapid.Bool().Draw(t, "again") {
		return []string{drop + "IF EXISTS late", add}
	}
	return []string{drop + quote(rapid.SampledFrom(of.Names).Draw(t, "dropped"))}
}

// convert a column's type, with and without rewriting the table.
func convert(t *rapid.T, of Table) []string {
	var all []string
	for i, sql := range of.Kinds {
		to := map[string]string{
			"character varying(40)": "text", "character varying(60)": "text", "character varying(9)": "text", "text": `text COLLATE "C"`, "smallint": "bigint",
			"timestamp without time zone": "timestamptz", "timestamp with time zone": "timestamp", "integer": "bigint", "bigint": "numeric", "oid": "integer",
			"numeric(14,2)": "numeric(20,2)", "cidr": "inet", "character(7)": "text", "json": "jsonb",
		}[sql]
		if to != "" && (len(all) == 0 || rapid.Bool().Draw(t, "also")) {
			all = append(all, "ALTER TABLE "+of.quoted()+" ALTER COLUMN "+quote(of.Names[i])+" TYPE "+to)
		}
	}
	return all
}

// table goes, or goes by another name.
func table(t *rapid.T, of Table) []string {
	name := fmt.Sprintf("%s %d", rapid.SampledFrom(names).Draw(t, "new name"), rapid.IntRange(0, 3).Draw(t, "number"))
	switch rapid.IntRange(0, 3).Draw(t, "what") {
	case 0:
		return []string{"DROP TABLE " + of.quoted() + " CASCADE"}
	case 1: // Another table takes its place.
		return []string{
			"CREATE TABLE " + quote(of.Schema, "other") + " (LIKE " + of.quoted() + " INCLUDING ALL)",
			"INSERT INTO " + quote(of.Schema, "other") + " SELECT * FROM " + of.quoted() + " x WHERE " + some(t),
			"ALTER TABLE " + of.quoted() + " RENAME TO " + quote("was "+name),
			"ALTER TABLE " + quote(of.Schema, "other") + " RENAME TO " + quote(of.Name),
		}
	default:
		return []string{"ALTER TABLE " + of.quoted() + " RENAME TO " + quote(name)}
	}
}

// reorder writes the same rows in other places, or gives the table another key.
func reorder(t *rapid.T, of Table) []string {
	switch {
	case rapid.Bool().Draw(t, "full"):
		return []string{"VACUUM FULL " + of.quoted()}
	case of.Index != "" && rapid.Bool().Draw(t, "cluster"):
		return []string{"CLUSTER " + of.quoted() + " USING " + quote(of.Index)}
	case of.Index != "":
		return []string{"ALTER TABLE " + of.quoted() + " DROP CONSTRAINT " + quote(of.Index)}
	}
	return []string{"UPDATE " + of.quoted() + " SET " + strings.Join(same(of), ", ")}
}

func same(of Table) []string {
	sets := []string{"ctid = ctid"} // Is refused, where there is no column.
	for _, n := range of.Names {
		sets = append(sets[:0], quote(n)+" = "+quote(n))
	}
	return sets
}

// Settle fills the materialised views anew that are filled: a copy's are filled from its rows.
func Settle(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'm' AND c.relispopulated ORDER BY c.oid`)
	if err != nil {
		return err
	}
	views, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var schema, name string
		err := row.Scan(&schema, &name)
		return quote(schema, name), err
	})
	if err != nil {
		return err
	}
	var refused error
	for _, v := range views {
		if _, err := conn.Exec(ctx, "REFRESH MATERIALIZED VIEW "+v); err != nil && !unfilled(err) {
			refused = errors.Join(refused, err)
		}
	}
	return refused
}
