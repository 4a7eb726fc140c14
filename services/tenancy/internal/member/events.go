package member

import (
	"context"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/events"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/changed"
	"kontor.internal/services/tenancy/internal/names"
)

func (s *Members) tellAdded(ctx context.Context, tx pgx.Tx, m Member, a Addition) error {
	return s.tell(ctx, tx, m, "added", a.Company, &tenancyv1.MemberAdded{
		Member: m.Name(), Account: names.Account(m.Account), Origin: a.Origin, Activation: a.Activation,
		Invitation: a.Invitation, Access: m.Access, LocalUser: a.LocalUser,
	})
}

func (s *Members) tellUpdated(ctx context.Context, tx pgx.Tx, m Member, fields []string, accessGiven bool) error {
	return s.tell(ctx, tx, m, "updated", "", &tenancyv1.MemberUpdated{
		Member: m.Name(), Account: names.Account(m.Account), Fields: fields, AccessGiven: accessGiven,
	})
}

func (s *Members) tellExcluded(ctx context.Context, tx pgx.Tx, m Member) error {
	return s.tell(ctx, tx, m, "excluded", "", &tenancyv1.MemberExcluded{Member: m.Name(), Account: names.Account(m.Account)})
}

func (s *Members) tellEnded(ctx context.Context, tx pgx.Tx, m Member) error {
	return s.tell(ctx, tx, m, "ended", "", &tenancyv1.MemberEnded{Member: m.Name(), Account: names.Account(m.Account)})
}

// tell appends what happened to a member, and that its account's rights are other ones now.
func (s *Members) tell(ctx context.Context, tx pgx.Tx, m Member, verb, company string, payload proto.Message) error {
	subscriber := names.Subscriber(m.Subscriber)
	if err := events.Append(ctx, tx, events.Event{
		Subject: "kontor.tenancy.member." + verb, Aggregate: m.Name(), Subscriber: subscriber, Company: company,
		Time: s.clock.Now(), Payload: payload,
	}); err != nil {
		return err
	}
	return changed.Access(ctx, tx, s.clock.Now(), m.Account, subscriber)
}
