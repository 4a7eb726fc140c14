package snapshot

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
)

// Lines are stored column by column: values of one column are like each other, and take a fifth less room together.
// What is compressed begins with how many columns there are and how many bytes each has, varints; then the columns
// follow, each a row's value and the tab or newline that ends it, one row after another. Two bytes that COPY always
// escapes stand for whole values: again for the one before it in the column, next for the whole number after it.

const (
	again = '\v'
	next  = '\f'
)

// columnLimit is how many columns a PostgreSQL table can have.
const columnLimit = 1600

// turner brings rows into columns. It is used again and again by one goroutine.
type turner struct {
	columns [][]byte
	before  []place
	turned  []byte
}

// encode compresses lines of so many columns. The result is appended to room.
func (t *turner) encode(room, lines []byte, count int) ([]byte, error) {
	if !t.turn(lines, count) {
		return encode(room, lines)
	}
	c := coders()
	if c.err != nil {
		return nil, fmt.Errorf("snapshot: zstd: %w", c.err)
	}
	begin := len(room)
	out := c.encode.EncodeAll(t.turned, append(room, columns))
	if len(out)-begin > len(lines) {
		return encode(out[:begin], lines)
	}
	return out, nil
}

// turn says whether the lines have as many columns each.
func (t *turner) turn(lines []byte, count int) bool {
	if count < 2 {
		return false
	}
	for len(t.columns) < count {
		t.columns = append(t.columns, nil)
	}
	all := t.columns[:count]
	for i := range all {
		all[i] = all[i][:0]
	}
	if cap(t.before) < count {
		t.before = make([]place, count)
	}
	before := t.before[:count]
	clear(before)
	last := count - 1
	for begin := 0; begin < len(lines); {
		for i := range all {
			ending := byte('\t')
			if i == last {
				ending = '\n'
			}
			end := begin
			for end < len(lines) && lines[end] != ending && lines[end] != '\n' {
				end++
			}
			if end == len(lines) || lines[end] != ending {
				return false
			}
			text, was := lines[begin:end+1], lines[before[i].begin:before[i].end]
			switch {
			case string(text) == string(was):
				all[i] = append(all[i], again)
			case follows(was, text):
				all[i] = append(all[i], next)
			default:
				all[i] = append(all[i], text...)
			}
			before[i] = place{begin, end + 1}
			begin = end + 1
		}
	}
	t.turned = binary.AppendUvarint(t.turned[:0], uint64(count))
	for _, c := range all {
		t.turned = binary.AppendUvarint(t.turned, uint64(len(c)))
	}
	for _, c := range all {
		t.turned = append(t.turned, c...)
	}
	return true
}

// place of a value, with the byte that ends it.
type place struct{ begin, end int }

// follows says whether a value is the whole number after another.
func follows(before, text []byte) bool {
	if len(before) < 2 || len(text)-len(before) > 1 || len(text) < len(before) || (before[len(before)-2]-'0'+1)%10 != text[len(text)-2]-'0' {
		return false // Most are no neighbours, and their last digits show it.
	}
	a, ok := parseWhole(before[:len(before)-1])
	b, well := parseWhole(text[:len(text)-1])
	return ok && well && a+1 == b
}

// wholeDigits is how many digits a number may have that next is told for.
const wholeDigits = 18

// parseWhole reads a whole number written without sign or zeros in front.
func parseWhole(text []byte) (n uint64, ok bool) {
	if len(text) == 0 || len(text) > wholeDigits || (text[0] == '0' && len(text) > 1) {
		return 0, false
	}
	for _, c := range text {
		if c -= '0'; c > 9 {
			return 0, false
		}
		n = n*10 + uint64(c)
	}
	return n, true
}

// decodeRows undoes turner.encode.
func decodeRows(stored []byte, want int) ([]byte, error) {
	limit := want + (columnLimit+1)*binary.MaxVarintLen32
	turned, err := coders().decode.DecodeAll(stored[1:], make([]byte, 0, min(limit, 4*maxChunkBytes)))
	if err != nil {
		return nil, damagedf("zstd: %v", err)
	}
	all, ok := split(turned)
	if !ok {
		return nil, damagedf("columns do not fit their lengths")
	}
	lines := make([]byte, 0, want)
	before := make([]place, len(all)) // in lines
	last := len(all) - 1
	for len(all[last]) > 0 {
		for i, column := range all {
			ending := byte('\t')
			if i == last {
				ending = '\n'
			}
			begin := len(lines)
			var ok bool
			if lines, all[i], ok = take(lines, column, before[i], ending); !ok || len(lines) > want {
				return nil, damagedf("columns of different lengths")
			}
			before[i] = place{begin, len(lines)}
		}
	}
	if len(lines) != want || slices.ContainsFunc(all, func(c []byte) bool { return len(c) > 0 }) {
		return nil, damagedf("%d bytes instead of %d", len(lines), want)
	}
	return lines, nil
}

// take appends a column's next value to the lines, and gives what is left of the column.
func take(lines, column []byte, before place, ending byte) ([]byte, []byte, bool) {
	switch {
	case len(column) == 0:
		return nil, nil, false
	case column[0] == again:
		return append(lines, lines[before.begin:before.end]...), column[1:], before.end > 0
	case column[0] == next:
		if before.end == 0 {
			return nil, nil, false
		}
		number, ok := parseWhole(lines[before.begin : before.end-1])
		return append(strconv.AppendUint(lines, number+1, 10), ending), column[1:], ok
	}
	for end, c := range column {
		if c == ending {
			return append(lines, column[:end+1]...), column[end+1:], true
		}
	}
	return nil, nil, false
}

// split finds the columns.
func split(turned []byte) ([][]byte, bool) {
	count, n := binary.Uvarint(turned)
	if n <= 0 || count == 0 || count > columnLimit {
		return nil, false
	}
	turned = turned[n:]
	lengths := make([]uint64, count)
	for i := range lengths {
		if lengths[i], n = binary.Uvarint(turned); n <= 0 {
			return nil, false
		}
		turned = turned[n:]
	}
	all := make([][]byte, count)
	for i, length := range lengths {
		if length > uint64(len(turned)) {
			return nil, false
		}
		all[i], turned = turned[:length], turned[length:]
	}
	return all, len(turned) == 0
}
