// Package seal encrypts small secrets where they lie in a database: signing keys, passwords of servers. It derives the keys
// of other uses of the same secrets too.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// keyBytes is how long derived keys are.
const keyBytes = 32

// MinSecret is how long a key-encryption key is at least, in characters.
const MinSecret = 32

// Sealer encrypts with AES-256-GCM under a key-encryption key, each secret bound to an id of its own.
type Sealer struct {
	name string
	keys []cipher.AEAD // the first seals, all open
}

// New returns a sealer for one purpose, named so that no other purpose's secrets can be opened with it, under a secret
// of 32 characters or more. It also opens what earlier secrets sealed; empty earlier ones are left out.
func New(purpose, secret string, earlier ...string) (*Sealer, error) {
	keys, err := Keys(purpose, secret, earlier...)
	if err != nil {
		return nil, err
	}
	s := &Sealer{name: purpose}
	for _, key := range keys {
		aead, err := newAEAD(key)
		if err != nil {
			return nil, fmt.Errorf("seal: %w", err)
		}
		s.keys = append(s.keys, aead)
	}
	return s, nil
}

// Keys derives keys of 32 bytes for one purpose, also for codes (HMAC-SHA256): the first from a secret of 32 characters or
// more, the others from earlier ones; empty earlier ones are left out.
func Keys(purpose, secret string, earlier ...string) ([][]byte, error) {
	var keys [][]byte
	for i, text := range append([]string{secret}, earlier...) {
		if text == "" && i > 0 {
			continue
		}
		if len(text) < MinSecret {
			return nil, fmt.Errorf("seal: a secret of %d characters for %s; %d or more are needed", len(text), purpose, MinSecret)
		}
		key, err := hkdf.Key(sha256.New, []byte(text), nil, purpose, keyBytes)
		if err != nil {
			return nil, fmt.Errorf("seal: %w", err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Seal encrypts a secret.
func (s *Sealer) Seal(id string, secret []byte) ([]byte, error) {
	nonce := make([]byte, s.keys[0].NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return s.keys[0].Seal(nonce, nonce, secret, []byte(id)), nil
}

// Open decrypts a secret; old says that an earlier key-encryption key had sealed it.
func (s *Sealer) Open(id string, sealed []byte) (secret []byte, old bool, err error) {
	for i, aead := range s.keys {
		size := aead.NonceSize()
		if len(sealed) < size {
			return nil, false, errors.New("seal: a sealed secret is cut short")
		}
		if secret, err := aead.Open(nil, sealed[:size], sealed[size:], []byte(id)); err == nil {
			return secret, i > 0, nil
		}
	}
	return nil, false, fmt.Errorf("seal: %s %s was altered, or sealed with another key than key_encryption_key or key_encryption_key_previous", s.name, id)
}
