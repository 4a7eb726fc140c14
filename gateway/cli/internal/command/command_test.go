package command_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"kontor.internal/cli/internal/command"
	"kontor.internal/libs/blob"
	"kontor.internal/libs/servers/servertest"
	"kontor.internal/snapshot"
	"kontor.internal/snapshot/pgtool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, servertest.IgnoreShared()) }

// kontor runs a command line and says what it wrote and ended with.
func kontor(t *testing.T, now time.Time, args ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	code := command.Run(t.Context(), args, command.Console{In: strings.NewReader(""), Out: &out, Complaints: &out, Now: func() time.Time { return now }})
	return out.String(), code
}

func TestItSaysWhetherASeatIsGood(t *testing.T) {
	const vectors = "../../../../client/travelseat/testdata/"
	now := time.Unix(1795100000, 0)
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"a good one":           {[]string{"verify", "--keys", vectors + "keys.json", "--device", "laptop-7", vectors + "good.seat"}, 0, "2026-11-21T11:06:40Z"},
		"one that is over":     {[]string{"verify", "--keys", vectors + "keys.json", "--device", "laptop-7", vectors + "over.seat"}, 1, "time is over"},
		"one of another":       {[]string{"verify", "--keys", vectors + "keys.json", "--device", "desk", vectors + "good.seat"}, 1, "another device"},
		"one that was changed": {[]string{"verify", "--keys", vectors + "keys.json", "--device", "laptop-7", vectors + "changed.seat"}, 1, "signature"},
		"a clock turned back":  {[]string{"verify", "--keys", vectors + "keys.json", "--device", "laptop-7", "--last-seen", "2026-11-20T00:00:00Z", vectors + "good.seat"}, 1, "turned back"},
		"shown unchecked":      {[]string{"show", vectors + "over.seat"}, 0, "laptop-7"},
		"no device":            {[]string{"verify", "--keys", vectors + "keys.json", vectors + "good.seat"}, 2, "device"},
		"no file":              {[]string{"show", vectors + "none"}, 2, "no such file"},
		"an unknown word":      {[]string{"sell"}, 0, "Usage"},
	} {
		t.Run(name, func(t *testing.T) {
			if out, code := kontor(t, now, append([]string{"seat"}, c.args...)...); code != c.code || !strings.Contains(out, c.says) {
				t.Errorf("ended with %d:\n%s", code, out)
			}
		})
	}
}

// books are a company's, in a database and a repository of their own.
type books struct {
	server pgtool.Login
	tools  pgtool.Tools
	repo   snapshot.Repository
	flags  []string
	dir    string
	files  snapshot.Files
}

// drawer is one file beside the books.
type drawer string

func (d drawer) List(_ context.Context, after string, each func(snapshot.File, string) error) error {
	if after != "" {
		return nil
	}
	sum := sha256.Sum256([]byte(d))
	return each(snapshot.File{Name: "connections/x/documents/d", Size: int64(len(d)), SHA256: sum[:], Time: time.Date(2026, 11, 1, 7, 0, 0, 0, time.UTC)}, "1")
}

func (d drawer) Open(context.Context, snapshot.File) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(string(d))), nil
}

func setup(t *testing.T) *books {
	t.Helper()
	server, ca := servertest.TLSPostgres(t)
	vouching, err := os.ReadFile(ca)
	must(t, err)
	b := &books{dir: t.TempDir(), server: pgtool.Login{Host: "127.0.0.1", Port: server.Port(), User: "postgres", Password: server.Password(), CA: string(vouching)}}
	b.tools, err = pgtool.Find(t.Context(), "")
	must(t, err)
	bucket, err := blob.Open(t.Context(), "file://"+filepath.Join(b.dir, "store"))
	must(t, err)
	t.Cleanup(func() { must(t, bucket.Close()) })
	keys := snapshot.Keys{Company: uuid.New(), Names: bytes.Repeat([]byte{1}, 32), Data: map[uint32][]byte{1: bytes.Repeat([]byte{2}, 32)}, Current: 1}
	b.repo = snapshot.Repository{Store: snapshot.In(bucket), Folder: "eu/" + keys.Company.String(), Keys: keys}
	file, err := json.Marshal(map[string]any{"company": keys.Company, "names": keys.Names, "data": keys.Data})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(b.dir, "keys"), file, 0o600))
	must(t, os.WriteFile(filepath.Join(b.dir, "ca"), vouching, 0o600))
	must(t, os.WriteFile(filepath.Join(b.dir, "password"), []byte(b.server.Password+"\n"), 0o600))
	b.flags = []string{"--store", "file://" + filepath.Join(b.dir, "store"), "--folder", b.repo.Folder, "--keys", filepath.Join(b.dir, "keys")}
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// database makes an empty one.
func (b *books) database(t *testing.T) *pgtool.Login {
	t.Helper()
	l := b.server
	l.Database = "postgres"
	name := "books_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	b.run(t, &l, "CREATE DATABASE "+name)
	t.Cleanup(func() { b.run(t, &l, "DROP DATABASE "+name+" WITH (FORCE)") })
	made := l
	made.Database = name
	return &made
}

func (b *books) run(t *testing.T, l *pgtool.Login, statement string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgtool.Connect(ctx, l)
	must(t, err)
	_, err = conn.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol)
	must(t, err)
	must(t, conn.Close(ctx))
}

func (b *books) snapshot(t *testing.T, l *pgtool.Login, sequence uint64) {
	t.Helper()
	_, err := snapshot.Make(t.Context(), b.repo, snapshot.Order{
		Tools: b.tools, Login: l, Ref: snapshot.Ref{Sequence: sequence, Snapshot: uuid.New()}, Moment: time.Date(2026, 11, int(sequence), 8, 0, 0, 0, time.UTC),
		Files: b.files,
	})
	must(t, err)
}

func TestSnapshotsAreReadWithNothingButTheirRepositoryAndKeys(t *testing.T) {
	b := setup(t)
	l := b.database(t)
	b.run(t, l, `CREATE TABLE entry (id int PRIMARY KEY, text text); INSERT INTO entry VALUES (1, 'bank, cash'), (2, NULL), (3, '')`)
	b.snapshot(t, l, 1)
	b.run(t, l, `DELETE FROM entry WHERE id = 2; UPDATE entry SET text = 'sold' WHERE id = 3; INSERT INTO entry VALUES (4, 'new'); CREATE TABLE note (n int)`)
	b.files = drawer("<Invoice/>")
	b.snapshot(t, l, 2)
	target := b.database(t)

	for _, c := range []struct {
		args []string
		code int
		says []string
	}{
		{[]string{"list"}, 0, []string{"1  2026-11-01T08:00:00Z", "2  2026-11-02T08:00:00Z"}},
		{[]string{"show", "latest"}, 0, []string{"snapshot 2 of 2026-11-02T08:00:00Z", "3 rows", "public.entry"}},
		{[]string{"verify", "1"}, 0, []string{"snapshot 1 is good"}},
		{[]string{"verify", "9"}, 3, []string{`no snapshot "9"`}},
		{[]string{"rows", "1", "--table", "public.entry"}, 0, []string{"id,text\n1,\"bank, cash\"\n2,\n3,\"\"\n"}},
		{[]string{"rows", "1", "--table", "missing"}, 3, []string{"no such table"}},
		{[]string{"files", "1"}, 0, []string{""}},
		{[]string{"files", "latest"}, 0, []string{"1  2026-11-01T07:00:00Z            10  connections/x/documents/d"}},
		{[]string{"file", "2", "--name", "connections/x/documents/d", "--to", filepath.Join(b.dir, "invoice.xml")}, 0, []string{"10 bytes"}},
		{[]string{"file", "2", "--name", "connections/x/documents/d", "--to", filepath.Join(b.dir, "invoice.xml")}, 3, []string{"exists"}},
		{[]string{"file", "1", "--name", "connections/x/documents/d", "--to", filepath.Join(b.dir, "other.xml")}, 3, []string{"no such file"}},
		{[]string{"compare", "1", "2"}, 0, []string{"public.entry: 1 added, 1 removed, 1 changed, 3 rows before, 3 after", "- 3\\t", "+ 3?sold", "public.note: new, 0 rows"}},
		{[]string{"compare", "2", "2"}, 0, []string{"all tables have the same rows"}},
		{[]string{
			"restore", "latest", "--host", target.Host, "--port", fmt.Sprint(target.Port), "--database", target.Database, "--user", target.User,
			"--password-file", filepath.Join(b.dir, "password"), "--ca", filepath.Join(b.dir, "ca"),
		}, 0, []string{"snapshot 2 is restored to " + target.Database + ": 3 rows"}},
	} {
		out, code := kontor(t, time.Time{}, append(append([]string{"snapshot"}, c.args...), b.flags...)...)
		for _, says := range c.says {
			if code != c.code || !strings.Contains(out, strings.ReplaceAll(says, `\t`, "?")) {
				t.Errorf("%v ended with %d and not %q:\n%s", c.args, code, says, out)
			}
		}
	}

	if content, err := os.ReadFile(filepath.Join(b.dir, "invoice.xml")); err != nil || string(content) != "<Invoice/>" {
		t.Errorf("the document is %q, %v", content, err)
	}
	ctx := t.Context()
	conn, err := pgtool.Connect(ctx, target)
	must(t, err)
	var text string
	must(t, conn.QueryRow(ctx, `SELECT string_agg(id || text, ',' ORDER BY id) FROM entry`).Scan(&text))
	must(t, conn.Close(ctx))
	if text != "1bank, cash,3sold,4new" {
		t.Errorf("restored %s", text)
	}
}

func TestADamagedSnapshotIsToldApart(t *testing.T) {
	b := setup(t)
	l := b.database(t)
	b.run(t, l, `CREATE TABLE entry (id int PRIMARY KEY, text text); INSERT INTO entry VALUES (1, 'x')`)
	b.snapshot(t, l, 1)
	packs, err := filepath.Glob(filepath.Join(b.dir, "store", "eu", "*", "packs", "*"))
	must(t, err)
	content, err := os.ReadFile(packs[0])
	must(t, err)
	content[100] ^= 1
	must(t, os.WriteFile(packs[0], content, 0o600))
	if out, code := kontor(t, time.Time{}, append([]string{"snapshot", "verify", "latest"}, b.flags...)...); code != 1 || !strings.Contains(out, "damaged") {
		t.Errorf("ended with %d:\n%s", code, out)
	}
}

func TestKeysAreNotQuotedWhenTheirFileIsNone(t *testing.T) {
	b := setup(t)
	must(t, os.WriteFile(filepath.Join(b.dir, "keys"), []byte(`{"names": "c2VjcmV0", `), 0o600))
	if out, code := kontor(t, time.Time{}, append([]string{"snapshot", "list"}, b.flags...)...); code != 2 || strings.Contains(out, "c2Vj") {
		t.Errorf("ended with %d:\n%s", code, out)
	}
}
