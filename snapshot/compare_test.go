package snapshot

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestACompareTellsWhatTheDatabaseWentThrough(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	repo, _ := folder(t)
	login := o.empty(t)
	cache := t.TempDir()
	o.exec(t, login.Database, `
		CREATE TABLE entry (year int, number int, words text, PRIMARY KEY (year, number));
		CREATE TABLE log (at int, words text);
		CREATE TABLE same (id int PRIMARY KEY);
		CREATE TABLE gone (id int PRIMARY KEY);
		CREATE TABLE wider (id int PRIMARY KEY);
		INSERT INTO entry SELECT 2020 + n / 10000, n, repeat('word ', n % 30) FROM generate_series(1, 30000) n;
		INSERT INTO log SELECT n % 40, repeat('x', n % 200) FROM generate_series(1, 9000) n;
		INSERT INTO same SELECT n FROM generate_series(1, 5000) n;
		INSERT INTO gone VALUES (1), (2);
		INSERT INTO wider VALUES (1)`)
	first := o.snapshot(t, repo, o.order(login, cache, 1, nil))
	o.exec(t, login.Database, `
		DELETE FROM entry WHERE number % 1000 = 7;
		UPDATE entry SET words = 'new' WHERE number % 1000 = 8;
		UPDATE entry SET number = number + 1000000 WHERE number % 1000 = 9;
		INSERT INTO entry SELECT 2019, n, 'early' FROM generate_series(1, 11) n;
		INSERT INTO log SELECT at, words FROM log WHERE at = 3 LIMIT 5;
		DELETE FROM log WHERE ctid IN (SELECT ctid FROM log WHERE at = 4 LIMIT 3);
		UPDATE same SET id = id WHERE id < 100;
		DROP TABLE gone;
		CREATE TABLE made AS SELECT n AS id FROM generate_series(1, 4) n;
		ALTER TABLE wider ADD COLUMN words text DEFAULT 'x'`)
	second := o.snapshot(t, repo, o.order(login, cache, 2, first))

	got, err := Compare(t.Context(), repo, CompareOrder{Before: first.Ref, BeforeHead: &first.Head, After: second.Ref, AfterHead: &second.Head, Samples: 2})
	require.NoError(t, err)
	var told []string
	for _, d := range got {
		told = append(told, fmt.Sprintf("%s %d %v +%d -%d ~%d %d->%d", d.Name, d.Fate, d.ColumnsChanged, d.Added, d.Removed, d.Changed, d.RowsBefore, d.RowsAfter))
	}
	require.Equal(t, []string{
		"entry 1 false +41 -60 ~30 30000->29981", "gone 3 false +0 -2 ~0 2->0", "log 1 false +5 -3 ~0 9000->9002", "wider 1 true +0 -0 ~0 1->1", "made 2 false +4 -0 ~0 0->4",
	}, told)
	samples := got[0].Samples
	require.Len(t, samples, 6)
	i := slices.IndexFunc(samples, func(s Sample) bool { return s.Fate == FateChanged })
	require.Equal(t, "2020\t8\tnew", samples[i].After)
	require.Equal(t, "2020\t8\t"+strings.Repeat("word ", 8), samples[i].Before)

	back, err := Compare(t.Context(), repo, CompareOrder{Before: second.Ref, After: first.Ref})
	require.NoError(t, err)
	require.EqualValues(t, []int64{60, 41, 30}, []int64{back[0].Added, back[0].Removed, back[0].Changed})
	require.Empty(t, back[0].Samples)
}

func TestDestroyLeavesNothingOfACompanyAndAllOfTheOthers(t *testing.T) {
	store := newHeap()
	for _, key := range []string{
		"eu/a/packs/00112233445566778899aabbccddeeff", "eu/a/packs/00112233445566778899aabbccddeeff.18bcf.tmp",
		"eu/a/manifests/00000000000000000001-6f1c2a34-0b5d-4e6f-8a9b-0c1d2e3f4a5b", "eu/ab/packs/00112233445566778899aabbccddeeff", "eu/a/packs/of somebody else",
	} {
		store.objects[key] = []byte("x")
	}
	require.NoError(t, Destroy(t.Context(), Repository{Store: store, Folder: "eu/a"}))
	require.Len(t, store.objects, 2)
	require.Contains(t, store.objects, "eu/ab/packs/00112233445566778899aabbccddeeff")
	require.Contains(t, store.objects, "eu/a/packs/of somebody else")
}
