package upload

import (
	"context"
	"errors"
	"log/slog"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/kits/kit"
	"kontor.internal/libs/blob"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/idempotency"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/pgrestore"
	"kontor.internal/services/tenancy/internal/subscriber"
	"kontor.internal/services/tenancy/internal/text"
	"kontor.internal/services/tenancy/internal/upload/uploaddb"
)

const filenameLength = 255

// Deps are what uploads are taken in with.
type Deps struct {
	DB       *pgxpool.Pool
	Clock    clock.Clock
	NewID    id.Source
	Store    *blob.Bucket
	Kits     *kit.Set
	Restore  *pgrestore.Program
	MaxBytes int64
	// ShareBytes bounds a subscriber's uploads together.
	ShareBytes int64
	Log        *slog.Logger
}

// Uploads is UploadService, and the uploads that companies are made of.
type Uploads struct {
	tenancyv1.UnimplementedUploadServiceServer
	d        Deps
	examiner *examiner
}

// New returns Uploads. Close ends examinations.
func New(d Deps) *Uploads { return &Uploads{d: d, examiner: newExaminer(d)} }

// Close ends examinations under way; they begin anew when they are asked for again.
func (s *Uploads) Close() { s.examiner.close() }

// CreateUpload announces a file, or finds the upload that has it.
func (s *Uploads) CreateUpload(ctx context.Context, r *tenancyv1.CreateUploadRequest) (*tenancyv1.CreateUploadResponse, error) {
	owner, err := names.ParseSubscriber(r.GetParent())
	if err != nil {
		return nil, err
	}
	filename, err := text.Line("filename", r.GetFilename(), filenameLength)
	if err != nil {
		return nil, err
	}
	if r.GetSizeBytes() > s.d.MaxBytes {
		return nil, tooLarge(s.d.MaxBytes)
	}
	answer, err := idempotency.Create(ctx, s.d.DB, r, func(ctx context.Context, tx pgx.Tx) (*tenancyv1.CreateUploadResponse, error) {
		if _, err := subscriber.Lock(ctx, tx, owner); err != nil {
			return nil, err
		}
		now := s.d.Clock.Now()
		u, err := s.announce(ctx, tx, row{
			ID: s.d.NewID(), SubscriberID: owner, Filename: filename, SizeBytes: r.GetSizeBytes(), Sha256: r.GetSha256(),
			State: int16(tenancyv1.UploadState_UPLOAD_STATE_RECEIVING), Created: now, Expires: now.Add(kept),
		})
		return &tenancyv1.CreateUploadResponse{Upload: toProto(u)}, err
	})
	return answer, postgres.Constraints{}.Translate(err)
}

// announce writes an upload unless one has the same bytes. The subscriber is locked.
func (s *Uploads) announce(ctx context.Context, tx pgx.Tx, u row) (row, error) {
	q := uploaddb.New(tx)
	same, err := q.FindSame(ctx, uploaddb.FindSameParams{
		SubscriberID: u.SubscriberID, Sha256: u.Sha256, SizeBytes: u.SizeBytes, Now: u.Created,
	})
	if !errors.Is(err, pgx.ErrNoRows) {
		return same, err
	}
	open, err := q.CountOpen(ctx, uploaddb.CountOpenParams{SubscriberID: u.SubscriberID, Now: u.Created})
	if err != nil {
		return row{}, err
	}
	if open.Bytes+u.SizeBytes > s.d.ShareBytes {
		return row{}, failure.New(commonv1.Reason_REASON_UPLOADS_TOO_LARGE, "limit_bytes", strconv.FormatInt(s.d.ShareBytes, 10))
	}
	if open.Uploads >= openLimit {
		return row{}, failure.New(commonv1.Reason_REASON_UPLOADS_FULL, "limit", strconv.Itoa(openLimit))
	}
	return u, q.InsertUpload(ctx, uploaddb.InsertUploadParams{
		ID: u.ID, SubscriberID: u.SubscriberID, Filename: u.Filename, SizeBytes: u.SizeBytes, Sha256: u.Sha256,
		State: u.State, Created: u.Created, Expires: u.Expires,
	})
}

// GetUpload shows one.
func (s *Uploads) GetUpload(ctx context.Context, r *tenancyv1.GetUploadRequest) (*tenancyv1.GetUploadResponse, error) {
	u, err := s.named(ctx, r.GetName())
	if err != nil {
		return nil, err
	}
	return &tenancyv1.GetUploadResponse{Upload: toProto(u)}, nil
}

// CompleteUpload has an upload examined, once.
func (s *Uploads) CompleteUpload(ctx context.Context, r *tenancyv1.CompleteUploadRequest) (*tenancyv1.CompleteUploadResponse, error) {
	u, err := s.named(ctx, r.GetName())
	if err != nil {
		return nil, err
	}
	if state(u) == tenancyv1.UploadState_UPLOAD_STATE_RECEIVING {
		if u.ReceivedBytes < u.SizeBytes {
			return nil, failure.New(commonv1.Reason_REASON_UPLOAD_INCOMPLETE,
				"received_bytes", strconv.FormatInt(u.ReceivedBytes, 10), "size_bytes", strconv.FormatInt(u.SizeBytes, 10))
		}
		if err := s.examiner.examine(ctx, u); err != nil {
			return nil, err
		}
		if u, err = s.named(ctx, r.GetName()); err != nil {
			return nil, err
		}
	}
	if state(u) == tenancyv1.UploadState_UPLOAD_STATE_REFUSED {
		return nil, refusalOf(u)
	}
	return &tenancyv1.CompleteUploadResponse{Upload: toProto(u)}, nil
}

func (s *Uploads) named(ctx context.Context, name string) (row, error) {
	owner, upload, err := names.ParseUpload(name)
	if err != nil {
		return row{}, err
	}
	return s.get(ctx, owner, upload)
}

func (s *Uploads) get(ctx context.Context, owner, upload uuid.UUID) (row, error) {
	u, err := uploaddb.New(s.d.DB).GetUpload(ctx, uploaddb.GetUploadParams{ID: upload, SubscriberID: owner, Now: s.d.Clock.Now()})
	return u, postgres.NotFound(err, names.Upload(owner, upload))
}

func tooLarge(limit int64) error {
	return failure.New(commonv1.Reason_REASON_UPLOAD_TOO_LARGE, "limit_bytes", strconv.FormatInt(limit, 10))
}
