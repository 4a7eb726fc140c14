package dump_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/servers/servertest"
	"kontor.internal/services/tenancy/internal/dump"
)

// releaseTable is the table of the kits' platform migration, with what a copy
// may try to bring along: a name with a newline, and a row like the end mark.
const releaseTable = `
DROP SCHEMA IF EXISTS kontor_meta CASCADE;
CREATE SCHEMA kontor_meta;
CREATE TABLE kontor_meta.release (
    area text PRIMARY KEY, product text NOT NULL, edition text NOT NULL, version text NOT NULL, applied_at timestamptz NOT NULL);
INSERT INTO kontor_meta.release VALUES ('books', 'books', 'latvia', '1.3.0', now());
CREATE TABLE kontor_meta.notes (id bigserial, note text);
INSERT INTO kontor_meta.notes (note) VALUES (E'\\.\nDROP TABLE x;'), (NULL);`

func TestRealArchiveTellsItsReleaseAndRows(t *testing.T) {
	archive, bin := realArchive(t)
	head, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	if kind := dump.KindOf(head[:min(len(head), dump.HeadBytes)]); kind != dump.Archive {
		t.Fatalf("the archive is %q", kind)
	}

	script := run(t, bin, "pg_restore", "--data-only", "--schema=kontor_meta", "--table=release", "-f", "-", archive)
	releases, err := dump.Releases(dump.NewReader(bytes.NewReader(script), maxLine))
	want := []dump.Release{{Area: "books", Product: "books", Edition: "latvia", Version: "1.3.0"}}
	if err != nil || !reflect.DeepEqual(releases, want) {
		t.Fatalf("releases %+v, %v", releases, err)
	}

	rows, last := wholeScript(t, run(t, bin, "pg_restore", "--data-only", "-f", "-", archive))
	if rows["kontor_meta.release"] != 1 || rows["kontor_meta.notes"] != 2 || last != 2 {
		t.Fatalf("rows %v, the sequence at %d", rows, last)
	}
}

func TestReleasesRefuses(t *testing.T) {
	const table = "COPY kontor_meta.release (area, product, edition, version) FROM stdin;\n"
	for name, c := range map[string]struct {
		script string
		want   error
	}{
		"a copy without the table":         {"COPY other.release (area) FROM stdin;\nbooks\n\\.\n", dump.ErrNoRelease},
		"a table without rows":             {table + "\\.\n", dump.ErrNoRelease},
		"a row without its version":        {table + "books\tbooks\tlatvia\t\\N\n\\.\n", dump.ErrNoRelease},
		"a row narrower than its table":    {table + "books\tbooks\n\\.\n", dump.ErrScript},
		"a table without a version column": {"COPY kontor_meta.release (area) FROM stdin;\nbooks\n\\.\n", dump.ErrNoRelease},
		"more areas than a copy can have":  {table + strings.Repeat("a\tb\tc\t1.0.0\n", 101) + "\\.\n", dump.ErrScript},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := dump.Releases(dump.NewReader(strings.NewReader(c.script), maxLine)); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

// realArchive is a custom-format archive by pg_dump, and the programs' folder.
func realArchive(t *testing.T) (archive, bin string) {
	t.Helper()
	dsn := servertest.Postgres(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err = conn.Exec(t.Context(), releaseTable); err != nil {
		t.Fatal(err)
	}
	if err = conn.QueryRow(t.Context(), "SELECT setting FROM pg_config WHERE name = 'BINDIR'").Scan(&bin); err != nil {
		t.Fatal(err)
	}
	archive = filepath.Join(t.TempDir(), "copy.dump")
	run(t, bin, "pg_dump", "-Fc", "--schema=kontor_meta", "-f", archive, dsn)
	return archive, bin
}

func run(t *testing.T, bin, program string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, program), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", program, err, stderr.String())
	}
	return out
}

func wholeScript(t *testing.T, script []byte) (rows map[string]int, last int64) {
	t.Helper()
	rows = map[string]int{}
	r := dump.NewReader(bytes.NewReader(script), maxLine)
	for {
		block, err := r.Next()
		if err != nil {
			return rows, last
		}
		if block.Sequence != nil {
			last = block.Sequence.Last
			continue
		}
		for {
			if _, err := r.Row(); err != nil {
				break
			}
			rows[block.Table.Schema+"."+block.Table.Name]++
		}
	}
}
