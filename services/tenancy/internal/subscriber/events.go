package subscriber

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/events"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/people"
)

func (c *Changes) tellCreated(ctx context.Context, tx pgx.Tx, s Subscriber) error {
	return c.tell(ctx, tx, s, "created", &tenancyv1.SubscriberCreated{Subscriber: ToProto(s)})
}

func (c *Changes) tellUpdated(ctx context.Context, tx pgx.Tx, s Subscriber, fields []string) error {
	return c.tell(ctx, tx, s, "updated", &tenancyv1.SubscriberUpdated{Subscriber: ToProto(s), Fields: fields})
}

func (c *Changes) tellCompleted(ctx context.Context, tx pgx.Tx, s Subscriber) error {
	return c.tell(ctx, tx, s, "completed", &tenancyv1.SubscriberCompleted{Subscriber: ToProto(s)})
}

func (c *Changes) tell(ctx context.Context, tx pgx.Tx, s Subscriber, verb string, payload proto.Message) error {
	return events.Append(ctx, tx, events.Event{
		Subject: "kontor.tenancy.subscriber." + verb, Aggregate: s.Name(), Subscriber: s.Name(), Time: c.now(), Payload: payload,
	})
}

// Registrations follows identity: whoever registered alone gets a subscriber (J1, C8).
func (c *Changes) Registrations(p *people.People) events.Consumer {
	return events.Consumer{
		Name: "tenancy-accounts", Filters: []string{"kontor.identity.account.>"},
		Handle: func(ctx context.Context, tx pgx.Tx, e events.Received) error {
			var activated identityv1.AccountActivated
			if !e.Is(&activated) {
				return nil
			}
			if err := e.Decode(&activated); err != nil {
				return err
			}
			if !activated.GetSelfRegistered() || activated.GetKind() != identityv1.AccountKind_ACCOUNT_KIND_PERSON {
				return nil
			}
			return c.makeFor(ctx, tx, p, activated.GetAccount())
		},
	}
}

func (c *Changes) makeFor(ctx context.Context, tx pgx.Tx, p *people.People, name string) error {
	id, err := names.ParseAccount(name)
	if err != nil {
		return err
	}
	account, err := p.Account(ctx, id)
	if err != nil {
		return fmt.Errorf("who registered: %w", err)
	}
	return c.Make(ctx, tx, Person{Account: id, Called: people.Called(account), Language: account.GetLanguage()})
}
