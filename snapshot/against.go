package snapshot

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/zeebo/blake3"
	"golang.org/x/sync/errgroup"

	snapshotv1 "kontor.internal/proto/gen/go/kontor/snapshot/v1"
	"kontor.internal/snapshot/pgtool"
)

// Unlike is where a database is not as a snapshot says.
type Unlike struct {
	// Schema and Name of the table or the sequence; of tables that rows are spread over by a hash, those of the table above them.
	Schema, Name string
	// What it is.
	What Unlikeness
	// RowsInSnapshot and RowsInDatabase of a table.
	RowsInSnapshot, RowsInDatabase int64
}

// Unlikeness is what is not as it should be.
type Unlikeness string

// What is found.
const (
	UnlikeMissing    Unlikeness = "missing"    // The database has no such table or sequence.
	UnlikeUnexpected Unlikeness = "unexpected" // Only the database has it.
	UnlikeColumns    Unlikeness = "columns"    // The table has others.
	UnlikeRows       Unlikeness = "rows"       // There are more or fewer.
	UnlikeValues     Unlikeness = "values"     // As many rows, of which some are others.
	UnlikeSequence   Unlikeness = "sequence"   // A sequence stands elsewhere.
)

// AgainstOrder says what to hold a database against.
type AgainstOrder struct {
	// Login opens the database, which nobody else changes, as its owner. It is only read.
	Login *pgtool.Login
	// Ref names the snapshot.
	Ref Ref
	// Head that its manifest must have; nil when it is not known.
	Head *Head
	// Connections that read tables at once; 0 means 3.
	Connections int
	// Progress hears how many bytes of the snapshot's rows were read, from many goroutines; it may be nil.
	Progress func(done, all int64)
}

// against is a comparison under way.
type against struct {
	AgainstOrder
	reader *reader
	key    []byte // of the rows' hashes; random, so that nobody finds rows whose sums are equal
	done   atomic.Int64
	all    int64

	mu    sync.Mutex
	found []Unlike
}

// CompareAgainst holds a database, into which a snapshot was restored, against it: all tables with all their rows, in whatever order, sequences and
// large objects. It knows nothing of how rows are restored. What is not alike is returned; nothing when all is.
func CompareAgainst(ctx context.Context, repo Repository, o AgainstOrder) ([]Unlike, error) {
	if o.Connections == 0 {
		o.Connections = connections
	}
	a := &against{AgainstOrder: o, key: make([]byte, 32)}
	if _, err := rand.Read(a.key); err != nil {
		return nil, fmt.Errorf("snapshot: random: %w", err)
	}
	var err error
	if a.reader, err = repo.reader(); err != nil {
		return nil, err
	}
	m, err := a.reader.readManifest(ctx, o.Ref, o.Head)
	if err != nil {
		return nil, err
	}
	var conns []*pgx.Conn
	defer func() {
		for _, conn := range conns {
			_ = conn.Close(context.WithoutCancel(ctx)) // It was only read.
		}
	}()
	for range o.Connections {
		conn, err := connect(ctx, o.Login)
		if err != nil {
			return nil, err
		}
		conns = append(conns, conn)
	}
	if err := a.compare(ctx, conns, m); err != nil {
		return nil, err
	}
	slices.SortFunc(a.found, func(x, y Unlike) int { return strings.Compare(x.Schema+"\x00"+x.Name, y.Schema+"\x00"+y.Name) })
	return a.found, nil
}

func (a *against) compare(ctx context.Context, conns []*pgx.Conn, m *snapshotv1.Manifest) error {
	_, a.all = partsOf(m)
	tx, err := frozen(ctx, conns[0])
	if err != nil {
		return err
	}
	pools, err := a.pools(ctx, tx, m)
	if err == nil {
		err = a.sequences(ctx, tx, m)
	}
	if err = errors.Join(err, tx.Rollback(ctx)); err != nil {
		return err
	}
	slices.SortStableFunc(pools, func(x, y *pool) int { return int(y.bytes - x.bytes) })
	var jobs []job
	for _, p := range pools {
		jobs = append(jobs, func(ctx context.Context, conn *pgx.Conn) error {
			if err := a.pool(ctx, conn, p); err != nil {
				return fmt.Errorf("compare %s: %w", quote(p.relation), err)
			}
			return nil
		})
	}
	return share(ctx, conns, jobs)
}

func (a *against) note(r *snapshotv1.Relation, what Unlikeness, inSnapshot, inDatabase int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.found = append(a.found, Unlike{r.GetSchema(), r.GetName(), what, inSnapshot, inDatabase})
}

// pool is what is compared as one: a table, or all those that rows are spread over by a hash. What hangs on object ids, as an enum's does, has
// another hash in another database, so that a row may lie in another of them.
type pool struct {
	relation *snapshotv1.Relation
	was      []*snapshotv1.Table
	is       []*table
	columns  []string // that all of them have
	bytes    uint64
	hidden   bool // its owner does not see all rows
}

func (a *against) pools(ctx context.Context, tx pgx.Tx, m *snapshotv1.Manifest) ([]*pool, error) {
	tables, err := readTables(ctx, tx)
	if err != nil {
		return nil, err
	}
	places, err := readPlaces(ctx, tx)
	if err != nil {
		return nil, err
	}
	there := map[string]*table{}
	for _, t := range tables {
		there[t.quoted()] = t
	}
	all, byName := []*pool{}, map[string]*pool{}
	for _, t := range m.GetTables() {
		is := there[quote(t.GetRelation())]
		delete(there, quote(t.GetRelation()))
		if is == nil {
			a.note(t.GetRelation(), UnlikeMissing, int64(t.GetRows()), 0)
			continue
		}
		if !slices.Equal(sorted(t.GetColumns()), sorted(is.columnNames())) {
			a.note(t.GetRelation(), UnlikeColumns, int64(t.GetRows()), 0)
			continue
		}
		at := places[is.oid]
		name := quote(at.entrance)
		if byName[name] == nil {
			byName[name] = &pool{relation: at.entrance, columns: t.GetColumns()}
			all = append(all, byName[name])
		}
		byName[name].take(t, is, at.hidden)
	}
	for _, t := range there {
		a.note(t.relation(), UnlikeUnexpected, 0, 0)
	}
	return append(all, a.objects(m)...), nil
}

// objects are the contents of large objects, as a table.
func (a *against) objects(m *snapshotv1.Manifest) []*pool {
	objects := largeObjects()
	p := &pool{relation: objects.relation(), columns: objects.columnNames(), is: []*table{objects}}
	if t := m.GetLargeObjects(); t != nil {
		p.was, p.bytes = []*snapshotv1.Table{t}, t.GetBytes()
	}
	return []*pool{p}
}

func (p *pool) take(was *snapshotv1.Table, is *table, hidden bool) {
	p.was, p.is = append(p.was, was), append(p.is, is)
	p.columns = slices.DeleteFunc(slices.Clone(p.columns), func(c string) bool { return !slices.Contains(was.GetColumns(), c) })
	p.bytes += was.GetBytes()
	p.hidden = p.hidden || hidden
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

// tablePlace is where a table stands among others.
type tablePlace struct {
	entrance *snapshotv1.Relation // the highest table that spreads rows over it and others by a hash, or else itself
	hidden   bool                 // its own policies hide rows from its owner
}

// readPlaces of all tables, by object id.
func readPlaces(ctx context.Context, tx pgx.Tx) (map[uint32]tablePlace, error) {
	rows, err := tx.Query(ctx, `
WITH RECURSIVE above (leaf, oid, height) AS (
	SELECT c.oid, c.oid, 0 FROM pg_catalog.pg_class c WHERE c.relkind = 'r'
	UNION ALL
	SELECT a.leaf, i.inhparent, a.height + 1 FROM above a JOIN pg_catalog.pg_class c ON c.oid = a.oid AND c.relispartition JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.oid
)
SELECT DISTINCT ON (a.leaf) a.leaf, n.nspname, c.relname, pg_catalog.row_security_active(a.leaf)
FROM above a JOIN pg_catalog.pg_class c ON c.oid = a.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = a.oid
WHERE a.height = 0 OR p.partstrat = 'h' ORDER BY a.leaf, a.height DESC`)
	if err != nil {
		return nil, err
	}
	places := map[uint32]tablePlace{}
	var leaf uint32
	var schema, name string
	var hidden bool
	_, err = pgx.ForEachRow(rows, []any{&leaf, &schema, &name, &hidden}, func() error {
		places[leaf] = tablePlace{&snapshotv1.Relation{Schema: schema, Name: name}, hidden}
		return nil
	})
	return places, err
}

// sequences compares where they stand.
func (a *against) sequences(ctx context.Context, tx pgx.Tx, m *snapshotv1.Manifest) error {
	found, err := readSequences(ctx, tx)
	if err != nil {
		return err
	}
	there := map[string]*snapshotv1.Sequence{}
	for _, s := range found {
		there[quote(s.GetRelation())] = s
	}
	for _, s := range m.GetSequences() {
		name := quote(s.GetRelation())
		is := there[name]
		delete(there, name)
		switch {
		case is == nil:
			a.note(s.GetRelation(), UnlikeMissing, 0, 0)
		case is.GetLastValue() != s.GetLastValue() || is.GetIsCalled() != s.GetIsCalled():
			a.note(s.GetRelation(), UnlikeSequence, 0, 0)
		}
	}
	for _, s := range there {
		a.note(s.GetRelation(), UnlikeUnexpected, 0, 0)
	}
	return nil
}

// pool compares all rows of one.
func (a *against) pool(ctx context.Context, conn *pgx.Conn, p *pool) error {
	was, err := newMultiset(a.key)
	if err != nil {
		return err
	}
	is, err := newMultiset(a.key)
	if err != nil {
		return err
	}
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { return a.readSnapshot(ctx, p, was) })
	both.Go(func() error { return readDatabase(ctx, conn, p, is) })
	if err := both.Wait(); err != nil {
		return err
	}
	switch {
	case was.rows != is.rows:
		a.note(p.relation, UnlikeRows, was.rows, is.rows)
	case was.sum != is.sum:
		a.note(p.relation, UnlikeValues, was.rows, is.rows)
	}
	return nil
}

func (a *against) readSnapshot(ctx context.Context, p *pool, into *multiset) error {
	for _, t := range p.was {
		choose := choosing(t.GetColumns(), p.columns)
		for _, part := range t.GetParts() {
			err := a.reader.chunks(ctx, part, func(_ entry, lines []byte) error {
				if n := a.done.Add(int64(len(lines))); a.Progress != nil {
					a.Progress(n, a.all)
				}
				for line := range bytes.Lines(lines) {
					into.add(choose.of(line))
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// readDatabase reads in a transaction that is rolled back: in it an owner who is bound by policies, too, is not.
func readDatabase(ctx context.Context, conn *pgx.Conn, p *pool, into *multiset) (err error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tx.Rollback(context.WithoutCancel(ctx))) }()
	for _, t := range p.is {
		query := "SELECT " + strings.Join(quoted(p.columns), ", ") + " FROM ONLY " + t.quoted()
		if t.largeObject {
			query = t.selection(keyRange{})
		}
		if p.hidden {
			if _, err := tx.Exec(ctx, "ALTER TABLE ONLY "+t.quoted()+" NO FORCE ROW LEVEL SECURITY"); err != nil {
				return err
			}
		}
		if _, err := conn.PgConn().CopyTo(ctx, &lineWriter{each: into.add}, "COPY ("+query+") TO STDOUT"); err != nil {
			return err
		}
	}
	return nil
}

func quoted(columns []string) []string {
	all := make([]string, len(columns))
	for i, c := range columns {
		all[i] = pgx.Identifier{c}.Sanitize()
	}
	return all
}

// choice takes some of a line's values, in an order; nil takes the line as it is.
type choice []int

func choosing(have, want []string) choice {
	if slices.Equal(have, want) {
		return nil
	}
	c := make(choice, len(want))
	for i, name := range want {
		c[i] = slices.Index(have, name)
	}
	return c
}

func (c choice) of(line []byte) []byte {
	if c == nil {
		return line
	}
	have := bytes.Split(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\t'})
	want := make([][]byte, len(c))
	for i, n := range c {
		if n < len(have) {
			want[i] = have[n]
		}
	}
	return append(bytes.Join(want, []byte{'\t'}), '\n')
}

// lineWriter tells lines, in whatever pieces they come.
type lineWriter struct {
	each func(line []byte)
	part []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	rest := p
	for len(rest) > 0 {
		end := bytes.IndexByte(rest, '\n') + 1
		if end == 0 {
			w.part = append(w.part, rest...)
			break
		}
		if line := rest[:end]; len(w.part) == 0 {
			w.each(line)
		} else {
			w.part = append(w.part, line...)
			w.each(w.part)
			w.part = w.part[:0]
		}
		rest = rest[end:]
	}
	return len(p), nil
}

// multiset is a fingerprint of lines in whatever order, each as often as it is there: the sum of their keyed BLAKE3, modulo 2^256.
type multiset struct {
	rows   int64
	sum    [4]uint64
	hasher *blake3.Hasher
	digest []byte
}

func newMultiset(key []byte) (*multiset, error) {
	hasher, err := blake3.NewKeyed(key)
	if err != nil {
		return nil, fmt.Errorf("snapshot: hasher: %w", err)
	}
	return &multiset{hasher: hasher}, nil
}

func (m *multiset) add(line []byte) {
	m.hasher.Reset()
	_, _ = m.hasher.Write(line) // A hasher never fails.
	m.digest = m.hasher.Sum(m.digest[:0])
	carry := uint64(0)
	for i := range m.sum {
		m.sum[i], carry = bits.Add64(m.sum[i], binary.LittleEndian.Uint64(m.digest[8*i:]), carry)
	}
	m.rows++
}
