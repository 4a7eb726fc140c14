package company

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/events"
	"kontor.internal/services/tenancy/internal/names"
)

// Tell appends an event of a company.
func Tell(ctx context.Context, tx pgx.Tx, c Company, verb string, at time.Time, payload proto.Message) error {
	return events.Append(ctx, tx, events.Event{
		Subject: "kontor.tenancy.company." + verb, Aggregate: c.Name(), Subscriber: names.Subscriber(c.Subscriber), Company: c.Name(),
		Time: at, Payload: payload,
	})
}
