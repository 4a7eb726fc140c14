// Package keys keeps each company's keys, wrapped, in a store of their own: whoever destroys the wrapped keys destroys every
// copy of the company's books.
package keys

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/google/uuid"
	gcblob "gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"kontor.internal/libs/blob"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/snapshot"
)

// ErrGone says that a company's keys are destroyed, or were never made.
var ErrGone = errors.New("keys: the company has no keys")

// Keys gives companies' keys.
type Keys struct {
	KMS   KMS
	Store *blob.Bucket
}

func object(region string, company uuid.UUID) string {
	return region + "/" + company.String() + ".keys"
}

// Get is what a company's copies in a region are read and written with; ErrGone without any.
func (k *Keys) Get(ctx context.Context, region string, company uuid.UUID) (snapshot.Keys, error) {
	found, _, err := k.get(ctx, region, company)
	return found, err
}

// get also says whether an earlier key-encryption key wrapped them.
func (k *Keys) get(ctx context.Context, region string, company uuid.UUID) (found snapshot.Keys, old bool, err error) {
	wrapped, err := k.Store.ReadAll(ctx, object(region, company))
	if gcerrors.Code(err) == gcerrors.NotFound {
		return found, false, ErrGone
	}
	if err != nil {
		return found, false, unavailable(err)
	}
	raw, old, err := k.KMS.Unwrap(ctx, region, company.String(), wrapped)
	if err != nil {
		return found, false, fmt.Errorf("keys: %w", err)
	}
	found, err = snapshot.DecodeKeys(raw)
	if err == nil && found.Company != company {
		err = errors.New("keys: another company's")
	}
	return found, old, err
}

// GetOrMake makes the keys of a company that has none. Of two that make them at once, one wins and both get its keys.
func (k *Keys) GetOrMake(ctx context.Context, region string, company uuid.UUID) (snapshot.Keys, error) {
	found, err := k.Get(ctx, region, company)
	if !errors.Is(err, ErrGone) {
		return found, err
	}
	made := snapshot.Keys{Company: company, Names: fresh(), Data: map[uint32][]byte{1: fresh()}, Current: 1}
	wrapped, err := k.wrap(ctx, region, made)
	if err != nil {
		return snapshot.Keys{}, err
	}
	// Lasting before anything is encrypted with them.
	if err := k.Store.PutNew(ctx, object(region, company), wrapped, ""); err != nil && !errors.Is(err, blob.ErrExists) {
		return snapshot.Keys{}, unavailable(err)
	}
	return k.Get(ctx, region, company)
}

// fresh is a new key.
func fresh() []byte {
	key := make([]byte, snapshot.KeyBytes)
	_, _ = rand.Read(key) // It never fails.
	return key
}

func (k *Keys) wrap(ctx context.Context, region string, keys snapshot.Keys) ([]byte, error) {
	raw, err := snapshot.EncodeKeys(keys)
	if err != nil {
		return nil, err
	}
	wrapped, err := k.KMS.Wrap(ctx, region, keys.Company.String(), raw)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return wrapped, nil
}

// Renew adds a version of the data key: what is written from now on is encrypted under it, what was written stays as it is.
// Whoever calls sees to it that nobody else changes the company's keys meanwhile.
func (k *Keys) Renew(ctx context.Context, region string, company uuid.UUID) (snapshot.Keys, error) {
	found, err := k.Get(ctx, region, company)
	if err != nil {
		return found, err
	}
	found.Data = maps.Clone(found.Data)
	found.Current++
	found.Data[found.Current] = fresh()
	return found, k.put(ctx, region, found)
}

// Rewrap wraps keys anew that an earlier key-encryption key had wrapped, and says whether it did. Whoever calls sees to it
// that nobody else changes the company's keys meanwhile.
func (k *Keys) Rewrap(ctx context.Context, region string, company uuid.UUID) (bool, error) {
	found, old, err := k.get(ctx, region, company)
	if err != nil || !old {
		return false, err
	}
	return true, k.put(ctx, region, found)
}

func (k *Keys) put(ctx context.Context, region string, keys snapshot.Keys) error {
	wrapped, err := k.wrap(ctx, region, keys)
	if err != nil {
		return err
	}
	if err := k.Store.Put(ctx, object(region, keys.Company), wrapped, ""); err != nil {
		return unavailable(err)
	}
	return nil
}

// Destroy takes a company's keys away, with whatever was left of an attempt to make them: no copy of its books in the
// region can be read any more. Repeating it changes nothing.
func (k *Keys) Destroy(ctx context.Context, region string, company uuid.UUID) error {
	own := object(region, company)
	all := []string{own}
	for token := gcblob.FirstPageToken; len(token) > 0; {
		page, next, err := k.Store.ListPage(ctx, token, 1000, &gcblob.ListOptions{Prefix: own})
		if err != nil {
			return unavailable(err)
		}
		for _, o := range page {
			if o.Key != own && strings.HasPrefix(o.Key, own) {
				all = append(all, o.Key)
			}
		}
		token = next
	}
	for _, key := range all {
		if err := k.Store.Delete(ctx, key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
			return unavailable(err)
		}
	}
	return nil
}

func unavailable(err error) error {
	return failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", "key store").Wrap(err)
}
