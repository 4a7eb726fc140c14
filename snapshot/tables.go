package snapshot

import (
	"bytes"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	snapshotv1 "kontor.internal/proto/gen/go/kontor/snapshot/v1"
)

// plan is what is to be done about a table.
type plan struct {
	*table
	previous *snapshotv1.Table // nil when the snapshot before had no such table, or another of its name
	parts    []*part
	trusted  bool // what surely did not change since the snapshot before can be told
	taken    bool // taken over from it, unread
	survey   *survey
}

// part is a range of a table's keys that is read at a time.
type part struct {
	plan *plan
	keyRange
	size   int64
	before *snapshotv1.Part // of the snapshot before, in which the range lay
	memory *memory
	note   *noting
	marks  []mark // of the snapshot before, where they are known
	first  int    // the number that the part's first mark has in the table's survey
	result *snapshotv1.Part
}

// plan decides which tables are read, and in which parts.
func (m *maker) plan(ctx context.Context, manifest *snapshotv1.Manifest, counters map[uint32]*snapshotv1.TableState) error {
	tables, err := readTables(ctx, m.source.tx)
	if err != nil {
		return err
	}
	var objects bool
	if err := m.source.tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)`).Scan(&objects); err != nil {
		return err
	}
	if objects {
		tables = append(tables, largeObjects())
	}
	before := map[string]*snapshotv1.Table{}
	for _, t := range append(slices.Clone(m.previous.GetTables()), m.previous.GetLargeObjects()) {
		before[quote(t.GetRelation())] = t
	}
	trust := !m.Whole && comparable(m.previous.GetServer(), manifest.GetServer())
	settled, now := false, map[uint32]*snapshotv1.TableState{}
	if trust {
		if settled, now, err = settledCounters(ctx, m.source.conn); err != nil {
			return err
		}
	}
	for _, t := range tables {
		p := &plan{table: t}
		if old := before[t.quoted()]; old != nil && slices.Equal(old.GetColumns(), t.columnNames()) && int(old.GetKeyColumns()) == t.keys {
			p.previous = old
		}
		if state := counters[t.oid]; state != nil && state.GetFile() == t.file {
			t.state = state
			state.Definition = t.definedAs(manifest.GetSchemaState())
			p.trusted = trust && p.previous != nil && sameTable(p.previous.GetState(), state)
			p.taken = p.trusted && settled && sameCounts(p.previous.GetState(), now[t.oid])
		}
		if !p.taken {
			if err := m.divide(ctx, p); err != nil {
				return err
			}
			m.expected += t.size
		}
		m.tables = append(m.tables, p)
	}
	return nil
}

// definedAs digests what its values look like by, as far as that can change.
func (t *table) definedAs(schema []byte) []byte {
	if t.plain {
		return []byte(t.definition)
	}
	return append([]byte(t.definition), schema...)
}

// sameTable says that a table is the same file of the same columns.
func sameTable(a, b *snapshotv1.TableState) bool {
	return a.GetOid() == b.GetOid() && a.GetFile() == b.GetFile() && b.GetFile() != 0 && len(b.GetDefinition()) > 0 && bytes.Equal(a.GetDefinition(), b.GetDefinition())
}

// sameCounts says that the server counted no change to a table's rows.
func sameCounts(a, b *snapshotv1.TableState) bool {
	return a.GetInserted() == b.GetInserted() && a.GetUpdated() == b.GetUpdated() && a.GetDeleted() == b.GetDeleted()
}

// divide parts a table: as it was parted before, and finer where it has grown.
func (m *maker) divide(ctx context.Context, p *plan) error {
	old := p.previous.GetParts()
	if len(old) == 0 || p.previous.GetOrder() != p.order {
		old = []*snapshotv1.Part{nil}
	}
	for i, before := range old {
		r := keyRange{from: before.GetFrom()}
		if i+1 < len(old) {
			r.to = old[i+1].GetFrom()
		}
		size := p.size / int64(len(old))
		if total := p.previous.GetBytes(); total > 0 {
			size = int64(float64(p.size) * float64(before.GetBytes()) / float64(total))
		}
		cuts, err := m.cuts(ctx, p.table, r, size)
		if err != nil {
			return err
		}
		for _, cut := range append(cuts, nil) {
			next := keyRange{from: r.from, to: cut}
			if cut == nil {
				next.to = r.to
			}
			p.parts = append(p.parts, &part{plan: p, keyRange: next, size: size / int64(len(cuts)+1), before: before})
			r.from = cut
		}
	}
	return nil
}

// cuts of a part that has grown too large for one.
func (m *maker) cuts(ctx context.Context, t *table, r keyRange, size int64) ([][]string, error) {
	if t.largeObject || size < partBytes*3/2 {
		return nil, nil
	}
	return divide(ctx, m.source.tx, t, r, int(size/partBytes))
}

// storeTables looks at the tables that may have changed, and reads what did, the largest parts first, over some connections at once.
func (m *maker) storeTables(ctx context.Context) error {
	var parts []*part
	var size int64
	for _, t := range m.tables {
		parts = append(parts, t.parts...)
		for _, p := range t.parts {
			size += p.size
		}
	}
	conns := []*pgx.Conn{m.source.conn}
	defer func() {
		for _, conn := range conns[1:] {
			_ = conn.Close(context.WithoutCancel(ctx)) // It was only read.
		}
	}()
	for range min(m.Connections, len(parts), int(size/laneBytes)+1) - 1 {
		conn, err := m.source.lane(ctx)
		if err != nil {
			return err
		}
		conns = append(conns, conn)
	}
	if err := share(ctx, conns, m.surveys()); err != nil {
		return err
	}
	slices.SortStableFunc(parts, func(a, b *part) int { return int(b.size - a.size) })
	jobs := make([]job, len(parts))
	for i, p := range parts {
		jobs[i] = func(ctx context.Context, conn *pgx.Conn) error { return m.storePart(ctx, conn, p) }
	}
	return share(ctx, conns, jobs)
}

// laneBytes of tables are worth another connection.
const laneBytes = 16 << 20

// job is done on one of some connections.
type job func(ctx context.Context, conn *pgx.Conn) error

// share does jobs in their order, one at a time on each connection.
func share(ctx context.Context, conns []*pgx.Conn, jobs []job) error {
	queue := make(chan job, len(jobs))
	for _, j := range jobs {
		queue <- j
	}
	close(queue)
	work, ctx := errgroup.WithContext(ctx)
	for _, conn := range conns {
		work.Go(func() error {
			for j := range queue {
				if err := j(ctx, conn); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return work.Wait()
}

// surveys recalls the parts of tables that may be taken over in ranges, and says what is to be looked at.
func (m *maker) surveys() []job {
	var looks []job
	for _, t := range m.tables {
		if t.taken || !t.trusted || m.Cache == "" || len(t.parts) != len(t.previous.GetParts()) {
			continue
		}
		for _, p := range t.parts {
			if len(p.before.GetName()) == nameBytes {
				p.marks = rememberMarks(m.cacheOf(t.relation(), p.from), Name(p.before.GetName()))
			}
		}
		if t.survey = surveyOf(t.table, t.parts); t.survey == nil {
			continue
		}
		for _, span := range t.survey.spans() {
			looks = append(looks, func(ctx context.Context, conn *pgx.Conn) error {
				return t.survey.look(ctx, conn, span, m.previous.GetServer())
			})
		}
	}
	return looks
}

// collect writes the tables into the manifest, and all packs that it needs.
func (m *maker) collect(manifest *snapshotv1.Manifest) {
	packs := map[Pack]bool{}
	used := map[string]bool{}
	for _, p := range m.tables {
		t := &snapshotv1.Table{Relation: p.relation(), Columns: p.columnNames(), KeyColumns: uint32(p.keys), State: p.state, Order: p.order}
		if p.taken {
			t.Parts, t.Rows, t.Bytes = p.previous.GetParts(), p.previous.GetRows(), p.previous.GetBytes()
		}
		for _, part := range p.parts {
			t.Parts = append(t.Parts, part.result)
			t.Rows += part.result.GetRows()
			t.Bytes += part.result.GetBytes()
			if part.note != nil {
				used[part.note.file.Name()] = true
			}
		}
		for _, part := range t.GetParts() {
			for id := range slices.Chunk(part.GetPacks(), 16) {
				packs[Pack(id)] = true
			}
			used[m.cacheOf(t.GetRelation(), part.GetFrom())] = true
		}
		if p.largeObject {
			manifest.LargeObjects = t
		} else {
			manifest.Tables = append(manifest.Tables, t)
		}
	}
	for _, t := range filesTables(manifest) {
		for _, part := range t.GetParts() {
			for id := range slices.Chunk(part.GetPacks(), 16) {
				packs[Pack(id)] = true
			}
			used[m.cacheOf(t.GetRelation(), part.GetFrom())] = true
		}
	}
	for _, p := range m.files.parts {
		if p.note != nil {
			used[p.note.file.Name()] = true
		}
	}
	for _, piece := range manifest.GetSchema() {
		packs[Pack(piece.GetLocation().GetPack())] = true
	}
	for id := range packs {
		manifest.Packs = append(manifest.Packs, id[:]...)
	}
	if m.Cache != "" {
		m.sweepCache(used)
	}
}
