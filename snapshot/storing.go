package snapshot

import (
	"bytes"
	"context"
	"encoding/binary"

	"github.com/jackc/pgx/v5"

	snapshotv1 "kontor.internal/proto/gen/go/kontor/snapshot/v1"
)

// storePart reads a part and stores what of it is new.
func (m *maker) storePart(ctx context.Context, conn *pgx.Conn, p *part) (err error) {
	if err := m.recall(ctx, p); err != nil {
		return err
	}
	if m.Cache != "" {
		if p.note, err = note(m.cacheOf(p.plan.relation(), p.from)); err != nil {
			return err
		}
	}
	s := &storing{maker: m, ctx: ctx, part: p}
	s.grower.save = s.saveNode
	for i, run := range stretches(p) {
		if err := s.stretch(conn, run, i == 0); err != nil {
			return err
		}
	}
	return s.finish()
}

// finish ends the part's tree, and what is noted of it.
func (s *storing) finish() error {
	p := s.part
	root, levels, err := s.grower.root()
	if err != nil {
		return err
	}
	p.result = &snapshotv1.Part{From: p.from, Levels: uint32(levels), Rows: s.rowsSeen, Bytes: s.bytesSeen, Packs: s.packs()}
	if levels > 0 {
		p.result.Root, p.result.Name = toLocation(root.at), root.name[:]
	}
	p.memory.close()
	p.memory = nil
	if p.note == nil {
		return nil
	}
	return p.note.finish(root.name, s.marker.marks)
}

// stretch takes over a run of chunks, or reads it.
func (s *storing) stretch(conn *pgx.Conn, run stretch, first bool) error {
	if run.taken {
		s.marker.marks = append(s.marker.marks, run.marks...)
		for _, c := range run.old {
			if err := s.add(c, &c); err != nil {
				return err
			}
		}
		return nil
	}
	s.marker.begin(run.from, first)
	cut := &cutter{seed: s.naming.cut, keys: s.part.plan.keys, emit: s.chunk}
	if err := copyRows(s.ctx, conn, s.part.plan.table, run.keyRange, cut); err != nil {
		return err
	}
	return cut.close()
}

// recall finds what is known of the part in the snapshot before.
func (m *maker) recall(ctx context.Context, p *part) error {
	if p.before.GetRoot() == nil {
		return nil
	}
	if m.Cache != "" {
		if p.memory = remember(m.cacheOf(p.plan.relation(), p.before.GetFrom()), Name(p.before.GetName())); p.memory != nil {
			return nil
		}
	}
	p.memory = &memory{nodes: map[Name]location{}}
	err := m.reader.leaves(ctx, p.before, func(n Name, at location) { p.memory.nodes[n] = at }, func(chunks []entry) error {
		for _, c := range chunks {
			p.memory.chunks = append(p.memory.chunks, remembered{entry: c, hashes: -1})
		}
		return nil
	})
	p.memory.index()
	return err
}

// storing stores one part's chunks, in their order.
type storing struct {
	*maker
	ctx    context.Context //nolint:containedctx // Lives as long as the reading of a part.
	part   *part
	grower grower
	used   map[Pack]bool
	marker marker

	rowsSeen, bytesSeen uint64

	turner     turner
	rows, base []uint64
	changes    []byte
	encoded    []byte
}

// chunk stores what of a chunk is new.
func (s *storing) chunk(c *chunk) error {
	s.progress(int64(len(c.lines)))
	s.marker.chunk(c)
	name := s.naming.name(kindRows, c.lines)
	old := s.part.memory.find(c.start)
	if old != nil && old.name == name {
		s.same.Add(1)
		return s.add(*old, old)
	}
	s.rows = s.naming.hashRows(s.rows[:0], c)
	e := remembered{entry: entry{name: name, start: c.start, rows: uint64(len(c.ends)), bytes: uint64(len(c.lines))}, hashes: -1}
	if old != nil {
		stored, err := s.storeChanges(&e, old, c)
		if err != nil {
			return err
		}
		if stored {
			s.changed.Add(1)
			return s.add(e, old)
		}
	}
	s.whole.Add(1)
	var err error
	if s.encoded, err = s.turner.encode(s.encoded[:0], c.lines, len(s.part.plan.columns)); err != nil {
		return err
	}
	if e.at, err = s.packer.put(record{kind: kindRows, name: name}, s.encoded); err != nil {
		return err
	}
	return s.add(e, nil)
}

// storeChanges stores a chunk as changes against the last one that was stored whole, unless that would not pay: a chunk is
// stored whole again when its changes have taken as much room as it does. So no more than about twice the least is ever spent.
func (s *storing) storeChanges(e *remembered, old *remembered, c *chunk) (bool, error) {
	whole := old.whole()
	if err := s.baseHashes(old, whole); err != nil {
		return false, err
	}
	s.changes = diff(s.changes[:0], s.base, s.rows, c)
	if len(s.changes) > len(c.lines)/2 {
		return false, nil
	}
	s.encoded = binary.BigEndian.AppendUint32(s.encoded[:0], uint32(len(s.changes)))
	var err error
	if s.encoded, err = encode(s.encoded, s.changes); err != nil {
		return false, err
	}
	whole.spent += uint64(len(s.encoded))
	if whole.spent > uint64(whole.at.length) {
		return false, nil
	}
	e.base = &whole
	e.at, err = s.packer.put(record{kind: kindChanges, name: e.name, base: whole.name}, s.encoded)
	return true, err
}

// baseHashes finds the hashes of the rows that changes are told against: in the cache, or by reading the chunk back.
func (s *storing) baseHashes(old *remembered, whole base) error {
	if s.base = s.part.memory.hashesOf(old, s.base[:0]); s.base != nil {
		return nil
	}
	lines, err := s.reader.chunk(s.ctx, nil, entry{name: whole.name, at: whole.at, bytes: whole.bytes})
	if err != nil {
		return err
	}
	s.readBack.Add(1)
	s.base = s.naming.hashRows(s.base[:0], chunkOf(lines))
	return nil
}

// chunkOf finds the rows in lines.
func chunkOf(lines []byte) *chunk {
	c := &chunk{lines: lines}
	for end := 0; end < len(lines); {
		n := bytes.IndexByte(lines[end:], '\n')
		if n < 0 {
			n = len(lines) - end - 1
		}
		end += n + 1
		c.ends = append(c.ends, uint32(end))
	}
	return c
}

// add takes the chunk into the part's tree and notes it for the next snapshot. old is the remembered one that it shares its base with.
func (s *storing) add(e remembered, old *remembered) error {
	s.rowsSeen, s.bytesSeen = s.rowsSeen+e.rows, s.bytesSeen+e.bytes
	s.use(e.at.pack)
	if e.base != nil {
		s.use(e.base.at.pack)
	}
	if s.part.note != nil {
		if err := s.note(&e, old); err != nil {
			return err
		}
	}
	return s.grower.add(e.entry)
}

func (s *storing) note(e, old *remembered) (err error) {
	n := s.part.note
	switch {
	case old == nil:
		e.hashes, err = n.hashes(e.name, s.rows)
	case s.part.memory.file != nil && old.hashes >= 0:
		e.hashes = -1
		if block := s.part.memory.block(old); block != nil {
			e.hashes, err = n.raw(block)
		}
	case e.base != nil && old.name != e.name: // They were read back just now.
		e.hashes, err = n.hashes(e.base.name, s.base)
	default:
		e.hashes = -1
	}
	n.chunks = append(n.chunks, *e)
	return err
}

func (s *storing) use(p Pack) {
	if s.used == nil {
		s.used = map[Pack]bool{}
	}
	s.used[p] = true
}

// packs that reading the part needs.
func (s *storing) packs() []byte {
	all := make([]byte, 0, 16*len(s.used))
	for p := range s.used {
		all = append(all, p[:]...)
	}
	return all
}

// saveNode stores a node of the part's tree, unless it lies there already.
func (s *storing) saveNode(n *snapshotv1.Node) (name Name, at location, err error) {
	content, err := nodeContent(n)
	if err != nil {
		return name, at, err
	}
	name = s.naming.name(kindNode, content)
	known := false
	if s.part.memory != nil {
		at, known = s.part.memory.nodes[name]
	}
	if !known {
		stored := binary.BigEndian.AppendUint32(nil, uint32(len(content)))
		if stored, err = encode(stored, content); err != nil {
			return name, at, err
		}
		if at, err = s.packer.put(record{kind: kindNode, name: name}, stored); err != nil {
			return name, at, err
		}
	}
	s.use(at.pack)
	if s.part.note != nil {
		s.part.note.nodes[name] = at
	}
	return name, at, nil
}

// progressBytes are read between two reports.
const progressBytes = 4 << 20

func (s *storing) progress(n int64) {
	done := s.read.Add(n)
	if s.Progress != nil && done/progressBytes != (done-n)/progressBytes {
		s.Progress(done, s.expected)
	}
}
