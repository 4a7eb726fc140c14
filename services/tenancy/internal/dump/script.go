package dump

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// Errors of a script that pg_restore would not write from a copy of ours.
var (
	ErrScript    = errors.New("dump: not a script of table data")
	ErrTruncated = errors.New("dump: the script ends within a table")
	ErrLongLine  = errors.New("dump: a line is longer than allowed")
)

// Table is the head of a block of rows.
type Table struct {
	Schema  string
	Name    string
	Columns []string
}

// Sequence is where a sequence stood; Called tells that Last was given out.
type Sequence struct {
	Schema string
	Name   string
	Last   int64
	Called bool
}

// Block is one thing a script holds: exactly one field is set.
type Block struct {
	Table    *Table
	Sequence *Sequence
}

// Reader reads what `pg_restore --data-only -f -` writes. Anything but comments,
// settings (skipped), COPY blocks and sequence positions is refused.
type Reader struct {
	in      *bufio.Reader
	maxLine int
	inTable bool
}

const identifier = `(?:[a-z_][a-z0-9_$]*|"(?:[^"]|"")+")`

var (
	copyLine     = regexp.MustCompile(`^COPY (` + identifier + `)\.(` + identifier + `) \((` + identifier + `(?:, ` + identifier + `)*)\) FROM stdin;$`)
	sequenceLine = regexp.MustCompile(`^SELECT pg_catalog\.setval\('(` + identifier + `)\.(` + identifier + `)', (-?[0-9]{1,19}), (true|false)\);$`)
	settingLine  = regexp.MustCompile(`^SET [a-z_]+ = [^;]*;$`)
	pathLine     = regexp.MustCompile(`^SELECT pg_catalog\.set_config\('search_path', '', false\);$`)
	guardLine    = regexp.MustCompile(`^\\(?:un)?restrict [A-Za-z0-9]+$`)
	oneName      = regexp.MustCompile(identifier)
)

// NewReader reads a script whose lines, rows among them, are at most maxLine bytes.
func NewReader(in io.Reader, maxLine int) *Reader {
	return &Reader{in: bufio.NewReaderSize(in, 64<<10), maxLine: maxLine}
}

// Next goes to the next block, past rows not read yet; io.EOF after the last.
func (r *Reader) Next() (Block, error) {
	for r.inTable {
		if _, err := r.Row(); err != nil && !errors.Is(err, io.EOF) {
			return Block{}, err
		}
	}
	for {
		line, err := r.line()
		if err != nil {
			return Block{}, err
		}
		block, found, err := parseLine(string(line))
		if err != nil {
			return Block{}, err
		}
		if found {
			r.inTable = block.Table != nil
			return block, nil
		}
	}
}

// Row is the next row of the table in COPY's text form, without its newline;
// io.EOF after the last.
func (r *Reader) Row() ([]byte, error) {
	if !r.inTable {
		return nil, io.EOF
	}
	line, err := r.line()
	if errors.Is(err, io.EOF) {
		r.inTable = false
		return nil, ErrTruncated
	}
	if err != nil {
		r.inTable = false
		return nil, err
	}
	if string(line) == `\.` {
		r.inTable = false
		return nil, io.EOF
	}
	return line, nil
}

func (r *Reader) line() ([]byte, error) {
	var line []byte
	for {
		part, err := r.in.ReadSlice('\n')
		if len(line)+len(part) > r.maxLine+1 {
			return nil, ErrLongLine
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return bytes.TrimSuffix(line, []byte("\n")), nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, ErrTruncated
		default:
			return nil, err
		}
	}
}

func parseLine(line string) (Block, bool, error) {
	if m := copyLine.FindStringSubmatch(line); m != nil {
		return Block{Table: &Table{Schema: unquote(m[1]), Name: unquote(m[2]), Columns: columns(m[3])}}, true, nil
	}
	if m := sequenceLine.FindStringSubmatch(line); m != nil {
		last, err := strconv.ParseInt(m[3], 10, 64)
		if err != nil {
			return Block{}, false, fmt.Errorf("%w: a sequence out of range", ErrScript)
		}
		return Block{Sequence: &Sequence{Schema: unquote(m[1]), Name: unquote(m[2]), Last: last, Called: m[4] == "true"}}, true, nil
	}
	if skipped(line) {
		return Block{}, false, nil
	}
	return Block{}, false, fmt.Errorf("%w: an unexpected statement", ErrScript)
}

func skipped(line string) bool {
	return line == "" || strings.HasPrefix(line, "--") || settingLine.MatchString(line) ||
		pathLine.MatchString(line) || guardLine.MatchString(line)
}

func columns(list string) []string {
	names := oneName.FindAllString(list, -1)
	for i, name := range names {
		names[i] = unquote(name)
	}
	return names
}

func unquote(name string) string {
	if !strings.HasPrefix(name, `"`) {
		return name
	}
	return strings.ReplaceAll(name[1:len(name)-1], `""`, `"`)
}
