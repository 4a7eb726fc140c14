package connection

import (
	"context"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/events"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	"kontor.internal/services/exchange/internal/names"
)

func (s *Server) tell(ctx context.Context, tx pgx.Tx, c Connection, verb string, payload proto.Message) error {
	return events.Append(ctx, tx, events.Event{
		Subject: "kontor.exchange.connection." + verb, Aggregate: c.Name(), Subscriber: names.Subscriber(c.Manager),
		Company: c.Sender.Company, Time: s.d.Clock.Now(), Payload: payload,
	})
}

func (s *Server) tellUpdated(ctx context.Context, tx pgx.Tx, c Connection, fields ...string) error {
	return s.tell(ctx, tx, c, "updated", &exchangev1.ConnectionUpdated{Connection: ToProto(c), Fields: fields})
}

// tellInvited has the letter to an end's holder written. It is the receiver's subscriber who invites there.
func (s *Server) tellInvited(ctx context.Context, tx pgx.Tx, c Connection, side exchangev1.Side, who seated) error {
	return s.tell(ctx, tx, c, "invited", &exchangev1.ConnectionInvited{
		Connection: ToProto(c), Side: side, Account: who.account, Activation: who.activation,
	})
}
