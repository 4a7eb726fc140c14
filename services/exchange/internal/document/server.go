package document

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/blob"
	"kontor.internal/libs/caller"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/rights"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	"kontor.internal/services/exchange/internal/document/documentdb"
	"kontor.internal/services/exchange/internal/names"
)

const (
	// fetched is how many bytes of documents go into one answer, unless one alone has more.
	fetched = 3 << 20
	// piece is how many bytes of a download go into one message.
	piece = 256 << 10
)

// Signer signs receipts.
type Signer interface {
	Sign(payload []byte) (string, error)
}

// Deps are what the server is made of.
type Deps struct {
	DB     *pgxpool.Pool
	Clock  clock.Clock
	NewID  id.Source
	Store  *blob.Bucket
	Rights *rights.Rights
	Sign   Signer
	Pages  *paging.Codec
}

// Server is DocumentService.
type Server struct {
	exchangev1.UnimplementedDocumentServiceServer
	d Deps
}

// NewServer returns DocumentService.
func NewServer(d Deps) *Server { return &Server{d: d} }

func accountOf(ctx context.Context) string { return caller.From(ctx).Account }

func (s *Server) shown(ctx context.Context, d Document) (*exchangev1.Document, error) {
	steps, err := stepsOf(ctx, s.d.DB, d)
	return ToProto(d, steps), err
}

// FetchDocuments shows the receiver what waits for it. The first time, a document's way begins.
func (s *Server) FetchDocuments(ctx context.Context, r *exchangev1.FetchDocumentsRequest) (*exchangev1.FetchDocumentsResponse, error) {
	id, err := names.ParseConnection(r.GetParent())
	if err != nil {
		return nil, err
	}
	limit := r.GetLimit()
	if limit == 0 {
		limit = 50
	}
	waiting, err := fromRows(documentdb.New(s.d.DB).ListWaiting(ctx, documentdb.ListWaitingParams{ConnectionID: id, Limit: limit + 1}))
	if err != nil {
		return nil, err
	}
	answer := &exchangev1.FetchDocumentsResponse{}
	answer.Documents, answer.More, err = s.withContent(ctx, waiting, int(limit))
	if err != nil {
		return nil, err
	}
	return answer, s.underWay(ctx, id, waiting[:len(answer.GetDocuments())])
}

func (s *Server) withContent(ctx context.Context, waiting []Document, limit int) (list []*exchangev1.FetchedDocument, more bool, err error) {
	var size int64
	for i, d := range waiting {
		if size += d.Size; i == limit || i > 0 && size > fetched {
			return list, true, nil
		}
		content, err := s.d.Store.ReadAll(ctx, key(d))
		if err != nil {
			return nil, false, blob.Translate(err, d.Name())
		}
		list = append(list, &exchangev1.FetchedDocument{Document: ToProto(d, nil), Content: content})
	}
	return list, false, nil
}

// underWay marks documents that are fetched for the first time.
func (s *Server) underWay(ctx context.Context, id uuid.UUID, documents []Document) error {
	var fresh []uuid.UUID
	for _, d := range documents {
		if d.Transport == exchangev1.TransportState_TRANSPORT_STATE_QUEUED {
			fresh = append(fresh, d.ID)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	return s.within(ctx, id, func(c *change) error {
		for _, id := range fresh {
			d, h, err := c.open(ctx, id)
			if err != nil {
				return err
			}
			if d.Transport != exchangev1.TransportState_TRANSPORT_STATE_QUEUED {
				continue // Another fetch was quicker.
			}
			if err := c.transport(ctx, &d, &h, exchangev1.TransportState_TRANSPORT_STATE_SENDING, "", Service); err != nil {
				return err
			}
			if err := update(ctx, c.tx, d); err != nil {
				return err
			}
		}
		return nil
	})
}

// AcknowledgeDocument makes a document delivered, with a receipt.
func (s *Server) AcknowledgeDocument(ctx context.Context, r *exchangev1.AcknowledgeDocumentRequest) (*exchangev1.AcknowledgeDocumentResponse, error) {
	answer := &exchangev1.AcknowledgeDocumentResponse{}
	d, err := s.change(ctx, r.GetName(), func(c *change, d *Document, h *history) error {
		if !strings.EqualFold(r.GetContentSha256(), hash(d.SHA256)) {
			return failure.New(commonv1.Reason_REASON_DOCUMENT_HASH_DIFFERS)
		}
		if kept, found, err := getReceipt(ctx, c.tx, *d); found || err != nil {
			answer.Receipt = kept.signed
			return err
		}
		if d.Transport == exchangev1.TransportState_TRANSPORT_STATE_QUEUED { // Read by a download, never fetched.
			if err := c.transport(ctx, d, h, exchangev1.TransportState_TRANSPORT_STATE_SENDING, "", Service); err != nil {
				return err
			}
		}
		if err := c.transport(ctx, d, h, exchangev1.TransportState_TRANSPORT_STATE_DELIVERED, "", Receiver); err != nil {
			return err
		}
		d.Delivered = &c.now
		signed, err := s.sign(c, *d)
		if err != nil {
			return err
		}
		answer.Receipt = signed
		return documentdb.New(c.tx).InsertReceipt(ctx, documentdb.InsertReceiptParams{DocumentID: d.ID, Signed: signed, Created: c.now})
	})
	answer.Document = d
	return answer, err
}

// content of a receipt; see GetReceiptResponse in the contract.
type content struct {
	Document   string `json:"document"`
	Message    string `json:"message_id"`
	SHA256     string `json:"sha256"`
	Connection string `json:"connection"`
	Sender     string `json:"sender"`
	Receiver   string `json:"receiver"`
	Sent       string `json:"sent"`
	Delivered  string `json:"delivered"`
	Account    string `json:"account"`
}

func (s *Server) sign(c *change, d Document) (string, error) {
	payload, err := json.Marshal(content{
		Document: d.Name(), Message: d.Message, SHA256: hash(d.SHA256), Connection: c.connection.Name(),
		Sender: c.connection.Sender.Company, Receiver: c.connection.Receiver.Company,
		Sent: d.Created.UTC().Format(time.RFC3339Nano), Delivered: c.now.UTC().Format(time.RFC3339Nano), Account: c.account,
	})
	if err != nil {
		return "", fmt.Errorf("document: receipt: %w", err)
	}
	return s.d.Sign.Sign(payload)
}

// change changes one document under its connection's lock and shows it as it is then.
func (s *Server) change(ctx context.Context, name string, work func(c *change, d *Document, h *history) error) (*exchangev1.Document, error) {
	id, document, err := names.ParseDocument(name)
	if err != nil {
		return nil, err
	}
	var after Document
	err = s.within(ctx, id, func(c *change) error {
		d, h, err := c.open(ctx, document)
		if err != nil {
			return err
		}
		if err := work(c, &d, &h); err != nil {
			return err
		}
		after = d
		return update(ctx, c.tx, d)
	})
	if err != nil {
		return nil, err
	}
	return s.shown(ctx, after)
}

// SetOfficeState says what the receiver's office did.
func (s *Server) SetOfficeState(ctx context.Context, r *exchangev1.SetOfficeStateRequest) (*exchangev1.SetOfficeStateResponse, error) {
	d, err := s.change(ctx, r.GetName(), func(c *change, d *Document, h *history) error {
		if n := len(h.office); n > 0 && h.office[n-1].To == r.GetState() && h.office[n-1].Reason == r.GetReason() {
			return nil // It came again.
		}
		return c.office(ctx, d, h, r.GetState(), r.GetReason(), Receiver)
	})
	return &exchangev1.SetOfficeStateResponse{Document: d}, err
}

// CancelDocument takes a document back.
func (s *Server) CancelDocument(ctx context.Context, r *exchangev1.CancelDocumentRequest) (*exchangev1.CancelDocumentResponse, error) {
	d, err := s.change(ctx, r.GetName(), func(c *change, d *Document, h *history) error {
		if d.Version == exchangev1.VersionState_VERSION_STATE_CANCELLED {
			return nil
		}
		return c.version(ctx, d, h, exchangev1.VersionState_VERSION_STATE_CANCELLED, r.GetReason(), Sender)
	})
	return &exchangev1.CancelDocumentResponse{Document: d}, err
}

func (s *Server) find(ctx context.Context, name string) (Document, error) {
	id, document, err := names.ParseDocument(name)
	if err != nil {
		return Document{}, err
	}
	return get(ctx, s.d.DB, id, document)
}

// GetDocument shows one.
func (s *Server) GetDocument(ctx context.Context, r *exchangev1.GetDocumentRequest) (*exchangev1.GetDocumentResponse, error) {
	d, err := s.find(ctx, r.GetName())
	if err != nil {
		return nil, err
	}
	shown, err := s.shown(ctx, d)
	return &exchangev1.GetDocumentResponse{Document: shown}, err
}

// ListDocuments pages through a connection's.
func (s *Server) ListDocuments(ctx context.Context, r *exchangev1.ListDocumentsRequest) (*exchangev1.ListDocumentsResponse, error) {
	id, err := names.ParseConnection(r.GetParent())
	if err != nil {
		return nil, err
	}
	var after uuid.UUID
	page, err := s.d.Pages.Start(exchangev1.DocumentService_ListDocuments_FullMethodName, r, &after)
	if err != nil {
		return nil, err
	}
	rows, err := fromRows(documentdb.New(s.d.DB).ListDocuments(ctx, documentdb.ListDocumentsParams{ConnectionID: id, After: after, Limit: page.Limit()}))
	if err != nil {
		return nil, err
	}
	listed, next, err := paging.Finish(page, rows, func(d Document) any { return d.ID })
	if err != nil {
		return nil, err
	}
	steps, err := stepsOf(ctx, s.d.DB, listed...)
	answer := &exchangev1.ListDocumentsResponse{NextPageToken: next}
	for _, d := range listed {
		answer.Documents = append(answer.Documents, ToProto(d, steps))
	}
	return answer, err
}

// ListSteps shows what happened in a connection after a place.
func (s *Server) ListSteps(ctx context.Context, r *exchangev1.ListStepsRequest) (*exchangev1.ListStepsResponse, error) {
	id, err := names.ParseConnection(r.GetParent())
	if err != nil {
		return nil, err
	}
	limit := r.GetLimit()
	if limit == 0 {
		limit = 100
	}
	steps, err := since(ctx, s.d.DB, id, r.GetPlace(), limit)
	if err != nil {
		return nil, err
	}
	answer := &exchangev1.ListStepsResponse{NextPlace: r.GetPlace()}
	for _, p := range steps {
		answer.NextPlace = p.Place
		answer.Steps = append(answer.Steps, &exchangev1.PlacedStep{
			Document: names.Document(id, p.Document), MessageId: p.Message, Step: p.ToProto(),
		})
	}
	return answer, nil
}

// DownloadDocument streams a document's bytes.
func (s *Server) DownloadDocument(r *exchangev1.DownloadDocumentRequest, stream grpc.ServerStreamingServer[exchangev1.DownloadDocumentResponse]) error {
	ctx := stream.Context()
	d, err := s.find(ctx, r.GetName())
	if err != nil {
		return err
	}
	if r.GetOffset() > d.Size {
		return failure.Invalid("offset", "lies behind the end of the file")
	}
	err = stream.Send(&exchangev1.DownloadDocumentResponse{Info: &commonv1.FileInfo{
		Filename: d.Filename, ContentType: contentType(d.Kind), SizeBytes: d.Size, Sha256: d.SHA256,
	}})
	if err != nil {
		return err
	}
	length := r.GetLength()
	if length == 0 {
		length = -1
	}
	source, err := s.d.Store.NewRangeReader(ctx, key(d), r.GetOffset(), length, nil)
	if err != nil {
		return blob.Translate(err, d.Name())
	}
	defer func() { _ = source.Close() }()
	return send(source, stream, d)
}

func send(source io.Reader, stream grpc.ServerStreamingServer[exchangev1.DownloadDocumentResponse], d Document) error {
	buffer := make([]byte, piece)
	for {
		n, err := io.ReadFull(source, buffer)
		if n > 0 {
			if err := stream.Send(&exchangev1.DownloadDocumentResponse{Data: buffer[:n]}); err != nil {
				return err
			}
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return nil
		default:
			return blob.Translate(err, d.Name())
		}
	}
}

// GetReceipt shows the receipt of a delivered document.
func (s *Server) GetReceipt(ctx context.Context, r *exchangev1.GetReceiptRequest) (*exchangev1.GetReceiptResponse, error) {
	d, err := s.find(ctx, r.GetName())
	if err != nil {
		return nil, err
	}
	kept, found, err := getReceipt(ctx, s.d.DB, d)
	if err != nil {
		return nil, postgres.Constraints{}.Translate(err)
	}
	if !found {
		return nil, failure.New(commonv1.Reason_REASON_RECEIPT_MISSING)
	}
	return &exchangev1.GetReceiptResponse{Receipt: kept.signed, CreateTime: timestamppb.New(kept.created)}, nil
}

// Try writes, reads and deletes a small object: whether the store of documents works.
func (s *Server) Try(ctx context.Context) error {
	name := "tries/" + s.d.NewID().String()
	if err := s.d.Store.Put(ctx, name, []byte("try"), "text/plain"); err != nil {
		return err
	}
	if _, err := s.d.Store.ReadAll(ctx, name); err != nil {
		return blob.Translate(err, name)
	}
	return blob.Translate(s.d.Store.Delete(ctx, name), name)
}
