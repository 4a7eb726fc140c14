// Package link makes the secrets of links in letters and keeps what the links
// are for. A secret is derived from the link's id and purpose with a key, so
// it is stored nowhere and travels in no event.
package link

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// Purpose is what a link does; its value stands in the table.
type Purpose string

// The purposes.
const (
	Activation    Purpose = "activation"
	PasswordReset Purpose = "password_reset"
)

// How long links work, by the suite's clock.
const (
	ActivationLife    = 7 * 24 * time.Hour
	PasswordResetLife = time.Hour
)

// Life is how long a link of a purpose works.
func (p Purpose) Life() time.Duration {
	if p == PasswordReset {
		return PasswordResetLife
	}
	return ActivationLife
}

// collection begins the resource names of a purpose.
func (p Purpose) collection() string {
	if p == PasswordReset {
		return "passwordResets/"
	}
	return "activations/"
}

// Name is a link's resource name: `activations/V` or `passwordResets/V`.
func (p Purpose) Name(v uuid.UUID) string { return p.collection() + v.String() }

// ParseName reads a link's resource name.
func ParseName(name string) (Purpose, uuid.UUID, error) {
	for _, p := range []Purpose{Activation, PasswordReset} {
		if rest, ok := strings.CutPrefix(name, p.collection()); ok {
			v, err := id.Parse(rest)
			if err != nil {
				return "", uuid.Nil, failure.NotFound(name).Wrap(err)
			}
			return p, v, nil
		}
	}
	return "", uuid.Nil, failure.NotFound(name)
}

// Link is one link.
type Link struct {
	ID      uuid.UUID
	Account uuid.UUID
	Purpose Purpose
	Expires time.Time
	// Used is when what it does was done, by it or by another one; nil until then.
	Used *time.Time
}

// Check says whether a link works at a time: nil, LINK_USED or LINK_EXPIRED.
func (l Link) Check(now time.Time) error {
	switch {
	case l.Used != nil:
		return failure.New(commonv1.Reason_REASON_LINK_USED)
	case !now.Before(l.Expires):
		return failure.New(commonv1.Reason_REASON_LINK_EXPIRED, "expire_time", l.Expires.UTC().Format(time.RFC3339))
	default:
		return nil
	}
}

// Signer derives and checks secrets. The first key derives; all are accepted.
type Signer struct {
	keys [][]byte
}

// NewSigner returns a signer; keys have 32 bytes or more.
func NewSigner(keys ...[]byte) (*Signer, error) {
	if len(keys) == 0 {
		return nil, errors.New("link: no key")
	}
	for _, key := range keys {
		if len(key) < 32 {
			return nil, fmt.Errorf("link: a key of %d bytes; 32 or more are needed", len(key))
		}
	}
	return &Signer{keys: keys}, nil
}

// Token is the secret of a link: base64url(id || HMAC-SHA-256(key, purpose, id)), 64 characters.
func (s *Signer) Token(p Purpose, v uuid.UUID) string {
	return base64.RawURLEncoding.EncodeToString(append(v[:], seal(s.keys[0], p, v)...))
}

// Parse finds the purpose and the id that a secret was derived for. LINK_INVALID
// when it is malformed or was not derived by us.
func (s *Signer) Parse(token string) (Purpose, uuid.UUID, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != len(uuid.UUID{})+sha256.Size {
		return "", uuid.Nil, failure.New(commonv1.Reason_REASON_LINK_INVALID)
	}
	v := uuid.UUID(raw[:16])
	for _, p := range []Purpose{Activation, PasswordReset} {
		for _, key := range s.keys {
			if hmac.Equal(raw[16:], seal(key, p, v)) {
				return p, v, nil
			}
		}
	}
	return "", uuid.Nil, failure.New(commonv1.Reason_REASON_LINK_INVALID)
}

func seal(key []byte, p Purpose, v uuid.UUID) []byte {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte("kontor link\x00" + string(p) + "\x00")) // A hash never fails.
	_, _ = mac.Write(v[:])
	return mac.Sum(nil)
}
