package snapshot

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	snapshotv1 "kontor.internal/proto/gen/go/kontor/snapshot/v1"
)

// grown is a tree in memory.
type grown struct {
	root   entry
	levels int
	nodes  map[Name]*snapshotv1.Node
	saved  []Name
}

func grow(t require.TestingT, chunks []entry) *grown {
	n, err := keysOf(1).naming()
	require.NoError(t, err)
	tree := &grown{nodes: map[Name]*snapshotv1.Node{}}
	g := &grower{save: func(node *snapshotv1.Node) (Name, location, error) {
		content, err := nodeContent(node)
		require.NoError(t, err)
		name := n.name(kindNode, content)
		tree.nodes[name] = proto.CloneOf(node)
		tree.saved = append(tree.saved, name)
		return name, location{pack: Pack(name)}, nil // Where a node lies hangs on what is in it, as when it is found again.
	}}
	for _, c := range chunks {
		require.NoError(t, g.add(c))
	}
	tree.root, tree.levels, err = g.root()
	require.NoError(t, err)
	return tree
}

// leaves of a tree, read as a reader does.
func (g *grown) leaves(t require.TestingT, name Name, level int) (all []entry) {
	children, err := fromNode(g.nodes[name], level)
	require.NoError(t, err)
	if level == 0 {
		return children
	}
	for _, c := range children {
		all = append(all, g.leaves(t, c.name, level-1)...)
	}
	return all
}

func someChunks(random *rand.Rand, count int) []entry {
	chunks := make([]entry, count)
	for i := range chunks {
		chunks[i] = aChild(random)
	}
	return chunks
}

func aChild(random *rand.Rand) entry {
	e := entry{
		start: random.Uint64() >> 10, rows: random.Uint64N(99) + 1, bytes: random.Uint64N(99999),
		at: location{pack: Pack{byte(random.IntN(3))}, record: random.Uint32(), offset: random.Uint64(), length: random.Uint32()},
	}
	binary.BigEndian.PutUint64(e.name[:], random.Uint64())
	if random.IntN(3) == 0 {
		e.base = &base{at: location{pack: Pack{7, byte(random.IntN(3))}, record: random.Uint32()}, bytes: random.Uint64(), spent: random.Uint64()}
	}
	return e
}

func TestATreeHasItsChunks(t *testing.T) {
	require.Zero(t, grow(t, nil).levels)
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		count := rapid.SampledFrom([]int{1, 2, 127, 1024, 1025, 3000}).Draw(t, "count")
		chunks := someChunks(random, count)
		if rapid.Bool().Draw(t, "equal starts") {
			for i := range chunks {
				chunks[i].start = chunks[0].start
			}
		}
		a, b := grow(t, chunks), grow(t, slices.Clone(chunks))
		require.Equal(t, a.root, b.root)
		require.Equal(t, chunks, a.leaves(t, a.root.name, a.levels-1))
		var rows, bytes uint64
		for _, c := range chunks {
			rows, bytes = rows+c.rows, bytes+c.bytes
		}
		require.Equal(t, []uint64{rows, bytes}, []uint64{a.root.rows, a.root.bytes})
	})
}

func TestAChangeTouchesOnlyAPath(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		chunks := someChunks(random, rapid.IntRange(1, 5000).Draw(t, "count"))
		before := grow(t, chunks)
		now := slices.Clone(chunks)
		at := random.IntN(len(now))
		most := 1
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0: // Another content in the same place: one node a level.
			start := now[at].start
			now[at] = aChild(random)
			now[at].start = start
		case 1:
			now, most = slices.Insert(now, at, aChild(random)), 3
		default:
			now, most = slices.Delete(now, at, at+1), 3
		}
		after := grow(t, now)
		fresh := map[uint32]int{}
		for _, name := range after.saved {
			if before.nodes[name] == nil {
				fresh[after.nodes[name].GetLevel()]++
			}
		}
		for level, n := range fresh {
			require.LessOrEqual(t, n, most, "nodes of level %d", level)
		}
	})
}

// FuzzNode: a node that is read is written the same again; what can't be read is damage.
func FuzzNode(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 1))
	for level := range 2 {
		content, err := nodeContent(toNode(level, someChunks(random, 5)))
		require.NoError(f, err)
		f.Add(content, level)
	}
	short := toNode(0, someChunks(random, 9))
	short.Bases.Pack = short.Bases.Pack[1:]
	content, err := nodeContent(short)
	require.NoError(f, err)
	f.Add(content, 0)
	f.Fuzz(func(t *testing.T, content []byte, level int) {
		n := &snapshotv1.Node{}
		if proto.Unmarshal(content, n) != nil {
			return
		}
		children, err := fromNode(n, level)
		if err != nil {
			require.ErrorIs(t, err, ErrDamaged)
			return
		}
		back, err := fromNode(toNode(level, children), level)
		require.NoError(t, err)
		if level > 0 { // Only chunks have bases.
			for i := range children {
				children[i].base = nil
			}
		}
		require.Equal(t, children, back)
	})
}
