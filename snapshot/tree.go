package snapshot

import (
	"encoding/binary"
	"slices"

	"google.golang.org/protobuf/proto"

	snapshotv1 "kontor.internal/proto/gen/go/kontor/snapshot/v1"
)

// entry is a chunk of a part, or a node of its tree: what is below, and where it lies.
type entry struct {
	name  Name
	start uint64
	at    location
	rows  uint64
	bytes uint64
	base  *base // of a chunk that is stored as changes
}

// base is a chunk, stored whole, that changes are stored against.
type base struct {
	name  Name
	at    location
	bytes uint64
	spent uint64 // bytes that changes against it have taken so far
}

const (
	// fanoutBits: one child in 2^7 begins a node, so nodes have 128 children on average.
	fanoutBits = 7
	// maxChildren ends a node in which no child happened to begin one.
	maxChildren = 1024
	// maxLevels bounds what is read: 128^9 chunks are more than there can be.
	maxLevels = 10
)

// rank says how many levels of nodes begin with a child. Like cuts, it hangs
// on nothing but the key, so that a change leaves the nodes beside it as they were.
func rank(start uint64) int {
	// Starts of chunks are small numbers, that is what made them starts: mix them first.
	mixed := start * 0x9E3779B97F4A7C15
	mixed ^= mixed >> 29
	mixed *= 0xBF58476D1CE4E5B9
	levels := 0
	for levels < maxLevels && mixed>>(64-fanoutBits) == 0 {
		mixed <<= fanoutBits
		levels++
	}
	return levels
}

// grower makes a part's tree of its chunks, one after another.
type grower struct {
	levels [][]entry
	save   func(n *snapshotv1.Node) (Name, location, error)
}

// add takes the next chunk.
func (g *grower) add(e entry) error { return g.addAt(0, e) }

func (g *grower) addAt(level int, e entry) error {
	if level == len(g.levels) {
		g.levels = append(g.levels, nil)
	}
	if open := g.levels[level]; len(open) > 0 && (rank(e.start) > level || len(open) == maxChildren) {
		if err := g.end(level); err != nil {
			return err
		}
	}
	g.levels[level] = append(g.levels[level], e)
	return nil
}

// end makes a node of a level's children.
func (g *grower) end(level int) error {
	children := g.levels[level]
	above := entry{start: children[0].start}
	for _, c := range children {
		above.rows += c.rows
		above.bytes += c.bytes
	}
	var err error
	if above.name, above.at, err = g.save(toNode(level, children)); err != nil {
		return err
	}
	g.levels[level] = children[:0]
	return g.addAt(level+1, above)
}

// root ends the tree. Without chunks there is none, and levels is 0.
func (g *grower) root() (root entry, levels int, err error) {
	for level := 0; level < len(g.levels); level++ {
		open, top := g.levels[level], level == len(g.levels)-1
		if top && level > 0 && len(open) == 1 {
			return open[0], level, nil
		}
		if len(open) > 0 {
			if err := g.end(level); err != nil {
				return entry{}, 0, err
			}
		}
	}
	return entry{}, 0, nil
}

// toNode writes children down. The packs that they lie in are named once.
func toNode(level int, children []entry) *snapshotv1.Node {
	n := &snapshotv1.Node{Level: uint32(level)}
	packs := map[Pack]uint32{}
	number := func(p Pack) uint32 {
		i, ok := packs[p]
		if !ok {
			i = uint32(len(packs))
			packs[p] = i
			n.Packs = append(n.Packs, p[:]...)
		}
		return i
	}
	for _, c := range children {
		n.Names = append(n.Names, c.name[:]...)
		n.Starts = binary.BigEndian.AppendUint64(n.Starts, c.start)
		n.Pack = append(n.Pack, number(c.at.pack))
		n.Record = append(n.Record, c.at.record)
		n.Offset = append(n.Offset, c.at.offset)
		n.Length = append(n.Length, c.at.length)
		n.Rows = append(n.Rows, c.rows)
		n.Bytes = append(n.Bytes, c.bytes)
		if level > 0 {
			continue
		}
		if c.base == nil {
			n.Base = append(n.Base, 0)
			continue
		}
		if n.Bases == nil {
			n.Bases = &snapshotv1.Bases{}
		}
		b := n.Bases
		b.Names = append(b.Names, c.base.name[:]...)
		b.Pack = append(b.Pack, number(c.base.at.pack))
		b.Record = append(b.Record, c.base.at.record)
		b.Offset = append(b.Offset, c.base.at.offset)
		b.Length = append(b.Length, c.base.at.length)
		b.Bytes = append(b.Bytes, c.base.bytes)
		b.Spent = append(b.Spent, c.base.spent)
		n.Base = append(n.Base, uint32(len(b.Bytes)))
	}
	if n.Bases == nil {
		n.Base = nil
	}
	return n
}

// fromNode reads children. What it is read from is authentic, but nothing of it is taken for granted.
func fromNode(n *snapshotv1.Node, level int) ([]entry, error) {
	count := len(n.GetRows())
	b := n.GetBases()
	bases := len(b.GetBytes())
	switch {
	case int(n.GetLevel()) != level || count == 0 || count > maxChildren || len(n.GetPacks())%16 != 0,
		len(n.GetNames()) != count*nameBytes || len(n.GetStarts()) != count*8,
		!all(count, len(n.GetPack()), len(n.GetRecord()), len(n.GetOffset()), len(n.GetLength()), len(n.GetBytes())),
		len(n.GetBase()) != 0 && len(n.GetBase()) != count, len(b.GetNames()) != bases*nameBytes,
		!all(bases, len(b.GetPack()), len(b.GetRecord()), len(b.GetOffset()), len(b.GetLength()), len(b.GetSpent())):
		return nil, damagedf("a node whose lists do not fit each other")
	}
	packs := slices.Collect(slices.Chunk(n.GetPacks(), 16))
	place := func(pack, record uint32, offset uint64, length uint32) (l location, ok bool) {
		if int(pack) >= len(packs) {
			return l, false
		}
		return location{Pack(packs[pack]), record, offset, length}, true
	}
	children := make([]entry, count)
	for i := range children {
		at, ok := place(n.GetPack()[i], n.GetRecord()[i], n.GetOffset()[i], n.GetLength()[i])
		if !ok {
			return nil, damagedf("a node names a pack that it has not")
		}
		children[i] = entry{
			name: Name(n.GetNames()[i*nameBytes:]), start: binary.BigEndian.Uint64(n.GetStarts()[i*8:]), at: at, rows: n.GetRows()[i], bytes: n.GetBytes()[i],
		}
		if len(n.GetBase()) == 0 || n.GetBase()[i] == 0 {
			continue
		}
		k := int(n.GetBase()[i]) - 1
		if k >= bases {
			return nil, damagedf("a node names a base that it has not")
		}
		if at, ok = place(b.GetPack()[k], b.GetRecord()[k], b.GetOffset()[k], b.GetLength()[k]); !ok {
			return nil, damagedf("a node names a pack that it has not")
		}
		children[i].base = &base{name: Name(b.GetNames()[k*nameBytes:]), at: at, bytes: b.GetBytes()[k], spent: b.GetSpent()[k]}
	}
	return children, nil
}

func all(want int, lengths ...int) bool {
	return !slices.ContainsFunc(lengths, func(n int) bool { return n != want })
}

// nodeContent is a node as it is named and stored.
func nodeContent(n *snapshotv1.Node) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(n)
}
