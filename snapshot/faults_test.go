package snapshot_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"kontor.internal/snapshot"
	"kontor.internal/snapshot/internal/anybooks"
	"kontor.internal/snapshot/pgtool"
)

// What TestEveryRestoreIsTheDatabaseOfItsMoment comes upon now and then, once and for all.
func TestBooksThatAreHardToCopyAreRestoredExactly(t *testing.T) {
	b := setup(t)
	for name, books := range map[string]struct{ before, changes []string }{
		"a column that comes again under its old name has none of its old values": {
			before:  []string{`CREATE TABLE t (id integer PRIMARY KEY, late integer)`, `INSERT INTO t SELECT i, i FROM generate_series(1, 9) i`},
			changes: []string{`ALTER TABLE t DROP COLUMN late`, `ALTER TABLE t ADD COLUMN late integer DEFAULT 7`},
		},
		"a renamed label of an enum stands in rows that nobody wrote": {
			before:  []string{`CREATE TYPE mood AS ENUM ('calm', 'wild')`, `CREATE TABLE t (id integer PRIMARY KEY, how mood)`, `INSERT INTO t VALUES (1, 'calm')`},
			changes: []string{`ALTER TYPE mood RENAME VALUE 'calm' TO 'quiet'`},
		},
		"rows within rows lose a column of another table": {
			before:  []string{`CREATE TABLE inner_one (a integer, b integer)`, `CREATE TABLE t (id integer PRIMARY KEY, whole inner_one)`, `INSERT INTO t VALUES (1, '(1,2)')`},
			changes: []string{`ALTER TABLE inner_one DROP COLUMN b`},
		},
		"a renamed table is named by a row": {
			before:  []string{`CREATE TABLE named ()`, `CREATE TABLE t (id integer PRIMARY KEY, which regclass)`, `INSERT INTO t VALUES (1, 'named')`},
			changes: []string{`ALTER TABLE named RENAME TO renamed`},
		},
		"rows are spread by the hash of an enum": {
			before: []string{
				`CREATE TYPE mood AS ENUM ('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h')`, `CREATE TABLE t (how mood, n integer) PARTITION BY HASH (how)`,
				`CREATE TABLE t0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0)`, `CREATE TABLE t1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1)`,
				`INSERT INTO t SELECT (enum_range(NULL::mood))[1 + i % 8], i FROM generate_series(1, 80) i`,
			},
		},
		"a filled view looks at one that is emptied": {
			before: []string{
				`CREATE MATERIALIZED VIEW below AS SELECT 1 AS n`, `CREATE VIEW between AS SELECT n FROM below`,
				`CREATE MATERIALIZED VIEW above AS SELECT n FROM between`, `CREATE MATERIALIZED VIEW beside AS SELECT 2 AS n`,
			},
			changes: []string{`REFRESH MATERIALIZED VIEW below WITH NO DATA`},
		},
		"an aggregate and a range type are nothing that only a superuser may make": {
			before: []string{
				`CREATE AGGREGATE product(numeric) (SFUNC = numeric_mul, STYPE = numeric, INITCOND = '1')`, `CREATE TYPE span AS RANGE (subtype = numeric)`,
				`CREATE TABLE t (s span PRIMARY KEY)`, `INSERT INTO t VALUES ('[1,2.5)')`,
			},
		},
		"rows of a table without a key come and go": {
			before: []string{`CREATE TABLE t (a integer, b text)`, `INSERT INTO t SELECT i % 4, repeat('b', i % 90) FROM generate_series(1, 20000) i`},
			changes: []string{
				`DELETE FROM t WHERE ctid IN (SELECT ctid FROM t WHERE a = 1 LIMIT 10)`, `INSERT INTO t SELECT 2, repeat('b', 5) FROM generate_series(1, 7)`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := b.begin(t)
			for _, s := range books.before {
				l.must(s)
			}
			l.snapshot(snapshot.Order{})
			for _, s := range books.changes {
				l.must(s)
			}
			l.snapshot(snapshot.Order{Previous: l.last()})
			l.restoreAll()
		})
	}
}

// A table that is read in several parts, which stay as they are from one snapshot to the next. Its file is mostly empty, so
// that it has parts at all and few rows.
func TestATableOfSeveralPartsIsRestoredExactly(t *testing.T) {
	b := setup(t)
	for name, books := range map[string]struct{ changes []string }{
		"rows change, come and go in every part": {changes: []string{
			`UPDATE t SET body = body || 'x' WHERE id % 1000 = 0`, `DELETE FROM t WHERE id BETWEEN 90100 AND 99000`,
			`INSERT INTO t SELECT i, 'new' FROM generate_series(200000, 201000) i`, `INSERT INTO t SELECT -i, 'new' FROM generate_series(1, 1000) i`,
		}},
		"the key is of another type, and its values in another order": {
			changes: []string{`ALTER TABLE t ALTER COLUMN id TYPE text`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := b.begin(t)
			l.must(`CREATE TABLE t (id integer PRIMARY KEY, body text) WITH (fillfactor = 10)`)
			l.must(`INSERT INTO t SELECT i, repeat('b', 750) FROM generate_series(90000, 115999) i`)
			l.snapshot(snapshot.Order{})
			for _, s := range books.changes {
				l.must(s)
			}
			l.snapshot(snapshot.Order{Previous: l.last()})
			l.restoreAll()
		})
	}
}

// The server's counters lag: what a connection that stays open has committed may be counted seconds later.
func TestRowsThatTheServerHasNotCountedYetAreInTheSnapshot(t *testing.T) {
	l := setup(t).begin(t)
	l.must(`CREATE TABLE t (id integer PRIMARY KEY)`)
	l.must(`INSERT INTO t VALUES (1)`)
	l.snapshot(snapshot.Order{})
	l.must(`INSERT INTO t VALUES (2)`)
	l.must(`INSERT INTO t VALUES (3)`) // The server has just counted, and does not do it again at once.
	other, err := pgtool.Connect(t.Context(), l.login)
	require.NoError(t, err)
	print, err := anybooks.Print(t.Context(), other)
	require.NoError(t, err)
	require.NoError(t, other.Close(t.Context()))
	l.snapshotNow(snapshot.Order{Previous: l.last()}, print)
	l.restoreAll()
}

// Keys of every kind, while a session keeps its counts to itself: what of such a table changed is told by its rows.
func TestKeysOfEveryKindAreFollowedWhilePeopleWork(t *testing.T) {
	b := setup(t)
	for name, key := range map[string]struct{ kind, value string }{
		"whole numbers":      {"bigint", "i"},
		"texts":              {"text", "md5(i::text)"},
		"texts of a limit":   {"varchar(40)", "md5(i::text)"},
		"padded texts":       {"char(40)", "md5(i::text)"},
		"decimal numbers":    {"numeric(12, 2)", "i / 4.0"},
		"arrays":             {"integer[]", "ARRAY[i % 90, i]"},
		"moments":            {"timestamptz", "timestamptz '2020-01-01' + i * interval '1 minute'"},
		"bytes":              {"bytea", "decode(md5(i::text), 'hex')"},
		"UUIDs":              {"uuid", "md5(i::text)::uuid"},
		"ranges":             {"int4range", "int4range(i, i + 5)"},
		"labels of an enum":  {"label", "('l' || i % 200)::label"},
		"values of a domain": {"counted", "i"},
	} {
		t.Run(name, func(t *testing.T) {
			l := b.begin(t)
			l.must(`DO $$ BEGIN EXECUTE 'CREATE TYPE label AS ENUM (' || (SELECT string_agg(quote_literal('l' || n), ',') FROM generate_series(0, 199) n) || ')'; END $$`)
			l.must(`CREATE DOMAIN counted AS integer CHECK (VALUE > 0)`)
			l.must(`CREATE TABLE t (k ` + key.kind + ` PRIMARY KEY, words text)`)
			l.must(`INSERT INTO t SELECT ` + key.value + `, repeat('word ', 9) FROM generate_series(1, 6000) i ON CONFLICT DO NOTHING`)
			l.snapshot(snapshot.Order{})
			for _, change := range []string{`UPDATE t SET words = 'new' WHERE k = (SELECT k FROM t ORDER BY k LIMIT 1)`, `DELETE FROM t WHERE k = (SELECT k FROM t ORDER BY k DESC LIMIT 1)`, `SELECT 1`} {
				l.must(change)
				print, err := anybooks.Print(t.Context(), l.conn)
				require.NoError(t, err)
				l.snapshotNow(snapshot.Order{Previous: l.last()}, print)
			}
			l.restoreAll()
		})
	}
}
