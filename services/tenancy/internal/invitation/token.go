package invitation

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/google/uuid"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// minLinkKey is the least length of the key, in bytes.
const minLinkKey = 32

// Links makes and reads the secrets that links carry: the invitation's id and a MAC over it. They are derived when they
// are needed and stored nowhere.
type Links struct{ key []byte }

// NewLinks returns Links by the service's key.
func NewLinks(key []byte) (*Links, error) {
	if len(key) < minLinkKey {
		return nil, fmt.Errorf("invitation: a link key of %d bytes; %d or more are needed", len(key), minLinkKey)
	}
	return &Links{key: key}, nil
}

// Token is the secret of an invitation.
func (l *Links) Token(invitation uuid.UUID) string {
	return base64.RawURLEncoding.EncodeToString(append(invitation[:], l.mac(invitation)...))
}

// Read gives the invitation that a secret belongs to. INVITATION_UNKNOWN for anything that Token did not make.
func (l *Links) Read(token string) (uuid.UUID, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != len(uuid.UUID{})+sha256.Size {
		return uuid.Nil, unknown()
	}
	invitation := uuid.UUID(raw[:len(uuid.UUID{})])
	if !hmac.Equal(raw[len(invitation):], l.mac(invitation)) {
		return uuid.Nil, unknown()
	}
	return invitation, nil
}

func (l *Links) mac(invitation uuid.UUID) []byte {
	mac := hmac.New(sha256.New, l.key)
	_, _ = mac.Write([]byte("kontor invitation link\x00")) // A hash never fails. The text keeps the key's other uses apart.
	_, _ = mac.Write(invitation[:])
	return mac.Sum(nil)
}

func unknown() error { return failure.New(commonv1.Reason_REASON_INVITATION_UNKNOWN) }
