package upload

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"

	"kontor.internal/libs/blob"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/upload/uploaddb"
)

// keepPatience is how long what a broken connection brought may take to be put away.
const keepPatience = 30 * time.Second

type writeStream = grpc.ClientStreamingServer[tenancyv1.WriteUploadRequest, tenancyv1.WriteUploadResponse]

// WriteUpload appends bytes. What came before the stream broke is kept.
func (s *Uploads) WriteUpload(stream writeStream) error {
	ctx := stream.Context()
	first, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		return failure.Invalid("name", "is missing")
	}
	if err != nil {
		return err
	}
	u, err := s.named(ctx, first.GetName())
	if err != nil {
		return err
	}
	if state(u) != tenancyv1.UploadState_UPLOAD_STATE_RECEIVING {
		return unfit(u)
	}
	if first.GetOffset() != u.ReceivedBytes {
		return mismatch(u)
	}
	a := &appender{s: s, upload: u}
	received := a.receive(ctx, first, stream)
	// The caller may be gone already; what it sent is kept all the same.
	kept, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepPatience)
	defer cancel()
	if err := errors.Join(received, a.flush(kept)); err != nil {
		if received != nil {
			return received
		}
		return err
	}
	if u, err = s.get(ctx, u.SubscriberID, u.ID); err != nil {
		return err
	}
	return stream.SendAndClose(&tenancyv1.WriteUploadResponse{Upload: toProto(u)})
}

// mismatch tells where to go on from.
func mismatch(u row) error {
	return failure.New(commonv1.Reason_REASON_UPLOAD_OFFSET_MISMATCH, "received_bytes", strconv.FormatInt(u.ReceivedBytes, 10))
}

// appender gathers pieces into parts.
type appender struct {
	s      *Uploads
	upload row // with what was put away so far
	part   []byte
}

func (a *appender) receive(ctx context.Context, first *tenancyv1.WriteUploadRequest, stream writeStream) error {
	if err := a.take(ctx, first.GetData()); err != nil {
		return err
	}
	for {
		next, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if next.GetName() != "" || next.GetOffset() != 0 {
			return failure.Invalid("name", "stands in the first message only")
		}
		if err := a.take(ctx, next.GetData()); err != nil {
			return err
		}
	}
}

func (a *appender) take(ctx context.Context, data []byte) error {
	if a.upload.ReceivedBytes+int64(len(a.part))+int64(len(data)) > a.upload.SizeBytes {
		return tooLarge(a.upload.SizeBytes)
	}
	a.part = append(a.part, data...)
	if len(a.part) < partBytes {
		return nil
	}
	return a.flush(ctx)
}

// flush puts the part away: the object first, then the row that names it. The row goes in only where the upload still
// ends at the part's beginning, so of two writers one goes on and the other is told where to.
func (a *appender) flush(ctx context.Context) error {
	if len(a.part) == 0 {
		return nil
	}
	part := a.part
	a.part = a.part[:0]
	object := a.s.d.NewID()
	key := objectKey(a.upload.ID, object)
	if err := a.s.d.Store.Put(ctx, key, part, "application/octet-stream"); err != nil {
		return blob.Translate(err, names.Upload(a.upload.SubscriberID, a.upload.ID))
	}
	err := postgres.InTx(ctx, a.s.d.DB, func(tx pgx.Tx) error { return a.keep(ctx, tx, object, int64(len(part))) })
	if err != nil {
		// After a lost connection the row may stand: only a clear refusal tells that nothing names the object.
		if failure.Reason(err) == commonv1.Reason_REASON_UPLOAD_OFFSET_MISMATCH {
			remove(ctx, a.s.d, key)
		}
		return err
	}
	a.upload.ReceivedBytes += int64(len(part))
	return nil
}

func (a *appender) keep(ctx context.Context, tx pgx.Tx, object uuid.UUID, size int64) error {
	q := uploaddb.New(tx)
	taken, err := q.TakeBytes(ctx, uploaddb.TakeBytesParams{ID: a.upload.ID, Bytes: size, Begins: a.upload.ReceivedBytes})
	if err != nil {
		return postgres.Constraints{}.Translate(err)
	}
	if taken == 0 {
		now, err := q.GetUpload(ctx, uploaddb.GetUploadParams{
			ID: a.upload.ID, SubscriberID: a.upload.SubscriberID, Now: a.s.d.Clock.Now(),
		})
		if err != nil {
			return postgres.NotFound(err, names.Upload(a.upload.SubscriberID, a.upload.ID))
		}
		return mismatch(now)
	}
	return q.InsertPart(ctx, uploaddb.InsertPartParams{
		UploadID: a.upload.ID, Begins: a.upload.ReceivedBytes, SizeBytes: size, ObjectID: object,
	})
}
