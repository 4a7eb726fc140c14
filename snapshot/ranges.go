package snapshot

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	snapshotv1 "kontor.internal/proto/gen/go/kontor/snapshot/v1"
)

// Ranges of a table that surely did not change are not read. A row's version never changes, and says which transaction
// wrote it. So when a range of keys has as many rows as before, none of them written since the snapshot before
// began, then it has the same rows. Counting them costs the server a tenth of sending them.

// mark is a run of a part's chunks that begins with a value of the key's first column: no row before has the same. It is one
// chunk where that can be, since what people do is scattered: of books that settle old accounts most chunks stay as they are.
type mark struct {
	// From is the value; empty for the first of a part, which begins with the part.
	From string `json:"from"`
	// Chunks and Rows in it.
	Chunks int    `json:"chunks"`
	Rows   uint64 `json:"rows"`
}

// survey tells which marks of a table changed.
type survey struct {
	table *table
	from  []string // where each mark but the first begins
	want  []uint64 // how many rows each had

	mu      sync.Mutex
	count   []uint64
	changed []bool // rows written since
}

// surveyOf prepares to look at a table that has marks; nil when it has none.
func surveyOf(t *table, parts []*part) *survey {
	if _, ok := t.lead(); !ok {
		return nil
	}
	s := &survey{table: t}
	for i, p := range parts {
		if len(p.from) > 1 || len(p.marks) == 0 {
			return nil
		}
		p.first = len(s.want)
		for j, m := range p.marks {
			switch {
			case j > 0:
				s.from = append(s.from, m.From)
			case i > 0:
				s.from = append(s.from, p.from[0])
			}
			s.want = append(s.want, m.Rows)
		}
	}
	s.count, s.changed = make([]uint64, len(s.want)), make([]bool, len(s.want))
	return s
}

// surveyPages are looked at by one query.
const surveyPages = 8192

// spans are the pages that one query each looks at.
func (s *survey) spans() (spans [][2]int64) {
	pages := s.table.size/pageBytes + 1
	for begin := int64(0); begin < pages; begin += surveyPages {
		end := begin + surveyPages
		if end >= pages {
			end = 1<<32 - 1 // Whatever there is behind.
		}
		spans = append(spans, [2]int64{begin, end})
	}
	return spans
}

// look counts the rows of each mark on some pages, and finds those written since the snapshot before.
func (s *survey) look(ctx context.Context, conn *pgx.Conn, span [2]int64, before *snapshotv1.Server) error {
	lead, _ := s.table.lead()
	values := make([]string, len(s.from))
	for i, v := range s.from {
		values[i] = literal(v)
	}
	bucket := "0"
	if len(values) > 0 {
		bucket = fmt.Sprintf("pg_catalog.width_bucket(%s, ARRAY[%s]::%s[])", pgx.Identifier{lead.name}.Sanitize(), strings.Join(values, ","), lead.kind)
	}
	query := fmt.Sprintf(`SELECT %s, count(*), bool_or(pg_catalog.age(t.xmin) <= (SELECT pg_catalog.age('%d'::xid)))
		FROM ONLY %s AS t WHERE t.ctid >= '(%d,0)' AND t.ctid < '(%d,0)' GROUP BY 1`,
		bucket, uint32(before.GetHorizon()), s.table.quoted(), span[0], span[1])
	rows, err := conn.Query(ctx, query, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return err
	}
	var at int
	var count int64
	var changed bool
	_, err = pgx.ForEachRow(rows, []any{&at, &count, &changed}, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.count[at] += uint64(count)
		s.changed[at] = s.changed[at] || changed
		return nil
	})
	return err
}

// same says whether a mark's rows surely are those of the snapshot before.
func (s *survey) same(i int) bool { return !s.changed[i] && s.count[i] == s.want[i] }

// stretch is a run of a part's marks that is taken over, or read.
type stretch struct {
	keyRange
	marks []mark       // as they were
	old   []remembered // their chunks
	taken bool
}

// stretches of a part, by what its table's survey says.
func stretches(p *part) []stretch {
	s := p.plan.survey
	if s == nil || p.memory == nil || p.memory.file == nil || !fit(p.marks, p.memory.chunks) {
		return []stretch{{keyRange: p.keyRange}}
	}
	var all []stretch
	chunks := p.memory.chunks
	for i, m := range p.marks {
		same := s.same(p.first + i)
		if len(all) == 0 || all[len(all)-1].taken != same {
			next := stretch{keyRange: p.keyRange, taken: same}
			if i > 0 {
				next.from = []string{m.From}
				all[len(all)-1].to = next.from
			}
			all = append(all, next)
		}
		last := &all[len(all)-1]
		last.marks = append(last.marks, m)
		last.old = append(last.old, chunks[:m.Chunks]...)
		chunks = chunks[m.Chunks:]
	}
	return all
}

// marker sets the marks of a part while it is stored.
type marker struct {
	marks []mark
	last  []byte // the value of the row before, in a stretch that is being read
}

// begin a stretch. It begins with a mark.
func (m *marker) begin(from []string, first bool) {
	next := mark{}
	if !first && len(from) == 1 {
		next.From = from[0]
	}
	m.marks, m.last = append(m.marks, next), nil
}

// chunk counts a chunk that was read. Where it can, a new mark begins with it.
func (m *marker) chunk(c *chunk) {
	first := keyOf(c.lines[:c.ends[0]], 1)
	open := &m.marks[len(m.marks)-1]
	if open.Chunks > 0 && m.last != nil && !bytes.Equal(first, m.last) {
		m.marks = append(m.marks, mark{From: unescape(first)})
		open = &m.marks[len(m.marks)-1]
	}
	open.Chunks++
	open.Rows += uint64(len(c.ends))
	begin := uint32(0)
	if n := len(c.ends); n > 1 {
		begin = c.ends[n-2]
	}
	m.last = append(m.last[:0], keyOf(c.lines[begin:], 1)...)
}

// unescape undoes COPY's text format.
func unescape(field []byte) string {
	if bytes.IndexByte(field, '\\') < 0 {
		return string(field)
	}
	short := map[byte]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}
	out := make([]byte, 0, len(field))
	for i := 0; i < len(field); i++ {
		c := field[i]
		if c == '\\' && i+1 < len(field) {
			i++
			c = field[i]
			if s, ok := short[c]; ok {
				c = s
			}
		}
		out = append(out, c)
	}
	return string(out)
}

// fit says whether marks are those of some chunks.
func fit(marks []mark, chunks []remembered) bool {
	for _, m := range marks {
		if m.Chunks < 0 || m.Chunks > len(chunks) {
			return false
		}
		var rows uint64
		for _, c := range chunks[:m.Chunks] {
			rows += c.rows
		}
		if rows != m.Rows {
			return false
		}
		chunks = chunks[m.Chunks:]
	}
	return len(chunks) == 0
}
