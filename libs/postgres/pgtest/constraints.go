package pgtest

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/libs/postgres"
)

// CheckConstraintsNamed fails the test where a check, a unique rule or a foreign key of the service's tables carries the
// name that PostgreSQL makes up, and where a map names a constraint that doesn't exist. A violated constraint is told to
// people by its reason, which is found by its name.
func CheckConstraintsNamed(t testing.TB, pool *pgxpool.Pool, maps ...postgres.Constraints) {
	t.Helper()
	type constraint struct{ Table, Name, MadeUp string }
	rows, err := pool.Query(context.Background(), `
		SELECT t.relname, c.conname,
		       CASE c.contype WHEN 'c' THEN '_check' WHEN 'u' THEN '_key' WHEN 'f' THEN '_fkey' WHEN 'x' THEN '_excl' ELSE '' END
		FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
		WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND NOT (n.nspname = $1 AND t.relname LIKE 'river%')
		UNION ALL
		SELECT t.relname, i.relname, ''
		FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
		     JOIN pg_namespace n ON n.oid = t.relnamespace
		WHERE x.indisunique AND n.nspname NOT IN ('pg_catalog', 'information_schema')
		  AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = x.indexrelid)`, postgres.Schema)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[constraint])
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	there := map[string]bool{}
	for _, c := range all {
		there[c.Name] = true
		if c.MadeUp != "" && madeUp(c.Table, c.Name, c.MadeUp) {
			t.Errorf("constraint %s of table %s has no name of its own", c.Name, c.Table)
		}
	}
	for _, m := range maps {
		for name := range m {
			if !there[name] {
				t.Errorf("there is no constraint %s", name)
			}
		}
	}
}

// madeUp says whether a name has the form <table>[_<columns>]<ending>[<number>].
func madeUp(table, name, ending string) bool {
	return strings.HasPrefix(name, table) && strings.HasSuffix(strings.TrimRight(name, "0123456789"), ending)
}
