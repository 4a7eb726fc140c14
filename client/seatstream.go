package client

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

const (
	// streamTries is how often a stream is tried that is never answered before single calls renew the seat: some networks let
	// no streams through.
	streamTries = 2
	// plainTime is for how long single calls renew it then.
	plainTime = 5 * time.Minute
)

// SeatNews is what happens to a seat.
type SeatNews struct {
	// Pleas are who asked for the seat within the last minute.
	Pleas []SeatPlea
	// TakeTime is when the seat will be taken, by Kontor's clock: time to save until then. Zero unless somebody with the right
	// wants that.
	TakeTime time.Time
}

// SeatPlea is somebody's wish to have the seat.
type SeatPlea struct {
	// Account is `accounts/A`, and Title what people call them.
	Account, Title string
	// Text is what they say.
	Text string
}

// newest tells news apart.
type newest struct {
	taking int64
	plea   string
}

// live holds the seat until ctx ends, open ends (then it is given back over its stream), or it is lost.
func (s *Seat) live(ctx, open context.Context) {
	tries, wait := 0, firstWait
	for open.Err() == nil {
		answered, err := s.overStream(ctx, open)
		switch {
		case open.Err() != nil || s.Err() != nil:
			return
		case final(err):
			s.lose(err)
			return
		case answered:
			tries, wait = 0, firstWait
		default:
			tries++
		}
		if tries >= streamTries {
			s.plainly(open, time.Now().Add(plainTime))
			tries = streamTries - 1
			continue
		}
		if s.left() <= 0 {
			s.lose(leaseOver(err))
			return
		}
		if pause(open, min(wait+rand.N(wait), s.left())) != nil { //nolint:gosec // Not all programs at once when a server restarts; nobody guesses it.
			return
		}
		wait = min(2*wait, longestWait)
	}
}

// left is how long the lease still is.
func (s *Seat) left() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Until(s.until)
}

// next is in how long the lease is to be renewed: when a third of it is over.
func (s *Seat) next() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Until(s.until) - s.lease*(renewals-1)/renewals
}

// heard is what came over the stream.
type heard struct {
	message *licensingv1.HoldSeatsResponse
	err     error
}

// overStream renews the seat over one stream until the stream ends, and says whether Kontor ever answered on it. When open
// ends it closes its side, which gives the seat back.
func (s *Seat) overStream(ctx, open context.Context) (answered bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.seats.HoldSeats(ctx)
	if err != nil {
		return false, err
	}
	messages := make(chan heard)
	go listen(ctx, stream, messages)
	first := &licensingv1.HoldSeatsRequest{Parent: s.subscriber, Holds: []*licensingv1.SeatHold{{Number: 1, Seat: s.renewal(), IdleSeconds: s.idle()}}}
	began := time.Now()
	if err := stream.Send(first); err != nil && !errors.Is(err, io.EOF) { // Its end is told by what is received.
		return false, err
	}
	due := time.NewTimer(renewTime)
	defer due.Stop()
	for asked := true; ; {
		select {
		case <-open.Done():
			return answered, s.hangUp(stream, messages)
		case got := <-messages:
			if got.err != nil {
				return answered, got.err
			}
			if got.message.GetAnswer() {
				answered, asked = true, false
			}
			if held, err := s.hear(ctx, got.message, began); !held {
				return answered, err
			}
			if !asked {
				due.Reset(s.next())
			}
		case <-due.C:
			if asked {
				return answered, context.DeadlineExceeded
			}
			began, asked = time.Now(), true
			if err := stream.Send(&licensingv1.HoldSeatsRequest{Holds: []*licensingv1.SeatHold{{Number: 1, IdleSeconds: s.idle()}}}); err != nil && !errors.Is(err, io.EOF) {
				return answered, err
			}
			due.Reset(renewTime)
		}
	}
}

// listen hands on what comes until the stream ends.
func listen(ctx context.Context, stream licensingv1.SeatService_HoldSeatsClient, messages chan<- heard) {
	for {
		message, err := stream.Recv()
		select {
		case messages <- heard{message, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// hear takes in an answer to what was asked then, or news. A seat that is not held any more is asked about once, for the
// reason.
func (s *Seat) hear(ctx context.Context, message *licensingv1.HoldSeatsResponse, asked time.Time) (held bool, err error) {
	for _, r := range message.GetRenewals() {
		if !r.GetHeld() {
			return false, s.renewOnce(ctx)
		}
		if message.GetAnswer() {
			s.extend(r, asked)
		}
		s.tell(r)
	}
	return true, nil
}

// extend takes a renewal that was asked for then: the lease holds at least from that instant.
func (s *Seat) extend(r *licensingv1.SeatRenewal, asked time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stamp = r.GetStamp()
	if r.GetToken() != "" {
		s.token, s.stamp = r.GetToken(), ""
	}
	if seconds := r.GetLeaseSeconds(); seconds > 0 {
		s.lease = time.Duration(seconds) * time.Second
	}
	s.until = asked.Add(s.lease)
}

// tell tells the program what there is to tell.
func (s *Seat) tell(r *licensingv1.SeatRenewal) {
	now := newest{taking: r.GetTakeTime().GetSeconds()}
	for _, plea := range r.GetPleas() {
		now.plea = plea.GetId() // The last is the latest.
	}
	s.mu.Lock()
	known := now == s.told || now == newest{}
	if !known {
		s.told = now
	}
	s.mu.Unlock()
	if known {
		return
	}
	var news SeatNews
	if r.GetTakeTime() != nil {
		news.TakeTime = r.GetTakeTime().AsTime()
	}
	for _, plea := range r.GetPleas() {
		news.Pleas = append(news.Pleas, SeatPlea{Account: plea.GetAccount(), Title: plea.GetAccountTitle(), Text: plea.GetText()})
	}
	select {
	case <-s.news: // It is replaced.
	default:
	}
	s.news <- news
}

// hangUp closes this side, which gives the seat back, and waits for the stream's end.
func (s *Seat) hangUp(stream licensingv1.SeatService_HoldSeatsClient, messages <-chan heard) error {
	if err := stream.CloseSend(); err != nil {
		return err
	}
	over := time.NewTimer(releaseTime)
	defer over.Stop()
	for {
		select {
		case got := <-messages:
			if errors.Is(got.err, io.EOF) {
				s.mu.Lock()
				s.released = true
				s.mu.Unlock()
				return nil
			}
			if got.err != nil {
				return got.err
			}
		case <-over.C:
			return context.DeadlineExceeded
		}
	}
}

// plainly renews the seat by single calls for a while. A try that does not get through is repeated until the lease's end.
func (s *Seat) plainly(ctx context.Context, until time.Time) {
	wait := firstWait
	last := s.renewOnce(ctx)
	for time.Now().Before(until) && ctx.Err() == nil {
		if final(last) {
			s.lose(last)
			return
		}
		left := s.left()
		if left <= 0 {
			s.lose(leaseOver(last))
			return
		}
		next := s.next()
		if last != nil {
			next, wait = min(wait, left), min(2*wait, longestWait)
		} else {
			wait = firstWait
		}
		if pause(ctx, next) != nil {
			return
		}
		last = s.renewOnce(ctx)
	}
}
