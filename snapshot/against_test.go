package snapshot

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"kontor.internal/snapshot/pgtool"
)

type loginOf = *pgtool.Login

// copied is a table as COPY writes it.
func (o *office) copied(t *testing.T, login loginOf, table string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), o.server.DSN(login.Database))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	var text bytes.Buffer
	_, err = conn.PgConn().CopyTo(t.Context(), &text, "COPY (SELECT * FROM ONLY "+pgx.Identifier{table}.Sanitize()+") TO STDOUT")
	require.NoError(t, err)
	return text.String()
}

const oddBooks = `
	CREATE TYPE kind AS ENUM ('sale', 'purchase', 'other');
	CREATE TABLE hashed (id int, kind kind, words text, PRIMARY KEY (id, kind)) PARTITION BY HASH (kind);
	CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
	CREATE TABLE hashed_1 (words text, gone int, kind kind NOT NULL, id int NOT NULL); ALTER TABLE hashed_1 DROP COLUMN gone;
	ALTER TABLE hashed ATTACH PARTITION hashed_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
	CREATE TABLE listed (id int, area text, sum numeric) PARTITION BY LIST (area);
	CREATE TABLE listed_a PARTITION OF listed FOR VALUES IN ('a');
	CREATE TABLE listed_rest PARTITION OF listed DEFAULT;
	CREATE TABLE parent (id int PRIMARY KEY, words text);
	CREATE TABLE child (more double precision) INHERITS (parent);
	CREATE TABLE made (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, words text, twice text GENERATED ALWAYS AS (words || words) STORED);
	CREATE TABLE keyless (number numeric, half real, at timestamptz, data bytea);
	CREATE TABLE bare ();
	CREATE TABLE "Odd ""name"", \ 'Ņ" ("a	b" int PRIMARY KEY, "select" text);
	CREATE TABLE policed (id int PRIMARY KEY, words text);
	INSERT INTO hashed SELECT n, (ARRAY['sale', 'purchase', 'other'])[1 + n % 3]::kind, E'a\tb\\' || n FROM generate_series(1, 900) n;
	INSERT INTO listed SELECT n, (ARRAY['a', 'b', NULL])[1 + n % 3], n / 3.0 FROM generate_series(1, 300) n;
	INSERT INTO parent SELECT n, 'p' || n FROM generate_series(1, 50) n;
	INSERT INTO child SELECT n, 'c' || n, n / 7.0 FROM generate_series(1, 50) n;
	INSERT INTO made (words) SELECT 'w' || n FROM generate_series(1, 40) n;
	INSERT INTO keyless VALUES ('NaN', 'NaN', 'infinity', '\x00ff'), ('NaN', 'NaN', 'infinity', '\x00ff'), (1.50, '-0', '2026-01-01 UTC', NULL), (1.5, 0, NULL, '');
	INSERT INTO bare SELECT FROM generate_series(1, 7);
	INSERT INTO "Odd ""name"", \ 'Ņ" VALUES (1, 'x'), (2, NULL);
	INSERT INTO policed VALUES (1, 'seen'), (2, 'hidden');
	ALTER TABLE policed ENABLE ROW LEVEL SECURITY; ALTER TABLE policed FORCE ROW LEVEL SECURITY;
	CREATE POLICY first ON policed USING (id = 1);
	CREATE SEQUENCE numbers; SELECT setval('numbers', 41);
	SELECT lo_from_bytea(4711, 'scanned')`

// restoredAsOwner restores as a login that owns the database and is no superuser, as companies' are.
func (o *office) restoredAsOwner(t *testing.T, repo Repository, k Known) *pgtool.Login {
	t.Helper()
	login := o.empty(t)
	role := strings.ReplaceAll("owner_"+login.Database[6:], "-", "")
	o.exec(t, "", fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'; ALTER DATABASE %q OWNER TO %s", role, o.server.Password(), login.Database, role))
	t.Cleanup(func() {
		o.exec(t, "", fmt.Sprintf("DROP DATABASE IF EXISTS %q WITH (FORCE)", login.Database))
		o.exec(t, "", "DROP ROLE "+role)
	})
	login.User = role
	_, err := Restore(t.Context(), repo, RestoreOrder{Tools: o.tools, Login: login, Ref: k.Ref, Head: &k.Head})
	require.NoError(t, err)
	return login
}

func TestWhatWasRestoredIsHeldAgainstTheSnapshotAndEachChangeToItIsFound(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	repo, _ := folder(t)
	books := o.empty(t)
	o.exec(t, books.Database, oddBooks)
	made := o.snapshot(t, repo, o.order(books, "", 1, nil))
	login := o.restoredAsOwner(t, repo, made.Known)
	against := func() (told []string) {
		t.Helper()
		found, err := CompareAgainst(t.Context(), repo, AgainstOrder{Login: login, Ref: made.Ref, Head: &made.Head})
		require.NoError(t, err)
		for _, u := range found {
			told = append(told, fmt.Sprintf("%s %s %d %d", u.Name, u.What, u.RowsInSnapshot, u.RowsInDatabase))
		}
		return told
	}
	require.Empty(t, against())

	for _, c := range []struct{ change, back, want string }{
		{"UPDATE hashed SET words = words || '.' WHERE id = 7", "UPDATE hashed SET words = left(words, -1) WHERE id = 7", "hashed values 900 900"},
		{"DELETE FROM hashed WHERE id = 9", `INSERT INTO hashed VALUES (9, 'sale', E'a\tb\\9')`, "hashed rows 900 899"},
		{"UPDATE listed SET area = NULL WHERE id = 1", "UPDATE listed SET area = 'b' WHERE id = 1", "listed_rest values 200 200"},
		{"UPDATE ONLY parent SET words = 'x' WHERE id = 1", "UPDATE ONLY parent SET words = 'p1' WHERE id = 1", "parent values 50 50"},
		{"UPDATE child SET more = more + 1e-15 WHERE id = 3", "UPDATE child SET more = 3 / 7.0 WHERE id = 3", "child values 50 50"},
		{"UPDATE made SET words = NULL WHERE id = 40", "UPDATE made SET words = 'w40' WHERE id = 40", "made values 40 40"},
		{"UPDATE keyless SET number = 1 WHERE ctid = (SELECT min(ctid) FROM keyless WHERE number = 'NaN')", "UPDATE keyless SET number = 'NaN' WHERE number = 1 AND half = 'NaN'", "keyless values 4 4"},
		{"UPDATE keyless SET half = 0 WHERE number = 1.5 AND at IS NOT NULL", "UPDATE keyless SET half = '-0' WHERE at = '2026-01-01 UTC'", "keyless values 4 4"},
		{"UPDATE keyless SET data = '' WHERE data IS NULL", "UPDATE keyless SET data = NULL WHERE at = '2026-01-01 UTC'", "keyless values 4 4"},
		{"INSERT INTO bare DEFAULT VALUES", "DELETE FROM bare WHERE ctid = (SELECT max(ctid) FROM bare)", "bare rows 7 8"},
		{`UPDATE "Odd ""name"", \ 'Ņ" SET "select" = '\N' WHERE "select" IS NULL`, `UPDATE "Odd ""name"", \ 'Ņ" SET "select" = NULL WHERE "select" = '\N'`, `Odd "name", \ 'Ņ values 2 2`},
		{"UPDATE policed SET words = 'other' WHERE id = 2", "UPDATE policed SET words = 'hidden' WHERE id = 2", "policed values 2 2"},
		{"SELECT nextval('numbers')", "SELECT setval('numbers', 41)", "numbers sequence 0 0"},
		{"SELECT lo_put(4711, 0, 'S')", "SELECT lo_put(4711, 0, 's')", "pg_largeobject values 1 1"},
		{"CREATE TABLE extra (id int)", "DROP TABLE extra", "extra unexpected 0 0"},
		{"ALTER TABLE bare RENAME TO barer", "ALTER TABLE barer RENAME TO bare", "bare missing 7 0; barer unexpected 0 0"},
		{"ALTER TABLE child RENAME more TO less", "ALTER TABLE child RENAME less TO more", "child columns 50 0"},
		{"ALTER SEQUENCE numbers RENAME TO n", "ALTER SEQUENCE n RENAME TO numbers", "n unexpected 0 0; numbers missing 0 0"},
	} {
		o.exec(t, login.Database, c.change)
		require.Equal(t, c.want, strings.Join(against(), "; "), c.change)
		o.exec(t, login.Database, c.back)
		require.Empty(t, against(), c.back)
	}
}

func TestLinesAreToldInWhateverPiecesTheyCome(t *testing.T) {
	text := "a\n\nbcd\nef\n"
	for size := 1; size <= len(text); size++ {
		var told []string
		w := &lineWriter{each: func(line []byte) { told = append(told, string(line)) }}
		for rest := text; rest != ""; rest = rest[min(size, len(rest)):] {
			_, err := w.Write([]byte(rest[:min(size, len(rest))]))
			require.NoError(t, err)
		}
		require.Equal(t, strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")[0], told[0])
		require.Equal(t, text, strings.Join(told, ""))
		require.Len(t, told, 4)
	}
}
