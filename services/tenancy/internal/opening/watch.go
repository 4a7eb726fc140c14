package opening

import (
	"context"

	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/events"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/names"
)

// SeatEvents ends the sessions of seats that are held no longer, or are used elsewhere only, once whichever copy of the service hears of it. A seat
// belongs to one holding, so an event that comes late ends nobody else's.
func (s *Sessions) SeatEvents() events.Consumer {
	return events.Consumer{
		Name: "tenancy-seats", Filters: []string{"kontor.licensing.seat.ended", "kontor.licensing.seat.left"}, AcceptAnyFirst: true,
		Handle: func(ctx context.Context, tx pgx.Tx, e events.Received) error {
			some, err := followSeat(ctx, tx, e)
			if some {
				s.wake()
			}
			return err
		},
	}
}

// followSeat ends what an event says is over.
func followSeat(ctx context.Context, tx pgx.Tx, e events.Received) (some bool, err error) {
	var (
		over licensingv1.SeatEnded
		left licensingv1.SeatLeft
	)
	switch {
	case e.Is(&over):
		if err := e.Decode(&over); err != nil {
			return false, err
		}
		return endOfSeat(ctx, tx, over.GetSeat(), tenancyv1.SessionEnd_SESSION_END_SEAT)
	case e.Is(&left):
		if err := e.Decode(&left); err != nil {
			return false, err
		}
		_, company, err := names.ParseCompany(left.GetCompany())
		if err != nil {
			return false, err
		}
		place := inPlace{seat: left.GetSeat(), company: company, device: left.GetDeviceId()}
		return endInPlace(ctx, tx, place, "", tenancyv1.SessionEnd_SESSION_END_SEAT)
	default:
		return false, nil
	}
}

// Changes is what every copy of the service hears of changed rights and licences. Acting twice changes nothing, and what is
// missed is found by reviews.
func (s *Sessions) Changes(suite clock.Clock) events.Watcher {
	return events.Watcher{
		Filters: []string{"kontor.tenancy.access.changed", "kontor.licensing.licence.>", "kontor.licensing.trial.ended", "kontor.licensing.contract.accepted"},
		Handle: func(ctx context.Context, e events.Received) {
			in, concerns := s.concerned(e)
			if !concerns {
				return
			}
			if err := s.review(ctx, in, suite.Now()); err != nil && ctx.Err() == nil {
				s.d.Log.WarnContext(ctx, "sessions can't be reviewed after a change", "subject", e.Envelope.GetType(), "error", err)
			}
		},
	}
}

// concerned says whose sessions an event is about.
func (s *Sessions) concerned(e events.Received) (in scope, concerns bool) {
	var changed tenancyv1.AccessChanged
	if e.Is(&changed) {
		if e.Decode(&changed) != nil {
			return scope{}, false
		}
		return changedFor(&changed)
	}
	subscriber, err := names.ParseSubscriber(e.Envelope.GetSubscriber())
	if err != nil {
		return scope{}, false
	}
	s.modes.forget(subscriber)
	return scope{subscriber: &subscriber}, true
}

// changedFor is the scope of changed rights; rights in a connection open no company.
func changedFor(changed *tenancyv1.AccessChanged) (in scope, concerns bool) {
	account, err := names.ParseAccount(changed.GetAccount())
	if err != nil {
		return scope{}, false
	}
	in = scope{account: &account, rights: true}
	if changed.GetScope() == "" {
		return in, true
	}
	subscriber, err := names.ParseSubscriber(changed.GetScope())
	in.subscriber = &subscriber
	return in, err == nil
}
