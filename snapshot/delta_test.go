package snapshot

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// aChunk of short rows, of which many are equal.
func aChunk(t *rapid.T, name string) *chunk {
	rows := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "", "long\trow"}), 0, 30).Draw(t, name)
	var lines strings.Builder
	for _, row := range rows {
		lines.WriteString(row + "\n")
	}
	return chunkOf([]byte(lines.String()))
}

func TestChangesMakeAnyChunkOutOfAnyOther(t *testing.T) {
	n, err := keysOf(1).naming()
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		base, c := aChunk(t, "base"), aChunk(t, "chunk")
		changes := diff(nil, n.hashRows(nil, base), n.hashRows(nil, c), c)
		out, err := apply([]byte("before"), base.lines, changes, len(c.lines))
		require.NoError(t, err)
		require.Equal(t, "before"+string(c.lines), string(out))
		if len(changes) > 0 {
			_, err = apply(nil, base.lines, changes[:len(changes)-1], len(c.lines))
			require.ErrorIs(t, err, ErrDamaged)
		}
	})
}

func TestChangesAreAsLongAsWhatChanged(t *testing.T) {
	n, err := keysOf(1).naming()
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		rows := make([]string, 400)
		for i := range rows {
			rows[i] = strings.Repeat("x", i%17) + rapid.StringMatching("[a-z]{8}").Draw(t, "row") + "\t" + string(rune('a'+i%26)) + "\n"
		}
		base := chunkOf([]byte(strings.Join(rows, "")))
		at := rapid.IntRange(0, len(rows)-1).Draw(t, "changed")
		rows[at] = "other\n"
		c := chunkOf([]byte(strings.Join(rows, "")))
		changes := diff(nil, n.hashRows(nil, base), n.hashRows(nil, c), c)
		require.Less(t, len(changes), 60, "for one row of %d bytes", len(c.lines))
	})
}

// FuzzApply: changes that are not diff's own are damage, or make what was wanted.
func FuzzApply(f *testing.F) {
	step := func(numbers ...uint64) (b []byte) {
		for _, n := range numbers {
			b = binary.AppendUvarint(b, n)
		}
		return b
	}
	base := []byte("a\nb\nc\n")
	f.Add(base, step(3, 0, 0), 6)
	f.Add(base, append(step(1, 1, 2), 'x', '\n'), 4)
	f.Add(base, step(1<<63, 0, 0), 6)
	f.Add(base, step(0, 3, 1<<63), 0)
	f.Add([]byte("no end"), step(1, 0, 0), 6)
	f.Add(base, []byte{0xff}, -1)
	f.Fuzz(func(t *testing.T, base, changes []byte, want int) {
		out, err := apply(nil, base, changes, want)
		if err != nil {
			require.True(t, errors.Is(err, ErrDamaged), err)
			return
		}
		require.Len(t, out, want)
	})
}
