package invitation

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/events"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/names"
)

func tellMade(ctx context.Context, tx pgx.Tx, at time.Time, i Invitation) error {
	if i.ResentOf != nil {
		return tell(ctx, tx, at, i, "resent", &tenancyv1.InvitationResent{
			Invitation: i.Name(), Replaces: names.Invitation(i.Subscriber, *i.ResentOf),
		})
	}
	return tell(ctx, tx, at, i, "created", &tenancyv1.InvitationCreated{Invitation: i.Name()})
}

func tellWithdrawn(ctx context.Context, tx pgx.Tx, at time.Time, i Invitation) error {
	return tell(ctx, tx, at, i, "withdrawn", &tenancyv1.InvitationWithdrawn{Invitation: i.Name()})
}

func tellAccepted(ctx context.Context, tx pgx.Tx, at time.Time, i Invitation) error {
	return tell(ctx, tx, at, i, "accepted", &tenancyv1.InvitationAccepted{
		Invitation: i.Name(), Account: names.Account(*i.AcceptedBy), Member: names.Member(i.Subscriber, *i.Member),
	})
}

func tell(ctx context.Context, tx pgx.Tx, at time.Time, i Invitation, verb string, payload proto.Message) error {
	return events.Append(ctx, tx, events.Event{
		Subject: "kontor.tenancy.invitation." + verb, Aggregate: i.Name(), Subscriber: names.Subscriber(i.Subscriber), Time: at, Payload: payload,
	})
}
