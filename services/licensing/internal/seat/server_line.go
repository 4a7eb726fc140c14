package seat

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/licence"
)

// queueing is how often somebody who waits is looked after, if nothing happens.
const queueing = time.Second

// WaitForSeat keeps the caller's place in line, and tells where it is until a seat is offered.
func (s *Server) WaitForSeat(req *licensingv1.WaitForSeatRequest, stream grpc.ServerStreamingServer[licensingv1.WaitForSeatResponse]) error {
	ctx := stream.Context()
	r, err := s.request(ctx, req)
	if err != nil {
		return err
	}
	ear := s.deps.Hub.Listen()
	defer ear.Close()
	tick := time.NewTicker(queueing)
	defer tick.Stop()
	for last, listening := int32(-1), false; ; {
		of, limits, err := s.deps.Entitled.ToWork(ctx, req.GetParent(), req.GetProduct())
		if err != nil {
			return err
		}
		if !listening {
			ear.For(of.Licence.String())
			listening = true
		}
		turn, err := s.deps.Pools.Wait(ctx, of, r, limits)
		if err != nil {
			return err
		}
		if done := turn.Held || !turn.Offered.IsZero(); done || turn.Position != last {
			if err := stream.Send(s.turn(turn)); err != nil || done {
				return err
			}
			last = turn.Position
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ear.Heard():
		case <-tick.C:
		}
	}
}

// turn is a place in line as its holder is told. Who holds a seat already may claim it, as with an offer.
func (s *Server) turn(t Turn) *licensingv1.WaitForSeatResponse {
	out := &licensingv1.WaitForSeatResponse{Position: t.Position, Offered: t.Held || !t.Offered.IsZero(), OfferExpireTime: instant(t.Offered)}
	if !out.GetOffered() {
		out.NextExpireTime = timestamppb.New(s.deps.Real.Now().Add(t.Frees))
	}
	return out
}

// TransferSeat hands the caller's seat over to a colleague.
func (s *Server) TransferSeat(ctx context.Context, req *licensingv1.TransferSeatRequest) (*licensingv1.TransferSeatResponse, error) {
	of, mine, err := s.own(ctx, req.GetName(), req.GetToken())
	if err != nil {
		return nil, err
	}
	to, err := licence.ParseAccount(req.GetAccount())
	if err != nil {
		return nil, err
	}
	if err := s.mayWork(ctx, req.GetAccount(), of.companyName(mine.Company)); err != nil {
		return nil, err
	}
	until, err := s.deps.Pools.Transfer(ctx, of, mine, to, by(caller.From(ctx)))
	if err != nil {
		return nil, err
	}
	return &licensingv1.TransferSeatResponse{OfferExpireTime: timestamppb.New(until)}, nil
}

// AskForSeat tells a holder that the caller would like to have the seat.
func (s *Server) AskForSeat(ctx context.Context, req *licensingv1.AskForSeatRequest) (*licensingv1.AskForSeatResponse, error) {
	of, seat, err := parseName(req.GetName())
	if err != nil {
		return nil, err
	}
	if _, err := s.deps.Entitled.Of(ctx, of, ""); err != nil {
		return nil, err
	}
	account, err := licence.ParseAccount(caller.From(ctx).Account)
	if err != nil {
		return nil, err
	}
	return &licensingv1.AskForSeatResponse{}, s.deps.Pools.Ask(ctx, of, seat, account, req.GetText())
}
