package document

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/postgres"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	"kontor.internal/services/exchange/internal/document/documentdb"
	"kontor.internal/services/exchange/internal/names"
)

type row = documentdb.Document

func fromRow(r row) (Document, error) {
	d := Document{
		ID: r.ID, Connection: r.ConnectionID, Message: r.MessageID, Kind: exchangev1.DocumentType(r.Kind), Filename: r.Filename,
		Size: r.SizeBytes, SHA256: r.Sha256, Seller: r.Seller, Number: r.Number, Supersedes: r.Supersedes,
		Transport: exchangev1.TransportState(r.Transport), Office: exchangev1.OfficeState(r.Office),
		Version: exchangev1.VersionState(r.Version), Created: r.Created, Delivered: r.Delivered,
	}
	if r.Invoice != nil {
		d.Invoice = &exchangev1.InvoiceSummary{}
		if err := proto.Unmarshal(r.Invoice, d.Invoice); err != nil {
			return Document{}, err
		}
	}
	var breaks exchangev1.Document
	err := proto.Unmarshal(r.Breaks, &breaks)
	d.Breaks = breaks.GetRuleBreaks()
	return d, err
}

func fromRows(rows []row, err error) ([]Document, error) {
	if err != nil {
		return nil, postgres.Constraints{}.Translate(err)
	}
	documents := make([]Document, len(rows))
	for i, r := range rows {
		if documents[i], err = fromRow(r); err != nil {
			return nil, err
		}
	}
	return documents, nil
}

func maybe(r row, err error) (Document, bool, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return Document{}, false, nil
	}
	if err != nil {
		return Document{}, false, err
	}
	d, err := fromRow(r)
	return d, err == nil, err
}

func get(ctx context.Context, db documentdb.DBTX, connection, id uuid.UUID) (Document, error) {
	r, err := documentdb.New(db).GetDocument(ctx, documentdb.GetDocumentParams{ConnectionID: connection, ID: id})
	if err != nil {
		return Document{}, postgres.NotFound(err, names.Document(connection, id))
	}
	return fromRow(r)
}

func lock(ctx context.Context, tx pgx.Tx, connection, id uuid.UUID) (Document, error) {
	r, err := documentdb.New(tx).LockDocument(ctx, documentdb.LockDocumentParams{ConnectionID: connection, ID: id})
	if err != nil {
		return Document{}, postgres.NotFound(err, names.Document(connection, id))
	}
	return fromRow(r)
}

func insert(ctx context.Context, tx pgx.Tx, d Document) error {
	params := documentdb.InsertDocumentParams{
		ID: d.ID, ConnectionID: d.Connection, MessageID: d.Message, Kind: int16(d.Kind), Filename: d.Filename, SizeBytes: d.Size,
		Sha256: d.SHA256, Seller: d.Seller, Number: d.Number, Supersedes: d.Supersedes, Transport: int16(d.Transport),
		Office: int16(d.Office), Version: int16(d.Version), Created: d.Created, Delivered: d.Delivered,
	}
	var err error
	if d.Invoice != nil {
		if params.Invoice, err = proto.Marshal(d.Invoice); err != nil {
			return err
		}
	}
	if params.Breaks, err = proto.Marshal(&exchangev1.Document{RuleBreaks: d.Breaks}); err != nil {
		return err
	}
	return documentdb.New(tx).InsertDocument(ctx, params)
}

func update(ctx context.Context, tx pgx.Tx, d Document) error {
	return documentdb.New(tx).UpdateDocument(ctx, documentdb.UpdateDocumentParams{
		ID: d.ID, Transport: int16(d.Transport), Office: int16(d.Office), Version: int16(d.Version), Delivered: d.Delivered,
	})
}

func placed(r documentdb.DocumentStep) Placed {
	return Placed{
		Document: r.DocumentID, Place: r.Place, Axis: axis(r.Axis), Sequence: r.Sequence, State: r.State, Reason: r.Reason,
		Account: r.Account, Created: r.Created,
	}
}

// stepsOf reads the histories of several documents, oldest step first.
func stepsOf(ctx context.Context, db documentdb.DBTX, documents ...Document) ([]Placed, error) {
	ids := make([]uuid.UUID, len(documents))
	for i, d := range documents {
		ids[i] = d.ID
	}
	rows, err := documentdb.New(db).ListStepsOf(ctx, ids)
	if err != nil {
		return nil, postgres.Constraints{}.Translate(err)
	}
	steps := make([]Placed, len(rows))
	for i, r := range rows {
		steps[i] = placed(r)
	}
	return steps, nil
}

// history is a document's own steps on its axes.
type history struct {
	transport []Step[exchangev1.TransportState]
	office    []Step[exchangev1.OfficeState]
	version   []Step[exchangev1.VersionState]
}

func historyOf(steps []Placed) (h history) {
	for _, s := range steps {
		switch s.Axis {
		case onTransport:
			h.transport = append(h.transport, Step[exchangev1.TransportState]{Sequence: s.Sequence, To: exchangev1.TransportState(s.State), Reason: s.Reason})
		case onOffice:
			h.office = append(h.office, Step[exchangev1.OfficeState]{Sequence: s.Sequence, To: exchangev1.OfficeState(s.State), Reason: s.Reason})
		case onVersion:
			h.version = append(h.version, Step[exchangev1.VersionState]{Sequence: s.Sequence, To: exchangev1.VersionState(s.State), Reason: s.Reason})
		}
	}
	return h
}

// since reads steps in a connection after a place.
func since(ctx context.Context, db documentdb.DBTX, connection uuid.UUID, after int64, limit int32) ([]Placed, error) {
	rows, err := documentdb.New(db).ListSteps(ctx, documentdb.ListStepsParams{ConnectionID: connection, After: after, Limit: limit})
	if err != nil {
		return nil, postgres.Constraints{}.Translate(err)
	}
	steps := make([]Placed, len(rows))
	for i, r := range rows {
		steps[i] = Placed{
			Document: r.DocumentID, Message: r.MessageID, Place: r.Place, Axis: axis(r.Axis), Sequence: r.Sequence, State: r.State,
			Reason: r.Reason, Account: r.Account, Created: r.Created,
		}
	}
	return steps, nil
}

// receipt is a signed receipt.
type receipt struct {
	signed  string
	created time.Time
}

func getReceipt(ctx context.Context, db documentdb.DBTX, d Document) (receipt, bool, error) {
	r, err := documentdb.New(db).GetReceipt(ctx, d.ID)
	if errors.Is(err, pgx.ErrNoRows) {
		return receipt{}, false, nil
	}
	return receipt{signed: r.Signed, created: r.Created}, err == nil, postgres.Constraints{}.Translate(err)
}
