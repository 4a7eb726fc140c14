package document

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/events"
	"kontor.internal/libs/postgres"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	"kontor.internal/services/exchange/internal/connection"
	"kontor.internal/services/exchange/internal/document/documentdb"
	"kontor.internal/services/exchange/internal/names"
)

// change is one transaction in a connection. It holds the connection's row, so that the steps of its documents have
// places without gaps, in the order in which they are committed.
type change struct {
	tx         pgx.Tx
	connection connection.Connection
	places     int64
	now        time.Time
	account    string
}

// within runs work in a change of a connection.
func (s *Server) within(ctx context.Context, id uuid.UUID, work func(c *change) error) error {
	err := postgres.InTx(ctx, s.d.DB, func(tx pgx.Tx) error {
		locked, err := connection.Lock(ctx, tx, id)
		if err != nil {
			return err
		}
		q := documentdb.New(tx)
		row, err := q.LockConnection(ctx, id)
		if err != nil {
			return postgres.NotFound(err, names.Connection(id))
		}
		c := &change{tx: tx, connection: locked, places: row.Places, now: s.d.Clock.Now(), account: accountOf(ctx)}
		if err := work(c); err != nil {
			return err
		}
		if c.places == row.Places {
			return nil
		}
		return q.SetPlaces(ctx, documentdb.SetPlacesParams{ID: id, Places: c.places})
	})
	return postgres.Constraints{}.Translate(err)
}

// write appends a step that its axis has taken, and tells of it.
func (c *change) write(ctx context.Context, d Document, on axis, sequence int64, state int16, reason string, by Side) error {
	c.places++
	p := Placed{
		Document: d.ID, Message: d.Message, Place: c.places, Axis: on, Sequence: sequence, State: state, Reason: reason, Created: c.now,
	}
	if by != Service {
		p.Account = c.account
	}
	err := documentdb.New(c.tx).InsertStep(ctx, documentdb.InsertStepParams{
		ConnectionID: d.Connection, Place: p.Place, DocumentID: d.ID, Axis: int16(on), Sequence: sequence, State: state,
		Reason: reason, Account: p.Account, Created: c.now,
	})
	if err != nil {
		return err
	}
	return events.Append(ctx, c.tx, events.Event{
		Subject: "kontor.exchange.document.stepped", Aggregate: d.Name(), Subscriber: names.Subscriber(c.connection.Manager),
		Company: c.connection.Sender.Company, Time: c.now,
		Payload: &exchangev1.DocumentStepped{Document: d.Name(), MessageId: d.Message, Step: p.ToProto()},
	})
}

// transport takes a document a step further on its way.
func (c *change) transport(ctx context.Context, d *Document, h *history, to exchangev1.TransportState, reason string, by Side) error {
	step := Step[exchangev1.TransportState]{Sequence: int64(len(h.transport)) + 1, To: to, Side: by, Reason: reason}
	taken, _, err := Transport.Take(h.transport, step)
	if err != nil {
		return err
	}
	h.transport, d.Transport = taken, to
	return c.write(ctx, *d, onTransport, step.Sequence, int16(to), reason, by)
}

// office takes a step in the receiver's office.
func (c *change) office(ctx context.Context, d *Document, h *history, to exchangev1.OfficeState, reason string, by Side) error {
	step := Step[exchangev1.OfficeState]{Sequence: int64(len(h.office)) + 1, To: to, Side: by, Reason: reason}
	taken, _, err := Office.Take(h.office, step)
	if err != nil {
		return err
	}
	h.office, d.Office = taken, to
	return c.write(ctx, *d, onOffice, step.Sequence, int16(to), reason, by)
}

// version says whether a document still holds.
func (c *change) version(ctx context.Context, d *Document, h *history, to exchangev1.VersionState, reason string, by Side) error {
	step := Step[exchangev1.VersionState]{Sequence: int64(len(h.version)) + 1, To: to, Side: by, Reason: reason}
	taken, _, err := Version.Take(h.version, step)
	if err != nil {
		return err
	}
	h.version, d.Version = taken, to
	return c.write(ctx, *d, onVersion, step.Sequence, int16(to), reason, by)
}

// open reads a document that is to be changed, with its history.
func (c *change) open(ctx context.Context, id uuid.UUID) (Document, history, error) {
	d, err := lock(ctx, c.tx, c.connection.ID, id)
	if err != nil {
		return d, history{}, err
	}
	steps, err := stepsOf(ctx, c.tx, d)
	return d, historyOf(steps), err
}
