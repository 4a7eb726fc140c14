package kit

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Release is what one data area of a database is at.
type Release struct {
	Area    string
	Product string
	Edition string
	Version Version
}

// Releases returns the data areas of a database by name, none where it is not a company database.
func Releases(ctx context.Context, db Querier) ([]Release, error) {
	var there bool
	if err := db.QueryRow(ctx, "SELECT to_regclass('kontor_meta.release') IS NOT NULL").Scan(&there); err != nil {
		return nil, fmt.Errorf("look for releases: %w", err)
	}
	if !there {
		return nil, nil
	}
	rows, err := db.Query(ctx, "SELECT area, product, edition, version FROM kontor_meta.release ORDER BY area")
	if err != nil {
		return nil, fmt.Errorf("read releases: %w", err)
	}
	releases, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Release, error) {
		var release Release
		var version string
		if err := row.Scan(&release.Area, &release.Product, &release.Edition, &version); err != nil {
			return Release{}, err
		}
		var err error
		release.Version, err = ParseVersion(version)
		return release, err
	})
	if err != nil {
		return nil, fmt.Errorf("read releases: %w", err)
	}
	return releases, nil
}
