// Package keys keeps one data key a company, wrapped, in a store of its own:
// whoever destroys the wrapped key destroys every copy of the company's books.
package keys

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"gocloud.dev/gcerrors"

	"kontor.internal/libs/blob"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/seal"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// KMS wraps data keys under a region's key-encryption key, which never leaves it.
type KMS interface {
	Wrap(ctx context.Context, region, id string, key []byte) ([]byte, error)
	Unwrap(ctx context.Context, region, id string, wrapped []byte) ([]byte, error)
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
	return seal.New("backup data keys of "+region, l.secret, l.previous)
}

// Wrap encrypts a data key.
func (l *Local) Wrap(_ context.Context, region, id string, key []byte) ([]byte, error) {
	sealer, err := l.of(region)
	if err != nil {
		return nil, err
	}
	return sealer.Seal(id, key)
}

// Unwrap decrypts a data key.
func (l *Local) Unwrap(_ context.Context, region, id string, wrapped []byte) ([]byte, error) {
	sealer, err := l.of(region)
	if err != nil {
		return nil, err
	}
	key, _, err := sealer.Open(id, wrapped)
	return key, err
}

// ErrGone says that a company's key is destroyed, or was never made.
var ErrGone = errors.New("keys: the company has no key")

// Keys gives companies' data keys.
type Keys struct {
	KMS   KMS
	Store *blob.Bucket
}

func object(region string, company uuid.UUID) string { return region + "/" + company.String() + ".key" }

// Get is a company's data key; ErrGone without one.
func (k *Keys) Get(ctx context.Context, region string, company uuid.UUID) ([]byte, error) {
	wrapped, err := k.Store.ReadAll(ctx, object(region, company))
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil, ErrGone
	}
	if err != nil {
		return nil, unavailable(err)
	}
	key, err := k.KMS.Unwrap(ctx, region, company.String(), wrapped)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return key, nil
}

// GetOrMake makes the key of a company that has none. Of two that make it at once, one wins and both get it.
func (k *Keys) GetOrMake(ctx context.Context, region string, company uuid.UUID) ([]byte, error) {
	key, err := k.Get(ctx, region, company)
	if !errors.Is(err, ErrGone) {
		return key, err
	}
	made := make([]byte, 32)
	if _, err := rand.Read(made); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	wrapped, err := k.KMS.Wrap(ctx, region, company.String(), made)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	// Lasting before anything is encrypted with it.
	if err := k.Store.PutNew(ctx, object(region, company), wrapped, ""); err != nil && !errors.Is(err, blob.ErrExists) {
		return nil, unavailable(err)
	}
	return k.Get(ctx, region, company)
}

func unavailable(err error) error {
	return failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", "key store").Wrap(err)
}
