package signingkey

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// minSecret is how long a key-encryption key is at least, in characters.
const minSecret = 32

// Sealer encrypts private keys with AES-256-GCM under a key-encryption key,
// bound to their id. It opens what earlier key-encryption keys sealed.
type Sealer struct {
	keys []sealing // The first seals.
}

type sealing struct {
	id   string
	aead cipher.AEAD
}

// NewSealer returns a sealer under a secret of 32 characters or more, and what
// came before it; empty ones are left out.
func NewSealer(secret string, earlier ...string) (*Sealer, error) {
	s := &Sealer{}
	for i, text := range append([]string{secret}, earlier...) {
		if text == "" && i > 0 {
			continue
		}
		if len(text) < minSecret {
			return nil, fmt.Errorf("signingkey: a key-encryption key of %d characters; %d or more are needed", len(text), minSecret)
		}
		key, err := newSealing(text)
		if err != nil {
			return nil, fmt.Errorf("signingkey: %w", err)
		}
		s.keys = append(s.keys, key)
	}
	return s, nil
}

func newSealing(secret string) (sealing, error) {
	derived, err := hkdf.Key(sha256.New, []byte(secret), nil, "kontor identity signing keys", 32+8)
	if err != nil {
		return sealing{}, err
	}
	block, err := aes.NewCipher(derived[:32])
	if err != nil {
		return sealing{}, err
	}
	aead, err := cipher.NewGCM(block)
	return sealing{id: hex.EncodeToString(derived[32:]), aead: aead}, err
}

// Current names the key-encryption key that seals.
func (s *Sealer) Current() string { return s.keys[0].id }

// Seal encrypts a private key.
func (s *Sealer) Seal(keyID string, private []byte) ([]byte, error) {
	nonce := make([]byte, s.keys[0].aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return s.keys[0].aead.Seal(nonce, nonce, private, []byte(keyID)), nil
}

// Open decrypts a private key that the named key-encryption key sealed.
func (s *Sealer) Open(keyID, sealedWith string, sealed []byte) ([]byte, error) {
	for _, key := range s.keys {
		if key.id != sealedWith {
			continue
		}
		size := key.aead.NonceSize()
		if len(sealed) < size {
			return nil, errors.New("signingkey: a sealed key is cut short")
		}
		private, err := key.aead.Open(nil, sealed[:size], sealed[size:], []byte(keyID))
		if err != nil {
			return nil, fmt.Errorf("signingkey: sealed key %s was altered", keyID)
		}
		return private, nil
	}
	return nil, fmt.Errorf("signingkey: key %s was sealed with another key-encryption key (%s); give it as key_encryption_key or key_encryption_key_previous", keyID, sealedWith)
}
