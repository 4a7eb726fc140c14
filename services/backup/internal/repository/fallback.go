package repository

import (
	"context"
	"io"
	"strings"

	"kontor.internal/snapshot"
)

// OpenToRestore is a repository to read, which gives from its second copy what it can't give itself: a region may be lost.
func (r *Repositories) OpenToRestore(ctx context.Context, of Of) (snapshot.Repository, error) {
	repo, err := r.Open(ctx, of)
	if place, _, ok := r.SecondPlace(of); ok {
		repo.Store = fallback{Store: repo.Store, folder: repo.Folder, second: place}
	}
	return repo, err
}

// fallback reads from a second place what the first one can't give. Whatever comes from there is authenticated as well.
type fallback struct {
	snapshot.Store

	folder string
	second snapshot.Place
}

// Open tries both places; the first one's error is told.
func (f fallback) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	from, err := f.Store.Open(ctx, key, offset, length)
	if err == nil || ctx.Err() != nil {
		return from, err
	}
	if other, failed := f.second.Store.Open(ctx, f.second.Folder+strings.TrimPrefix(key, f.folder), offset, length); failed == nil {
		return other, nil
	}
	return nil, err
}
