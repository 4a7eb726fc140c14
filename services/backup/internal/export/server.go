package export

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/backup/internal/export/exportdb"
	"kontor.internal/services/backup/internal/keys"
	"kontor.internal/services/backup/internal/names"
	"kontor.internal/services/backup/internal/snapshot"
	"kontor.internal/services/backup/internal/vault"
)

// Server answers ExportService.
type Server struct {
	backupv1.UnimplementedExportServiceServer
	exports *Exports
}

// NewServer returns a server.
func NewServer(e *Exports) *Server { return &Server{exports: e} }

// CreateExport begins an export. It stays possible for as long as the data is kept.
func (s *Server) CreateExport(ctx context.Context, req *backupv1.CreateExportRequest) (*backupv1.CreateExportResponse, error) {
	of, err := names.ParseCompany(req.GetParent())
	if err != nil {
		return nil, err
	}
	if err := s.exports.Require(ctx, of, licensingv1.Action_ACTION_EXPORT); err != nil {
		return nil, err
	}
	if _, err := s.exports.source(ctx, req); err != nil {
		return nil, err
	}
	asked := snapshot.Asked{Of: of, Kind: kindCreate, Permission: authv1.Permission_PERMISSION_DATA_EXPORT}
	return snapshot.Begin(ctx, s.exports.Engine, asked, req, func(o *commonv1.Operation) *backupv1.CreateExportResponse {
		return &backupv1.CreateExportResponse{Operation: o}
	})
}

// source is the snapshot that an export is asked of.
func (e *Exports) source(ctx context.Context, req *backupv1.CreateExportRequest) (snapshot.Stored, error) {
	of, own, err := names.ParseSnapshot(req.GetSnapshot())
	if err == nil && of.Name() != req.GetParent() {
		err = failure.NotFound(req.GetSnapshot())
	}
	if err != nil {
		return snapshot.Stored{}, err
	}
	from, err := e.Find(ctx, of, own)
	if err == nil && snapshot.IsArchive(from) && req.GetFormat() != dump {
		err = failure.New(commonv1.Reason_REASON_SNAPSHOT_FORM_UNFIT, "need", "IN_REPOSITORY")
	}
	return from, err
}

func (s *Server) named(ctx context.Context, name string) (row, error) {
	of, export, err := names.ParseExport(name)
	if err != nil {
		return row{}, err
	}
	return s.exports.find(ctx, of, export)
}

// GetExport answers one export.
func (s *Server) GetExport(ctx context.Context, req *backupv1.GetExportRequest) (*backupv1.GetExportResponse, error) {
	r, err := s.named(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	return &backupv1.GetExportResponse{Export: toProto(r)}, nil
}

// cursor is the last export shown.
type cursor struct {
	Time *time.Time `json:"t"`
	ID   uuid.UUID  `json:"i"`
}

// ListExports lists a company's exports, newest first.
func (s *Server) ListExports(ctx context.Context, req *backupv1.ListExportsRequest) (*backupv1.ListExportsResponse, error) {
	of, err := names.ParseCompany(req.GetParent())
	if err != nil {
		return nil, err
	}
	var after cursor
	page, err := s.exports.Pages.Start(backupv1.ExportService_ListExports_FullMethodName, req, &after)
	if err != nil {
		return nil, err
	}
	rows, err := s.exports.db().ListExports(ctx, exportdb.ListExportsParams{
		Company: of.ID, Subscriber: of.Subscriber, Now: s.exports.Clock.Now(), BeforeTime: after.Time, BeforeID: after.ID, Most: page.Limit(),
	})
	if err != nil {
		return nil, constraints.Translate(err)
	}
	shown, next, err := paging.Finish(page, rows, func(r exportdb.ListExportsRow) any { return cursor{Time: &r.CreateTime, ID: r.ID} })
	if err != nil {
		return nil, err
	}
	answer := &backupv1.ListExportsResponse{NextPageToken: next}
	for _, r := range shown {
		answer.Exports = append(answer.Exports, toProto(row(r)))
	}
	return answer, nil
}

// DownloadExport streams a part of an export, decrypted.
func (s *Server) DownloadExport(req *backupv1.DownloadExportRequest, stream grpc.ServerStreamingServer[backupv1.DownloadExportResponse]) (err error) {
	ctx := stream.Context()
	r, err := s.named(ctx, req.GetName())
	if err != nil {
		return err
	}
	if err := s.exports.Require(ctx, companyOf(r), licensingv1.Action_ACTION_EXPORT); err != nil {
		return err
	}
	length, err := vault.Part(req.GetOffset(), req.GetLength(), r.SizeBytes)
	if err != nil {
		return err
	}
	from, err := s.exports.Vault().Open(ctx, objectOf(companyOf(r), r.ID, r.Region, r.ObjectKey), r.StoredBytes, uint32(r.KeyVersion), req.GetOffset())
	if errors.Is(err, keys.ErrGone) {
		return failure.NotFound(req.GetName()).Wrap(err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if err := s.exports.downloaded(ctx, r, req); err != nil {
		return err
	}
	info := &commonv1.FileInfo{Filename: filename(r), ContentType: contentType(r), SizeBytes: r.SizeBytes, Sha256: r.Sha256}
	if err := stream.Send(&backupv1.DownloadExportResponse{Info: info}); err != nil {
		return err
	}
	return vault.Send(from, length, func(piece []byte) error { return stream.Send(&backupv1.DownloadExportResponse{Data: piece}) })
}

// downloaded announces that data leaves, before it does.
func (e *Exports) downloaded(ctx context.Context, r row, req *backupv1.DownloadExportRequest) error {
	told := &backupv1.ExportDownloaded{Export: toProto(r), Offset: req.GetOffset(), Length: req.GetLength()}
	return constraints.Translate(postgres.InTx(ctx, e.DB, func(tx pgx.Tx) error {
		return e.Tell(ctx, tx, companyOf(r), "export.downloaded", told)
	}))
}

// DeleteExport ends an export now; what can't be taken away at once is by the sweeper.
func (s *Server) DeleteExport(ctx context.Context, req *backupv1.DeleteExportRequest) (*backupv1.DeleteExportResponse, error) {
	of, export, err := names.ParseExport(req.GetName())
	if err != nil {
		return nil, err
	}
	ended, err := s.exports.db().EndExport(ctx, exportdb.EndExportParams{ID: export, Company: of.ID, Subscriber: of.Subscriber, Now: s.exports.Clock.Now()})
	if err != nil {
		return nil, constraints.Translate(err)
	}
	for _, one := range ended {
		if err := s.exports.takeAway(ctx, exportdb.EndedExportsRow(one)); err != nil {
			return nil, err
		}
	}
	return &backupv1.DeleteExportResponse{}, nil
}
