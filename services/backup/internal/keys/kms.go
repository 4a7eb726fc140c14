package keys

import (
	"context"

	"kontor.internal/libs/seal"
)

// KMS wraps companies' keys under a region's key-encryption key, which never leaves it.
type KMS interface {
	Wrap(ctx context.Context, region, id string, keys []byte) ([]byte, error)
	// Unwrap also says whether an earlier key-encryption key than the present one had wrapped them.
	Unwrap(ctx context.Context, region, id string, wrapped []byte) (keys []byte, old bool, err error)
}

// Local is a KMS of this process: each region's key is derived from one secret.
type Local struct{ secret, previous string }

// NewLocal returns a KMS from a secret of 32 characters or more. It also
// unwraps what an earlier secret wrapped.
func NewLocal(secret, previous string) (*Local, error) {
	l := &Local{secret: secret, previous: previous}
	_, err := l.of("any")
	return l, err
}

func (l *Local) of(region string) (*seal.Sealer, error) {
	return seal.New("backup keys of "+region, l.secret, l.previous)
}

// Wrap encrypts keys.
func (l *Local) Wrap(_ context.Context, region, id string, keys []byte) ([]byte, error) {
	sealer, err := l.of(region)
	if err != nil {
		return nil, err
	}
	return sealer.Seal(id, keys)
}

// Unwrap decrypts keys.
func (l *Local) Unwrap(_ context.Context, region, id string, wrapped []byte) (keys []byte, old bool, err error) {
	sealer, err := l.of(region)
	if err != nil {
		return nil, false, err
	}
	return sealer.Open(id, wrapped)
}
