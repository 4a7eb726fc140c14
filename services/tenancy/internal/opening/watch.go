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

// SeatEvents ends the sessions of seats that are held no longer, or are used elsewhere only, once whichever copy of the
// service hears of it. A seat belongs to one holding, so an event that comes late ends nobody else's.
func (s *Sessions) SeatEvents() events.Consumer {
	return events.Consumer{
		Name: "tenancy-seats", Filters: []string{"kontor.licensing.seat.>"}, AcceptAnyFirst: true,
		Handle: func(ctx context.Context, tx pgx.Tx, e events.Received) error {
			some, err := followSeats(ctx, tx, e)
			if some {
				s.wake()
			}
			return err
		},
	}
}

// followSeats ends what an event says is over.
func followSeats(ctx context.Context, tx pgx.Tx, e events.Received) (some bool, err error) {
	var changed licensingv1.SeatsChanged
	if !e.Is(&changed) {
		return false, nil
	}
	if err := e.Decode(&changed); err != nil {
		return false, err
	}
	var over []string
	for _, c := range changed.GetChanges() {
		switch c.GetKind() {
		case licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_RELEASED, licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_EXPIRED,
			licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_TAKEN, licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_TRANSFERRED:
			over = append(over, c.GetSeat())
		case licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_LEFT:
			ended, err := leftPlace(ctx, tx, c)
			if err != nil {
				return false, err
			}
			some = some || ended
		default: // It ends nobody's work.
		}
	}
	ended, err := endOfSeats(ctx, tx, over, tenancyv1.SessionEnd_SESSION_END_SEAT)
	return some || ended, err
}

func leftPlace(ctx context.Context, tx pgx.Tx, c *licensingv1.SeatChange) (some bool, err error) {
	_, company, err := names.ParseCompany(c.GetCompany())
	if err != nil {
		return false, err
	}
	place := inPlace{seat: c.GetSeat(), company: company, device: c.GetDeviceId()}
	return endInPlace(ctx, tx, place, "", tenancyv1.SessionEnd_SESSION_END_SEAT)
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
