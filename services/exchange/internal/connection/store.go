package connection

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	"kontor.internal/services/exchange/internal/connection/connectiondb"
	"kontor.internal/services/exchange/internal/names"
)

// Constraints of connections, with their reasons.
func Constraints() postgres.Constraints {
	return postgres.Constraints{"connection_two_companies": commonv1.Reason_REASON_COMPANY_ENDS_SAME}
}

// Party is one end as it is kept.
type Party struct {
	Subscriber uuid.UUID
	Company    string // `subscribers/S/companies/C`
	Title      string
	Program    exchangev1.Program
	Email      string
	// Account is `accounts/A` that the program signs in with; empty until it may.
	Account string
}

// Connection is one.
type Connection struct {
	ID        uuid.UUID
	Manager   uuid.UUID // the subscriber
	Sender    Party
	Receiver  Party
	TaxNumber string
	State     exchangev1.ConnectionState
	Interval  time.Duration
	Created   time.Time
	Updated   time.Time
	Revision  int64
}

// Name is `connections/X`.
func (c Connection) Name() string { return names.Connection(c.ID) }

// Etag changes with each change.
func (c Connection) Etag() string { return strconv.FormatInt(c.Revision, 10) }

// Travels refuses with CONNECTION_NOT_ACTIVE unless documents may be sent.
func (c Connection) Travels() error {
	if c.State == exchangev1.ConnectionState_CONNECTION_STATE_ACTIVE {
		return nil
	}
	return failure.New(commonv1.Reason_REASON_CONNECTION_NOT_ACTIVE, "state", word(c.State))
}

// Agreed says that both companies want the connection.
func (c Connection) Agreed() bool {
	return c.State == exchangev1.ConnectionState_CONNECTION_STATE_ACTIVE || c.State == exchangev1.ConnectionState_CONNECTION_STATE_PAUSED
}

// ToProto is what its ends and managers see.
func ToProto(c Connection) *exchangev1.Connection {
	end := func(p Party) *exchangev1.ConnectionEnd {
		return &exchangev1.ConnectionEnd{
			Company: p.Company, TaxNumber: c.TaxNumber, CompanyTitle: p.Title, Program: p.Program, Account: p.Account, Email: p.Email,
		}
	}
	return &exchangev1.Connection{
		Name: c.Name(), Subscriber: names.Subscriber(c.Manager), Sender: end(c.Sender), Receiver: end(c.Receiver), State: c.State,
		SyncInterval: durationpb.New(c.Interval), CreateTime: timestamppb.New(c.Created), UpdateTime: timestamppb.New(c.Updated), Etag: c.Etag(),
	}
}

type row = connectiondb.Connection

// FromRow reads what is kept; the columns of a connection are the same wherever they are read.
func fromRow(r row) Connection {
	return Connection{
		ID: r.ID, Manager: r.SubscriberID, TaxNumber: r.TaxNumber, State: exchangev1.ConnectionState(r.State),
		Interval: time.Duration(r.SyncSeconds) * time.Second, Created: r.Created, Updated: r.Updated, Revision: r.Revision,
		Sender: Party{
			Subscriber: r.SubscriberID, Company: r.SenderCompany, Title: r.SenderTitle, Program: exchangev1.Program(r.SenderProgram),
			Email: r.SenderEmail, Account: r.SenderAccount,
		},
		Receiver: Party{
			Subscriber: r.ReceiverSubscriber, Company: r.ReceiverCompany, Title: r.ReceiverTitle,
			Program: exchangev1.Program(r.ReceiverProgram), Email: r.ReceiverEmail, Account: r.ReceiverAccount,
		},
	}
}

// Get reads one. NOT_FOUND when there is none.
func Get(ctx context.Context, db connectiondb.DBTX, id uuid.UUID) (Connection, error) {
	r, err := connectiondb.New(db).GetConnection(ctx, id)
	if err != nil {
		return Connection{}, postgres.NotFound(err, names.Connection(id))
	}
	return fromRow(r), nil
}

// Lock reads one and keeps others from changing it until the transaction ends.
func Lock(ctx context.Context, tx pgx.Tx, id uuid.UUID) (Connection, error) {
	r, err := connectiondb.New(tx).LockConnection(ctx, id)
	if err != nil {
		return Connection{}, postgres.NotFound(err, names.Connection(id))
	}
	return fromRow(r), nil
}

func list(ctx context.Context, db connectiondb.DBTX, subscriber, after uuid.UUID, limit int32) ([]Connection, error) {
	rows, err := connectiondb.New(db).ListConnections(ctx, connectiondb.ListConnectionsParams{SubscriberID: subscriber, After: after, Limit: limit})
	if err != nil {
		return nil, Constraints().Translate(err)
	}
	connections := make([]Connection, len(rows))
	for i, r := range rows {
		connections[i] = fromRow(r)
	}
	return connections, nil
}

func insert(ctx context.Context, tx pgx.Tx, c Connection) error {
	return connectiondb.New(tx).InsertConnection(ctx, connectiondb.InsertConnectionParams{
		ID: c.ID, SubscriberID: c.Manager, SenderCompany: c.Sender.Company, SenderTitle: c.Sender.Title,
		SenderProgram: int16(c.Sender.Program), SenderEmail: c.Sender.Email, SenderAccount: c.Sender.Account,
		ReceiverSubscriber: c.Receiver.Subscriber, ReceiverCompany: c.Receiver.Company, ReceiverTitle: c.Receiver.Title,
		ReceiverProgram: int16(c.Receiver.Program), ReceiverEmail: c.Receiver.Email, ReceiverAccount: c.Receiver.Account,
		TaxNumber: c.TaxNumber, State: int16(c.State), SyncSeconds: int32(c.Interval / time.Second), Created: c.Created,
	})
}

// update writes a connection back and answers it with its new revision.
func update(ctx context.Context, tx pgx.Tx, c Connection) (Connection, error) {
	err := connectiondb.New(tx).UpdateConnection(ctx, connectiondb.UpdateConnectionParams{
		ID: c.ID, SenderAccount: c.Sender.Account, ReceiverAccount: c.Receiver.Account, State: int16(c.State),
		SyncSeconds: int32(c.Interval / time.Second), Updated: c.Updated, ReceiverTitle: c.Receiver.Title,
	})
	c.Revision++
	return c, err
}
