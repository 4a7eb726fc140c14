package document

import (
	"bytes"
	"context"
	"crypto/sha256"

	"github.com/google/uuid"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/rights"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/exchange/internal/connection"
	"kontor.internal/services/exchange/internal/document/documentdb"
	"kontor.internal/services/exchange/internal/names"
)

// SendDocument takes a document in. Its bytes are durable before its row is, and its row before the answer.
func (s *Server) SendDocument(ctx context.Context, r *exchangev1.SendDocumentRequest) (*exchangev1.SendDocumentResponse, error) {
	id, err := names.ParseConnection(r.GetParent())
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(r.GetContent())
	if before, err := known(ctx, s.d.DB, id, r.GetMessageId(), sum[:]); before != nil || err != nil {
		return before, err
	}
	c, err := connection.Get(ctx, s.d.DB, id)
	if err != nil {
		return nil, err
	}
	if err := s.mayTravel(ctx, c); err != nil {
		return nil, err
	}
	d := Document{
		ID: s.d.NewID(), Connection: id, Message: r.GetMessageId(), Kind: r.GetType(), Filename: r.GetFilename(),
		Size: int64(len(r.GetContent())), SHA256: sum[:], Created: s.d.Clock.Now(),
	}
	if d.Supersedes, err = earlier(id, r.GetSupersedes()); err != nil {
		return nil, err
	}
	if err := read(&d, r.GetContent(), c.TaxNumber); err != nil {
		return nil, err
	}
	if err := s.d.Store.Put(ctx, key(d), r.GetContent(), contentType(d.Kind)); err != nil {
		return nil, err
	}
	return s.takeIn(ctx, d)
}

func (s *Server) mayTravel(ctx context.Context, c connection.Connection) error {
	if err := c.Travels(); err != nil {
		return err
	}
	return s.d.Rights.Require(ctx, rights.Question{
		Subscriber: names.Subscriber(c.Manager), Action: licensingv1.Action_ACTION_EXCHANGE_DOCUMENTS,
	})
}

// earlier reads the name of a document that another takes the place of; nil for none.
func earlier(id uuid.UUID, name string) (*uuid.UUID, error) {
	if name == "" {
		return nil, nil
	}
	of, document, err := names.ParseDocument(name)
	if err == nil && of != id {
		err = failure.NotFound(name)
	}
	return &document, err
}

// key is where a document's bytes lie. The same bytes in the same connection are kept once.
func key(d Document) string { return "documents/" + d.Connection.String() + "/" + hash(d.SHA256) }

func contentType(kind exchangev1.DocumentType) string {
	if kind == exchangev1.DocumentType_DOCUMENT_TYPE_OTHER {
		return "application/octet-stream"
	}
	return "application/xml"
}

// known answers a message that came before: nil when it did not.
func known(ctx context.Context, db documentdb.DBTX, id uuid.UUID, message string, sum []byte) (*exchangev1.SendDocumentResponse, error) {
	d, found, err := maybe(documentdb.New(db).FindMessage(ctx, documentdb.FindMessageParams{ConnectionID: id, MessageID: message}))
	if err != nil || !found {
		return nil, postgres.Constraints{}.Translate(err)
	}
	if !bytes.Equal(d.SHA256, sum) {
		return nil, failure.New(commonv1.Reason_REASON_MESSAGE_ID_REUSED, "document", d.Name())
	}
	steps, err := stepsOf(ctx, db, d)
	return &exchangev1.SendDocumentResponse{Document: ToProto(d, steps)}, err
}

// takeIn writes the row and the first steps. Of two that come at once the second finds the first: they wait for each
// other at the connection's row.
func (s *Server) takeIn(ctx context.Context, d Document) (answer *exchangev1.SendDocumentResponse, err error) {
	err = s.within(ctx, d.Connection, func(c *change) error {
		if answer, err = known(ctx, c.tx, d.Connection, d.Message, d.SHA256); answer != nil || err != nil {
			return err
		}
		if err := c.connection.Travels(); err != nil {
			return err
		}
		if err := c.once(ctx, d); err != nil {
			return err
		}
		if err := c.replace(ctx, d); err != nil {
			return err
		}
		return c.begin(ctx, &d)
	})
	if err != nil || answer != nil {
		return answer, err
	}
	shown, err := s.shown(ctx, d)
	return &exchangev1.SendDocumentResponse{Document: shown}, err
}

// once refuses an invoice that was sent before under another message id.
func (c *change) once(ctx context.Context, d Document) error {
	if len(d.Breaks) > 0 {
		return nil
	}
	before, found, err := maybe(documentdb.New(c.tx).FindEffect(ctx, documentdb.FindEffectParams{
		ConnectionID: d.Connection, Seller: d.Seller, Kind: int16(d.Kind), Number: d.Number, Sha256: d.SHA256,
	}))
	if err == nil && found {
		err = failure.New(commonv1.Reason_REASON_DOCUMENT_REPEATED, "document", before.Name())
	}
	return err
}

// replace ends the document that this one takes the place of.
func (c *change) replace(ctx context.Context, d Document) error {
	if d.Supersedes == nil || len(d.Breaks) > 0 {
		return nil
	}
	before, h, err := c.open(ctx, *d.Supersedes)
	if err != nil {
		return err
	}
	if err := c.version(ctx, &before, &h, exchangev1.VersionState_VERSION_STATE_SUPERSEDED, "", Sender); err != nil {
		return err
	}
	return update(ctx, c.tx, before)
}

// begin writes a new document with the first steps on its axes.
func (c *change) begin(ctx context.Context, d *Document) error {
	d.Transport, d.Version = exchangev1.TransportState_TRANSPORT_STATE_QUEUED, exchangev1.VersionState_VERSION_STATE_CURRENT
	rejected := len(d.Breaks) > 0
	if rejected {
		d.Transport = exchangev1.TransportState_TRANSPORT_STATE_REJECTED
	} else {
		d.Office = exchangev1.OfficeState_OFFICE_STATE_WAITING
	}
	if err := insert(ctx, c.tx, *d); err != nil {
		return err
	}
	var h history
	if err := c.version(ctx, d, &h, exchangev1.VersionState_VERSION_STATE_CURRENT, "", Service); err != nil {
		return err
	}
	if err := c.transport(ctx, d, &h, exchangev1.TransportState_TRANSPORT_STATE_QUEUED, "", Service); err != nil {
		return err
	}
	if rejected {
		return c.transport(ctx, d, &h, exchangev1.TransportState_TRANSPORT_STATE_REJECTED, broken(d.Breaks), Service)
	}
	return c.office(ctx, d, &h, exchangev1.OfficeState_OFFICE_STATE_WAITING, "", Service)
}

func broken(breaks []*exchangev1.RuleBreak) string {
	var names []byte
	for i, b := range breaks {
		if i > 0 {
			names = append(names, ", "...)
		}
		names = append(names, b.GetRule()...)
	}
	return string(names)
}
