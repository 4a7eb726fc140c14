package subscriber

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/people"
)

// errNotOwner becomes OWNER_ONLY, with the owner named, outside of the transaction.
var errNotOwner = errors.New("not the owner")

// OwnerOnly is OWNER_ONLY for a subscriber, saying whom to ask (H8).
func OwnerOnly(ctx context.Context, p *people.People, s Subscriber) error {
	return failure.New(commonv1.Reason_REASON_OWNER_ONLY, "subscriber", s.Name(), "administrator", p.Name(ctx, s.Owner))
}

// CallerAccount is the id of the account that calls. TOKEN_MISSING without one.
func CallerAccount(ctx context.Context) (uuid.UUID, error) {
	who := caller.From(ctx)
	if !who.SignedIn() {
		return uuid.Nil, failure.New(commonv1.Reason_REASON_TOKEN_MISSING)
	}
	return names.ParseAccount(who.Account)
}
