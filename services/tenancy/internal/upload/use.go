package upload

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/upload/uploaddb"
)

// Get reads an upload that was found good, whether or not a company is being made of it.
func (s *Uploads) Get(ctx context.Context, owner, upload uuid.UUID) (Verified, error) {
	u, err := s.get(ctx, owner, upload)
	if err != nil {
		return Verified{}, err
	}
	if !good(u) {
		return Verified{}, unfit(u)
	}
	return verified(u)
}

func good(u row) bool {
	return state(u) == tenancyv1.UploadState_UPLOAD_STATE_VERIFIED || state(u) == tenancyv1.UploadState_UPLOAD_STATE_USED
}

// Use takes a VERIFIED upload for a company, once. A program that was released since is COPY_RELEASE_OLDER.
func (s *Uploads) Use(ctx context.Context, tx pgx.Tx, owner, upload uuid.UUID) (Verified, error) {
	u, err := s.lock(ctx, tx, owner, upload)
	if err != nil {
		return Verified{}, err
	}
	if state(u) != tenancyv1.UploadState_UPLOAD_STATE_VERIFIED {
		return Verified{}, unfit(u)
	}
	v, err := verified(u)
	if err != nil {
		return Verified{}, err
	}
	if k := s.d.Kits.Newest(v.Product); k == nil || k.Version != v.Version {
		newest := ""
		if k != nil {
			newest = k.Version.String()
		}
		return Verified{}, failure.New(commonv1.Reason_REASON_COPY_RELEASE_OLDER,
			"product", v.Product, "version", v.Version.String(), "newest", newest)
	}
	return v, s.setState(ctx, tx, u, tenancyv1.UploadState_UPLOAD_STATE_USED)
}

// Release gives an upload back when nothing came of the company; another try may follow.
func (s *Uploads) Release(ctx context.Context, tx pgx.Tx, owner, upload uuid.UUID) error {
	u, err := s.lock(ctx, tx, owner, upload)
	if err != nil || state(u) != tenancyv1.UploadState_UPLOAD_STATE_USED {
		return err
	}
	return s.setState(ctx, tx, u, tenancyv1.UploadState_UPLOAD_STATE_VERIFIED)
}

func (s *Uploads) lock(ctx context.Context, tx pgx.Tx, owner, upload uuid.UUID) (row, error) {
	u, err := uploaddb.New(tx).LockUpload(ctx, uploaddb.LockUploadParams{ID: upload, SubscriberID: owner, Now: s.d.Clock.Now()})
	return u, postgres.NotFound(err, names.Upload(owner, upload))
}

// setState also begins the time anew for which the bytes are kept.
func (s *Uploads) setState(ctx context.Context, tx pgx.Tx, u row, to tenancyv1.UploadState) error {
	return uploaddb.New(tx).SetState(ctx, uploaddb.SetStateParams{ID: u.ID, State: int16(to), Expires: s.d.Clock.Now().Add(kept)})
}
