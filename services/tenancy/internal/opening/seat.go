package opening

import (
	"context"
	"time"

	"github.com/google/uuid"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/tenancy/internal/names"
)

// Seat is what a seat's token says.
type Seat struct {
	// Name is `subscribers/S/licences/L/seats/T`.
	Name    string
	Account string
	Company string
	Expires time.Time
}

// Tokens checks the signatures of seat tokens. SeatOf refuses with OPENING_SEAT_INVALID what licensing did not sign.
type Tokens interface {
	SeatOf(ctx context.Context, token string) (Seat, error)
}

// SeatInvalid is OPENING_SEAT_INVALID.
func SeatInvalid(detail string) error {
	return failure.New(commonv1.Reason_REASON_OPENING_SEAT_INVALID, "detail", detail)
}

// check refuses a seat that is not the caller's for this company now.
func (s Seat) check(account, subscriber, company uuid.UUID, now time.Time) error {
	switch {
	case s.Account != names.Account(account):
		return SeatInvalid("it is somebody else's")
	case s.Company != names.Company(subscriber, company):
		return SeatInvalid("it was claimed for another company")
	case !s.Expires.After(now):
		return SeatInvalid("its time is over")
	default:
		return nil
	}
}

// leaseOf asks whether a seat that has a valid token is held now, and until when. A pool that can't tell, since it is
// being recovered, lets the token's own time stand. OPENING_SEAT_ENDED when the seat is held no longer.
func (s *Sessions) leaseOf(ctx context.Context, seat Seat) (time.Time, error) {
	states, err := s.states(ctx, []string{seat.Name})
	if err != nil {
		return time.Time{}, err
	}
	switch state := states[seat.Name]; {
	case state.GetUnknown():
		return seat.Expires, nil
	case !state.GetHeld():
		return time.Time{}, failure.New(commonv1.Reason_REASON_OPENING_SEAT_ENDED)
	default:
		return state.GetExpireTime().AsTime(), nil
	}
}

// states asks licensing about seats, 1,000 at the most.
func (s *Sessions) states(ctx context.Context, seats []string) (map[string]*licensingv1.SeatState, error) {
	answer, err := s.d.Licensing.BatchGetSeatStates(ctx, &licensingv1.BatchGetSeatStatesRequest{Seats: seats})
	if err != nil {
		return nil, err
	}
	states := make(map[string]*licensingv1.SeatState, len(seats))
	for _, state := range answer.GetStates() {
		states[state.GetSeat()] = state
	}
	return states, nil
}
