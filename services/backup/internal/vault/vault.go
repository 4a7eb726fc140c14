// Package vault writes and reads objects that lie encrypted under a company's data key.
package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
	gcblob "gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"kontor.internal/libs/blob"
	"kontor.internal/services/backup/internal/archive"
	"kontor.internal/services/backup/internal/keys"
	"kontor.internal/services/backup/internal/names"
	"kontor.internal/services/backup/internal/region"
	"kontor.internal/snapshot"
)

// Vault is where such objects lie.
type Vault struct {
	Stores *region.Stores
	Keys   *keys.Keys
}

// Object is one of them.
type Object struct {
	// Key in its region's store; made by Key.
	Key string
	// ID that its content is bound to.
	ID archive.ID
	// Region whose keys it is encrypted under.
	Region string
	// Resource that it belongs to, for errors.
	Resource string
}

// Key is that of one attempt at a company's object. The region stands in it, so that a key alone says where the object lies.
func Key(folder, region string, of names.Company, object, attempt uuid.UUID) string {
	return folder + region + "/" + of.Subscriber.String() + "/" + of.ID.String() + "/" + object.String() + "." + attempt.String()
}

// regionOf is the region that an object's key was made for.
func regionOf(key string) string {
	_, rest, _ := strings.Cut(key, "/")
	region, _, _ := strings.Cut(rest, "/")
	return region
}

// Written is what a row must keep of an object.
type Written struct {
	Size, Stored int64
	SHA256       []byte
	KeyVersion   uint32
}

// Write encrypts what fill writes, under the current data key. The object is durable when Write returns; when it fails there is none.
func (v Vault) Write(ctx context.Context, o Object, with snapshot.Keys, fill func(to io.Writer) error) (Written, error) {
	writing, abort := context.WithCancel(ctx) // A writer whose context ended stores nothing.
	defer abort()
	object, err := v.Stores.Of(o.Region).NewWriter(writing, o.Key, nil)
	if err != nil {
		return Written{}, blob.Translate(err, o.Resource)
	}
	w, err := encrypt(object, o, with, fill)
	if err != nil {
		abort()
		return w, errors.Join(err, ignore(object.Close()))
	}
	if err := object.Close(); err != nil {
		return w, blob.Translate(err, o.Resource)
	}
	return w, blob.Translate(v.Stores.Of(o.Region).Sync(ctx, o.Key), o.Resource)
}

// ignore is for closing what was aborted: it fails on purpose.
func ignore(error) error { return nil }

func encrypt(to io.Writer, o Object, with snapshot.Keys, fill func(to io.Writer) error) (Written, error) {
	w, err := archive.NewWriter(to, with.Data[with.Current], o.ID)
	if err != nil {
		return Written{}, err
	}
	if err := fill(w); err != nil {
		return Written{}, err
	}
	if err := w.Close(); err != nil {
		return Written{}, blob.Translate(err, o.Resource)
	}
	return Written{Size: w.Size(), Stored: w.Stored(), SHA256: w.SHA256(), KeyVersion: with.Current}, nil
}

// Open reads an object's content from an offset on; stored and version are what Write answered. keys.ErrGone when its key is
// destroyed. It must be closed.
func (v Vault) Open(ctx context.Context, o Object, stored int64, version uint32, offset int64) (*archive.Reader, error) {
	of, err := v.Keys.Get(ctx, o.Region, o.ID.Company)
	if err != nil {
		return nil, err
	}
	key, ok := of.Data[version]
	if !ok {
		return nil, keys.ErrGone
	}
	source := func(offset int64) (io.ReadCloser, error) {
		from, err := v.Stores.Of(o.Region).NewRangeReader(ctx, o.Key, offset, -1, nil)
		if err != nil {
			return nil, blob.Translate(err, o.Resource)
		}
		return from, nil
	}
	return archive.Open(source, stored, key, o.ID, offset)
}

// Remove deletes an object; one that is not there is as good.
func (v Vault) Remove(ctx context.Context, key string) error {
	return v.Stores.Remove(ctx, regionOf(key), key)
}

// Sweep deletes a folder's objects, in all stores, that are older than a moment of real time and that nothing names.
func (v Vault) Sweep(ctx context.Context, folder string, before time.Time, named func(ctx context.Context, key string) (bool, error)) error {
	for _, store := range v.Stores.All() {
		if err := sweep(ctx, store, folder, before, named); err != nil {
			return err
		}
	}
	return nil
}

func sweep(ctx context.Context, store *blob.Bucket, folder string, before time.Time, named func(ctx context.Context, key string) (bool, error)) error {
	for token := gcblob.FirstPageToken; len(token) > 0; {
		page, next, err := store.ListPage(ctx, token, 500, &gcblob.ListOptions{Prefix: folder})
		if err != nil {
			return fmt.Errorf("vault: list objects: %w", err)
		}
		for _, o := range page {
			if o.ModTime.After(before) {
				continue
			}
			needed, err := named(ctx, o.Key)
			if err != nil {
				return err
			}
			if needed {
				continue
			}
			if err := store.Delete(ctx, o.Key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
				return blob.Translate(err, o.Key)
			}
		}
		token = next
	}
	return nil
}
