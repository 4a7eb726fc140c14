package snapshot

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/zeebo/xxh3"

	snapshotv1 "kontor.internal/proto/gen/go/kontor/snapshot/v1"
)

// What the next snapshot needs to know of this one lies in files of this
// machine, one a part: its chunks, where they and the tree's nodes lie, and a
// hash of each row of every chunk that is stored whole. Without them, or when they
// are not whole, the next snapshot reads what it needs back from the repository.

// remembered is a chunk of the snapshot before.
type remembered struct {
	entry
	hashes int64 // where the hashes of its base's rows lie in the file; negative when they do not
}

// memory is what is known of a part of the snapshot before.
type memory struct {
	chunks []remembered
	starts map[uint64]int // index in chunks by start
	nodes  map[Name]location
	file   *os.File // nil when it was read from the repository
}

func (m *memory) close() {
	if m != nil && m.file != nil {
		_ = m.file.Close() // It was only read.
	}
}

func (m *memory) find(start uint64) *remembered {
	if m == nil {
		return nil
	}
	if i, ok := m.starts[start]; ok {
		return &m.chunks[i]
	}
	return nil
}

func (m *memory) index() {
	m.starts = make(map[uint64]int, len(m.chunks))
	for i := len(m.chunks) - 1; i >= 0; i-- { // Of equal starts the first counts.
		m.starts[m.chunks[i].start] = i
	}
}

// whole is the chunk that changes are stored against: the base, or itself.
func (e *entry) whole() base {
	if e.base != nil {
		return *e.base
	}
	return base{name: e.name, at: e.at, bytes: e.bytes}
}

const (
	partSuffix = ".part" // of a part's file
	newPrefix  = "new-"  // of one that is being written

	cacheMagic  = "KONTORC1"
	cachedEntry = nameBytes + 8 + 32 + 8 + 8 + 8 + 1 + nameBytes + 32 + 8 + 8
	cachedNode  = nameBytes + 32
	// cacheTail: the root, how long the index and the marks are, their sums, magic.
	cacheTail = nameBytes + 8 + 8 + 8 + 8 + len(cacheMagic)
)

// cacheFile is where a part's memory lies. Which part it is of is its name; which snapshot of it, the root that stands in it.
func cacheFile(folder string, n *naming, t *snapshotv1.Relation, from []string) string {
	id := []byte{}
	for _, s := range append([]string{t.GetSchema(), t.GetName()}, from...) {
		id = append(binary.AppendUvarint(id, uint64(len(s))), s...)
	}
	name := n.name(kindDirectory, id)
	return filepath.Join(folder, hex.EncodeToString(name[:])+partSuffix)
}

// remember reads a part's memory from its file. It is nil when the file is missing, of another snapshot, or not whole.
func remember(path string, root Name) *memory {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	m, err := readMemory(file, root)
	if err != nil {
		_ = file.Close() // It was only read.
		return nil
	}
	m.file = file
	return m
}

var errNoMemory = errors.New("snapshot: cache: not this snapshot's, or not whole")

// sections reads the end of a part's file: its index, or only its marks.
func sections(file *os.File, root Name, onlyMarks bool) (index, marks []byte, err error) {
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil || size < int64(cacheTail) {
		return nil, nil, errNoMemory
	}
	tail := make([]byte, cacheTail)
	if _, err := file.ReadAt(tail, size-int64(cacheTail)); err != nil || string(tail[cacheTail-len(cacheMagic):]) != cacheMagic || Name(tail) != root {
		return nil, nil, errNoMemory
	}
	f := fields{tail[nameBytes:]}
	indexBytes, marksBytes, indexSum, marksSum := f.number(), f.number(), f.number(), f.number()
	end := uint64(size - int64(cacheTail))
	if marksBytes > end || indexBytes > end-marksBytes {
		return nil, nil, errNoMemory
	}
	marks = make([]byte, marksBytes)
	if _, err := file.ReadAt(marks, int64(end-marksBytes)); err != nil || xxh3.Hash(marks) != marksSum {
		return nil, nil, errNoMemory
	}
	if onlyMarks {
		return nil, marks, nil
	}
	index = make([]byte, indexBytes)
	if _, err := file.ReadAt(index, int64(end-marksBytes-indexBytes)); err != nil || xxh3.Hash(index) != indexSum || indexBytes < 8 {
		return nil, nil, errNoMemory
	}
	return index, marks, nil
}

func readMemory(file *os.File, root Name) (*memory, error) {
	index, _, err := sections(file, root, false)
	if err != nil {
		return nil, err
	}
	return parseMemory(index)
}

// rememberMarks reads a part's marks; none when the file is missing, of another snapshot, or not whole.
func rememberMarks(path string, root Name) (marks []mark) {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	_, stored, err := sections(file, root, true)
	if err != nil || json.Unmarshal(stored, &marks) != nil {
		return nil
	}
	return marks
}

func parseMemory(index []byte) (*memory, error) {
	chunks, nodes := int(binary.BigEndian.Uint32(index)), int(binary.BigEndian.Uint32(index[4:]))
	index = index[8:]
	if len(index) != chunks*cachedEntry+nodes*cachedNode {
		return nil, errNoMemory
	}
	m := &memory{chunks: make([]remembered, chunks), nodes: make(map[Name]location, nodes)}
	for i := range m.chunks {
		f := fields{index[i*cachedEntry:]}
		c := &m.chunks[i]
		c.name, c.start, c.at, c.rows, c.bytes = f.name(), f.number(), f.location(), f.number(), f.number()
		c.hashes = int64(f.number())
		if f.flag() {
			c.base = &base{name: f.name(), at: f.location(), bytes: f.number(), spent: f.number()}
		}
	}
	index = index[chunks*cachedEntry:]
	for i := range nodes {
		f := fields{index[i*cachedNode:]}
		m.nodes[f.name()] = f.location()
	}
	m.index()
	return m, nil
}

// fields are taken from the front, one after another.
type fields struct{ b []byte }

func (f *fields) take(n int) []byte {
	b := f.b[:n]
	f.b = f.b[n:]
	return b
}

func (f *fields) name() Name     { return Name(f.take(nameBytes)) }
func (f *fields) number() uint64 { return binary.BigEndian.Uint64(f.take(8)) }
func (f *fields) flag() bool     { return f.take(1)[0] == 1 }
func (f *fields) location() location {
	b := f.take(32)
	return location{Pack(b), binary.BigEndian.Uint32(b[16:]), binary.BigEndian.Uint64(b[20:]), binary.BigEndian.Uint32(b[28:])}
}

func appendLocation(b []byte, l location) []byte {
	b = append(b, l.pack[:]...)
	b = binary.BigEndian.AppendUint32(b, l.record)
	b = binary.BigEndian.AppendUint64(b, l.offset)
	return binary.BigEndian.AppendUint32(b, l.length)
}

// hashesOf reads the hashes of a remembered chunk's base; nil when they are not there.
func (m *memory) hashesOf(c *remembered, room []uint64) []uint64 {
	if m.file == nil || c.hashes < 0 {
		return nil
	}
	block := m.block(c)
	if block == nil {
		return nil
	}
	for b := block[4 : len(block)-8]; len(b) > 0; b = b[8:] {
		room = append(room, binary.LittleEndian.Uint64(b))
	}
	return room
}

// block is the hashes as they lie in the file: how many, themselves, a sum over them and their chunk's name.
func (m *memory) block(c *remembered) []byte {
	var count [4]byte
	if _, err := m.file.ReadAt(count[:], c.hashes); err != nil {
		return nil
	}
	rows := binary.LittleEndian.Uint32(count[:])
	if rows > maxChunkBytes+1 {
		return nil
	}
	block := make([]byte, 4+8*int(rows)+8)
	if _, err := m.file.ReadAt(block, c.hashes); err != nil {
		return nil
	}
	end := len(block) - 8
	if blockSum(c.whole().name, block[:end]) != binary.LittleEndian.Uint64(block[end:]) {
		return nil
	}
	return block
}

func blockSum(name Name, block []byte) uint64 {
	return xxh3.HashSeed(block, binary.BigEndian.Uint64(name[:8])^binary.BigEndian.Uint64(name[8:]))
}

// noting writes the memory of a part while it is being made.
type noting struct {
	path   string
	file   *os.File
	to     *bufio.Writer
	offset int64
	chunks []remembered
	nodes  map[Name]location
	buffer []byte
}

func note(path string) (*noting, error) {
	file, err := os.CreateTemp(filepath.Dir(path), newPrefix+"*")
	if err != nil {
		return nil, fmt.Errorf("snapshot: cache: %w", err)
	}
	return &noting{path: path, file: file, to: bufio.NewWriterSize(file, 256<<10), nodes: map[Name]location{}}, nil
}

// hashes notes those of a chunk that is stored whole.
func (n *noting) hashes(name Name, rows []uint64) (int64, error) {
	b := binary.LittleEndian.AppendUint32(n.buffer[:0], uint32(len(rows)))
	for _, h := range rows {
		b = binary.LittleEndian.AppendUint64(b, h)
	}
	n.buffer = binary.LittleEndian.AppendUint64(b, blockSum(name, b))
	return n.raw(n.buffer)
}

func (n *noting) raw(block []byte) (int64, error) {
	at := n.offset
	written, err := n.to.Write(block)
	n.offset += int64(written)
	if err != nil {
		return -1, fmt.Errorf("snapshot: cache: %w", err)
	}
	return at, nil
}

// finish writes the index. The file takes its place with keep.
func (n *noting) finish(root Name, marks []mark) error {
	written, err := json.Marshal(marks)
	if err != nil {
		return fmt.Errorf("snapshot: cache: %w", err)
	}
	index := binary.BigEndian.AppendUint32(nil, uint32(len(n.chunks)))
	index = binary.BigEndian.AppendUint32(index, uint32(len(n.nodes)))
	for _, c := range n.chunks {
		index = append(index, c.name[:]...)
		index = binary.BigEndian.AppendUint64(index, c.start)
		index = appendLocation(index, c.at)
		index = binary.BigEndian.AppendUint64(index, c.rows)
		index = binary.BigEndian.AppendUint64(index, c.bytes)
		index = binary.BigEndian.AppendUint64(index, uint64(c.hashes))
		b, flag := base{}, byte(0)
		if c.base != nil {
			b, flag = *c.base, 1
		}
		index = append(append(index, flag), b.name[:]...)
		index = appendLocation(index, b.at)
		index = binary.BigEndian.AppendUint64(index, b.bytes)
		index = binary.BigEndian.AppendUint64(index, b.spent)
	}
	for name, at := range n.nodes {
		index = appendLocation(append(index, name[:]...), at)
	}
	tail := append([]byte{}, root[:]...)
	for _, number := range []uint64{uint64(len(index)), uint64(len(written)), xxh3.Hash(index), xxh3.Hash(written)} {
		tail = binary.BigEndian.AppendUint64(tail, number)
	}
	for _, section := range [][]byte{index, written, append(tail, cacheMagic...)} {
		if _, err = n.to.Write(section); err != nil {
			break
		}
	}
	if err = errors.Join(err, n.to.Flush(), n.file.Close()); err != nil {
		return fmt.Errorf("snapshot: cache: %w", err)
	}
	n.chunks, n.nodes = nil, nil
	return nil
}

// keep puts the file in the place of the one before. Where that fails, the next snapshot reads back instead.
func (n *noting) keep() {
	if n != nil {
		_ = os.Rename(n.file.Name(), n.path)
	}
}

// drop removes the file, unless it was kept.
func (n *noting) drop() {
	if n != nil {
		_ = n.file.Close() // It may be closed already.
		_ = os.Remove(n.file.Name())
	}
}
