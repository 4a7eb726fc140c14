package bench

import (
	"context"
	"errors"
	"fmt"

	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

const (
	// streams are open at the same time, each with some seats that it renews in one message.
	streams        = 32
	seatsPerStream = 10
)

// renewals measures renewals over streams.
func (b *seatBench) renewals(ctx context.Context) (err error) {
	if err := b.limit(ctx, streams*seatsPerStream, wideLease); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var open [streams]*seatStream
	for n := range open {
		if open[n], err = b.stream(ctx, n); err != nil {
			return err
		}
	}
	l, err := drive(ctx, streams, 0, seatsLasting, func(_ context.Context, worker, _ int) error { return open[worker].renew() })
	if err != nil {
		return err
	}
	Figure{
		Name: "seat_renew_streams", Value: l.perSecond * seatsPerStream, Unit: "renewals/s", P50: l.p50, P99: l.p99, Goal: ">=30000",
	}.Print(b.out)
	for _, s := range open {
		err = errors.Join(err, s.close())
	}
	return err
}

// seatStream holds seats.
type seatStream struct {
	stream licensingv1.SeatService_HoldSeatsClient
	parent string
	again  []*licensingv1.SeatHold
}

func (b *seatBench) stream(ctx context.Context, n int) (*seatStream, error) {
	seats := licensingv1.NewSeatServiceClient(b.one)
	stream, err := seats.HoldSeats(b.as(ctx))
	if err != nil {
		return nil, err
	}
	s := &seatStream{stream: stream, parent: b.subscriber}
	var first []*licensingv1.SeatHold
	for i := range int32(seatsPerStream) {
		held, err := seats.ClaimSeat(b.as(ctx), b.claim(fmt.Sprintf("streams-%d-%d", n, i)))
		if err != nil {
			return nil, err
		}
		first = append(first, &licensingv1.SeatHold{
			Number: i + 1, Seat: &licensingv1.RenewSeatRequest{Name: held.GetSeat().GetName(), Token: held.GetToken()},
		})
		s.again = append(s.again, &licensingv1.SeatHold{Number: i + 1})
	}
	return s, s.send(first)
}

func (s *seatStream) renew() error { return s.send(s.again) }

// send renews, and waits for the answer.
func (s *seatStream) send(holds []*licensingv1.SeatHold) error {
	if err := s.stream.Send(&licensingv1.HoldSeatsRequest{Parent: s.parent, Holds: holds}); err != nil {
		return err
	}
	for {
		got, err := s.stream.Recv()
		if err != nil {
			return err
		}
		if !got.GetAnswer() {
			continue
		}
		for _, r := range got.GetRenewals() {
			if !r.GetHeld() {
				return fmt.Errorf("%s is held no longer", r.GetName())
			}
		}
		return nil
	}
}

// close gives the seats back.
func (s *seatStream) close() error {
	if err := s.stream.CloseSend(); err != nil {
		return err
	}
	for {
		if _, err := s.stream.Recv(); err != nil {
			return nil //nolint:nilerr // The stream's end.
		}
	}
}
