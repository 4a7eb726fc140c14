package account

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/events"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	"kontor.internal/services/identity/internal/link"
)

const subject = "kontor.identity.account."

// teller appends the events of accounts.
type teller struct{ clock clock.Clock }

func (t teller) tell(ctx context.Context, tx pgx.Tx, account uuid.UUID, verb string, payload proto.Message) error {
	return events.Append(ctx, tx, events.Event{
		Subject: subject + verb, Aggregate: Name(account), Time: t.clock.Now(), Payload: payload,
	})
}

func (t teller) registered(ctx context.Context, tx pgx.Tx, a Account) error {
	return t.tell(ctx, tx, a.ID, "registered", &identityv1.AccountRegistered{
		Account: Name(a.ID), Kind: kindProto(a.Kind), SelfRegistered: a.SelfRegistered,
	})
}

func (t teller) activationRequested(ctx context.Context, tx pgx.Tx, l link.Link) error {
	return t.tell(ctx, tx, l.Account, "activation_requested", &identityv1.AccountActivationRequested{
		Account: Name(l.Account), Activation: l.Purpose.Name(l.ID), ExpireTime: timestamppb.New(l.Expires),
	})
}

func (t teller) activated(ctx context.Context, tx pgx.Tx, a Account) error {
	return t.tell(ctx, tx, a.ID, "activated", &identityv1.AccountActivated{
		Account: Name(a.ID), Kind: kindProto(a.Kind), SelfRegistered: a.SelfRegistered,
	})
}

func (t teller) alreadyRegistered(ctx context.Context, tx pgx.Tx, account uuid.UUID) error {
	return t.tell(ctx, tx, account, "already_registered", &identityv1.AccountAlreadyRegistered{Account: Name(account)})
}

func (t teller) passwordResetRequested(ctx context.Context, tx pgx.Tx, l link.Link) error {
	return t.tell(ctx, tx, l.Account, "password_reset_requested", &identityv1.AccountPasswordResetRequested{
		Account: Name(l.Account), PasswordReset: l.Purpose.Name(l.ID), ExpireTime: timestamppb.New(l.Expires),
	})
}

func (t teller) passwordChanged(ctx context.Context, tx pgx.Tx, account uuid.UUID, reset bool) error {
	return t.tell(ctx, tx, account, "password_changed", &identityv1.AccountPasswordChanged{Account: Name(account), Reset_: reset})
}

func (t teller) updated(ctx context.Context, tx pgx.Tx, account uuid.UUID, fields []string) error {
	return t.tell(ctx, tx, account, "updated", &identityv1.AccountUpdated{Account: Name(account), Fields: fields})
}

// ActAs makes events name an account as who acted, once it has proven that it
// is behind the request.
func ActAs(ctx context.Context, account uuid.UUID) context.Context {
	who := caller.From(ctx)
	who.Account = Name(account)
	return caller.With(ctx, who)
}
