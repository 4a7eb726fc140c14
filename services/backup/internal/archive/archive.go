// Package archive is the form in which snapshots are stored: a stream in
// encrypted, authenticated segments that can be read from any place.
// docs/snapshot-insurance-format.md tells it in words.
package archive

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/google/uuid"
)

const (
	magic   = "KONTORSN"
	version = 1

	// HeaderBytes is how long the header is.
	HeaderBytes = len(magic) + 2 + 4 + 16 + 16 + saltBytes
	// SegmentBytes of the content stand in each segment but the last.
	SegmentBytes = 1 << 20

	saltBytes = 32
	keyBytes  = 32
	tagBytes  = 16
	sealed    = SegmentBytes + tagBytes
)

var (
	// ErrTruncated says that the stored bytes end too early, or go on too long.
	ErrTruncated = errors.New("archive: truncated")
	// ErrAltered says that stored bytes are not what was written for this snapshot under this key.
	ErrAltered = errors.New("archive: altered")
)

// ID binds an archive to what it is a copy of: another company's or another
// snapshot's bytes can't take its place.
type ID struct{ Company, Snapshot uuid.UUID }

func header(id ID, salt []byte) []byte {
	h := make([]byte, 0, HeaderBytes)
	h = append(h, magic...)
	h = binary.BigEndian.AppendUint16(h, version)
	h = binary.BigEndian.AppendUint32(h, SegmentBytes)
	h = append(h, id.Company[:]...)
	h = append(h, id.Snapshot[:]...)
	return append(h, salt...)
}

// newAEAD derives the archive's own key, so that segment numbers may begin at 0 in each.
func newAEAD(key, head []byte) (cipher.AEAD, error) {
	if len(key) != keyBytes {
		return nil, fmt.Errorf("archive: a key of %d bytes", len(key))
	}
	own, err := hkdf.Key(sha256.New, key, head[HeaderBytes-saltBytes:], "kontor snapshot archive 1", keyBytes)
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	block, err := aes.NewCipher(own)
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	return cipher.NewGCM(block)
}

// nonce is STREAM's: seven zero bytes, the segment's number, whether it is the last.
func nonce(segment uint32, last bool) []byte {
	n := make([]byte, 12)
	binary.BigEndian.PutUint32(n[7:], segment)
	if last {
		n[11] = 1
	}
	return n
}

// Writer encrypts what is written to it.
type Writer struct {
	to      io.Writer
	aead    cipher.AEAD
	head    []byte
	buffer  []byte
	segment uint32
	size    int64
	stored  int64
	sum     interface {
		io.Writer
		Sum(b []byte) []byte
	}
}

// NewWriter begins an archive. Only Close makes it whole.
func NewWriter(to io.Writer, key []byte, id ID) (*Writer, error) {
	salt := make([]byte, saltBytes)
	if _, err := rand.Read(salt); err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	w := &Writer{to: to, head: header(id, salt), buffer: make([]byte, 0, sealed), sum: sha256.New()}
	var err error
	if w.aead, err = newAEAD(key, w.head); err != nil {
		return nil, err
	}
	return w, w.put(w.head)
}

// Write encrypts each segment when more follows it.
func (w *Writer) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		if len(w.buffer) == SegmentBytes {
			if err := w.flush(false); err != nil {
				return written, err
			}
		}
		n := min(len(p), SegmentBytes-len(w.buffer))
		w.buffer = append(w.buffer, p[:n]...)
		if _, err := w.sum.Write(p[:n]); err != nil {
			return written, err
		}
		written, p = written+n, p[n:]
		w.size += int64(n)
	}
	return written, nil
}

// Close writes the last segment, which says that it is the last. The destination stays open.
func (w *Writer) Close() error { return w.flush(true) }

// Size is how many bytes of content were written.
func (w *Writer) Size() int64 { return w.size }

// Stored is how many bytes the archive takes.
func (w *Writer) Stored() int64 { return w.stored }

// SHA256 is the content's.
func (w *Writer) SHA256() []byte { return w.sum.Sum(nil) }

func (w *Writer) flush(last bool) error {
	if w.segment == math.MaxUint32 {
		return errors.New("archive: more than 4 PiB")
	}
	out := w.aead.Seal(w.buffer[:0], nonce(w.segment, last), w.buffer, w.head)
	w.segment++
	err := w.put(out)
	w.buffer = w.buffer[:0]
	return err
}

func (w *Writer) put(p []byte) error {
	n, err := w.to.Write(p)
	w.stored += int64(n)
	return err
}

// Source opens the stored bytes from an offset to the end.
type Source func(offset int64) (io.ReadCloser, error)

// Reader decrypts and checks what it reads.
type Reader struct {
	from    io.ReadCloser
	aead    cipher.AEAD
	head    []byte
	buffer  []byte
	plain   []byte
	segment int64
	count   int64
	tail    int // how long the last segment is, by the recorded size
	skip    int
}

// Open reads an archive's content from an offset on. stored is how many bytes
// were recorded for it. It must be closed.
func Open(source Source, stored int64, key []byte, id ID, offset int64) (*Reader, error) {
	size, count, err := measure(stored)
	if err != nil {
		return nil, err
	}
	if offset < 0 || offset > size {
		return nil, fmt.Errorf("archive: offset %d of %d", offset, size)
	}
	head, err := readHeader(source, id)
	if err != nil {
		return nil, err
	}
	r := &Reader{head: head, buffer: make([]byte, sealed), count: count, segment: min(offset/SegmentBytes, count-1)}
	r.skip = int(offset - r.segment*SegmentBytes)
	r.tail = int(stored - int64(HeaderBytes) - (count-1)*sealed)
	if r.aead, err = newAEAD(key, head); err != nil {
		return nil, err
	}
	r.from, err = source(int64(HeaderBytes) + r.segment*sealed)
	return r, err
}

// measure tells the content's size and number of segments from the stored size.
func measure(stored int64) (size, segments int64, err error) {
	body := stored - int64(HeaderBytes)
	segments = (body + sealed - 1) / sealed
	if body < tagBytes || body-(segments-1)*sealed < tagBytes {
		return 0, 0, ErrTruncated
	}
	return body - segments*tagBytes, segments, nil
}

func readHeader(source Source, id ID) (_ []byte, err error) {
	from, err := source(0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	head := make([]byte, HeaderBytes)
	if _, err := io.ReadFull(from, head); err != nil {
		return nil, short(err)
	}
	if !bytes.Equal(head, header(id, head[HeaderBytes-saltBytes:])) {
		return nil, ErrAltered
	}
	return head, nil
}

// short tells an early end from other failures.
func short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrTruncated
	}
	return err
}

// Read gives content only of segments that are authentic.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.plain) == 0 {
		if r.segment == r.count {
			return 0, io.EOF
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

func (r *Reader) next() error {
	last := r.segment == r.count-1
	n, err := io.ReadFull(r.from, r.buffer)
	if err != nil && (!last || !errors.Is(err, io.ErrUnexpectedEOF)) {
		return short(err)
	}
	if last {
		if err := r.ends(n); err != nil {
			return err
		}
	}
	plain, err := r.aead.Open(r.buffer[:0], nonce(uint32(r.segment), last), r.buffer[:n], r.head)
	if err != nil {
		return ErrAltered
	}
	if r.skip > len(plain) {
		return ErrTruncated
	}
	r.plain, r.skip = plain[r.skip:], 0
	r.segment++
	return nil
}

// ends checks that the last segment is as long as recorded, and that nothing follows it.
func (r *Reader) ends(length int) error {
	if length != r.tail {
		return ErrTruncated
	}
	if n, err := r.from.Read(make([]byte, 1)); n > 0 || (err != nil && !errors.Is(err, io.EOF)) {
		return ErrTruncated
	}
	return nil
}

// Close closes the source.
func (r *Reader) Close() error { return r.from.Close() }
