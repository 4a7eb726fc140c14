package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

const (
	// renewals is how often a lease is renewed in its time, if all goes well.
	renewals = 3
	// renewTime bounds the wait for an answer to one renewal; short leases leave less, for several tries must fit in.
	renewTime = 5 * time.Second
	// soonest is how soon after a renewal the next one is, however short the lease has become.
	soonest = time.Second
	// streamTries is how many streams in a row may fail without an answer before single calls renew.
	streamTries = 2
	// streamAgain is for how long single calls renew before another stream is tried, for each that failed; seldom is the most.
	streamAgain, seldom = 30 * time.Second, 5 * time.Minute
	// number is the seat's on its stream.
	number = 1
)

var (
	// errSilent is of a stream that gave no answer.
	errSilent = errors.New("no answer on the seat's stream")
	// errGone is what a stream says of a seat that is not held, which gives no text.
	errGone = &Error{
		Reason: "SEAT_LOST", Text: "the seat is held no longer", status: status.New(codes.FailedPrecondition, "the seat is held no longer"),
	}
)

// hold keeps the seat until ctx ends, or it is lost.
func (s *Seat) hold(ctx context.Context) {
	if why := s.holdOn(ctx); why != nil {
		s.lose(why)
		s.drop()
	}
}

// holdOn holds the seat over one stream after the other, and by single calls where no stream can be had. It gives why the
// seat is lost, or nil when it was told to stop.
func (s *Seat) holdOn(ctx context.Context) error {
	wait, failed := firstWait, 0
	for {
		answered, err := s.overStream(ctx)
		if failed++; answered {
			wait, failed = firstWait, 0
		}
		if errors.Is(err, errGone) {
			err = s.lastWord(ctx)
		}
		if !final(err) && ctx.Err() == nil && (failed >= streamTries || status.Code(err) == codes.Unimplemented) {
			err = s.byCalls(ctx, min(time.Duration(failed)*streamAgain, seldom))
		}
		if err == nil {
			wait = firstWait
		}
		left, longest := s.left()
		switch {
		case ctx.Err() != nil:
			return s.session.Err()
		case final(err):
			return err
		case left <= 0:
			return leaseOver(err)
		}
		s.rest(ctx, min(spread(wait), left))
		wait = min(2*wait, longest)
	}
}

// left is how long the lease lasts, and how long to wait at the most before another try.
func (s *Seat) left() (lease, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Until(s.until), min(longestWait, s.lease/renewals)
}

// patience is how long to wait for an answer to a renewal.
func (s *Seat) patience() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return min(renewTime, s.lease/(2*renewals))
}

// overStream holds the seat over one stream until it breaks, and tells whether it was held by it. When ctx ends, the stream
// is left open.
func (s *Seat) overStream(ctx context.Context) (answered bool, err error) {
	s.stream = s.open()
	alarm := time.NewTimer(time.Until(s.stream.patience))
	defer alarm.Stop()
	for err == nil {
		select {
		case <-ctx.Done():
			return answered, nil
		case check := <-s.checks:
			s.asked = append(s.asked, check)
		case <-alarm.C:
		case m, more := <-s.stream.messages:
			if !more {
				err = s.stream.err
				break
			}
			s.stream.opened = true
			err = s.hear(m)
			answered = answered || err == nil && m.GetAnswer()
		}
		if err == nil {
			err = s.renew()
		}
		alarm.Reset(time.Until(s.nextAlarm()))
	}
	s.drop()
	return answered, err
}

// renew sends a renewal if one is due and none waits for its answer.
func (s *Seat) renew() error {
	st := s.stream
	s.mu.Lock()
	due := !time.Now().Before(s.next)
	s.mu.Unlock()
	switch {
	case st.waits && !time.Now().Before(st.patience):
		return errSilent
	case st.waits || !due && len(s.asked) == 0:
		return nil
	}
	s.sends(st)
	err := st.grpc.Send(&licensingv1.HoldSeatsRequest{Holds: []*licensingv1.SeatHold{{Number: number, IdleSeconds: s.idle()}}})
	if errors.Is(err, io.EOF) {
		return nil // Why the stream ended comes as its end.
	}
	return err
}

// sends notes a renewal that is sent now.
func (s *Seat) sends(st *holdStream) {
	st.waits, st.began = true, time.Now()
	st.patience = st.began.Add(s.patience())
	st.checks, s.asked = s.asked, nil
}

// nextAlarm is when there is something to do, if nothing comes.
func (s *Seat) nextAlarm() time.Time {
	if s.stream.waits {
		return s.stream.patience
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}

// hear takes an answer or news.
func (s *Seat) hear(m *licensingv1.HoldSeatsResponse) error {
	st := s.stream
	for _, r := range m.GetRenewals() {
		if !r.GetHeld() {
			return errGone
		}
		if m.GetAnswer() {
			s.keepRenewal(r, st.began)
		}
		s.tell(s.localOf(r.GetTakeTime()), r.GetPleas())
	}
	if m.GetAnswer() {
		st.waits = false
		s.confirm(st.checks)
		st.checks = nil
	}
	return nil
}

func (s *Seat) confirm(checks []chan<- struct{}) {
	for _, check := range checks {
		close(check)
	}
}

// byCalls renews by single calls for a while, where streams do not get through. Pleas are not told meanwhile.
func (s *Seat) byCalls(ctx context.Context, long time.Duration) error {
	for end := time.Now().Add(spread(long)); ; {
		asked := s.asked
		s.asked = nil
		if err := s.renewOnce(ctx); err != nil {
			s.asked = append(asked, s.asked...)
			return err
		}
		s.confirm(asked)
		if over := ctx.Err() != nil || time.Now().After(end); over {
			return nil // Another stream is tried while the lease is fresh.
		}
		s.mu.Lock()
		wait := time.Until(s.next)
		s.mu.Unlock()
		s.rest(ctx, wait)
	}
}

// rest waits, until somebody wants to know whether the seat is held.
func (s *Seat) rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case check := <-s.checks:
		s.asked = append(s.asked, check)
	case <-ctx.Done():
	}
}

// lastWord asks why the seat is not held: a stream does not say. It gives nil if the seat is held after all.
func (s *Seat) lastWord(ctx context.Context) error {
	if err := s.renewOnce(ctx); err == nil || final(err) {
		return err
	}
	return errGone
}

func (s *Seat) renewOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience())
	defer cancel()
	began := time.Now()
	answer, err := s.seats.RenewSeat(ctx, s.proof())
	if err != nil {
		return err
	}
	s.keepLease(answer, began)
	s.tell(s.localOf(answer.GetSeat().GetTakeTime()), nil)
	return nil
}

// spread makes a time a tenth longer or shorter, so that many programs do not all call at once.
func spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64())) //nolint:gosec // it spreads load and hides nothing
}

// final tells whether a renewal was refused for good.
func final(err error) bool {
	if errors.Is(err, ErrSignedOut) {
		return true
	}
	switch status.Code(err) {
	case codes.FailedPrecondition, codes.PermissionDenied, codes.NotFound, codes.InvalidArgument, codes.Unauthenticated:
		return Reason(err) != "" && !passing(err)
	default:
		return false
	}
}

func leaseOver(last error) error {
	if last == nil {
		return ErrLeaseOver
	}
	return fmt.Errorf("%w: %w", ErrLeaseOver, last)
}
