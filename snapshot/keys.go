package snapshot

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/zeebo/blake3"
)

// KeyBytes is how long each key is.
const KeyBytes = 32

// Keys open one company's snapshots. Whoever destroys them destroys the snapshots.
type Keys struct {
	// Company they belong to. Another company's packs can't be read with them, nor take the place of this one's.
	Company uuid.UUID
	// Names is what chunks are named and cut by. It stays while data keys are renewed, so that a renewal stores nothing anew.
	Names []byte
	// Data has the data keys by version, from 1. A pack is encrypted under one of them.
	Data map[uint32][]byte
	// Current is the version that new packs are encrypted under.
	Current uint32
}

// ErrNoKey says that a pack or manifest was encrypted under a key that is not there: destroyed, or another company's.
var ErrNoKey = errors.New("snapshot: no key of this version")

// keyFile is how a company's keys are written down: 32 bytes each, in base64.
type keyFile struct {
	Company uuid.UUID         `json:"company"`
	Names   []byte            `json:"names"`
	Data    map[uint32][]byte `json:"data"`
}

// EncodeKeys writes keys down, as JSON. Whoever has that can read every snapshot of the company.
func EncodeKeys(k Keys) ([]byte, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	return json.Marshal(keyFile{Company: k.Company, Names: k.Names, Data: k.Data})
}

// errKeyFile does not wrap its cause, which may quote a key.
var errKeyFile = errors.New("snapshot: no file of keys")

// DecodeKeys reads what EncodeKeys wrote. The latest version is the current one.
func DecodeKeys(raw []byte) (Keys, error) {
	var f keyFile
	if err := json.Unmarshal(raw, &f); err != nil {
		return Keys{}, errKeyFile
	}
	k := Keys{Company: f.Company, Names: f.Names, Data: f.Data}
	for version := range f.Data {
		k.Current = max(k.Current, version)
	}
	return k, k.check()
}

func (k Keys) check() error {
	if len(k.Names) != KeyBytes {
		return fmt.Errorf("snapshot: a names key of %d bytes", len(k.Names))
	}
	for version, key := range k.Data {
		if len(key) != KeyBytes || version == 0 {
			return fmt.Errorf("snapshot: data key %d has %d bytes", version, len(key))
		}
	}
	if _, ok := k.Data[k.Current]; !ok {
		return ErrNoKey
	}
	return nil
}

// sealer encrypts the records of one object: a pack or a manifest. The
// object's random salt gives it a key of its own, so that records' numbers can be nonces.
func (k Keys) sealer(version uint32, salt []byte, purpose string) (cipher.AEAD, error) {
	data, ok := k.Data[version]
	if !ok {
		return nil, ErrNoKey
	}
	own, err := hkdf.Key(sha256.New, data, salt, purpose, KeyBytes)
	if err != nil {
		return nil, fmt.Errorf("snapshot: derive: %w", err)
	}
	block, err := aes.NewCipher(own)
	if err != nil {
		return nil, fmt.Errorf("snapshot: cipher: %w", err)
	}
	return cipher.NewGCM(block)
}

// nonce is a record's number. A pack has fewer than 2^32 records under a key of its own.
func nonce(record uint32) []byte {
	n := make([]byte, 12)
	binary.BigEndian.PutUint32(n[8:], record)
	return n
}

// nameBytes of a keyed BLAKE3 name contents. Names can't be computed without the key, so 128 bits are not to be forged.
const nameBytes = 16

// Name is what a chunk, a node or a piece is called: by its content and what kind of thing it is.
type Name [nameBytes]byte

// naming derives names, cuts and rows' hashes.
type naming struct {
	names *blake3.Hasher
	cut   uint64 // seed of the hash that keys are cut and found by
	rows  []byte // key of the hash that rows are compared by
}

func (k Keys) naming() (*naming, error) {
	derive := func(purpose string, n int) ([]byte, error) { return hkdf.Key(sha256.New, k.Names, nil, purpose, n) }
	names, err := derive("kontor-names-v1", KeyBytes)
	if err != nil {
		return nil, fmt.Errorf("snapshot: derive: %w", err)
	}
	cut, err := derive("kontor-cut-v1", 8)
	if err != nil {
		return nil, fmt.Errorf("snapshot: derive: %w", err)
	}
	rows, err := derive("kontor-rows-v1", KeyBytes)
	if err != nil {
		return nil, fmt.Errorf("snapshot: derive: %w", err)
	}
	hasher, err := blake3.NewKeyed(names)
	if err != nil {
		return nil, fmt.Errorf("snapshot: hasher: %w", err)
	}
	return &naming{names: hasher, cut: binary.BigEndian.Uint64(cut), rows: rows}, nil
}

// name of contents of a kind.
func (n *naming) name(kind kind, content []byte) (name Name) {
	h := n.names.Clone()
	_, _ = h.Write([]byte{byte(kind)}) // A hasher never fails.
	_, _ = h.Write(content)
	copy(name[:], h.Sum(nil))
	return name
}
