package staff

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/events"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/changed"
	"kontor.internal/services/tenancy/internal/names"
)

func tellAdded(ctx context.Context, tx pgx.Tx, at time.Time, account uuid.UUID, first bool) error {
	return tell(ctx, tx, at, account, "added", &tenancyv1.StaffAdded{Account: names.Account(account), First: first})
}

func tellRemoved(ctx context.Context, tx pgx.Tx, at time.Time, account uuid.UUID) error {
	return tell(ctx, tx, at, account, "removed", &tenancyv1.StaffRemoved{Account: names.Account(account)})
}

// tell appends what happened, and that the account's rights are other ones everywhere.
func tell(ctx context.Context, tx pgx.Tx, at time.Time, account uuid.UUID, verb string, payload proto.Message) error {
	if err := events.Append(ctx, tx, events.Event{
		Subject: "kontor.tenancy.staff." + verb, Aggregate: names.Account(account), Time: at, Payload: payload,
	}); err != nil {
		return err
	}
	return changed.Access(ctx, tx, at, account, "")
}
