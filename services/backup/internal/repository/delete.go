package repository

import (
	"context"

	gcblob "gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"kontor.internal/libs/blob"
	"kontor.internal/services/backup/internal/names"
)

// DeleteObject deletes an object of a company's in its region's store. One that is not there is as good.
func (r *Repositories) DeleteObject(ctx context.Context, of Of, key string) error {
	return remove(ctx, r.Stores.Of(of.Region), key)
}

// DeleteAll deletes everything of a company's in a region: its repository with the second copy, archives and exports.
func (r *Repositories) DeleteAll(ctx context.Context, of names.Company, region string) error {
	own := "/" + region + "/" + of.Subscriber.String() + "/" + of.ID.String() + "/"
	store := r.Stores.Of(region)
	for _, folder := range []string{"repositories", "snapshots", "exports"} {
		if err := removeAll(ctx, store, folder+own); err != nil {
			return err
		}
	}
	if place, second, ok := r.SecondPlace(Of{Company: of, Region: region}); ok {
		return removeAll(ctx, r.Stores.Of(second), place.Folder+"/")
	}
	return nil
}

func removeAll(ctx context.Context, store *blob.Bucket, prefix string) error {
	for token := gcblob.FirstPageToken; len(token) > 0; {
		page, next, err := store.ListPage(ctx, token, 1000, &gcblob.ListOptions{Prefix: prefix})
		if err != nil {
			return blob.Translate(err, prefix)
		}
		for _, o := range page {
			if err := remove(ctx, store, o.Key); err != nil {
				return err
			}
		}
		token = next
	}
	return nil
}

func remove(ctx context.Context, store *blob.Bucket, key string) error {
	if err := store.Delete(ctx, key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return blob.Translate(err, key)
	}
	return nil
}
