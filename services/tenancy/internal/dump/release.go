package dump

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// ErrNoRelease tells that a copy does not say which release made it: it is not
// of a product of ours.
var ErrNoRelease = errors.New("dump: the copy names no release")

// maxReleases bounds the data areas one copy may hold.
const maxReleases = 100

// Release is what made a data area of a copy, by the copy's own word: compare
// it with the kits before anything else is believed.
type Release struct {
	Area, Product, Edition, Version string
}

// Releases reads the rows of kontor_meta.release, one a data area, from a script
// written by `pg_restore --data-only --schema=kontor_meta --table=release -f -`.
func Releases(r *Reader) ([]Release, error) {
	for {
		block, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil, ErrNoRelease
		}
		if err != nil {
			return nil, err
		}
		if t := block.Table; t != nil && t.Schema == "kontor_meta" && t.Name == "release" {
			return releaseRows(r, t.Columns)
		}
	}
}

func releaseRows(r *Reader, columns []string) ([]Release, error) {
	var releases []Release
	for {
		row, err := r.Row()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		release, err := releaseOf(row, columns)
		if err != nil {
			return nil, err
		}
		if releases = append(releases, release); len(releases) > maxReleases {
			return nil, fmt.Errorf("%w: too many data areas", ErrScript)
		}
	}
	if len(releases) == 0 {
		return nil, ErrNoRelease
	}
	return releases, nil
}

func releaseOf(row []byte, columns []string) (Release, error) {
	fields, err := Fields(row)
	if err != nil {
		return Release{}, err
	}
	if len(fields) != len(columns) {
		return Release{}, fmt.Errorf("%w: a row of another width than its table", ErrScript)
	}
	var release Release
	for name, into := range map[string]*string{
		"area": &release.Area, "product": &release.Product, "edition": &release.Edition, "version": &release.Version,
	} {
		at := slices.Index(columns, name)
		if at < 0 || fields[at] == nil || *fields[at] == "" {
			return Release{}, fmt.Errorf("%w: no %s", ErrNoRelease, name)
		}
		*into = *fields[at]
	}
	return release, nil
}
