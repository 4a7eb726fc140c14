package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// escaped writes a value as COPY does.
var escaped = strings.NewReplacer("\\", `\\`, "\b", `\b`, "\f", `\f`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\v", `\v`)

// aValue is one that tempts: what COPY escapes, numbers that count, words that are like those before.
func aValue() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.Map(rapid.String(), escaped.Replace),
		rapid.SampledFrom([]string{"", `\N`, `\v`, `\f`, "0", "00", "-1", "-0", "9", "10", "099", "100", "1", "x", "\x01", "1.5"}),
		rapid.Map(rapid.Uint64(), func(n uint64) string { return fmt.Sprint(n) }),
		rapid.Map(rapid.IntRange(-3, 3), func(n int) string { return fmt.Sprint(999_999_999_999_999_999 + n) }),   // 18 and 19 digits
		rapid.Map(rapid.IntRange(-3, 3), func(n int) string { return fmt.Sprint(1_000_000_000_000_000_000 + n) }), // 19 digits
		rapid.Map(rapid.IntRange(-2, 2), func(n int) string { return fmt.Sprint(uint64(math.MaxUint64-2) + uint64(n)) }),
	)
}

// someLines are rows of so many columns, of which values often stand still or count.
func someLines(t *rapid.T, columns int) []byte {
	rows := rapid.IntRange(0, 40).Draw(t, "rows")
	values := make([]string, columns)
	var lines []byte
	for range rows {
		for i := range values {
			switch rapid.IntRange(0, 3).Draw(t, "how") {
			case 0:
				values[i] = aValue().Draw(t, "value")
			case 1:
				values[i] = after(values[i])
			}
		}
		lines = append(append(lines, strings.Join(values, "\t")...), '\n')
	}
	return lines
}

// after counts on, by hand: a digit, with zeros in front kept.
func after(value string) string {
	digits := []byte(value)
	for i := len(digits) - 1; i >= 0; i-- {
		switch {
		case digits[i] < '0' || digits[i] > '9':
			return string(digits)
		case digits[i] < '9':
			digits[i]++
			return string(digits)
		}
		digits[i] = '0'
	}
	return "1" + string(digits)
}

func TestLinesComeBackFromTheirColumns(t *testing.T) {
	turner := &turner{} // One, as when a part is stored.
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.SampledFrom([]int{1, 2, 3, 7, 60}).Draw(t, "columns")
		lines := someLines(t, columns)
		for _, told := range []int{columns, columns + 1, max(0, columns-1)} { // It must not hang on the number being right.
			stored, err := turner.encode([]byte("before"), lines, told)
			require.NoError(t, err)
			back, err := decode(bytes.TrimPrefix(stored, []byte("before")), len(lines))
			require.NoError(t, err)
			require.Equal(t, string(lines), string(back))
		}
	})
}

func TestColumnsAreTurnedAndNumbersCounted(t *testing.T) {
	var lines []byte
	for n := range 500 {
		lines = fmt.Appendf(lines, "%d\tthe same\t%d\n", 999_999_999_999_999_800+n, 99_800+n)
	}
	stored, err := (&turner{}).encode(nil, lines, 3)
	require.NoError(t, err)
	require.Equal(t, byte(columns), stored[0])
	require.Less(t, len(stored), 2500, "of %d", len(lines))
	back, err := decode(stored, len(lines))
	require.NoError(t, err)
	require.Equal(t, string(lines), string(back))
}

func TestATableMayHaveAsManyColumnsAsPostgreSQLAllows(t *testing.T) {
	line := []byte(strings.Repeat("a\t", columnLimit-1) + "a\n")
	lines := bytes.Repeat(line, 30)
	stored, err := (&turner{}).encode(nil, lines, columnLimit)
	require.NoError(t, err)
	require.Equal(t, byte(columns), stored[0])
	back, err := decode(stored, len(lines))
	require.NoError(t, err)
	require.True(t, bytes.Equal(lines, back))
}

// FuzzDecode: what is decoded has the length that was asked for; all else is damage.
func FuzzDecode(f *testing.F) {
	t := &turner{}
	lines := []byte("1\ta\n2\ta\n3\tb\n")
	for _, count := range []int{1, 2} {
		stored, err := t.encode(nil, bytes.Repeat(lines, 9), count)
		require.NoError(f, err)
		f.Add(stored, 9*len(lines))
	}
	f.Add([]byte{plain, 'x'}, 1)
	f.Add([]byte{columns}, 0)
	f.Add([]byte{compressed}, 0)
	f.Add([]byte{columns, 0x28, 0xb5, 0x2f, 0xfd, 0, 0}, 1<<30)
	f.Fuzz(func(t *testing.T, stored []byte, want int) {
		out, err := decode(stored, want)
		if err != nil {
			require.True(t, errors.Is(err, ErrDamaged), err)
			return
		}
		require.Len(t, out, want)
	})
}

// FuzzDecodeTurned reaches behind zstd.
func FuzzDecodeTurned(f *testing.F) {
	t := &turner{}
	lines := []byte("1\ta\t\n2\ta\t\n3\tb\t\\N\n")
	require.True(f, t.turn(lines, 3))
	f.Add(t.turned, len(lines))
	f.Add([]byte{2, 1, 1, again, next}, 3)
	f.Add([]byte{1, 1, '\n'}, 1)
	f.Add([]byte{2, 2, 2, '9', '\t', next, '\n'}, 5)
	f.Add(append([]byte{1}, bytes.Repeat([]byte{0xff}, 9)...), 5)
	f.Fuzz(func(t *testing.T, turned []byte, want int) {
		want &= 1<<20 - 1
		out, err := decode(coders().encode.EncodeAll(turned, []byte{columns}), want)
		if err != nil {
			require.True(t, errors.Is(err, ErrDamaged), err)
			return
		}
		require.Len(t, out, want)
	})
}

// FuzzUnescape: what COPY writes for a value is read as that value.
func FuzzUnescape(f *testing.F) {
	for _, s := range []string{"", `\`, `\\`, "a\tb\nc\\", "\b\f\r\v", `\x`, "ž\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		require.Equal(t, s, unescape([]byte(escaped.Replace(s))))
		require.LessOrEqual(t, len(unescape([]byte(s))), len(s))
	})
}
