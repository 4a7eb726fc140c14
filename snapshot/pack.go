package snapshot

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// Pack names an object of many records. It is random: nobody else writes to it.
type Pack [16]byte

func (p Pack) String() string { return hex.EncodeToString(p[:]) }

// kind is what a record holds.
type kind byte

const (
	kindRows      kind = 1 // a chunk's lines
	kindChanges   kind = 2 // a chunk as changes against another
	kindNode      kind = 3 // a node of a part's tree
	kindPiece     kind = 4 // a piece of a byte stream
	kindDirectory kind = 5 // what records a pack has
)

// location is where a record lies.
type location struct {
	pack   Pack
	record uint32
	offset uint64
	length uint32
}

// record is what is bound to a record's bytes, so that no other can take its place.
type record struct {
	kind kind
	name Name
	base Name // of kindChanges: what they are changes against
}

const (
	packMagic  = "KONTORPK"
	packEnd    = "KONTORPE"
	packFormat = 1
	saltBytes  = 32
	tagBytes   = 16
	// headBytes: magic, format, key's version, company, pack, salt.
	headBytes = len(packMagic) + 2 + 4 + 16 + 16 + saltBytes
	// tailBytes: the directory's length, the number of records, magic.
	tailBytes = 4 + 4 + len(packEnd)
	// entryBytes of a directory tell one record: kind, name, base, length.
	entryBytes = 1 + nameBytes + nameBytes + 4

	// packBytes is how long a pack gets before the next is begun.
	packBytes = 16 << 20
	// packsUnderWay are being made durable while the next is filled.
	packsUnderWay = 2

	packPurpose = "kontor-pack-v1"
)

func packHead(version uint32, company uuid.UUID, id Pack, salt []byte) []byte {
	h := make([]byte, 0, headBytes)
	h = append(h, packMagic...)
	h = binary.BigEndian.AppendUint16(h, packFormat)
	h = binary.BigEndian.AppendUint32(h, version)
	h = append(h, company[:]...)
	h = append(h, id[:]...)
	return append(h, salt...)
}

// bound is a record's additional data.
func bound(company uuid.UUID, id Pack, number uint32, r record) []byte {
	b := make([]byte, 0, 16+16+4+nameBytes+1+nameBytes)
	b = append(b, company[:]...)
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint32(b, number)
	b = append(b, r.name[:]...)
	b = append(b, byte(r.kind))
	return append(b, r.base[:]...)
}

// packer writes records to packs. Many may use it at once.
type packer struct {
	ctx  context.Context //nolint:containedctx // A packer lives as long as the snapshot that it is written for.
	repo repository
	keys Keys

	mu      sync.Mutex
	open    *openPack
	stored  atomic.Int64 // bytes of finished packs
	records int
	done    errgroup.Group
}

// openPack is a pack that is being filled.
type openPack struct {
	id        Pack
	object    Object
	aead      cipher.AEAD
	directory []byte
	count     uint32
	offset    uint64
	buffer    []byte
}

func newPacker(ctx context.Context, repo repository, keys Keys) *packer {
	p := &packer{ctx: ctx, repo: repo, keys: keys}
	p.done.SetLimit(packsUnderWay)
	return p
}

// put stores a record and says where it will lie once the packer is closed.
func (p *packer) put(r record, content []byte) (location, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		var err error
		if p.open, err = p.begin(); err != nil {
			return location{}, err
		}
	}
	o := p.open
	at := location{pack: o.id, record: o.count, offset: o.offset}
	o.buffer = o.aead.Seal(o.buffer[:0], nonce(o.count), content, bound(p.keys.Company, o.id, o.count, r))
	at.length = uint32(len(o.buffer))
	if err := o.write(o.buffer); err != nil {
		return location{}, err
	}
	o.directory = append(o.directory, byte(r.kind))
	o.directory = append(o.directory, r.name[:]...)
	o.directory = append(o.directory, r.base[:]...)
	o.directory = binary.BigEndian.AppendUint32(o.directory, at.length)
	o.count++
	p.records++
	if o.offset >= packBytes {
		p.open = nil
		p.done.Go(func() error { return p.finish(o) })
	}
	return at, nil
}

func (p *packer) begin() (*openPack, error) {
	var random [16 + saltBytes]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, fmt.Errorf("snapshot: random: %w", err)
	}
	o := &openPack{id: Pack(random[:16])}
	salt := random[16:]
	var err error
	if o.aead, err = p.keys.sealer(p.keys.Current, salt, packPurpose); err != nil {
		return nil, err
	}
	if o.object, err = p.repo.store.Create(p.ctx, p.repo.pack(o.id)); err != nil {
		return nil, err
	}
	if err := o.write(packHead(p.keys.Current, p.keys.Company, o.id, salt)); err != nil {
		o.object.Abort()
		return nil, err
	}
	return o, nil
}

func (o *openPack) write(b []byte) error {
	n, err := o.object.Write(b)
	o.offset += uint64(n)
	return err
}

// finish writes the directory and makes the pack durable.
func (p *packer) finish(o *openPack) error {
	sealed := o.aead.Seal(nil, nonce(o.count), o.directory, bound(p.keys.Company, o.id, o.count, record{kind: kindDirectory}))
	tail := binary.BigEndian.AppendUint32(sealed, uint32(len(sealed)))
	tail = binary.BigEndian.AppendUint32(tail, o.count)
	tail = append(tail, packEnd...)
	if err := o.write(tail); err != nil {
		o.object.Abort()
		return err
	}
	p.stored.Add(int64(o.offset))
	return o.object.Commit()
}

// close returns when every record is durable. Nothing can be put after it.
func (p *packer) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if p.open != nil {
		err = p.finish(p.open)
		p.open = nil
	}
	return errors.Join(err, p.done.Wait())
}

// abort leaves the open pack unwritten. Those that are written already are swept: no manifest names them.
func (p *packer) abort() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open != nil {
		p.open.object.Abort()
		p.open = nil
	}
	_ = p.done.Wait() // The snapshot failed already, or is given up.
}
