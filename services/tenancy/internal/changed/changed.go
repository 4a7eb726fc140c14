// Package changed tells the suite that somebody's rights are other ones now.
package changed

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/events"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/names"
)

// Access appends that an account's rights changed in a scope, `subscribers/S` or `connections/X`; an empty scope means
// everywhere. Whoever keeps answers about the account drops them.
func Access(ctx context.Context, tx pgx.Tx, at time.Time, account uuid.UUID, scope string) error {
	return events.Append(ctx, tx, events.Event{
		Subject: "kontor.tenancy.access.changed", Aggregate: names.Account(account), Time: at,
		Payload: &tenancyv1.AccessChanged{Account: names.Account(account), Scope: scope},
	})
}
