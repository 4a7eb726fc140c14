package opening

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/events"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/opening/openingdb"
)

func tellOpened(ctx context.Context, tx pgx.Tx, s Session) error {
	return tell(ctx, tx, "opened", names.Subscriber(s.Subscriber), names.Company(s.Subscriber, s.Company), s.Created, &tenancyv1.SessionOpened{
		Session: s.Name(), Account: names.Account(s.Account), Seat: s.Seat, DataArea: s.Area, ReadOnly: s.ReadOnly,
	})
}

// ended is what every query that ends sessions returns of them.
type ended = openingdb.EndByIDRow

func tellClosed(ctx context.Context, tx pgx.Tx, now time.Time, end tenancyv1.SessionEnd, sessions []ended) error {
	for _, s := range sessions {
		err := tell(ctx, tx, "closed", names.Subscriber(s.SubscriberID), names.Company(s.SubscriberID, s.CompanyID), now, &tenancyv1.SessionClosed{
			Session: names.Session(s.SubscriberID, s.CompanyID, s.ID), Account: names.Account(s.AccountID), End: end,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func tell(ctx context.Context, tx pgx.Tx, verb, subscriber, company string, at time.Time, payload proto.Message) error {
	return events.Append(ctx, tx, events.Event{
		Subject: "kontor.tenancy.session." + verb, Aggregate: company, Subscriber: subscriber, Company: company, Time: at, Payload: payload,
	})
}
