package session

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// Token is a refresh token. Each but the first is derived from the one before
// it, so that a repeated refresh finds the same successor although only hashes
// are stored. The seal proves that a token is one of ours even when its hash is
// long gone, so that only a real one, used again, can end a session.
type Token struct {
	Session    uuid.UUID
	Generation int32
	secret     [sha256.Size]byte
}

// Hash is what is stored of a token: SHA-256 of its secret.
func (t Token) Hash() [sha256.Size]byte { return sha256.Sum256(t.secret[:]) }

const (
	sealSize  = 16
	tokenSize = 16 + 4 + sha256.Size + sealSize
)

// Tokens makes and reads refresh tokens. The first key makes; all are accepted.
type Tokens struct {
	keys [][]byte
}

// NewTokens returns tokens under keys of 32 bytes or more.
func NewTokens(keys ...[]byte) (*Tokens, error) {
	if len(keys) == 0 {
		return nil, errors.New("session: no key for refresh tokens")
	}
	for _, key := range keys {
		if len(key) < 32 {
			return nil, fmt.Errorf("session: a key of %d bytes; 32 or more are needed", len(key))
		}
	}
	return &Tokens{keys: keys}, nil
}

// First makes the first token of a session, at random.
func (k *Tokens) First(session uuid.UUID) (Token, error) {
	t := Token{Session: session}
	_, err := rand.Read(t.secret[:])
	return t, err
}

// Successor derives the token that follows.
func (k *Tokens) Successor(t Token) Token {
	mac := hmac.New(sha256.New, k.keys[0])
	_, _ = mac.Write([]byte("kontor refresh successor\x00")) // A hash never fails.
	_, _ = mac.Write(t.body())
	next := Token{Session: t.Session, Generation: t.Generation + 1}
	copy(next.secret[:], mac.Sum(nil))
	return next
}

// Text is the token as clients hold it: base64url of id, generation, secret, seal.
func (k *Tokens) Text(t Token) string {
	return base64.RawURLEncoding.EncodeToString(append(t.body(), seal(k.keys[0], t)...))
}

// Parse reads a token. REFRESH_TOKEN_INVALID when it is malformed or not ours.
func (k *Tokens) Parse(text string) (Token, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != tokenSize {
		return Token{}, invalid()
	}
	generation := binary.BigEndian.Uint32(raw[16:20])
	if generation > 1<<31-2 {
		return Token{}, invalid()
	}
	t := Token{Session: uuid.UUID(raw[:16]), Generation: int32(generation)}
	copy(t.secret[:], raw[20:])
	for _, key := range k.keys {
		if hmac.Equal(raw[tokenSize-sealSize:], seal(key, t)) {
			return t, nil
		}
	}
	return Token{}, invalid()
}

func (t Token) body() []byte {
	body := make([]byte, 0, tokenSize)
	body = append(body, t.Session[:]...)
	body = binary.BigEndian.AppendUint32(body, uint32(t.Generation))
	return append(body, t.secret[:]...)
}

func seal(key []byte, t Token) []byte {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte("kontor refresh seal\x00")) // A hash never fails.
	_, _ = mac.Write(t.body())
	return mac.Sum(nil)[:sealSize]
}

func invalid() error { return failure.New(commonv1.Reason_REASON_REFRESH_TOKEN_INVALID) }
