package snapshot

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/zeebo/xxh3"
	"pgregory.net/rapid"
)

// cutOf collects chunks of rows that are written in messages.
func cutOf(t require.TestingT, keys int, messages ...[]byte) (chunks []string, starts []uint64) {
	c := &cutter{seed: 7, keys: keys, emit: func(c *chunk) error {
		chunks, starts = append(chunks, string(c.lines)), append(starts, c.start)
		require.Equal(t, chunkOf(c.lines).ends, c.ends)
		return nil
	}}
	for _, m := range messages {
		n, err := c.Write(m)
		require.NoError(t, err)
		require.Equal(t, len(m), n)
	}
	require.NoError(t, c.close())
	return chunks, starts
}

// someRows have keys that ascend and lengths that differ.
func someRows(random *rand.Rand, count int) [][]byte {
	rows := make([][]byte, count)
	for i := range rows {
		rows[i] = fmt.Appendf(nil, "%08d\t%d\t%s\n", i*3, random.IntN(9), strings.Repeat("v", random.IntN(900)))
	}
	return rows
}

// forced says whether a chunk begins at a key that is no cut.
func forced(chunks []string, keys int) bool {
	c := &cutter{seed: 7, keys: keys}
	return slices.ContainsFunc(chunks[min(1, len(chunks)):], func(lines string) bool {
		row := []byte(lines[:strings.IndexByte(lines, '\n')+1])
		key := keyOf(row, keys)
		return !c.cuts(xxh3.HashSeed(key, c.seed), key, len(row))
	})
}

// begins are the rows that chunks begin with, but the first: that one begins whatever it is.
func begins(chunks []string) map[string]bool {
	all := map[string]bool{}
	for _, c := range chunks[min(1, len(chunks)):] {
		all[c[:strings.IndexByte(c, '\n')]] = true
	}
	return all
}

func TestARowMovesNoCutButItsOwn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		keys := rapid.SampledFrom([]int{0, 1, 2}).Draw(t, "keys")
		rows := someRows(random, 2500)
		before, _ := cutOf(t, keys, rows...)
		require.Equal(t, string(bytes.Join(rows, nil)), strings.Join(before, ""))
		at := random.IntN(len(rows)-2) + 1
		own := map[string]bool{string(rows[at][:len(rows[at])-1]): true}
		fresh := fmt.Appendf(nil, "%08d\t0\t%s\n", at*3+1, strings.Repeat("w", random.IntN(70000)))
		own[string(fresh[:len(fresh)-1])] = true
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			rows = slices.Insert(rows, at+1, fresh)
		case 1:
			rows = slices.Delete(rows, at, at+1)
		default:
			rows[at] = append(slices.Clone(rows[at][:8]), fresh[8:]...)
			own[string(rows[at][:len(rows[at])-1])] = true
		}
		now, _ := cutOf(t, keys, rows...)
		require.Equal(t, string(bytes.Join(rows, nil)), strings.Join(now, ""))
		if forced(before, keys) || forced(now, keys) {
			return
		}
		was, is := begins(before), begins(now)
		require.Greater(t, len(was), 5)
		for row := range was {
			require.True(t, is[row] || own[row], "a cut went: %.40s", row)
		}
		for row := range is {
			require.True(t, was[row] || own[row], "a cut came: %.40s", row)
		}
	})
}

func TestAChunkStaysBelowItsLimit(t *testing.T) {
	rows := make([][]byte, 3000) // Of one key, no cut falls between.
	for i := range rows {
		rows[i] = fmt.Appendf(nil, "%s\n", strings.Repeat("e", 1000))
	}
	for _, keys := range []int{0, 1} {
		chunks, _ := cutOf(t, keys, rows...)
		require.Greater(t, len(chunks), 1)
		for _, c := range chunks {
			require.LessOrEqual(t, len(c), maxChunkBytes)
		}
	}
	long := append(bytes.Repeat([]byte("r"), 2*maxChunkBytes), '\n')
	chunks, _ := cutOf(t, 1, rows[0], long, rows[1])
	require.Equal(t, string(long), chunks[1])
}

func TestARowThatIsTooLongIsRefused(t *testing.T) {
	c := &cutter{keys: 1, emit: func(*chunk) error { return nil }}
	_, err := c.Write(append(bytes.Repeat([]byte("r"), rowLimit), '\n'))
	require.ErrorAs(t, err, new(*RowTooLongError))
	c = &cutter{keys: 1, emit: func(*chunk) error { return nil }}
	_, err = c.Write(bytes.Repeat([]byte("r"), rowLimit+1))
	require.ErrorAs(t, err, new(*RowTooLongError))
	require.ErrorIs(t, c.close(), ErrDamaged)
}

// FuzzCutMessages: chunks are the same however lines are cut into messages.
func FuzzCutMessages(f *testing.F) {
	f.Add(uint64(1), 40, 1, []byte{1, 2, 3})
	f.Add(uint64(2), 300, 0, []byte{255, 0, 17})
	f.Add(uint64(3), 300, 2, []byte{})
	f.Add(uint64(4), 0, 1, []byte{9})
	f.Fuzz(func(t *testing.T, seed uint64, count, keys int, lengths []byte) {
		rows := someRows(rand.New(rand.NewPCG(seed, 0)), count&511)
		keys &= 3
		want, starts := cutOf(t, keys, rows...)
		all := bytes.Join(rows, nil)
		var messages [][]byte
		for i := 0; len(all) > 0; i++ {
			n := len(all)
			if len(lengths) > 0 {
				n = min(n, int(lengths[i%len(lengths)])*37+i%2)
			}
			messages, all = append(messages, all[:n]), all[n:]
		}
		chunks, now := cutOf(t, keys, messages...)
		require.Equal(t, want, chunks)
		require.Equal(t, starts, now)
	})
}
