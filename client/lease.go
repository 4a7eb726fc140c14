package client

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// proof shows what was got last.
func (s *Seat) proof() *licensingv1.RenewSeatRequest {
	idle := s.idle()
	s.mu.Lock()
	defer s.mu.Unlock()
	return &licensingv1.RenewSeatRequest{Name: s.name, Token: s.token, Stamp: s.stamp, IdleSeconds: idle}
}

// lease is what Kontor answers to a claim and to a single renewal.
type lease interface {
	GetSeat() *licensingv1.Seat
	GetToken() string
	GetLeaseSeconds() int32
}

// keepLease takes what Kontor answered to a call that began then: the lease holds at least from that instant.
func (s *Seat) keepLease(got lease, began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token, s.stamp = got.GetToken(), ""
	s.lease = time.Duration(got.GetLeaseSeconds()) * time.Second
	s.until = began.Add(s.lease)
	s.ahead = s.until.Sub(got.GetSeat().GetExpireTime().AsTime())
	s.plan(began)
}

// keepRenewal takes what a stream answered to a renewal that was sent then. The lease of a seat that will be taken does not go
// beyond that, so its length is told by Kontor's clock.
func (s *Seat) keepRenewal(r *licensingv1.SeatRenewal, began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stamp = r.GetStamp()
	if r.GetToken() != "" {
		s.token = r.GetToken()
	}
	if seconds := r.GetLeaseSeconds(); seconds > 0 && r.GetTakeTime() == nil {
		s.lease = time.Duration(seconds) * time.Second
	}
	s.until = began.Add(s.lease)
	ends := r.GetExpireTime().AsTime()
	if r.GetTakeTime() == nil {
		s.ahead = s.until.Sub(ends)
	} else if capped := ends.Add(s.ahead); capped.Before(s.until) {
		s.until = capped
	}
	s.plan(began)
}

// plan sets when the lease that began then is renewed. s.mu is held.
func (s *Seat) plan(began time.Time) {
	third := max(s.until.Sub(began)/renewals, min(soonest, s.lease/renewals))
	s.next = began.Add(spread(third))
}

// local is an instant of Kontor's by this machine's clock.
func (s *Seat) local(t time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return t.Add(s.ahead)
}

// localOf is local for an instant that may be unset: then it is the zero time.
func (s *Seat) localOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return s.local(t.AsTime())
}
