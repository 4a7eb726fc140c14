package client

import (
	"context"
	"errors"
	"fmt"
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
	// ReadOnly asks to read without taking a seat of the licence, where the plan or an invitation allows it.
	ReadOnly bool
	// TakeBack is an own seat on another device that ends first; empty for none.
	TakeBack string
}

var (
	// ErrReleased is why a seat is not held that the program gave back.
	ErrReleased = errors.New("the seat was released")
	// ErrTransferred is why a seat is not held that the program handed over.
	ErrTransferred = errors.New("the seat was handed over to a colleague")
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
	seats      licensingv1.SeatServiceClient
	subscriber string
	stop       context.CancelFunc
	closed     context.CancelFunc // tells the stream to give the seat back
	running    sync.WaitGroup
	lost       chan struct{}
	news       chan SeatNews
	closing    sync.Once
	failure    error

	renewing sync.Mutex

	mu       sync.Mutex
	name     string
	token    string
	stamp    string
	lease    time.Duration
	until    time.Time // end of the lease, by this machine's clock
	worked   time.Time // zero unless the program tells
	released bool      // by the stream
	told     newest    // what the program knows of
	err      error
}

// HoldSeat claims a seat and holds it. When all are taken the error is a *SeatsTakenError, which names who has them and what
// can be done. After a disturbance, while Kontor counts the seats anew, it waits as long as ctx lets it; then the reason is
// SEATS_RECOVERING. Other reasons of a refusal: RIGHT_REFUSED, PERMISSION_DENIED, SEAT_READING_REFUSED, SEAT_NOT_OWN.
func (s *Session) HoldSeat(ctx context.Context, request SeatRequest) (*Seat, error) {
	seats := licensingv1.NewSeatServiceClient(s.Conn())
	for {
		began := time.Now()
		answer, err := seats.ClaimSeat(ctx, &licensingv1.ClaimSeatRequest{
			Parent: request.Subscriber, Company: request.Company, Product: request.Product, DeviceId: request.DeviceID,
			DeviceTitle: request.DeviceTitle, ReadOnly: request.ReadOnly, TakeBack: request.TakeBack,
		})
		if err == nil {
			return holding(seats, request.Subscriber, answer, began), nil
		}
		if Reason(err) != "SEATS_RECOVERING" || pause(ctx, max(retryOf(asError(err)), firstWait)) != nil {
			return nil, seatsTaken(err)
		}
	}
}

// holding holds a claimed seat from now on.
func holding(seats licensingv1.SeatServiceClient, subscriber string, claimed *licensingv1.ClaimSeatResponse, began time.Time) *Seat {
	background, stop := context.WithCancel(context.Background())
	open, closed := context.WithCancel(background)
	seat := &Seat{
		seats: seats, subscriber: subscriber, name: claimed.GetSeat().GetName(), stop: stop, closed: closed,
		lost: make(chan struct{}), news: make(chan SeatNews, 1),
	}
	seat.keep(claimed, began)
	seat.running.Go(func() { seat.live(background, open) })
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

// News tells what happens to the seat: who asks for it, and when it will be taken. What is not received yet is replaced by
// what comes later; each says all there is.
func (s *Seat) News() <-chan SeatNews { return s.news }

// Worked notes that somebody works just now. A program that calls it lets others see for how long nobody has; without it
// the seat seems to be worked with all the time.
func (s *Seat) Worked() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worked = time.Now()
}

// idle is for how long nobody has worked, in whole seconds.
func (s *Seat) idle() int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.worked.IsZero() {
		return 0
	}
	return int32(time.Since(s.worked) / time.Second)
}

// Close gives the seat back: it is free at once. Close companies first. Closing a seat that was lost does nothing.
func (s *Seat) Close(ctx context.Context) error {
	s.closing.Do(func() { s.failure = s.release(ctx) })
	return s.failure
}

func (s *Seat) release(ctx context.Context) error {
	s.closed()
	s.running.Wait()
	s.stop()
	if !s.lose(ErrReleased) || s.released {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	_, err := s.seats.ReleaseSeat(ctx, &licensingv1.ReleaseSeatRequest{Name: s.name, Token: s.Token()})
	return err
}

// Transfer hands the seat over to a colleague, `accounts/A`: it is kept for them for two minutes. The seat is lost here then.
// Reasons of a refusal: SEAT_PERSON_UNFIT, SEAT_LOST.
func (s *Seat) Transfer(ctx context.Context, account string) error {
	if err := s.Err(); err != nil {
		return err
	}
	_, err := s.seats.TransferSeat(ctx, &licensingv1.TransferSeatRequest{Name: s.name, Token: s.Token(), Account: account})
	if err == nil {
		s.lose(ErrTransferred)
	}
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
	s.token, s.stamp, s.lease = got.GetToken(), "", time.Duration(got.GetLeaseSeconds())*time.Second
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
	if Reason(err) == "TOKEN_EXPIRED" { // This machine was asleep: the next call gets another.
		return false
	}
	return errors.Is(err, ErrSignedOut) || err != nil && !passing(err) && Reason(err) != ""
}

func (s *Seat) renewOnce(ctx context.Context) error {
	s.renewing.Lock() // One after the other: the token of the later answer is the one to keep.
	defer s.renewing.Unlock()
	ctx, cancel := context.WithTimeout(ctx, renewTime)
	defer cancel()
	began := time.Now()
	answer, err := s.seats.RenewSeat(ctx, s.renewal())
	if err == nil {
		s.keep(answer, began)
	}
	return err
}

// renewal proves the lease: by the last token, and by the stamp of a later renewal.
func (s *Seat) renewal() *licensingv1.RenewSeatRequest {
	idle := s.idle()
	s.mu.Lock()
	defer s.mu.Unlock()
	return &licensingv1.RenewSeatRequest{Name: s.name, Token: s.token, Stamp: s.stamp, IdleSeconds: idle}
}

func leaseOver(last error) error {
	if last == nil {
		return ErrLeaseOver
	}
	return fmt.Errorf("%w: %w", ErrLeaseOver, last)
}
