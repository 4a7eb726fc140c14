package kits_test

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"kontor.internal/kits"
	"kontor.internal/kits/internal/scratch"
	"kontor.internal/kits/kit"
)

func load(t testing.TB) *kit.Set {
	t.Helper()
	set, err := kits.Load()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func get(t testing.TB, product, version string) *kit.Kit {
	t.Helper()
	parsed, err := kit.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	k := load(t).Get(product, parsed)
	if k == nil {
		t.Fatalf("no kit %s %s", product, version)
	}
	return k
}

// each runs a test for every kit that ships.
func each(t *testing.T, test func(*testing.T, *kit.Kit)) {
	set := load(t)
	for _, product := range set.Products() {
		for _, k := range set.Kits(product) {
			t.Run(strings.ReplaceAll(k.String(), " ", "_"), func(t *testing.T) { test(t, k) })
		}
	}
}

func TestBothProductsAndAllReleasesAreThere(t *testing.T) {
	set := load(t)
	if got := set.Newest("books"); got == nil || got.Version.String() != "1.4.0" {
		t.Errorf("newest books: %v", got)
	}
	if got := set.NewestOf("payroll"); got == nil || got.Version.String() != "1.0.0" {
		t.Errorf("newest kit of area payroll: %v", got)
	}
	if len(set.Kits("books")) != 2 {
		t.Errorf("books has releases %v", set.Kits("books"))
	}
}

func TestANewerReleaseBeginsWithTheMigrationsOfTheOlder(t *testing.T) {
	set := load(t)
	for _, product := range set.Products() {
		releases := set.Kits(product)
		for i := 1; i < len(releases); i++ {
			older, newer := path.Join(product, releases[i-1].Version.String()), path.Join(product, releases[i].Version.String())
			files, err := fs.Glob(kits.Files, older+"/migrations/*.sql")
			if err != nil || len(files) == 0 {
				t.Fatal(files, err)
			}
			for _, file := range files {
				before, _ := fs.ReadFile(kits.Files, file)
				after, err := fs.ReadFile(kits.Files, path.Join(newer, "migrations", path.Base(file)))
				if err != nil || !bytes.Equal(before, after) {
					t.Errorf("%s is not the same in %s (%v)", file, newer, err)
				}
			}
		}
	}
}

func TestAKitAppliesOnceAndAgain(t *testing.T) {
	each(t, func(t *testing.T, k *kit.Kit) {
		d := scratch.New(t)
		start := time.Now()
		first := d.Apply(t, k)
		t.Logf("applied in %v", time.Since(start))
		if !first.From.IsZero() || first.To != k.Version || len(first.Migrations) == 0 {
			t.Errorf("first: %+v", first)
		}
		applied := scratch.Value[time.Time](t, d.Conn, "SELECT applied_at FROM kontor_meta.release WHERE area = $1", k.Area)
		start = time.Now()
		second := d.Apply(t, k)
		t.Logf("again in %v", time.Since(start))
		if second.From != k.Version || len(second.Migrations) != 0 {
			t.Errorf("second: %+v", second)
		}
		if again := scratch.Value[time.Time](t, d.Conn, "SELECT applied_at FROM kontor_meta.release WHERE area = $1", k.Area); !again.Equal(applied) {
			t.Errorf("applied_at went from %v to %v", applied, again)
		}
		releases, err := kit.Releases(t.Context(), d.Conn)
		want := kit.Release{Area: k.Area, Product: k.Product, Edition: "base", Version: k.Version}
		if err != nil || len(releases) != 1 || releases[0] != want {
			t.Errorf("releases %v, %v", releases, err)
		}
	})
}

func TestWhatTheKitNamesIsInTheDatabase(t *testing.T) {
	each(t, func(t *testing.T, k *kit.Kit) {
		d := scratch.New(t)
		d.Apply(t, k)
		there := func(what, table string, columns ...string) {
			t.Helper()
			for _, column := range columns {
				if !scratch.Value[bool](t, d.Conn, `SELECT EXISTS (SELECT FROM pg_attribute
					WHERE attrelid = to_regclass($1) AND attname = $2 AND attnum > 0 AND NOT attisdropped)`, table, column) {
					t.Errorf("%s: there is no column %s in %s", what, column, table)
				}
			}
		}
		for _, table := range k.Tables {
			there("tables", table.Table, table.Columns...)
		}
		for _, export := range k.Export {
			there("export "+export.Name, export.Table, append(export.Order, export.Columns...)...)
		}
		for _, catalogue := range k.Catalogues {
			for _, sheet := range catalogue.Sheets {
				for _, column := range sheet.Columns {
					there("catalogue "+catalogue.Key, sheet.Table, column.Column)
					if at := strings.LastIndexByte(column.References, '.'); at > 0 {
						there("catalogue "+catalogue.Key, column.References[:at], column.References[at+1:])
					}
				}
				checkSheet(t, d, sheet)
			}
		}
		if users := k.LocalUsers; users != nil {
			there("local_users", users.Table, users.Name, users.FullName, users.Rights, users.Account)
		}
		if _, err := k.Steps(t.Context(), d.Conn); err != nil {
			t.Error(err)
		}
		if err := k.Check(t.Context(), d.Conn); err != nil {
			t.Error(err)
		}
	})
}

// checkSheet checks a sheet against its table: the unique key is one, types fit, whatever the table demands can be given.
func checkSheet(t *testing.T, d *scratch.Database, sheet kit.Sheet) {
	t.Helper()
	if !scratch.Value[bool](t, d.Conn, `SELECT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = to_regclass($1) AND i.indisunique
		AND (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey))
		= (SELECT array_agg(k ORDER BY k) FROM unnest($2::text[]) k))`, sheet.Table, sheet.Unique) {
		t.Errorf("%s: %v is no unique key", sheet.Table, sheet.Unique)
	}
	fits := map[kit.Type]string{
		kit.TypeText: "text", kit.TypeTextList: "text[]", kit.TypeInteger: "integer bigint", kit.TypeDecimal: "numeric",
		kit.TypeScaled: "integer", kit.TypeMoney: "bigint", kit.TypeDate: "date", kit.TypeBoolean: "boolean",
	}
	given := map[string]bool{}
	for _, column := range sheet.Columns {
		given[column.Column] = true
		kind := scratch.Value[string](t, d.Conn, `SELECT coalesce(b.oid, ty.oid)::regtype::text FROM pg_attribute a JOIN pg_type ty ON ty.oid = a.atttypid
			LEFT JOIN pg_type b ON b.oid = ty.typbasetype WHERE a.attrelid = to_regclass($1) AND a.attname = $2`, sheet.Table, column.Column)
		if !strings.Contains(" "+fits[column.Type]+" ", " "+kind+" ") {
			t.Errorf("%s.%s is %s; the sheet says %s", sheet.Table, column.Column, kind, column.Type)
		}
	}
	needed := scratch.Value[[]string](t, d.Conn, `SELECT coalesce(array_agg(attname::text), '{}') FROM pg_attribute
		WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped AND attnotnull AND NOT atthasdef`, sheet.Table)
	for _, column := range needed {
		if !given[column] {
			t.Errorf("%s.%s must be given and is not on the sheet", sheet.Table, column)
		}
	}
}

// Tables that a copy does not carry stay as the migrations made them; all others have to be in the kit.
func TestEveryTableOfAnAreaCanBeCarried(t *testing.T) {
	each(t, func(t *testing.T, k *kit.Kit) {
		d := scratch.New(t)
		d.Apply(t, k)
		carried := map[string]bool{k.Area + ".migrations": true}
		for i, table := range k.Tables {
			before := map[string]bool{table.Table: true}
			for _, earlier := range k.Tables[:i] {
				before[earlier.Table] = true
			}
			for _, needed := range scratch.Value[[]string](t, d.Conn, `SELECT coalesce(array_agg(n.nspname || '.' || c.relname), '{}')
				FROM pg_constraint f JOIN pg_class c ON c.oid = f.confrelid JOIN pg_namespace n ON n.oid = c.relnamespace
				WHERE f.contype = 'f' AND f.conrelid = to_regclass($1)`, table.Table) {
				if !before[needed] {
					t.Errorf("%s comes before %s, which it refers to", table.Table, needed)
				}
			}
			carried[table.Table] = true
			if columns := scratch.Value[[]string](t, d.Conn, `SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute
				WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`, table.Table); !slices.Equal(columns, table.Columns) {
				t.Errorf("%s has columns %v; the kit carries %v", table.Table, columns, table.Columns)
			}
		}
		for _, table := range scratch.Value[[]string](t, d.Conn,
			"SELECT array_agg(schemaname || '.' || tablename) FROM pg_tables WHERE schemaname = $1", k.Area) {
			if !carried[table] {
				t.Errorf("no copy can carry %s", table)
			}
		}
	})
}

func TestTheSchemaExplainsItself(t *testing.T) {
	each(t, func(t *testing.T, k *kit.Kit) {
		d := scratch.New(t)
		d.Apply(t, k)
		schemas := []string{k.Area, "kontor_meta"}
		for what, query := range map[string]string{
			"without a comment": `SELECT coalesce(array_agg(c.oid::regclass::text), '{}') FROM pg_class c
				WHERE c.relnamespace::regnamespace::text = ANY ($1) AND c.relkind IN ('r', 'v', 'p') AND obj_description(c.oid, 'pg_class') IS NULL`,
			"functions without a comment": `SELECT coalesce(array_agg(p.oid::regprocedure::text), '{}') FROM pg_proc p
				WHERE p.pronamespace::regnamespace::text = ANY ($1) AND obj_description(p.oid, 'pg_proc') IS NULL`,
			"definers whose search path callers choose": `SELECT coalesce(array_agg(p.oid::regprocedure::text), '{}') FROM pg_proc p
				WHERE p.pronamespace::regnamespace::text = ANY ($1) AND p.prosecdef AND NOT coalesce(p.proconfig::text LIKE '%search_path=pg_catalog%', false)`,
			"owned by somebody else": `SELECT coalesce(array_agg(c.oid::regclass::text), '{}') FROM pg_class c
				WHERE c.relnamespace::regnamespace::text = ANY ($1) AND c.relowner <> (SELECT datdba FROM pg_database WHERE datname = current_database())`,
			"schemas owned by somebody else": `SELECT coalesce(array_agg(n.nspname::text), '{}') FROM pg_namespace n
				WHERE n.nspname = ANY ($1) AND n.nspowner <> (SELECT datdba FROM pg_database WHERE datname = current_database())`,
			"floating point": `SELECT coalesce(array_agg(a.attrelid::regclass || '.' || a.attname), '{}') FROM pg_attribute a
				JOIN pg_class c ON c.oid = a.attrelid WHERE c.relnamespace::regnamespace::text = ANY ($1) AND a.atttypid IN ('real'::regtype, 'double precision'::regtype)`,
			"not under the change log": `SELECT coalesce(array_agg(c.oid::regclass::text), '{}') FROM pg_class c
				WHERE c.relnamespace::regnamespace::text = ANY ($1) AND c.relnamespace <> 'kontor_meta'::regnamespace AND c.relkind = 'r'
				AND c.relname NOT IN ('migrations', 'counters')
				AND NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgname = 'log_change')`,
		} {
			if found := scratch.Value[[]string](t, d.Conn, query, schemas); len(found) > 0 {
				t.Errorf("%s: %v", what, found)
			}
		}
	})
}

func TestTwoAreasShareADatabase(t *testing.T) {
	d := scratch.New(t)
	set := load(t)
	d.Apply(t, set.Newest("books"))
	d.Apply(t, set.Newest("payroll"))
	d.Apply(t, set.Newest("books"))
	releases, err := kit.Releases(t.Context(), d.Conn)
	if err != nil || len(releases) != 2 || releases[0].Area != "books" || releases[1].Area != "payroll" {
		t.Fatalf("releases %v, %v", releases, err)
	}
	both := d.Login(t, set.Newest("payroll"), kit.Binding{Account: "accounts/1"}, "payroll.read")
	if n := scratch.Value[int](t, both, "SELECT count(*) FROM payroll.formulas"); n == 0 {
		t.Error("no formulas")
	}
	wantDenied(t, both, "SELECT FROM books.accounts")
}

// wantDenied runs a statement that PostgreSQL must refuse for lack of a right.
func wantDenied(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql, args...)
	wantCode(t, err, "42501", sql)
}

func wantCode(t *testing.T, err error, code, what string) {
	t.Helper()
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != code {
		t.Errorf("%s: want SQLSTATE %s, got %v", what, code, err)
	}
}
