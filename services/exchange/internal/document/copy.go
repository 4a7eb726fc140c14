package document

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	"kontor.internal/libs/blob"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	"kontor.internal/services/exchange/internal/document/documentdb"
	"kontor.internal/services/exchange/internal/names"
)

// CopyServer is DocumentCopyService.
type CopyServer struct {
	exchangev1.UnimplementedDocumentCopyServiceServer
	d Deps
}

// NewCopyServer returns DocumentCopyService.
func NewCopyServer(d Deps) *CopyServer { return &CopyServer{d: d} }

// place is where a document stands among all: the transaction that took it in, and its id.
type place struct {
	transaction int64
	id          uuid.UUID
}

// String is the place as others keep it.
func (p place) String() string { return strconv.FormatInt(p.transaction, 10) + "." + p.id.String() }

// parsePlace reads a place; the empty one is before the first.
func parsePlace(text string) (p place, err error) {
	if text == "" {
		return p, nil
	}
	transaction, document, _ := strings.Cut(text, ".")
	if p.transaction, err = strconv.ParseInt(transaction, 10, 64); err == nil {
		p.id, err = id.Parse(document)
	}
	if err != nil {
		return p, failure.New(commonv1.Reason_REASON_DOCUMENT_PLACE_UNKNOWN).Wrap(err)
	}
	return p, nil
}

// placed finds a place in the database. A transaction that is yet to come is another database's.
func (s *CopyServer) placed(ctx context.Context, text string) (place, error) {
	p, err := parsePlace(text)
	if err != nil {
		return p, err
	}
	known, err := documentdb.New(s.d.DB).KnowsTransaction(ctx, p.transaction)
	if err == nil && !known {
		err = failure.New(commonv1.Reason_REASON_DOCUMENT_PLACE_UNKNOWN)
	}
	return p, postgres.Constraints{}.Translate(err)
}

// ListCompanyDocuments lists a company's documents in the order in which they were taken in.
func (s *CopyServer) ListCompanyDocuments(ctx context.Context, r *exchangev1.ListCompanyDocumentsRequest) (*exchangev1.ListCompanyDocumentsResponse, error) {
	if _, err := names.SubscriberOf(r.GetCompany()); err != nil {
		return nil, err
	}
	size, err := paging.Size(r.GetPageSize())
	if err != nil {
		return nil, err
	}
	after, err := s.placed(ctx, r.GetAfter())
	if err != nil {
		return nil, err
	}
	rows, err := documentdb.New(s.d.DB).ListEntered(ctx, documentdb.ListEnteredParams{
		Company: r.GetCompany(), Entered: after.transaction, After: after.id, Count: size,
	})
	if err != nil {
		return nil, postgres.Constraints{}.Translate(err)
	}
	answer := &exchangev1.ListCompanyDocumentsResponse{}
	for _, r := range rows {
		d, err := fromRow(r)
		if err != nil {
			return nil, err
		}
		answer.Documents = append(answer.Documents, &exchangev1.CompanyDocument{
			Document: ToProto(d, nil), ContentType: contentType(d.Kind), Sha256: d.SHA256, Place: place{r.Entered, r.ID}.String(),
		})
	}
	return answer, nil
}

// FindNewDocuments says which companies have documents that are not known.
func (s *CopyServer) FindNewDocuments(ctx context.Context, r *exchangev1.FindNewDocumentsRequest) (*exchangev1.FindNewDocumentsResponse, error) {
	answer := &exchangev1.FindNewDocumentsResponse{}
	for _, c := range r.GetCompanies() {
		after, err := s.placed(ctx, c.GetAfter())
		if failure.Reason(err) == commonv1.Reason_REASON_DOCUMENT_PLACE_UNKNOWN {
			answer.Companies = append(answer.Companies, c.GetCompany())
			continue
		}
		if err != nil {
			return nil, err
		}
		some, err := documentdb.New(s.d.DB).HasEntered(ctx, documentdb.HasEnteredParams{
			Company: c.GetCompany(), Entered: after.transaction, After: after.id,
		})
		if err != nil {
			return nil, postgres.Constraints{}.Translate(err)
		}
		if some {
			answer.Companies = append(answer.Companies, c.GetCompany())
		}
	}
	return answer, nil
}

// ReadDocument streams a document's bytes.
func (s *CopyServer) ReadDocument(r *exchangev1.ReadDocumentRequest, stream grpc.ServerStreamingServer[exchangev1.ReadDocumentResponse]) (err error) {
	ctx := stream.Context()
	connection, document, err := names.ParseDocument(r.GetName())
	if err != nil {
		return err
	}
	d, err := get(ctx, s.d.DB, connection, document)
	if err != nil {
		return err
	}
	source, err := s.d.Store.NewReader(ctx, key(d), nil)
	if err != nil {
		return blob.Translate(err, d.Name())
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	for buffer := make([]byte, piece); ; {
		n, err := io.ReadFull(source, buffer)
		if n > 0 {
			if err := stream.Send(&exchangev1.ReadDocumentResponse{Data: buffer[:n]}); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return blob.Translate(err, d.Name())
		}
	}
}
