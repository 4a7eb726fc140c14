package client

import (
	"context"
	"errors"
	"time"

	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// Turn is a place in line.
type Turn struct {
	// Position from 1.
	Position int
	// Frees is when the next lease ends if its holder is gone, by Kontor's clock.
	Frees time.Time
}

// WaitForSeat waits in line until a seat is offered, and claims and holds it. turn hears the place in line, at once and
// whenever it changes; it may be nil. A lost connection keeps the place for 15 s, in which the line is joined again; whoever
// ends ctx goes away. Reasons of a refusal: SEATS_QUEUE_FULL, and those of HoldSeat but for *SeatsTakenError.
func (s *Session) WaitForSeat(ctx context.Context, request SeatRequest, turn func(Turn)) (*Seat, error) {
	wait := firstWait
	for {
		err := s.inLine(ctx, request, func(t Turn) {
			wait = firstWait
			if turn != nil {
				turn(t)
			}
		})
		if err == nil {
			seat, claimErr := s.HoldSeat(ctx, request)
			if _, late := errors.AsType[*SeatsTakenError](claimErr); !late {
				return seat, claimErr
			}
			err = claimErr // The offer was over; join the line again.
		}
		if final(err) || Reason(err) == "SEATS_QUEUE_FULL" {
			return nil, err
		}
		if err := pause(ctx, spread(wait)); err != nil {
			return nil, err
		}
		wait = min(2*wait, longestWait)
	}
}

// inLine waits on one stream until a seat is offered.
func (s *Session) inLine(ctx context.Context, request SeatRequest, turn func(Turn)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := licensingv1.NewSeatServiceClient(s.Conn()).WaitForSeat(ctx, &licensingv1.WaitForSeatRequest{
		Parent: request.Subscriber, Company: request.Company, Product: request.Product,
		DeviceId: request.DeviceID, DeviceTitle: request.DeviceTitle,
	})
	if err != nil {
		return err
	}
	for {
		now, err := stream.Recv()
		if err != nil {
			return err
		}
		if now.GetOffered() {
			return nil
		}
		turn(Turn{Position: int(now.GetPosition()), Frees: now.GetNextExpireTime().AsTime()})
	}
}

// AskForSeat asks the holder of a seat, `subscribers/S/licences/L/seats/T`, to give it back, with a text of 300 characters at
// the most. They are told at once where their program listens; a second plea for the seat replaces the first. SEAT_LOST when
// nobody holds it: claim it.
func (s *Session) AskForSeat(ctx context.Context, seat, text string) error {
	_, err := licensingv1.NewSeatServiceClient(s.Conn()).AskForSeat(ctx, &licensingv1.AskForSeatRequest{Name: seat, Text: text})
	return err
}

// SeatHolders lists the seats of a licence, `subscribers/S/licences/L`, that are held now: whom to ask, and what of one's own
// to take back. It needs the permission to see them.
func (s *Session) SeatHolders(ctx context.Context, licence string) ([]*licensingv1.Seat, error) {
	seats := licensingv1.NewSeatServiceClient(s.Conn())
	var all []*licensingv1.Seat
	for r := (&licensingv1.ListSeatsRequest{Parent: licence, PageSize: 1_000}); ; {
		page, err := seats.ListSeats(ctx, r)
		if err != nil {
			return nil, err
		}
		all = append(all, page.GetSeats()...)
		if r.PageToken = page.GetNextPageToken(); r.GetPageToken() == "" {
			return all, nil
		}
	}
}
