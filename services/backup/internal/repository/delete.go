package repository

import (
	"context"

	"kontor.internal/services/backup/internal/names"
)

// DeleteAll deletes everything of a company's in a region: its repository with the second copy, archives and exports.
func (r *Repositories) DeleteAll(ctx context.Context, of names.Company, region string) error {
	own := "/" + region + "/" + of.Subscriber.String() + "/" + of.ID.String() + "/"
	for _, folder := range []string{"repositories", "snapshots", "exports"} {
		if err := r.Stores.RemoveAll(ctx, region, folder+own); err != nil {
			return err
		}
	}
	if place, second, ok := r.SecondPlace(Of{Company: of, Region: region}); ok {
		return r.Stores.RemoveAll(ctx, second, place.Folder+"/")
	}
	return nil
}
