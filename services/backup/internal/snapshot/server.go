package snapshot

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/idempotency"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/backup/internal/names"
	"kontor.internal/services/backup/internal/snapshot/snapshotdb"
	"kontor.internal/services/backup/internal/vault"
)

// Server answers SnapshotService.
type Server struct {
	backupv1.UnimplementedSnapshotServiceServer
	engine *Engine
}

// NewServer returns a server.
func NewServer(e *Engine) *Server { return &Server{engine: e} }

// start begins an operation on a company, once a request id.
func start[Req idempotency.Request, Resp proto.Message](
	ctx context.Context, e *Engine, of names.Company, kind string, req Req, answer func(*commonv1.Operation) Resp,
) (Resp, error) {
	return Begin(ctx, e, Asked{Of: of, Kind: kind, Permission: authv1.Permission_PERMISSION_SNAPSHOTS_MANAGE}, req, answer)
}

// CreateSnapshot begins a snapshot.
func (s *Server) CreateSnapshot(ctx context.Context, req *backupv1.CreateSnapshotRequest) (*backupv1.CreateSnapshotResponse, error) {
	of, err := names.ParseCompany(req.GetParent())
	if err != nil {
		return nil, err
	}
	if err := s.engine.require(ctx, of, licensingv1.Action_ACTION_BACKUP); err != nil {
		return nil, err
	}
	if _, err := s.engine.see(ctx, of); err != nil {
		return nil, err
	}
	return start(ctx, s.engine, of, kindCreate, req, func(o *commonv1.Operation) *backupv1.CreateSnapshotResponse {
		return &backupv1.CreateSnapshotResponse{Operation: o}
	})
}

// VerifySnapshot begins reading a snapshot back.
func (s *Server) VerifySnapshot(ctx context.Context, req *backupv1.VerifySnapshotRequest) (*backupv1.VerifySnapshotResponse, error) {
	r, err := s.named(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	return start(ctx, s.engine, companyOf(r), kindVerify, req, func(o *commonv1.Operation) *backupv1.VerifySnapshotResponse {
		return &backupv1.VerifySnapshotResponse{Operation: o}
	})
}

// RestoreSnapshot begins a restore. It stays possible for as long as the data is kept.
func (s *Server) RestoreSnapshot(ctx context.Context, req *backupv1.RestoreSnapshotRequest) (*backupv1.RestoreSnapshotResponse, error) {
	r, err := s.named(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	if err := s.engine.require(ctx, companyOf(r), licensingv1.Action_ACTION_READ); err != nil {
		return nil, err
	}
	return start(ctx, s.engine, companyOf(r), kindRestore, req, func(o *commonv1.Operation) *backupv1.RestoreSnapshotResponse {
		return &backupv1.RestoreSnapshotResponse{Operation: o}
	})
}

// CompareRestoredCopy begins a comparison.
func (s *Server) CompareRestoredCopy(ctx context.Context, req *backupv1.CompareRestoredCopyRequest) (*backupv1.CompareRestoredCopyResponse, error) {
	of, restored, err := names.ParseRestoredCopy(req.GetName())
	if err != nil {
		return nil, err
	}
	if _, err := s.engine.standing(ctx, of, restored); err != nil {
		return nil, err
	}
	return start(ctx, s.engine, of, kindCompare, req, func(o *commonv1.Operation) *backupv1.CompareRestoredCopyResponse {
		return &backupv1.CompareRestoredCopyResponse{Operation: o}
	})
}

func (s *Server) named(ctx context.Context, name string) (row, error) {
	of, snapshot, err := names.ParseSnapshot(name)
	if err != nil {
		return row{}, err
	}
	return s.engine.find(ctx, of, snapshot)
}

// GetSnapshot answers one snapshot.
func (s *Server) GetSnapshot(ctx context.Context, req *backupv1.GetSnapshotRequest) (*backupv1.GetSnapshotResponse, error) {
	r, err := s.named(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	found, err := toProto(r)
	return &backupv1.GetSnapshotResponse{Snapshot: found}, err
}

// cursor is the last snapshot shown.
type cursor struct {
	Time *time.Time `json:"t"`
	ID   uuid.UUID  `json:"i"`
}

// ListSnapshots lists a company's snapshots, newest first.
func (s *Server) ListSnapshots(ctx context.Context, req *backupv1.ListSnapshotsRequest) (*backupv1.ListSnapshotsResponse, error) {
	of, err := names.ParseCompany(req.GetParent())
	if err != nil {
		return nil, err
	}
	var after cursor
	page, err := s.engine.Pages.Start(backupv1.SnapshotService_ListSnapshots_FullMethodName, req, &after)
	if err != nil {
		return nil, err
	}
	rows, err := s.engine.db().ListSnapshots(ctx, snapshotdb.ListSnapshotsParams{
		Company: of.ID, Subscriber: of.Subscriber, BeforeTime: after.Time, BeforeID: after.ID, Most: page.Limit(),
	})
	if err != nil {
		return nil, constraints.Translate(err)
	}
	shown, next, err := paging.Finish(page, rows, func(r snapshotdb.ListSnapshotsRow) any { return cursor{Time: &r.CreateTime, ID: r.ID} })
	if err != nil {
		return nil, err
	}
	answer := &backupv1.ListSnapshotsResponse{NextPageToken: next}
	for _, r := range shown {
		one, err := toProto(row(r))
		if err != nil {
			return nil, err
		}
		answer.Snapshots = append(answer.Snapshots, one)
	}
	return answer, nil
}

const contentType = "application/octet-stream"

// DownloadSnapshot streams a part of a snapshot's archive, decrypted.
func (s *Server) DownloadSnapshot(req *backupv1.DownloadSnapshotRequest, stream grpc.ServerStreamingServer[backupv1.DownloadSnapshotResponse]) (err error) {
	ctx := stream.Context()
	r, err := s.named(ctx, req.GetName())
	if err != nil {
		return err
	}
	if err := s.engine.require(ctx, companyOf(r), licensingv1.Action_ACTION_EXPORT); err != nil {
		return err
	}
	if backupv1.SnapshotForm(r.Form) != archived {
		return failure.New(commonv1.Reason_REASON_EXPORT_NEEDED)
	}
	length, err := vault.Part(req.GetOffset(), req.GetLength(), r.SizeBytes)
	if err != nil {
		return err
	}
	from, err := s.engine.open(ctx, r, req.GetOffset())
	if err != nil {
		return damaged(err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if err := s.engine.exported(ctx, r, req); err != nil {
		return err
	}
	info := &commonv1.FileInfo{Filename: filename(r), ContentType: contentType, SizeBytes: r.SizeBytes, Sha256: r.Sha256}
	if err := stream.Send(&backupv1.DownloadSnapshotResponse{Info: info}); err != nil {
		return err
	}
	return damaged(vault.Send(from, length, func(piece []byte) error { return stream.Send(&backupv1.DownloadSnapshotResponse{Data: piece}) }))
}

func filename(r row) string { return Filename(r.CreateTime, ".dump") }

// Filename is what a file of the books as of a moment is called.
func Filename(moment time.Time, ending string) string {
	return "books-" + moment.UTC().Format("20060102-150405") + ending
}

// exported announces that data leaves, before it does.
func (e *Engine) exported(ctx context.Context, r row, req *backupv1.DownloadSnapshotRequest) error {
	told, err := toProto(r)
	if err != nil {
		return err
	}
	return constraints.Translate(postgres.InTx(ctx, e.DB, func(tx pgx.Tx) error {
		return e.tell(ctx, tx, companyOf(r), "snapshot.exported",
			&backupv1.SnapshotExported{Snapshot: told, Offset: req.GetOffset(), Length: req.GetLength()})
	}))
}
