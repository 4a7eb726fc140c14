package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// minSecret is how long a key-encryption key is at least, in characters.
const minSecret = 32

// Sealer encrypts private keys with AES-256-GCM under a key-encryption key, bound to their id.
type Sealer struct {
	keys []cipher.AEAD // the first seals, all open
}

// NewSealer returns a sealer under a secret of 32 characters or more, which also opens what an earlier one sealed; empty
// earlier ones are left out.
func NewSealer(secret string, earlier ...string) (*Sealer, error) {
	s := &Sealer{}
	for i, text := range append([]string{secret}, earlier...) {
		if text == "" && i > 0 {
			continue
		}
		if len(text) < minSecret {
			return nil, fmt.Errorf("keys: a key-encryption key of %d characters; %d or more are needed", len(text), minSecret)
		}
		derived, err := hkdf.Key(sha256.New, []byte(text), nil, "kontor licensing signing keys", 32)
		if err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
		block, err := aes.NewCipher(derived)
		if err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
		s.keys = append(s.keys, aead)
	}
	return s, nil
}

// Seal encrypts a private key.
func (s *Sealer) Seal(id string, private []byte) ([]byte, error) {
	nonce := make([]byte, s.keys[0].NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return s.keys[0].Seal(nonce, nonce, private, []byte(id)), nil
}

// Open decrypts a private key; old says that an earlier key-encryption key had sealed it.
func (s *Sealer) Open(id string, sealed []byte) (private []byte, old bool, err error) {
	for i, aead := range s.keys {
		size := aead.NonceSize()
		if len(sealed) < size {
			return nil, false, errors.New("keys: a sealed key is cut short")
		}
		if private, err := aead.Open(nil, sealed[:size], sealed[size:], []byte(id)); err == nil {
			return private, i > 0, nil
		}
	}
	return nil, false, fmt.Errorf(
		"keys: key %s was altered, or sealed with a key-encryption key that is neither key_encryption_key nor key_encryption_key_previous", id)
}
