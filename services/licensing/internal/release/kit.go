package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	gcblob "gocloud.dev/blob"
	"google.golang.org/grpc"

	"kontor.internal/libs/blob"
	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/idempotency"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/licence"
	"kontor.internal/services/licensing/internal/release/releasedb"
)

const (
	// folder is where kits and their parts lie in the object store.
	folder = "kits/"
	// partBytes is how much of a kit is put away at a time.
	partBytes = 8 << 20
	// keepPatience is how long what a broken connection brought may take to be put away.
	keepPatience = 30 * time.Second
)

// CreateKit announces a kit.
func (s *Staff) CreateKit(ctx context.Context, req *licensingv1.CreateKitRequest) (*licensingv1.CreateKitResponse, error) {
	author, err := licence.ParseAccount(caller.From(ctx).Account)
	if err != nil {
		return nil, err
	}
	release, err := ParseName(req.GetParent())
	if err != nil {
		return nil, err
	}
	k := Kit{
		ID: s.deps.IDs(), Release: release, Target: req.GetTarget(), Filename: req.GetFilename(), Size: req.GetSizeBytes(), SHA256: req.GetSha256(),
	}
	return idempotency.Create(ctx, s.deps.DB, req, func(ctx context.Context, tx pgx.Tx) (*licensingv1.CreateKitResponse, error) {
		if err := s.draft(ctx, tx, release); err != nil {
			return nil, err
		}
		q := releasedb.New(tx)
		// What lies in the store of the one before is swept.
		if _, err := q.DeleteKitOf(ctx, releasedb.DeleteKitOfParams{Release: release, Target: k.Target}); err != nil {
			return nil, translate(err)
		}
		err := q.InsertKit(ctx, releasedb.InsertKitParams{
			ID: k.ID, Release: release, Target: k.Target, Filename: k.Filename, SizeBytes: k.Size, Sha256: k.SHA256, Author: author,
			Created: s.deps.Clock.Now(),
		})
		return &licensingv1.CreateKitResponse{Kit: k.proto(whole)}, translate(err)
	})
}

// draft makes sure that a release is a draft, and stays one until the transaction ends.
func (s *Staff) draft(ctx context.Context, tx pgx.Tx, release uuid.UUID) error {
	r, err := s.deps.Store.Lock(ctx, tx, release)
	if err == nil && r.State() != Draft {
		return failure.New(commonv1.Reason_REASON_RELEASE_STATE_REFUSED, "state", string(r.State()), "action", "given a kit")
	}
	return err
}

type writeStream = grpc.ClientStreamingServer[licensingv1.WriteKitRequest, licensingv1.WriteKitResponse]

// WriteKit appends bytes. What came before the stream broke is kept.
func (s *Staff) WriteKit(stream writeStream) error {
	ctx := stream.Context()
	first, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		return failure.Invalid("name", "is missing")
	}
	if err != nil {
		return err
	}
	release, kit, err := ParseKitName(first.GetName())
	if err != nil {
		return err
	}
	k, err := s.deps.Store.Kit(ctx, s.deps.DB, release, kit)
	if err != nil {
		return err
	}
	if first.GetOffset() != k.Received || k.complete() {
		return mismatch(k)
	}
	a := &appender{s: s, kit: k}
	received := a.receive(ctx, first, stream)
	// The caller may be gone already; what it sent is kept all the same.
	kept, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepPatience)
	defer cancel()
	if err := a.flush(kept); received == nil {
		received = err
	}
	if received != nil {
		return received
	}
	return stream.SendAndClose(&licensingv1.WriteKitResponse{Kit: a.kit.proto(whole)})
}

// mismatch tells where to go on from.
func mismatch(k Kit) error {
	return failure.New(commonv1.Reason_REASON_UPLOAD_OFFSET_MISMATCH, "received_bytes", strconv.FormatInt(k.Received, 10))
}

// appender gathers what comes into parts.
type appender struct {
	s    *Staff
	kit  Kit // with what was put away so far
	part []byte
}

func (a *appender) receive(ctx context.Context, first *licensingv1.WriteKitRequest, stream writeStream) error {
	for data := first.GetData(); ; {
		if err := a.take(ctx, data); err != nil {
			return err
		}
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
		data = next.GetData()
	}
}

func (a *appender) take(ctx context.Context, data []byte) error {
	if a.kit.Received+int64(len(a.part))+int64(len(data)) > a.kit.Size {
		return failure.New(commonv1.Reason_REASON_UPLOAD_TOO_LARGE, "limit_bytes", strconv.FormatInt(a.kit.Size, 10))
	}
	a.part = append(a.part, data...)
	if len(a.part) < partBytes {
		return nil
	}
	return a.flush(ctx)
}

// flush puts the part away: the object first, then the row that names it. The row goes in only where the kit still ends at
// the part's beginning, so of two writers one goes on and the other is told where to. An object that no row names is swept.
func (a *appender) flush(ctx context.Context) error {
	if len(a.part) == 0 {
		return nil
	}
	part, key, s := a.part, objectKey(a.kit, a.s.deps.IDs()), a.s
	a.part = a.part[:0]
	if err := s.deps.Objects.Put(ctx, key, part, kitType); err != nil {
		return blob.Translate(err, KitName(a.kit.Release, a.kit.ID))
	}
	err := postgres.InTx(ctx, s.deps.DB, func(tx pgx.Tx) error {
		q := releasedb.New(tx)
		taken, err := q.TakeBytes(ctx, releasedb.TakeBytesParams{ID: a.kit.ID, Bytes: int64(len(part)), Begins: a.kit.Received})
		if err != nil {
			return err
		}
		if taken == 0 {
			now, err := s.deps.Store.Kit(ctx, tx, a.kit.Release, a.kit.ID)
			if err != nil {
				return err
			}
			return mismatch(now)
		}
		return q.InsertPart(ctx, releasedb.InsertPartParams{Kit: a.kit.ID, Begins: a.kit.Received, SizeBytes: int64(len(part)), ObjectKey: key})
	})
	if err == nil {
		a.kit.Received += int64(len(part))
	}
	return translate(err)
}

func objectKey(k Kit, object uuid.UUID) string { return folder + k.ID.String() + "/" + object.String() }

// CompleteKit checks, signs and joins what arrived. Of two at once one wins, and both answer the same.
func (s *Staff) CompleteKit(ctx context.Context, req *licensingv1.CompleteKitRequest) (*licensingv1.CompleteKitResponse, error) {
	release, kit, err := ParseKitName(req.GetName())
	if err != nil {
		return nil, err
	}
	r, err := s.deps.Store.Get(ctx, s.deps.DB, release)
	if err != nil {
		return nil, err
	}
	k, err := s.deps.Store.Kit(ctx, s.deps.DB, release, kit)
	if err != nil {
		return nil, err
	}
	if k.complete() {
		return &licensingv1.CompleteKitResponse{Kit: k.proto(whole)}, nil
	}
	if k.Received < k.Size {
		return nil, failure.New(commonv1.Reason_REASON_UPLOAD_INCOMPLETE,
			"received_bytes", strconv.FormatInt(k.Received, 10), "size_bytes", strconv.FormatInt(k.Size, 10))
	}
	if err := s.complete(ctx, r, k); err != nil {
		return nil, err
	}
	if k, err = s.deps.Store.Kit(ctx, s.deps.DB, release, kit); err != nil {
		return nil, err
	}
	return &licensingv1.CompleteKitResponse{Kit: k.proto(whole)}, nil
}

func (s *Staff) complete(ctx context.Context, r Release, k Kit) error {
	parts, err := releasedb.New(s.deps.DB).PartsOf(ctx, k.ID)
	if err != nil {
		return translate(err)
	}
	k.Key = objectKey(k, s.deps.IDs())
	sum, signature, err := s.join(ctx, r, k, parts)
	if err != nil {
		return err
	}
	if !bytes.Equal(sum, k.SHA256) {
		return errors.Join(s.startAnew(ctx, k), failure.New(commonv1.Reason_REASON_UPLOAD_CHECKSUM_MISMATCH))
	}
	return translate(postgres.InTx(ctx, s.deps.DB, func(tx pgx.Tx) error {
		if err := s.draft(ctx, tx, r.ID); err != nil {
			return err
		}
		q := releasedb.New(tx)
		if _, err := q.CompleteKit(ctx, releasedb.CompleteKitParams{ID: k.ID, Signature: signature, ObjectKey: k.Key}); err != nil {
			return err
		}
		return q.ForgetParts(ctx, k.ID)
	}))
}

// startAnew forgets what arrived, which is not what was announced.
func (s *Staff) startAnew(ctx context.Context, k Kit) error {
	return translate(postgres.InTx(ctx, s.deps.DB, func(tx pgx.Tx) error {
		q := releasedb.New(tx)
		return errors.Join(q.StartAnew(ctx, k.ID), q.ForgetParts(ctx, k.ID))
	}))
}

// join writes the parts as one object, durable when it returns, and hashes and signs them on the way.
func (s *Staff) join(ctx context.Context, r Release, k Kit, parts []releasedb.ReleaseKitPart) (sum []byte, signature string, err error) {
	writing, stop := context.WithCancel(ctx)
	defer stop() // Before the writer's close, it leaves nothing.
	w, err := s.deps.Objects.NewWriter(writing, k.Key, &gcblob.WriterOptions{ContentType: kitType})
	if err != nil {
		return nil, "", blob.Translate(err, KitName(r.ID, k.ID))
	}
	hash := sha256.New()
	source := newSigning(io.TeeReader(&partReader{ctx: ctx, objects: s.deps.Objects, parts: parts}, hash))
	n, err := io.Copy(w, source)
	if err == nil && n != k.Size {
		err = fmt.Errorf("release: kit %s: %d bytes of %d are in its parts", k.ID, n, k.Size)
	}
	if err != nil {
		stop()
		return nil, "", errors.Join(err, ignoreCancelled(w.Close()))
	}
	if err := errors.Join(w.Close(), s.deps.Objects.Sync(ctx, k.Key)); err != nil {
		return nil, "", blob.Translate(err, KitName(r.ID, k.ID))
	}
	return hash.Sum(nil), source.signature(s.deps.Signer, trusted(r, k)), nil
}

// ignoreCancelled leaves out that a writer which was told to stop did.
func ignoreCancelled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// partReader is the parts one after another.
type partReader struct {
	ctx     context.Context
	objects *blob.Bucket
	parts   []releasedb.ReleaseKitPart
	at      io.ReadCloser
}

// Read opens each part when the one before is over.
func (r *partReader) Read(p []byte) (int, error) {
	for {
		if r.at == nil {
			if len(r.parts) == 0 {
				return 0, io.EOF
			}
			part, err := r.objects.NewReader(r.ctx, r.parts[0].ObjectKey, nil)
			if err != nil {
				return 0, blob.Translate(err, "kit part")
			}
			r.at, r.parts = part, r.parts[1:]
		}
		n, err := r.at.Read(p)
		if errors.Is(err, io.EOF) {
			err = r.at.Close()
			r.at = nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}
