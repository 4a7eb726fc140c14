package kit_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"kontor.internal/kits/internal/scratch"
	"kontor.internal/kits/kit"
)

func loadTiny(t *testing.T, change func(fstest.MapFS)) *kit.Kit {
	t.Helper()
	files := tinyFiles()
	if change != nil {
		change(files)
	}
	k, err := kit.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func schemas(t *testing.T, d *scratch.Database) string {
	t.Helper()
	return scratch.Value[string](t, d.Conn, `SELECT coalesce(string_agg(nspname, ' ' ORDER BY nspname), '') FROM pg_namespace
		WHERE nspname !~ '^pg_' AND nspname NOT IN ('public', 'information_schema')`)
}

func TestAFailedMigrationLeavesNothing(t *testing.T) {
	d := scratch.New(t)
	broken := loadTiny(t, func(files fstest.MapFS) {
		files["migrations/00002_second.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE tiny.more (id int);\nSELECT 1 / 0;\n")}
	})
	if err := broken.CreateGroups(t.Context(), d.Conn, d.Prefix); err != nil {
		t.Fatal(err)
	}
	_, err := broken.Apply(t.Context(), d.Conn, kit.Install{Owner: d.Owner, Prefix: d.Prefix})
	if err == nil || !strings.Contains(err.Error(), "00002_second.sql") {
		t.Errorf("the error does not name the migration: %v", err)
	}
	if left := schemas(t, d); left != "" {
		t.Errorf("left: %s", left)
	}
	d.Apply(t, loadTiny(t, nil))
	if _, err := broken.Apply(t.Context(), d.Conn, kit.Install{Owner: d.Owner}); err == nil {
		t.Error("a broken upgrade succeeded")
	}
	if now := scratch.Value[string](t, d.Conn, "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'tiny'"); now != "accounts migrations things" {
		t.Errorf("after a broken upgrade: %s", now)
	}
}

// The server ends the session in the middle, as a crash or an operator would.
func TestASessionThatEndsHalfWayLeavesNothing(t *testing.T) {
	d := scratch.New(t)
	ending := loadTiny(t, func(files fstest.MapFS) {
		files["migrations/00002_second.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nSELECT pg_terminate_backend(pg_backend_pid());\n")}
	})
	other, err := pgx.Connect(t.Context(), d.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(t.Context())
	if _, err := ending.Apply(t.Context(), other, kit.Install{}); err == nil || !other.IsClosed() {
		t.Errorf("the session went on: %v", err)
	}
	if left := schemas(t, d); left != "" {
		t.Errorf("left: %s", left)
	}
	d.Apply(t, loadTiny(t, nil))
}

func TestSeveralAtOnceApplyTheKitOnce(t *testing.T) {
	d := scratch.New(t)
	k := loadTiny(t, nil)
	var wait sync.WaitGroup
	applied, failed := make([]kit.Applied, 4), make([]error, 4)
	for i := range applied {
		conn, err := pgx.Connect(t.Context(), d.DSN)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		wait.Go(func() { applied[i], failed[i] = k.Apply(t.Context(), conn, kit.Install{Owner: d.Owner}) })
	}
	wait.Wait()
	ran := 0
	for i := range applied {
		if failed[i] != nil {
			t.Error(failed[i])
		}
		ran += len(applied[i].Migrations)
	}
	if ran != 1 {
		t.Errorf("the migration ran %d times", ran)
	}
}

func TestWhatStandsInTheWayIsSaid(t *testing.T) {
	d := scratch.New(t)
	tinyKit := loadTiny(t, nil)
	d.Apply(t, tinyKit)
	yaml := func(old, now string) func(fstest.MapFS) {
		return func(files fstest.MapFS) {
			files["kit.yaml"].Data = []byte(strings.Replace(tiny, old, now, 1))
		}
	}
	for want, test := range map[string]struct {
		kit     *kit.Kit
		edition string
	}{
		"the database is at 1.0.0 already": {loadTiny(t, yaml("version: 1.0.0", "version: 0.9.0")), ""},
		"the area belongs to product tiny": {loadTiny(t, yaml("product: tiny", "product: other")), ""},
		"it has no edition ultimate":       {tinyKit, "ultimate"},
		"migration 00001_first.sql was applied to schema tiny in another wording": {loadTiny(t, func(files fstest.MapFS) {
			files["migrations/00001_first.sql"].Data = []byte(tinyMigration + "SELECT 1;\n")
		}), ""},
	} {
		_, err := test.kit.Apply(t.Context(), d.Conn, kit.Install{Owner: d.Owner, Edition: test.edition})
		var refused *kit.RefusedError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if _, err := tinyKit.Apply(t.Context(), d.Conn, kit.Install{Owner: d.Owner, Prefix: "Robert'); DROP"}); err == nil {
		t.Error("any prefix goes")
	}
}

func TestTheEditionChangesOnlyWhenAsked(t *testing.T) {
	d := scratch.New(t)
	k := loadTiny(t, func(files fstest.MapFS) {
		files["kit.yaml"].Data = []byte(strings.Replace(tiny, "[base]", "[base, prof]", 1))
	})
	for _, step := range []struct{ asked, want string }{{"", "base"}, {"prof", "prof"}, {"", "prof"}, {"base", "base"}} {
		if _, err := k.Apply(t.Context(), d.Conn, kit.Install{Owner: d.Owner, Edition: step.asked}); err != nil {
			t.Fatal(err)
		}
		releases, err := kit.Releases(t.Context(), d.Conn)
		if err != nil || len(releases) != 1 || releases[0].Edition != step.want {
			t.Errorf("asked for %q: %v, %v", step.asked, releases, err)
		}
	}
}

// Provisioning has CREATEDB and CREATEROLE and is no superuser.
func TestNoSuperuserIsNeeded(t *testing.T) {
	d := scratch.New(t)
	name := d.Prefix + "_provisioner"
	d.Exec(t, "CREATE ROLE "+name+" LOGIN PASSWORD 'secret' CREATEDB CREATEROLE NOSUPERUSER")
	connect := func(database string) *pgx.Conn {
		config, err := pgx.ParseConfig(d.DSN)
		if err != nil {
			t.Fatal(err)
		}
		config.User, config.Password, config.Database = name, "secret", database
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	conn := connect("postgres")
	owner, database := d.Prefix+"_company_owner", d.Prefix+"_company"
	for _, sql := range []string{
		"CREATE ROLE " + owner + " NOLOGIN",
		fmt.Sprintf("GRANT %s TO %s", owner, name),
		fmt.Sprintf("CREATE DATABASE %s OWNER %s", database, owner),
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(sql, err)
		}
	}
	conn.Close(t.Context())
	conn = connect(database)
	defer conn.Close(t.Context())
	k := loadTiny(t, nil)
	if err := k.CreateGroups(t.Context(), conn, d.Prefix); err != nil {
		t.Fatal(err)
	}
	if err := k.CreateGroups(t.Context(), conn, d.Prefix); err != nil {
		t.Errorf("again: %v", err)
	}
	for range 2 {
		if _, err := k.Apply(t.Context(), conn, kit.Install{Owner: owner, Prefix: d.Prefix}); err != nil {
			t.Fatal(err)
		}
	}
	if who := scratch.Value[string](t, conn, "SELECT current_user || ' ' || (SELECT tableowner FROM pg_tables WHERE tablename = 'things')"); who != name+" "+owner {
		t.Errorf("acting as, owned by: %s", who)
	}
	if path := scratch.Value[string](t, conn, "SHOW search_path"); path == "" {
		t.Error("the connection's search path is gone")
	}
	if scratch.Value[bool](t, conn, "SELECT has_database_privilege('public', current_database(), 'CONNECT, TEMPORARY')") {
		t.Error("anybody may connect")
	}
}

// What a release no longer grants is taken back, and a caller's transaction goes on as it was.
func TestGrantsFollowTheRelease(t *testing.T) {
	d := scratch.New(t)
	d.Apply(t, loadTiny(t, func(files fstest.MapFS) {
		files["grants.sql"].Data = []byte(`GRANT USAGE ON SCHEMA tiny TO {{groups}}; GRANT SELECT, INSERT, UPDATE (price) ON tiny.things TO {{group "tiny.read"}};`)
	}))
	reader := d.Prefix + "_tiny_read"
	may := func(privilege string) bool {
		return scratch.Value[bool](t, d.Conn, "SELECT has_table_privilege($1, 'tiny.things', $2) OR has_any_column_privilege($1, 'tiny.things', $2)", reader, privilege)
	}
	if !may("INSERT") || !may("UPDATE") {
		t.Fatal("not granted")
	}
	tx, err := d.Conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := loadTiny(t, nil).Grant(t.Context(), tx, d.Owner, d.Prefix); err != nil {
		t.Fatal(err)
	}
	if who := scratch.Value[string](t, tx.Conn(), "SELECT current_user || ' ' || current_setting('row_security')"); who != "postgres on" {
		t.Errorf("goes on as %s", who)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if may("INSERT") || may("UPDATE") || !may("SELECT") {
		t.Error("grants of before are there still")
	}
}
