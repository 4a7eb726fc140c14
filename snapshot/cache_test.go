package snapshot

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/zeebo/xxh3"
)

// memoryFile is a part's file with any sections, its sums right.
func memoryFile(blocks, index, marks []byte, root Name) []byte {
	b := append(append(append([]byte{}, blocks...), index...), marks...)
	b = append(b, root[:]...)
	for _, n := range []uint64{uint64(len(index)), uint64(len(marks)), xxh3.Hash(index), xxh3.Hash(marks)} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return append(b, cacheMagic...)
}

func TestAPartsMemoryIsWhatWasNoted(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	path := filepath.Join(t.TempDir(), "x.part")
	n, err := note(path)
	require.NoError(t, err)
	defer n.drop()
	var rows uint64
	for i, e := range someChunks(random, 300) {
		r := remembered{entry: e, hashes: -1}
		if i%3 > 0 {
			r.hashes, err = n.hashes(e.whole().name, []uint64{uint64(i), 7})
			require.NoError(t, err)
		}
		n.chunks = append(n.chunks, r)
		rows += e.rows
	}
	n.nodes[Name{1}] = location{pack: Pack{2}, record: 3, offset: 4, length: 5}
	want, nodes, root := n.chunks, n.nodes, Name{9}
	require.NoError(t, n.finish(root, []mark{{Chunks: 300, Rows: rows}}))
	require.Nil(t, remember(path, root), "before it is kept")
	n.keep()

	require.Nil(t, remember(path, Name{8}), "of another snapshot")
	m := remember(path, root)
	require.NotNil(t, m)
	defer m.close()
	require.Equal(t, want, m.chunks)
	require.Equal(t, nodes, m.nodes)
	require.True(t, fit(rememberMarks(path, root), m.chunks))
	for i := range m.chunks {
		hashes := m.hashesOf(&m.chunks[i], nil)
		if i%3 == 0 {
			require.Nil(t, hashes)
		} else {
			require.Equal(t, []uint64{uint64(i), 7}, hashes)
		}
	}
}

// FuzzMemory: whatever stands in a part's file, it is not believed, or can be used.
func FuzzMemory(f *testing.F) {
	index := binary.BigEndian.AppendUint32(nil, 1)
	index = binary.BigEndian.AppendUint32(index, 1)
	index = append(index, make([]byte, cachedEntry+cachedNode)...)
	block := binary.LittleEndian.AppendUint32(nil, 2)
	block = append(block, make([]byte, 16)...)
	block = binary.LittleEndian.AppendUint64(block, blockSum(Name{}, block))
	f.Add(block, index, []byte(`[{"from":"","chunks":1,"rows":0}]`), false)
	f.Add(block, index[:8], []byte(`[{"chunks":-1}]`), false)
	f.Add(block, index[:7], []byte(`null`), false)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, index, []byte(`[{"chunks":9999999999}]`), false)
	f.Add([]byte{}, append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, index...), []byte{}, false)
	f.Add(memoryFile(block, index, []byte(`[]`), Name{1}), []byte{}, []byte{}, true)
	f.Add([]byte(cacheMagic), []byte{}, []byte{}, true)
	path := filepath.Join(f.TempDir(), "x.part")
	f.Fuzz(func(t *testing.T, blocks, index, marks []byte, raw bool) {
		content, root := blocks, Name{1}
		if !raw {
			content = memoryFile(blocks, index, marks, root)
		}
		require.NoError(t, os.WriteFile(path, content, 0o600))
		found := rememberMarks(path, root)
		m := remember(path, root)
		if m == nil {
			return
		}
		defer m.close()
		fit(found, m.chunks)
		for i := range m.chunks {
			m.find(m.chunks[i].start)
			_ = len(m.hashesOf(&m.chunks[i], nil))
		}
	})
}

// TestAFaultyCacheIsNoFault: the next snapshot is right whatever became of the files, and reads back what it needs.
func TestAFaultyCacheIsNoFault(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	login := o.books(t)
	random := chance(t)
	repo, _ := folder(t)
	good, older, other := t.TempDir(), t.TempDir(), t.TempDir()
	last := o.snapshot(t, repo, o.order(login, good, 1, nil))
	require.NoError(t, os.CopyFS(filepath.Join(older, "files"), os.DirFS(good)))
	older = filepath.Join(older, "files")
	otherRepo, _ := folder(t)
	o.snapshot(t, otherRepo, o.order(login, other, 1, nil))
	o.work(t, login, 1)
	last = o.snapshot(t, repo, o.order(login, good, 2, last))
	require.Zero(t, last.ReadBack)

	each := func(change func(b []byte) []byte) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			files, err := filepath.Glob(filepath.Join(dir, "*.part"))
			require.NoError(t, err)
			require.NotEmpty(t, files)
			for _, file := range files {
				b, err := os.ReadFile(file)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(file, change(b), 0o600))
			}
		}
	}
	instead := func(of string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(dir))
			require.NoError(t, os.CopyFS(dir, os.DirFS(of)))
		}
	}
	faults := []struct {
		name  string
		fault func(t *testing.T, dir string)
		lost  bool // all of it, so that chunks are read back
	}{
		{"missing", func(t *testing.T, dir string) { require.NoError(t, os.RemoveAll(dir)) }, true},
		{"empty", each(func([]byte) []byte { return nil }), true},
		{"cut off", each(func(b []byte) []byte { return b[:random.IntN(len(b))] }), true},
		{"its beginning cut off", each(func(b []byte) []byte { return b[random.IntN(len(b)):] }), false},
		{"a bit of its hashes", each(func(b []byte) []byte { return flipped(b, random.IntN(len(b)*3/4), random) }), false},
		{"a bit anywhere", each(func(b []byte) []byte { return flipped(b, random.IntN(len(b)), random) }), false},
		{"a bit at its end", each(func(b []byte) []byte { return flipped(b, len(b)-1-random.IntN(cacheTail), random) }), true},
		{"of an older snapshot", instead(older), true},
		{"of another repository", instead(other), true},
		{"folders in the files' places", func(t *testing.T, dir string) {
			each(func([]byte) []byte { return nil })(t, dir)
			files, err := filepath.Glob(filepath.Join(dir, "*.part"))
			require.NoError(t, err)
			for _, file := range files {
				require.NoError(t, os.Remove(file))
				require.NoError(t, os.MkdirAll(filepath.Join(file, "full"), 0o700))
			}
		}, true},
		{"whole", func(*testing.T, string) {}, false},
	}
	o.work(t, login, 2)
	want := o.digest(t, login)
	for i, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "cache")
			require.NoError(t, os.CopyFS(dir, os.DirFS(good)))
			f.fault(t, dir)
			made := o.snapshot(t, repo, o.order(login, dir, uint64(10+2*i), last))
			o.restores(t, repo, made.Known, want)
			if f.lost {
				require.Positive(t, made.ReadBack)
			}
			if f.name == "whole" {
				require.Zero(t, made.ReadBack)
			}
			order := o.order(login, dir, uint64(11+2*i), made) // By what this one noted.
			order.Whole = true
			again := o.snapshot(t, repo, order)
			require.Zero(t, again.Changed+again.Whole+again.ReadBack)
		})
	}
}
