package client

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// SeatsTakenError says that all seats are held.
type SeatsTakenError struct {
	// Limit is how many there are: in the licence, with InCompany in the company, or for the product.
	Limit     int
	InCompany bool
	// Holders names who holds them, for people.
	Holders string
	// Waiting is how many wait in line.
	Waiting int
	// Offers are what the person can do: `wait` (WaitForSeat), `ask` (AskForSeat), `take_back` (SeatRequest.TakeBack),
	// `read_only` (SeatRequest.ReadOnly).
	Offers []string
	// Refusal is what Kontor answered.
	Refusal *Error
}

// Error is Kontor's text, which names limit and holders.
func (e *SeatsTakenError) Error() string { return e.Refusal.Error() }

// Unwrap gives the refusal, for Reason and RetryAfter.
func (e *SeatsTakenError) Unwrap() error { return e.Refusal }

// seatsTaken makes a *SeatsTakenError of the refusals that say so.
func seatsTaken(err error) error {
	e := asError(err)
	if e == nil || !strings.HasPrefix(e.Reason, "SEATS_EXHAUSTED") {
		return err
	}
	limit, _ := strconv.Atoi(e.Values["limit"]) // Without numbers the text still says all.
	waiting, _ := strconv.Atoi(e.Values["waiting"])
	return &SeatsTakenError{
		Limit: limit, InCompany: e.Reason == "SEATS_EXHAUSTED_IN_COMPANY", Holders: e.Values["holders"], Waiting: waiting,
		Offers: strings.FieldsFunc(e.Values["offers"], func(r rune) bool { return r == ',' }), Refusal: e,
	}
}

// Queued is where somebody is in line.
type Queued struct {
	// Position from 1.
	Position int
	// NextFree is when the next lease ends, by Kontor's clock: a seat is free then at the latest, if its holder is gone.
	NextFree time.Time
}

// WaitForSeat waits in line for a seat, first come first served, and holds the one that is offered. It says where it is
// whenever that changes; told may be nil. It waits as long as ctx lets it, across disturbances: who is away for less than 15 s
// keeps the place. Reasons of a refusal: SEATS_QUEUE_FULL, and those of HoldSeat.
func (s *Session) WaitForSeat(ctx context.Context, request SeatRequest, told func(Queued)) (*Seat, error) {
	wait := firstWait
	for {
		err := s.queue(ctx, request, func(q Queued) {
			wait = firstWait
			if told != nil {
				told(q)
			}
		})
		if err == nil {
			seat, err := s.HoldSeat(ctx, request)
			if _, taken := errors.AsType[*SeatsTakenError](err); !taken {
				return seat, err
			}
			continue // The offer was over before it was taken: back into the line.
		}
		if !passing(err) && !errors.Is(err, io.EOF) && Reason(err) != "TOKEN_EXPIRED" || Reason(err) == "SEATS_QUEUE_FULL" || strings.HasPrefix(Reason(err), "TOO_MANY") {
			return nil, err
		}
		if pause(ctx, max(wait, retryOf(asError(err)))) != nil {
			return nil, err
		}
		wait = min(2*wait, longestWait)
	}
}

// queue waits in line until a seat is offered.
func (s *Session) queue(ctx context.Context, request SeatRequest, told func(Queued)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := licensingv1.NewSeatServiceClient(s.Conn()).WaitForSeat(ctx, &licensingv1.WaitForSeatRequest{
		Parent: request.Subscriber, Company: request.Company, Product: request.Product, DeviceId: request.DeviceID, DeviceTitle: request.DeviceTitle,
	})
	if err != nil {
		return err
	}
	for {
		turn, err := stream.Recv()
		if err != nil {
			return err
		}
		if turn.GetOffered() {
			return nil
		}
		told(Queued{Position: int(turn.GetPosition()), NextFree: turn.GetNextExpireTime().AsTime()})
	}
}

// AskForSeat tells who holds a seat, `subscribers/S/licences/L/seats/T`, that the person would like to have it. Reasons of a
// refusal: SEAT_LOST when nobody holds it.
func (s *Session) AskForSeat(ctx context.Context, seat, text string) error {
	_, err := licensingv1.NewSeatServiceClient(s.Conn()).AskForSeat(ctx, &licensingv1.AskForSeatRequest{Name: seat, Text: text})
	return err
}
