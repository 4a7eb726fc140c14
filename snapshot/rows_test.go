package snapshot

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// metered counts what is read from a store.
type metered struct {
	Store
	reads, bytes atomic.Int64
}

func (m *metered) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	m.reads.Add(1)
	from, err := m.Store.Open(ctx, key, offset, length)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(from)
	m.bytes.Add(int64(len(content)))
	return io.NopCloser(bytes.NewReader(content)), errors.Join(err, from.Close())
}

// errEnough ends a reading.
var errEnough = errors.New("enough")

// page reads some rows from the nth on.
func page(t *testing.T, repo Repository, k Known, table string, n int64, most int) (rows []string) {
	t.Helper()
	opened, err := OpenTable(t.Context(), repo, k.Ref, &k.Head, "public", table)
	require.NoError(t, err)
	err = opened.LinesFrom(t.Context(), n, func(line []byte) error {
		rows = append(rows, string(line))
		if len(rows) == most {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		require.NoError(t, err)
	}
	return rows
}

func TestRowsFromAnyOnOnAreThoseThatAllRowsHaveThere(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	repo, _ := folder(t)
	login := o.empty(t)
	o.exec(t, login.Database, `
		CREATE TABLE entry (id int PRIMARY KEY, words text);
		CREATE TABLE log (at int, words text);
		CREATE TABLE spread (id int PRIMARY KEY, words text) PARTITION BY RANGE (id);
		CREATE TABLE spread_1 PARTITION OF spread FOR VALUES FROM (0) TO (20000);
		CREATE TABLE spread_2 PARTITION OF spread FOR VALUES FROM (20000) TO (90000);
		CREATE TABLE empty (id int PRIMARY KEY);
		CREATE TABLE bare ();
		INSERT INTO entry SELECT n, md5(n::text) || repeat('x', n % 400) FROM generate_series(1, 60000) n;
		INSERT INTO log SELECT n % 40, repeat('x', n % 200) FROM generate_series(1, 30000) n;
		INSERT INTO spread SELECT n, md5(n::text) FROM generate_series(1, 40000) n;
		INSERT INTO bare SELECT FROM generate_series(1, 7)`)
	first := o.snapshot(t, repo, o.order(login, t.TempDir(), 1, nil))
	o.exec(t, login.Database, "DELETE FROM entry WHERE id % 700 = 3; INSERT INTO entry SELECT -n, 'early' FROM generate_series(1, 50) n")
	second := o.snapshot(t, repo, o.order(login, t.TempDir(), 2, first)) // Some chunks are stored as changes.

	for _, table := range []string{"entry", "log", "spread_1", "spread_2", "empty", "bare"} {
		var all []string
		require.NoError(t, Lines(t.Context(), repo, second.Ref, &second.Head, "public", table, func(line []byte) error {
			all = append(all, string(line))
			return nil
		}))
		require.Equal(t, o.count(t, login, table), len(all), table)
		for _, n := range []int{0, 1, 2, 49, 50, 51, 127, 5000, 19998, 19999, 20000, 39999, len(all) - 1, len(all), len(all) + 1} {
			if n = max(n, 0); n > len(all) {
				require.Empty(t, page(t, repo, second.Known, table, int64(n), 100), "%s from %d", table, n)
				continue
			}
			want := all[n:min(n+100, len(all))]
			require.True(t, slices.Equal(want, page(t, repo, second.Known, table, int64(n), 100)), "%s from %d", table, n)
		}
	}
	_, err := OpenTable(t.Context(), repo, second.Ref, nil, "public", "no such")
	require.ErrorIs(t, err, ErrNoTable)
}

func (o *office) count(t *testing.T, login loginOf, table string) int {
	t.Helper()
	return strings.Count(o.copied(t, login, table), "\n")
}

func TestAPageReadsLittleWhereverItBegins(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	repo, _ := folder(t)
	login := o.empty(t)
	o.exec(t, login.Database, `CREATE TABLE entry (id int PRIMARY KEY, words text);
		INSERT INTO entry SELECT n, md5(n::text) || md5((n + 1)::text) || repeat(md5((-n)::text), 20) FROM generate_series(1, 80000) n`)
	made := o.snapshot(t, repo, o.order(login, "", 1, nil))
	meter := &metered{Store: repo.Store}
	repo.Store = meter
	require.NoError(t, Lines(t.Context(), repo, made.Ref, nil, "public", "entry", func([]byte) error { return nil }))
	whole := meter.bytes.Load()
	require.Greater(t, whole, int64(3<<20))
	for _, n := range []int64{0, 40000, 79000} {
		meter.reads.Store(0)
		meter.bytes.Store(0)
		rows := page(t, repo, made.Known, "entry", n, 50)
		require.Len(t, rows, 50)
		require.LessOrEqual(t, meter.reads.Load(), int64(12), "from %d", n)
		require.Less(t, meter.bytes.Load(), whole/8, "from %d", n)
	}
}

func TestAPageOfADamagedSnapshotIsRefused(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	repo, _ := folder(t)
	login := o.books(t)
	made := o.snapshot(t, repo, o.order(login, "", 1, nil))
	good := shelve(t, repo)
	bad := good
	for _, pack := range good.packs() {
		spoilt := slices.Clone(good[pack])
		spoilt[len(spoilt)/2] ^= 1
		for i := headBytes; i < len(spoilt); i += 97 {
			spoilt[i] ^= 1
		}
		bad = bad.with(pack, spoilt)
	}
	repo.Store = bad
	opened, err := OpenTable(t.Context(), repo, made.Ref, &made.Head, "public", "entry")
	require.NoError(t, err)
	require.ErrorIs(t, opened.LinesFrom(t.Context(), 20000, func([]byte) error { return nil }), ErrDamaged)
}

func TestTypesOfAKeyAreRead(t *testing.T) {
	for order, want := range map[string][]string{
		"":          nil,
		"integer 0": {"integer"},
		"numeric(12,2) 0,text 100 2.36,timestamp(3) with time zone 0": {"numeric(12,2)", "text", "timestamp(3) with time zone"},
		`character varying(10) 950,uuid 0`:                            {"character varying(10)", "uuid"},
	} {
		require.Equal(t, want, keyTypes(order))
	}
}
