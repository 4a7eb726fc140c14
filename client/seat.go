package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// SeatRequest says whose seat for what.
type SeatRequest struct {
	// Subscriber whose licence gives the seat, `subscribers/S`.
	Subscriber string
	// Company to work in, `subscribers/S/companies/C`.
	Company string
	// Product that works, e.g. `books`.
	Product string
	// DeviceID is the same each time on this device: who claims again after a crash gets the seat they had.
	DeviceID string
	// DeviceTitle is what others read who look for a free seat, e.g. `Ieva's laptop`.
	DeviceTitle string
}

var (
	// ErrReleased is why a seat is not held that the program gave back.
	ErrReleased = errors.New("the seat was released")
	// ErrLeaseOver is why a seat is lost that could not be renewed in time.
	ErrLeaseOver = errors.New("the seat could not be renewed before its lease was over")
)

const (
	// renewals is how often a lease is renewed in its time, if all goes well.
	renewals = 3
	// renewTime bounds one try.
	renewTime = 5 * time.Second
	// releaseTime bounds giving back a seat; it frees itself at the lease's end anyhow.
	releaseTime = 5 * time.Second
)

// Seat is the right to work now. It is renewed in the background until Close, or until it is lost.
type Seat struct {
	seats   licensingv1.SeatServiceClient
	stop    context.CancelFunc
	running sync.WaitGroup
	lost    chan struct{}
	closing sync.Once
	closed  error

	renewing sync.Mutex

	mu    sync.Mutex
	name  string
	token string
	lease time.Duration
	until time.Time // end of the lease, by this machine's clock
	err   error
}

// HoldSeat claims a seat and holds it. When all are taken the error is a *SeatsTakenError, which names who has them. After a
// disturbance, while Kontor counts the seats anew, it waits as long as ctx lets it; then the reason is SEATS_RECOVERING. Other
// reasons of a refusal: RIGHT_REFUSED, PERMISSION_DENIED.
func (s *Session) HoldSeat(ctx context.Context, request SeatRequest) (*Seat, error) {
	seats := licensingv1.NewSeatServiceClient(s.Conn())
	for {
		began := time.Now()
		answer, err := seats.ClaimSeat(ctx, &licensingv1.ClaimSeatRequest{
			Parent: request.Subscriber, Company: request.Company, Product: request.Product,
			DeviceId: request.DeviceID, DeviceTitle: request.DeviceTitle,
		})
		if err == nil {
			return holding(seats, answer, began), nil
		}
		if Reason(err) != "SEATS_RECOVERING" || pause(ctx, max(retryOf(asError(err)), firstWait)) != nil {
			return nil, seatsTaken(err)
		}
	}
}

// holding holds a claimed seat from now on.
func holding(seats licensingv1.SeatServiceClient, claimed *licensingv1.ClaimSeatResponse, began time.Time) *Seat {
	background, stop := context.WithCancel(context.Background())
	seat := &Seat{seats: seats, name: claimed.GetSeat().GetName(), stop: stop, lost: make(chan struct{})}
	seat.keep(claimed, began)
	seat.running.Go(func() { seat.renew(background) })
	return seat
}

// Name is the seat's name, `subscribers/S/licences/L/seats/T`.
func (s *Seat) Name() string { return s.name }

// Token shows others of Kontor that the seat is held; it changes with renewals.
func (s *Seat) Token() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token
}

// Lost is closed when the seat is held no longer, whatever the reason. The company's database connections end with it.
func (s *Seat) Lost() <-chan struct{} { return s.lost }

// Err is why the seat is held no longer: ErrReleased, ErrLeaseOver, or Kontor's refusal, e.g. SEAT_LOST; nil while it is held.
func (s *Seat) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close gives the seat back: it is free at once. Close companies first. Closing a seat that was lost does nothing.
func (s *Seat) Close(ctx context.Context) error {
	s.closing.Do(func() { s.closed = s.release(ctx) })
	return s.closed
}

func (s *Seat) release(ctx context.Context) error {
	s.stop()
	s.running.Wait()
	if !s.lose(ErrReleased) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	_, err := s.seats.ReleaseSeat(ctx, &licensingv1.ReleaseSeatRequest{Name: s.name, Token: s.Token()})
	return err
}

// lease is what Kontor answers to a claim and to a renewal.
type lease interface {
	GetSeat() *licensingv1.Seat
	GetToken() string
	GetLeaseSeconds() int32
}

// keep takes what Kontor answered to a call that began then: the lease holds at least from that instant.
func (s *Seat) keep(got lease, began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token, s.lease = got.GetToken(), time.Duration(got.GetLeaseSeconds())*time.Second
	s.until = began.Add(s.lease)
}

// lose ends the holding, once.
func (s *Seat) lose(why error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return false
	}
	s.err = why
	close(s.lost)
	return true
}

// renew renews the lease when a third of it is over. A try that does not get through is repeated until the lease's end.
func (s *Seat) renew(ctx context.Context) {
	wait := firstWait
	var last error
	for {
		s.mu.Lock()
		left, lease := time.Until(s.until), s.lease
		s.mu.Unlock()
		if left <= 0 {
			s.lose(leaseOver(last))
			return
		}
		next := left - lease*(renewals-1)/renewals
		if last != nil {
			next, wait = min(wait, left), min(2*wait, longestWait)
		}
		if pause(ctx, next) != nil {
			return
		}
		switch last = s.renewOnce(ctx); {
		case last == nil:
			wait = firstWait
		case ctx.Err() != nil:
			return
		case final(last):
			s.lose(last)
			return
		}
	}
}

// Check asks Kontor now whether the seat is still held, and renews it if so. A program need not: it does when something
// suggests that the seat is gone, e.g. its database connection ended.
func (s *Seat) Check(ctx context.Context) error {
	if err := s.Err(); err != nil {
		return err
	}
	err := s.renewOnce(ctx)
	if final(err) {
		s.lose(err)
	}
	return err
}

// final tells whether a renewal was refused for good.
func final(err error) bool {
	return errors.Is(err, ErrSignedOut) || err != nil && !passing(err) && Reason(err) != ""
}

func (s *Seat) renewOnce(ctx context.Context) error {
	s.renewing.Lock() // One after the other: the token of the later answer is the one to keep.
	defer s.renewing.Unlock()
	ctx, cancel := context.WithTimeout(ctx, renewTime)
	defer cancel()
	began := time.Now()
	answer, err := s.seats.RenewSeat(ctx, &licensingv1.RenewSeatRequest{Name: s.name, Token: s.Token()})
	if err == nil {
		s.keep(answer, began)
	}
	return err
}

func leaseOver(last error) error {
	if last == nil {
		return ErrLeaseOver
	}
	return fmt.Errorf("%w: %w", ErrLeaseOver, last)
}

// SeatsTakenError says that all seats are held.
type SeatsTakenError struct {
	// Limit is how many there are: in the licence, or with InCompany in the company.
	Limit     int
	InCompany bool
	// Holders names who holds them, for people.
	Holders string
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
	if e == nil || e.Reason != "SEATS_EXHAUSTED" && e.Reason != "SEATS_EXHAUSTED_IN_COMPANY" {
		return err
	}
	limit, _ := strconv.Atoi(e.Values["limit"]) // Without one the text still says all.
	return &SeatsTakenError{Limit: limit, InCompany: e.Reason == "SEATS_EXHAUSTED_IN_COMPANY", Holders: e.Values["holders"], Refusal: e}
}
