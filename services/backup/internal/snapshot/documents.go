package snapshot

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/backup/internal/vault"
	engine "kontor.internal/snapshot"
)

const (
	// documentsPatience bounds one question to exchange.
	documentsPatience = 30 * time.Second
	// documentPatience bounds the reading of one document.
	documentPatience = 10 * time.Minute
	// documentsAtOnce are listed in one answer.
	documentsAtOnce = 500
)

// documents are a company's in exchange, as files for the engine.
type documents struct {
	exchange exchangev1.DocumentCopyServiceClient
	company  string
}

// List gives the documents that were taken in after a place.
func (d *documents) List(ctx context.Context, after string, each func(f engine.File, place string) error) error {
	for {
		page, err := d.page(ctx, after)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, one := range page {
			about, err := protojson.Marshal(one.GetDocument())
			if err != nil {
				return err
			}
			err = each(engine.File{
				Name: one.GetDocument().GetName(), Size: one.GetDocument().GetSizeBytes(), SHA256: one.GetSha256(), ContentType: one.GetContentType(),
				Time: one.GetDocument().GetCreateTime().AsTime(), About: string(about),
			}, one.GetPlace())
			if err != nil {
				return err
			}
			after = one.GetPlace()
		}
	}
}

func (d *documents) page(ctx context.Context, after string) ([]*exchangev1.CompanyDocument, error) {
	ctx, cancel := context.WithTimeout(ctx, documentsPatience)
	defer cancel()
	page, err := d.exchange.ListCompanyDocuments(ctx, &exchangev1.ListCompanyDocumentsRequest{Company: d.company, After: after, PageSize: documentsAtOnce})
	if has(err, commonv1.Reason_REASON_DOCUMENT_PLACE_UNKNOWN) {
		return nil, errors.Join(engine.ErrPlaceLost, err)
	}
	return page.GetDocuments(), err
}

// Open gives a document's bytes.
func (d *documents) Open(ctx context.Context, f engine.File) (io.ReadCloser, error) {
	ctx, cancel := context.WithTimeout(ctx, documentPatience) // The reader's, which cancels it.
	stream, err := d.exchange.ReadDocument(ctx, &exchangev1.ReadDocumentRequest{Name: f.Name})
	if err != nil {
		cancel()
		return nil, err
	}
	return &documentReader{stream: stream, cancel: cancel}, nil
}

// documentReader reads what is streamed.
type documentReader struct {
	stream grpc.ServerStreamingClient[exchangev1.ReadDocumentResponse]
	cancel context.CancelFunc
	left   []byte
}

// Read reads on.
func (r *documentReader) Read(p []byte) (int, error) {
	for len(r.left) == 0 {
		next, err := r.stream.Recv()
		if has(err, commonv1.Reason_REASON_NOT_FOUND) {
			return 0, errors.Join(engine.ErrFileLost, err)
		}
		if err != nil {
			return 0, err
		}
		r.left = next.GetData()
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// Close ends the stream.
func (r *documentReader) Close() error {
	r.cancel()
	return nil
}

// documented is what became of documents.
type documented struct {
	count, bytes, added int64
	lost                int64
	time                *time.Time
	place, failure      string
}

func documentedBy(m *engine.Made) documented {
	d := documented{count: m.Files, bytes: m.FileBytes, added: m.FilesAdded, lost: m.FilesLost, place: m.FilesPlace}
	if !m.FilesMoment.IsZero() {
		d.time = &m.FilesMoment
	}
	if m.FilesFailed != nil {
		d.failure = reasonName(m.FilesFailed)
	}
	return d
}

// DocumentServer answers SnapshotDocumentService.
type DocumentServer struct {
	backupv1.UnimplementedSnapshotDocumentServiceServer
	snapshots *Server
}

// NewDocumentServer returns a server.
func NewDocumentServer(e *Engine) *DocumentServer { return &DocumentServer{snapshots: NewServer(e)} }

// inSnapshot stands between a snapshot's name and a document's number.
const inSnapshot = "/documents"

// documentCursor is how many documents were shown.
type documentCursor struct {
	Documents int64 `json:"d"`
}

// ListSnapshotDocuments lists the documents in a snapshot.
func (s *DocumentServer) ListSnapshotDocuments(ctx context.Context, req *backupv1.ListSnapshotDocumentsRequest) (*backupv1.ListSnapshotDocumentsResponse, error) {
	e := s.snapshots.engine
	r, files, err := s.open(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	var after documentCursor
	page, err := e.Pages.Start(backupv1.SnapshotDocumentService_ListSnapshotDocuments_FullMethodName, req, &after)
	if err != nil {
		return nil, err
	}
	var found []*backupv1.SnapshotDocument
	err = files.List(ctx, after.Documents, func(f engine.FiledFile) error {
		shown, err := documentProto(req.GetName(), f)
		if err != nil {
			return err
		}
		if found = append(found, shown); len(found) == int(page.Limit()) {
			return errFull
		}
		return nil
	})
	if err != nil && !errors.Is(err, errFull) {
		return nil, damaged(err)
	}
	shown, next, err := paging.Finish(page, found, func(*backupv1.SnapshotDocument) any {
		return documentCursor{after.Documents + int64(page.Size)}
	})
	if err == nil && req.GetPageToken() == "" {
		err = e.lookedIntoDocuments(ctx, r, req.GetName()+inSnapshot)
	}
	if err != nil {
		return nil, err
	}
	return &backupv1.ListSnapshotDocumentsResponse{Documents: shown, NextPageToken: next}, nil
}

// open finds a snapshot whose documents may be read.
func (s *DocumentServer) open(ctx context.Context, name string) (r row, files *engine.OpenedFiles, err error) {
	e := s.snapshots.engine
	if r, err = s.snapshots.lyingIn(ctx, name); err != nil {
		return r, nil, err
	}
	if err := e.require(ctx, companyOf(r), licensingv1.Action_ACTION_READ); err != nil {
		return r, nil, err
	}
	repo, err := e.Repositories.Open(ctx, whereOf(r))
	if err != nil {
		return r, nil, damaged(err)
	}
	known := knownOf(r)
	files, err = engine.OpenFiles(ctx, repo, known.Ref, &known.Head)
	return r, files, damaged(err)
}

func documentProto(snapshot string, f engine.FiledFile) (*backupv1.SnapshotDocument, error) {
	shown := &backupv1.SnapshotDocument{
		Name: snapshot + inSnapshot + "/" + strconv.FormatInt(f.Number, 10), Document: &exchangev1.Document{}, ContentType: f.ContentType, Lost: f.Lost,
	}
	return shown, protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal([]byte(f.About), shown.GetDocument())
}

// DownloadSnapshotDocument streams a document of a snapshot.
func (s *DocumentServer) DownloadSnapshotDocument(req *backupv1.DownloadSnapshotDocumentRequest, stream grpc.ServerStreamingServer[backupv1.DownloadSnapshotDocumentResponse]) error {
	ctx := stream.Context()
	snapshot, text, _ := strings.Cut(req.GetName(), inSnapshot+"/")
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return failure.NotFound(req.GetName())
	}
	r, files, err := s.open(ctx, snapshot)
	if err != nil {
		return err
	}
	f, err := numbered(ctx, files, number)
	if err != nil {
		return err
	}
	if f.Lost {
		return failure.New(commonv1.Reason_REASON_SNAPSHOT_DOCUMENT_MISSING)
	}
	length, err := vault.Part(req.GetOffset(), req.GetLength(), f.Size)
	if err != nil {
		return err
	}
	shown, err := documentProto(snapshot, f)
	if err != nil {
		return err
	}
	if err := s.snapshots.engine.lookedIntoDocuments(ctx, r, req.GetName()); err != nil {
		return err
	}
	info := &commonv1.FileInfo{Filename: shown.GetDocument().GetFilename(), ContentType: f.ContentType, SizeBytes: f.Size, Sha256: f.SHA256}
	if err := stream.Send(&backupv1.DownloadSnapshotDocumentResponse{Info: info}); err != nil {
		return err
	}
	skip := req.GetOffset()
	return damaged(files.Read(ctx, f, func(piece []byte) error {
		from := min(skip, int64(len(piece)))
		skip -= from
		to := min(from+length, int64(len(piece)))
		length -= to - from
		if from == to {
			return nil
		}
		return stream.Send(&backupv1.DownloadSnapshotDocumentResponse{Data: piece[from:to]})
	}))
}

// numbered finds a document by its number.
func numbered(ctx context.Context, files *engine.OpenedFiles, number int64) (found engine.FiledFile, err error) {
	if number < 1 || number > files.Count {
		return found, failure.New(commonv1.Reason_REASON_SNAPSHOT_DOCUMENT_MISSING)
	}
	err = files.List(ctx, number-1, func(f engine.FiledFile) error {
		found = f
		return errFull
	})
	if errors.Is(err, errFull) {
		return found, nil
	}
	return found, damaged(err)
}

// lookedIntoDocuments announces that documents are shown, before they are.
func (e *Engine) lookedIntoDocuments(ctx context.Context, r row, what string) error {
	told, err := toProto(r)
	if err != nil {
		return err
	}
	return constraints.Translate(postgres.InTx(ctx, e.DB, func(tx pgx.Tx) error {
		return e.tell(ctx, tx, companyOf(r), "snapshot.looked_into", &backupv1.SnapshotLookedInto{Snapshot: told, Documents: what})
	}))
}
