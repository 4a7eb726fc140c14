package snapshot

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"kontor.internal/libs/blob"
)

// The fixture is a repository that the first version of the form was written with. Later versions must read it: it is
// written anew, with KONTOR_FIXTURE=write, only beside a new form.
const fixture = "testdata/form-1"

// fixed is what the fixture's snapshots must give.
type fixed struct {
	Refs   []Ref      `json:"refs"`
	Heads  [][]byte   `json:"heads"`
	Digest [][]string `json:"digest"`
}

const fixtureBooks = `
	CREATE TYPE kind AS ENUM ('sale', 'purchase');
	CREATE TABLE entry (year int, number int, kind kind NOT NULL, amount numeric(12, 2), words text, PRIMARY KEY (year, number));
	CREATE TABLE log (at int, words text);
	CREATE TABLE note (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, words text, twice text GENERATED ALWAYS AS (words || words) STORED);
	CREATE INDEX entry_kind ON entry (kind);
	INSERT INTO entry SELECT 2025 + n % 2, n, (ARRAY['sale', 'purchase'])[1 + n % 2]::kind, n * 1.5, CASE WHEN n % 3 > 0 THEN repeat('word ', n % 9) END FROM generate_series(1, 4000) n;
	INSERT INTO log SELECT n % 5, E'a\tb\\c\n' || n % 7 FROM generate_series(1, 300) n;
	INSERT INTO note (words) VALUES ('Rūta'), (''), (NULL), ('\N');
	SELECT lo_from_bytea(4711, 'scanned');`

const fixtureWork = `
	UPDATE entry SET amount = amount + 1 WHERE number % 500 = 7;
	DELETE FROM entry WHERE number = 1200;
	INSERT INTO entry VALUES (2027, 1, 'sale', 12.5, 'new');
	INSERT INTO log VALUES (9, 'late');
	UPDATE note SET words = 'Zane' WHERE id = 2;`

func fixtureKeys() Keys {
	return Keys{
		Company: uuid.MustParse("6f1c2a34-0b5d-4e6f-8a9b-0c1d2e3f4a5b"), Names: bytes.Repeat([]byte{0x11}, KeyBytes), Current: 2,
		Data: map[uint32][]byte{1: bytes.Repeat([]byte{0x22}, KeyBytes), 2: bytes.Repeat([]byte{0x33}, KeyBytes)},
	}
}

func openFixture(t *testing.T) Repository {
	t.Helper()
	folder, err := filepath.Abs(fixture)
	require.NoError(t, err)
	bucket, err := blob.Open(t.Context(), "file://"+folder)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bucket.Close()) })
	return Repository{Store: In(bucket), Folder: "company", Keys: fixtureKeys()}
}

func TestARepositoryOfTheFirstFormIsRead(t *testing.T) {
	o := newOffice(t)
	repo := openFixture(t)
	if os.Getenv("KONTOR_FIXTURE") == "write" {
		o.writeFixture(t, repo)
	}
	var want fixed
	content, err := os.ReadFile(fixture + "/expected.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &want))
	refs, err := List(t.Context(), repo)
	require.NoError(t, err)
	require.Equal(t, want.Refs, refs)
	for i, ref := range refs {
		head := Head(want.Heads[i])
		require.NoError(t, Verify(t.Context(), repo, VerifyOrder{Ref: ref, Head: &head}))
		login := o.empty(t)
		_, err := Restore(t.Context(), repo, RestoreOrder{Tools: o.tools, Login: login, Ref: ref, Head: &head})
		require.NoError(t, err)
		require.Equal(t, want.Digest[i], o.digest(t, login))
	}
}

// writeFixture makes two snapshots, the second under another data key.
func (o *office) writeFixture(t *testing.T, repo Repository) {
	t.Helper()
	require.NoError(t, os.RemoveAll(fixture+"/company"))
	login := o.empty(t)
	var have fixed
	var last *Made
	for i, statements := range []string{fixtureBooks, fixtureWork} {
		o.exec(t, login.Database, statements)
		one := repo
		one.Keys.Current = uint32(i + 1)
		last = o.snapshot(t, one, o.order(login, "", uint64(i+1), last))
		have.Refs = append(have.Refs, last.Ref)
		have.Heads = append(have.Heads, last.Head[:])
		have.Digest = append(have.Digest, o.digest(t, login))
	}
	content, err := json.MarshalIndent(have, "", "  ")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(fixture+"/expected.json", append(content, '\n'), 0o600))
}
