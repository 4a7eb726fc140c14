package snapshot

import (
	"bytes"
	"cmp"
	"context"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	snapshotv1 "kontor.internal/proto/gen/go/kontor/snapshot/v1"
)

// reader reads records of a repository. Many may use it at once.
type reader struct {
	repo   repository
	keys   Keys
	naming *naming

	mu    sync.Mutex
	packs map[Pack]cipher.AEAD
}

func newReader(repo repository, keys Keys, naming *naming) *reader {
	return &reader{repo: repo, keys: keys, naming: naming, packs: map[Pack]cipher.AEAD{}}
}

// packsKnown bounds how many packs' ciphers are kept.
const packsKnown = 4096

// cipher of a pack, from the head of its object.
func (r *reader) cipher(ctx context.Context, id Pack) (cipher.AEAD, error) {
	r.mu.Lock()
	known := r.packs[id]
	r.mu.Unlock()
	if known != nil {
		return known, nil
	}
	head, err := r.bytes(ctx, id, 0, int64(headBytes))
	if err != nil {
		return nil, err
	}
	aead, err := r.openHead(id, head)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.packs) >= packsKnown {
		clear(r.packs)
	}
	r.packs[id] = aead
	return aead, nil
}

func (r *reader) openHead(id Pack, head []byte) (cipher.AEAD, error) {
	salt := head[headBytes-saltBytes:]
	version := binary.BigEndian.Uint32(head[len(packMagic)+2:])
	if string(head) != string(packHead(version, r.keys.Company, id, salt)) {
		return nil, damagedf("pack %s has another's head", id)
	}
	return r.keys.sealer(version, salt, packPurpose)
}

// bytes reads a part of a pack's object.
func (r *reader) bytes(ctx context.Context, id Pack, offset, length int64) ([]byte, error) {
	b := make([]byte, length)
	from, err := r.repo.store.Open(ctx, r.repo.pack(id), offset, length)
	if err == nil {
		_, err = io.ReadFull(from, b)
		err = errors.Join(err, from.Close())
	}
	switch {
	case err == nil:
		return b, nil
	case errors.Is(err, ErrMissing):
		return nil, fmt.Errorf("%w: pack %s: %w", ErrDamaged, id, err)
	}
	// A connection that broke looks like the end of an object, and buckets refuse to read behind one: its length tells.
	if size, unknown := r.size(ctx, id); unknown == nil && size < offset+length {
		return nil, damagedf("pack %s is cut off", id)
	}
	return nil, fmt.Errorf("snapshot: read pack %s: %w", id, err)
}

// size of a pack's object; 0 when it is missing.
func (r *reader) size(ctx context.Context, id Pack) (size int64, err error) {
	key := r.repo.pack(id)
	err = r.repo.store.List(ctx, key, func(found string, bytes int64) error {
		if found == key {
			size = bytes
		}
		return nil
	})
	return size, err
}

// span are encrypted bytes of a pack, read at once, in which records lie.
type span struct {
	pack   Pack
	offset uint64
	bytes  []byte
}

// spans are read ahead: what lies close together is read at once.
type spans []span

const (
	// gapBytes between two records are read along rather than asking once more.
	gapBytes = 256 << 10
	// spanBytes are read at once at the most.
	spanBytes = 8 << 20
)

// find is a record's encrypted bytes; nil when they were not read ahead.
func (s spans) find(at location) []byte {
	for _, one := range s {
		if begin := at.offset - one.offset; one.pack == at.pack && at.offset >= one.offset && begin+uint64(at.length) <= uint64(len(one.bytes)) {
			return one.bytes[begin : begin+uint64(at.length)]
		}
	}
	return nil
}

// ahead reads what lies at some places.
func (r *reader) ahead(ctx context.Context, places []location) (spans, error) {
	slices.SortFunc(places, func(a, b location) int {
		return cmp.Or(bytes.Compare(a.pack[:], b.pack[:]), cmp.Compare(a.offset, b.offset))
	})
	var found spans
	for i := 0; i < len(places); {
		first, end := places[i], places[i].offset+uint64(places[i].length)
		for i++; i < len(places) && places[i].pack == first.pack && places[i].offset <= end+gapBytes && places[i].offset+uint64(places[i].length)-first.offset <= spanBytes; i++ {
			end = max(end, places[i].offset+uint64(places[i].length))
		}
		b, err := r.bytes(ctx, first.pack, int64(first.offset), int64(end-first.offset))
		if err != nil {
			return nil, err
		}
		found = append(found, span{first.pack, first.offset, b})
	}
	return found, nil
}

// places of chunks and their bases.
func places(chunks []entry) []location {
	var all []location
	for _, c := range chunks {
		all = append(all, c.at)
		if c.base != nil {
			all = append(all, c.base.at)
		}
	}
	return all
}

// open decrypts a record: its content, still encoded. What was read ahead is not read again.
func (r *reader) open(ctx context.Context, s spans, at location, want record) ([]byte, error) {
	if at.length < tagBytes || at.length > contentLimit {
		return nil, damagedf("a record of %d bytes", at.length)
	}
	aead, err := r.cipher(ctx, at.pack)
	if err != nil {
		return nil, err
	}
	sealed := s.find(at)
	if sealed == nil {
		sealed, err = r.bytes(ctx, at.pack, int64(at.offset), int64(at.length))
	}
	if err != nil {
		return nil, err
	}
	content, err := aead.Open(nil, nonce(at.record), sealed, bound(r.keys.Company, at.pack, at.record, want))
	if err != nil {
		return nil, damagedf("record %d of pack %s is not authentic", at.record, at.pack)
	}
	return content, nil
}

// chunk reads a chunk's lines.
func (r *reader) chunk(ctx context.Context, s spans, e entry) ([]byte, error) {
	if e.bytes > contentLimit || (e.base != nil && e.base.bytes > contentLimit) {
		return nil, damagedf("a chunk of %d bytes", e.bytes)
	}
	whole := e.whole()
	stored, err := r.open(ctx, s, whole.at, record{kind: kindRows, name: whole.name})
	if err != nil {
		return nil, err
	}
	lines, err := decode(stored, int(whole.bytes))
	if err != nil {
		return nil, err
	}
	if e.base != nil {
		if lines, err = r.changed(ctx, s, e, lines); err != nil {
			return nil, err
		}
	}
	if r.naming.name(kindRows, lines) != e.name {
		return nil, damagedf("a chunk has other content than its name says")
	}
	return lines, nil
}

func (r *reader) changed(ctx context.Context, s spans, e entry, whole []byte) ([]byte, error) {
	stored, err := r.open(ctx, s, e.at, record{kind: kindChanges, name: e.name, base: e.base.name})
	if err != nil {
		return nil, err
	}
	if len(stored) < 4 {
		return nil, damagedf("changes without a length")
	}
	changes, err := decode(stored[4:], int(binary.BigEndian.Uint32(stored)))
	if err != nil {
		return nil, err
	}
	return apply(nil, whole, changes, int(e.bytes))
}

// node reads the children of a node.
func (r *reader) node(ctx context.Context, s spans, at location, name Name, level int) ([]entry, error) {
	stored, err := r.open(ctx, s, at, record{kind: kindNode, name: name})
	if err != nil {
		return nil, err
	}
	if len(stored) < 4 {
		return nil, damagedf("a node without a length")
	}
	content, err := decode(stored[4:], int(binary.BigEndian.Uint32(stored)))
	if err != nil {
		return nil, err
	}
	if r.naming.name(kindNode, content) != name {
		return nil, damagedf("a node has other content than its name says")
	}
	n := &snapshotv1.Node{}
	if err := proto.Unmarshal(content, n); err != nil {
		return nil, damagedf("a node can't be read: %v", err)
	}
	return fromNode(n, level)
}

// leaves tells each lowest node of a part's tree, in order, and every node's name and place on the way.
func (r *reader) leaves(ctx context.Context, p *snapshotv1.Part, seen func(Name, location), each func(chunks []entry) error) error {
	if p.GetRoot() == nil {
		return nil
	}
	root, err := rootOf(p)
	if err != nil {
		return err
	}
	var walk func(name Name, at location, level int) error
	walk = func(name Name, at location, level int) error {
		seen(name, at)
		children, err := r.node(ctx, nil, at, name, level)
		if err != nil {
			return err
		}
		if level == 0 {
			return each(children)
		}
		for _, c := range children {
			if err := walk(c.name, c.at, level-1); err != nil {
				return err
			}
		}
		return nil
	}
	return walk(root.name, root.at, int(p.GetLevels())-1)
}

func toLocation(l location) *snapshotv1.Location {
	return &snapshotv1.Location{Pack: l.pack[:], Record: l.record, Offset: l.offset, Length: l.length}
}

func fromLocation(l *snapshotv1.Location) (location, error) {
	if len(l.GetPack()) != 16 {
		return location{}, damagedf("a place without a pack")
	}
	return location{Pack(l.GetPack()), l.GetRecord(), l.GetOffset(), l.GetLength()}, nil
}
