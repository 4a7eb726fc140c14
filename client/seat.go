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
	// DeviceTitle is what others read who look for a free seat, e.g. `Ieva's laptop`; 100 characters at the most.
	DeviceTitle string
	// ReadOnly asks to read only, beside the seats of the licence, where the plan or an invitation allows it.
	ReadOnly bool
	// TakeBack is a seat that the person holds on another device, `subscribers/S/licences/L/seats/T`: it ends there and is
	// claimed here in its place. Empty for none.
	TakeBack string
}

// Why a seat is not held any more, beside Kontor's refusals. Each is told apart with errors.Is.
var (
	// ErrReleased is of a seat that the program gave back.
	ErrReleased = errors.New("the seat was released")
	// ErrTransferred is of a seat that the program handed over to a colleague.
	ErrTransferred = errors.New("the seat was handed over")
	// ErrTaken is of a seat that was taken away, as the news had said.
	ErrTaken = errors.New("the seat was taken away")
	// ErrLeaseOver is of a seat that could not be renewed in time.
	ErrLeaseOver = errors.New("the seat could not be renewed before its lease was over")
)

// releaseTime bounds giving back a seat, and handing it over; it frees itself at the lease's end anyhow.
const releaseTime = 5 * time.Second

// Seat is the right to work now. It is held in the background until Close or Transfer, or until it is lost.
type Seat struct {
	session *Session
	seats   licensingv1.SeatServiceClient
	name    string
	lost    chan struct{}
	news    chan News
	checks  chan chan<- struct{}

	closing sync.Once
	closed  error
	turning sync.Mutex // one of Close and Transfer at a time; they stop what runs, and then have the fields below
	running sync.WaitGroup
	stop    context.CancelFunc
	stream  *holdStream
	asked   []chan<- struct{} // checks that no renewal was sent for yet
	pleas   map[string]bool   // told already, of those that Kontor still tells

	mu     sync.Mutex
	token  string
	stamp  string
	lease  time.Duration
	until  time.Time     // end of the lease, by this machine's clock
	next   time.Time     // when to renew
	ahead  time.Duration // by how much this machine's clock is ahead of Kontor's
	worked time.Time
	taking time.Time // when it will be taken, by this machine's clock
	err    error
}

// HoldSeat claims a seat and holds it. When all are taken the error is a *SeatsTakenError, which says who has them and what
// else can be done. After a disturbance, while Kontor counts the seats anew, it waits as long as ctx lets it; then the reason
// is SEATS_RECOVERING. Other reasons of a refusal: RIGHT_REFUSED, PERMISSION_DENIED, and SEAT_READING_REFUSED and
// SEAT_NOT_OWN for ReadOnly and TakeBack.
func (s *Session) HoldSeat(ctx context.Context, request SeatRequest) (*Seat, error) {
	seats := licensingv1.NewSeatServiceClient(s.Conn())
	for {
		began := time.Now()
		answer, err := seats.ClaimSeat(ctx, &licensingv1.ClaimSeatRequest{
			Parent: request.Subscriber, Company: request.Company, Product: request.Product,
			DeviceId: request.DeviceID, DeviceTitle: request.DeviceTitle,
			ReadOnly: request.ReadOnly, TakeBack: request.TakeBack,
		})
		if err == nil {
			return s.holding(seats, answer, began), nil
		}
		if Reason(err) != "SEATS_RECOVERING" || pause(ctx, max(retryOf(asError(err)), firstWait)) != nil {
			return nil, seatsTaken(err)
		}
	}
}

// holding holds a claimed seat from now on.
func (s *Session) holding(seats licensingv1.SeatServiceClient, claimed *licensingv1.ClaimSeatResponse, began time.Time) *Seat {
	seat := &Seat{
		session: s, seats: seats, name: claimed.GetSeat().GetName(), lost: make(chan struct{}),
		news: make(chan News, 1), checks: make(chan chan<- struct{}),
	}
	seat.keepLease(claimed, began)
	seat.begin()
	return seat
}

// begin holds the seat in the background until halt.
func (s *Seat) begin() {
	ctx, stop := context.WithCancel(s.session.tokens.living)
	s.stop = stop
	s.running.Go(func() { s.hold(ctx) })
}

// halt stops what runs in the background. The stream is left as it is.
func (s *Seat) halt() {
	s.stop()
	s.running.Wait()
}

// Name is the seat's name, `subscribers/S/licences/L/seats/T`.
func (s *Seat) Name() string { return s.name }

// Token shows others of Kontor that the seat is held; it changes with renewals. Never log it.
func (s *Seat) Token() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token
}

// Lost is closed when the seat is held no longer, whatever the reason. The company's database connections end with it.
func (s *Seat) Lost() <-chan struct{} { return s.lost }

// Err is why the seat is held no longer: ErrReleased, ErrTransferred, ErrTaken, ErrLeaseOver, why the session ended, or
// Kontor's refusal, e.g. SEAT_LOST; nil while it is held.
func (s *Seat) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// News tells what others want of the seat. What is not read yet is kept and told together with what comes later. The channel
// is never closed: read it beside Lost.
func (s *Seat) News() <-chan News { return s.news }

// Worked notes that the person works just now. From the first time on, others who look for a free seat are told with the next
// renewal how long ago that was; of a program that never calls it they are told that the person works. It is cheap enough
// for every key that is pressed.
func (s *Seat) Worked() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worked = time.Now()
}

// idle is for how long the person has not worked, in seconds.
func (s *Seat) idle() int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.worked.IsZero() {
		return 0
	}
	return int32(time.Since(s.worked) / time.Second)
}

// Check asks Kontor now whether the seat is still held, and renews it if so. A program need not: it does when something
// suggests that the seat is gone, e.g. its database connection ended. It waits 5 s for an answer at the most.
func (s *Seat) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, renewTime)
	defer cancel()
	held := make(chan struct{})
	select {
	case s.checks <- held:
	case <-s.lost:
		return s.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-held:
		return nil
	case <-s.lost:
		return s.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Transfer hands the seat over to a colleague, `accounts/A`, who is offered it until the instant answered, by this machine's
// clock; then it is free for all. Here it ends with ErrTransferred: close companies first. SEAT_PERSON_UNFIT when they may not
// work in its company; after an error the seat is held on.
func (s *Seat) Transfer(ctx context.Context, account string) (time.Time, error) {
	s.turning.Lock()
	defer s.turning.Unlock()
	s.halt() // Else the stream would call the seat lost.
	s.drop()
	if err := s.Err(); err != nil {
		return time.Time{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	answer, err := s.seats.TransferSeat(ctx, &licensingv1.TransferSeatRequest{Name: s.name, Token: s.Token(), Account: account})
	if err != nil {
		s.begin()
		return time.Time{}, err
	}
	s.lose(ErrTransferred)
	return s.local(answer.GetOfferExpireTime().AsTime()), nil
}

// Close gives the seat back: it is free at once. Close companies first. It waits 10 s for an answer at the most; after an error
// the seat is free at its lease's end. Closing a seat that was lost does nothing.
func (s *Seat) Close(ctx context.Context) error {
	s.closing.Do(func() { s.closed = s.release(ctx) })
	return s.closed
}

func (s *Seat) release(ctx context.Context) error {
	s.turning.Lock()
	defer s.turning.Unlock()
	s.halt()
	defer s.drop()
	if !s.lose(ErrReleased) || s.stream.finish(ctx) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	_, err := s.seats.ReleaseSeat(ctx, &licensingv1.ReleaseSeatRequest{Name: s.name, Token: s.Token()})
	return err
}

// lose ends the holding, once.
func (s *Seat) lose(why error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return false
	}
	if !s.taking.IsZero() && (Reason(why) == "SEAT_LOST" || errors.Is(why, ErrLeaseOver)) {
		why = fmt.Errorf("%w: %w", ErrTaken, why)
	}
	s.err = why
	close(s.lost)
	return true
}
