package seat

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/licence"
)

// renewal reads what a holder sends to renew a seat. A stamp proves a later end of the lease than the token.
func (s *Server) renewal(ctx context.Context, req *licensingv1.RenewSeatRequest) (Pool, Renewal, error) {
	of, mine, err := s.own(ctx, req.GetName(), req.GetToken())
	if err != nil {
		return of, Renewal{}, err
	}
	if req.GetStamp() != "" {
		ends, ok := s.deps.Stamps.Read(req.GetStamp(), mine)
		if !ok {
			return of, Renewal{}, failure.New(commonv1.Reason_REASON_SEAT_TOKEN_WRONG)
		}
		if ends.After(mine.Ends) {
			mine.Ends = ends
		}
	}
	return of, Renewal{Seat: mine, Idle: time.Duration(req.GetIdleSeconds()) * time.Second}, nil
}

// RenewSeat lets the lease of the caller's seat run anew.
func (s *Server) RenewSeat(ctx context.Context, req *licensingv1.RenewSeatRequest) (*licensingv1.RenewSeatResponse, error) {
	of, mine, err := s.renewal(ctx, req)
	if err != nil {
		return nil, err
	}
	held, err := s.deps.Pools.Renew(ctx, of, mine, by(caller.From(ctx)))
	if err != nil {
		return nil, err
	}
	token, err := s.sign(of, held)
	return &licensingv1.RenewSeatResponse{Seat: held.message(of, ""), Token: token, LeaseSeconds: held.lease()}, err
}

// BatchRenewSeats renews many seats, those of one licence together. Each answers for itself: a token that is wrong, or a
// seat of another subscriber, is a seat that is not held.
func (s *Server) BatchRenewSeats(ctx context.Context, req *licensingv1.BatchRenewSeatsRequest) (*licensingv1.BatchRenewSeatsResponse, error) {
	b := batch{Server: s, subscriber: req.GetParent(), sign: func(Seat) bool { return true }}
	for _, one := range req.GetRequests() {
		of, mine, err := s.renewal(ctx, one)
		if err != nil && failure.Reason(err) != commonv1.Reason_REASON_SEAT_TOKEN_WRONG && failure.Reason(err) != commonv1.Reason_REASON_NOT_FOUND {
			return nil, err
		}
		b.add(one.GetName(), of, mine, err == nil)
	}
	renewals, err := b.renew(ctx)
	return &licensingv1.BatchRenewSeatsResponse{Renewals: renewals}, err
}

// batch is renewals under way, of any number of licences.
type batch struct {
	*Server
	subscriber string
	// sign says whether a seat is due for a fresh token.
	sign  func(Seat) bool
	names []string
	held  []Seat
	pools map[Pool]*share
}

// share is what of a batch is one pool's.
type share struct {
	places []int
	all    []Renewal
}

func (b *batch) add(name string, of Pool, mine Renewal, good bool) {
	place := len(b.names)
	b.names = append(b.names, name)
	if !good || licence.SubscriberName(of.Subscriber) != b.subscriber {
		return
	}
	if b.pools == nil {
		b.pools = map[Pool]*share{}
	}
	if b.pools[of] == nil {
		b.pools[of] = &share{}
	}
	b.pools[of].places = append(b.pools[of].places, place)
	b.pools[of].all = append(b.pools[of].all, mine)
}

// renew renews all, and answers in their order.
func (b *batch) renew(ctx context.Context) ([]*licensingv1.SeatRenewal, error) {
	answers := make([]*licensingv1.SeatRenewal, len(b.names))
	b.held = make([]Seat, len(b.names))
	for i, name := range b.names {
		answers[i] = &licensingv1.SeatRenewal{Name: name}
	}
	for of, part := range b.pools {
		renewed, err := b.deps.Pools.RenewAll(ctx, of, part.all, by(caller.From(ctx)))
		if err != nil {
			return nil, err
		}
		for i, one := range renewed {
			if !one.Held {
				continue
			}
			place := part.places[i]
			b.held[place] = one.Seat
			if err := b.told(ctx, answers[place], of, one.Seat); err != nil {
				return nil, err
			}
		}
	}
	return answers, nil
}

// told fills in what a holder is told of a seat that is held.
func (b *batch) told(ctx context.Context, answer *licensingv1.SeatRenewal, of Pool, held Seat) (err error) {
	answer.Held, answer.Stamp, answer.LeaseSeconds = true, b.deps.Stamps.Of(held), held.lease()
	answer.ExpireTime, answer.TakeTime = timestamppb.New(held.Ends), instant(held.Taking)
	answer.Pleas = b.pleas(ctx, held)
	if b.sign(held) {
		answer.Token, err = b.Server.sign(of, held)
	}
	return err
}

// pleas are what others ask of a holder.
func (s *Server) pleas(ctx context.Context, held Seat) []*licensingv1.SeatPlea {
	if len(held.Pleas) == 0 {
		return nil
	}
	asking := make([]Seat, len(held.Pleas))
	for i, plea := range held.Pleas {
		asking[i].Account = plea.Account
	}
	titles := s.deps.People.titles(ctx, asking)
	list := make([]*licensingv1.SeatPlea, len(held.Pleas))
	for i, plea := range held.Pleas {
		list[i] = &licensingv1.SeatPlea{
			Id: plea.ID, Account: licence.AccountName(plea.Account), AccountTitle: titles[plea.Account], Text: plea.Text,
			CreateTime: timestamppb.New(plea.Since),
		}
	}
	return list
}
