package opening

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/seattoken"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/tenancy/internal/names"
)

// seatOf reads a seat's token. OPENING_SEAT_INVALID when licensing did not sign it.
func (s *Sessions) seatOf(ctx context.Context, token string) (seattoken.Claims, error) {
	seat, err := seattoken.Verify(ctx, s.d.Keys, token)
	if errors.Is(err, seattoken.ErrInvalid) {
		return seat, failure.New(commonv1.Reason_REASON_OPENING_SEAT_INVALID, "detail", "licensing did not sign it").Wrap(err)
	}
	if err != nil {
		return seat, failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", "licensing").Wrap(err)
	}
	return seat, nil
}

// checkSeat refuses a seat that is not the caller's for this company now.
func checkSeat(seat seattoken.Claims, r Request, now time.Time) error {
	var detail string
	switch {
	case seat.Account != names.Account(r.Account):
		detail = "it is somebody else's"
	case seat.Company != names.Company(r.Subscriber, r.Company):
		detail = "it was claimed for another company"
	case seat.Over(now):
		detail = "its time is over"
	default:
		return nil
	}
	return failure.New(commonv1.Reason_REASON_OPENING_SEAT_INVALID, "detail", detail)
}

// checkProduct refuses a seat that was claimed for work with another product: products may have licences of their own.
func checkProduct(seat seattoken.Claims, product string) error {
	if seat.Product == product {
		return nil
	}
	return failure.New(commonv1.Reason_REASON_OPENING_SEAT_INVALID, "detail", fmt.Sprintf("it was claimed for %s, not for %s", seat.Product, product))
}

// leaseOf asks whether a seat that has a valid token is held now, and until when. A pool that can't tell, since it is
// being recovered, lets the token's own time stand. OPENING_SEAT_ENDED when the seat is held no longer.
func (s *Sessions) leaseOf(ctx context.Context, seat seattoken.Claims) (time.Time, error) {
	states, err := s.states(ctx, []string{seat.Seat})
	if err != nil {
		return time.Time{}, err
	}
	switch state := states[seat.Seat]; {
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
