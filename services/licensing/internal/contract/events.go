package contract

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/events"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/catalogue"
	"kontor.internal/services/licensing/internal/licence"
)

// Subjects of what is told about contracts.
const (
	SubjectCreated    = "kontor.licensing.contract.created"
	SubjectAccepted   = "kontor.licensing.contract.accepted"
	SubjectSuperseded = "kontor.licensing.contract.superseded"
)

func tell(ctx context.Context, tx pgx.Tx, c Contract, subject string, now time.Time, payload proto.Message) error {
	return events.Append(ctx, tx, events.Event{
		Subject: subject, Aggregate: Name(c.Subscriber, c.ID), Subscriber: licence.SubscriberName(c.Subscriber), Time: now, Payload: payload,
	})
}

// tellSuperseded tells of each contract that another took the place of.
func (s *Server) tellSuperseded(ctx context.Context, tx pgx.Tx, subscriber uuid.UUID, ids []uuid.UUID, now time.Time) error {
	for _, id := range ids {
		old, err := s.deps.Store.Get(ctx, tx, subscriber, id)
		if err != nil {
			return err
		}
		if err := tell(ctx, tx, old, SubjectSuperseded, now, &licensingv1.ContractSuperseded{Contract: old.Proto()}); err != nil {
			return err
		}
	}
	return nil
}

// Proto is the contract in the contract of licensing.
func (c Contract) Proto() *licensingv1.Contract {
	out := &licensingv1.Contract{
		Name: Name(c.Subscriber, c.ID), Number: c.Number, Plan: catalogue.PlanName(c.Plan), Language: c.Language, Customer: c.Customer,
		State:          licensingv1.ContractState_CONTRACT_STATE_CREATED,
		DocumentSha256: c.SHA256, DocumentSizeBytes: c.Size, Filename: c.Filename, CreateTime: timestamppb.New(c.Created),
	}
	if a := c.Acceptance; a != nil {
		out.State = licensingv1.ContractState_CONTRACT_STATE_ACCEPTED
		out.Acceptance = &licensingv1.Acceptance{
			Account: licence.AccountName(a.Account), AcceptTime: timestamppb.New(a.Time), Address: a.Address, DocumentSha256: a.SHA256,
		}
		if a.Licence != uuid.Nil {
			out.Licence = licence.Name(c.Subscriber, a.Licence)
		}
	}
	if c.SupersededBy != uuid.Nil {
		out.State = licensingv1.ContractState_CONTRACT_STATE_SUPERSEDED
		out.SupersededBy = Name(c.Subscriber, c.SupersededBy)
	}
	return out
}
