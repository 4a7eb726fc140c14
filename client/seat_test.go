package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"kontor.internal/client"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// seats is a double's only seat.
type seats struct {
	licensingv1.UnimplementedSeatServiceServer
	lease int32 // seconds

	mu         sync.Mutex
	recovering int // claims that have to wait
	claims     int
	renewals   int
	refusal    error
	renewed    chan struct{}
	released   string

	noStreams error // what streams are refused with
	noLine    error // what who wants to wait is refused with
	streams   int
	cut       int                                // streams that break after their first answer
	holds     []*licensingv1.SeatHold            // that came over streams
	tell      chan *licensingv1.SeatRenewal      // news
	hungUp    int                                // streams that the client closed
	line      []*licensingv1.WaitForSeatResponse // answers to who waits
	asked     *licensingv1.AskForSeatRequest
	given     *licensingv1.TransferSeatRequest
	claimed   *licensingv1.ClaimSeatRequest
}

// HoldSeats renews the seat, whatever it is sent.
func (s *seats) HoldSeats(stream grpc.BidiStreamingServer[licensingv1.HoldSeatsRequest, licensingv1.HoldSeatsResponse]) error {
	s.mu.Lock()
	s.streams++
	refusal := s.noStreams
	s.mu.Unlock()
	if refusal != nil {
		return refusal
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	messages := make(chan *licensingv1.HoldSeatsRequest)
	go func() {
		defer close(messages)
		for {
			message, err := stream.Recv()
			if err != nil {
				return
			}
			select {
			case messages <- message:
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case news := <-s.tell:
			if err := stream.Send(&licensingv1.HoldSeatsResponse{Numbers: []int32{1}, Renewals: []*licensingv1.SeatRenewal{news}}); err != nil {
				return err
			}
		case message, open := <-messages:
			if !open {
				return s.over(stream.Context())
			}
			answer, err := s.hold(message.GetHolds()[0])
			if err != nil {
				return err
			}
			if err := stream.Send(&licensingv1.HoldSeatsResponse{Answer: true, Numbers: []int32{1}, Renewals: []*licensingv1.SeatRenewal{answer}}); err != nil {
				return err
			}
			if s.cuts() {
				return status.Error(codes.Unavailable, "restarting")
			}
		}
	}
}

func (s *seats) over(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() == nil {
		s.hungUp++
	}
	return nil
}

func (s *seats) cuts() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut--
	return s.cut >= 0
}

func (s *seats) hold(one *licensingv1.SeatHold) (*licensingv1.SeatRenewal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds = append(s.holds, one)
	if s.renewed != nil && s.refusal == nil && len(s.holds) > 1 {
		close(s.renewed)
		s.renewed = nil
	}
	if s.refusal != nil && !strings.Contains(s.refusal.Error(), "SEAT_LOST") && status.Code(s.refusal) != codes.FailedPrecondition {
		return nil, s.refusal
	}
	return &licensingv1.SeatRenewal{Held: s.refusal == nil, Stamp: fmt.Sprintf("stamp-%d", len(s.holds)), LeaseSeconds: s.lease}, nil
}

func (s *seats) WaitForSeat(_ *licensingv1.WaitForSeatRequest, stream grpc.ServerStreamingServer[licensingv1.WaitForSeatResponse]) error {
	s.mu.Lock()
	line, refusal := s.line, s.noLine
	s.mu.Unlock()
	if refusal != nil {
		return refusal
	}
	for _, turn := range line {
		if err := stream.Send(turn); err != nil {
			return err
		}
		if turn.GetOffered() {
			s.refuse(nil)
		}
	}
	return nil
}

func (s *seats) AskForSeat(_ context.Context, r *licensingv1.AskForSeatRequest) (*licensingv1.AskForSeatResponse, error) {
	s.asked = r
	return &licensingv1.AskForSeatResponse{}, nil
}

func (s *seats) TransferSeat(_ context.Context, r *licensingv1.TransferSeatRequest) (*licensingv1.TransferSeatResponse, error) {
	s.given = r
	return &licensingv1.TransferSeatResponse{}, nil
}

// counted reads numbers of the double.
func (s *seats) counted(read func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	read()
}

func (s *seats) ClaimSeat(_ context.Context, r *licensingv1.ClaimSeatRequest) (*licensingv1.ClaimSeatResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims++
	s.claimed = r
	if s.recovering > 0 {
		s.recovering--
		return nil, refuse(codes.Unavailable, "SEATS_RECOVERING", "", 10*time.Millisecond)
	}
	return &licensingv1.ClaimSeatResponse{
		Seat: &licensingv1.Seat{Name: "subscribers/s/licences/l/seats/t"}, Token: "token-0", LeaseSeconds: s.lease,
	}, s.refusal
}

func (s *seats) RenewSeat(context.Context, *licensingv1.RenewSeatRequest) (*licensingv1.RenewSeatResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renewals++
	if s.renewed != nil && s.refusal == nil {
		close(s.renewed)
		s.renewed = nil
	}
	return &licensingv1.RenewSeatResponse{Token: "token-1", LeaseSeconds: s.lease}, s.refusal
}

func (s *seats) ReleaseSeat(_ context.Context, r *licensingv1.ReleaseSeatRequest) (*licensingv1.ReleaseSeatResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.released = r.GetToken()
	return &licensingv1.ReleaseSeatResponse{}, nil
}

func (s *seats) refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal = err
}

func hold(t *testing.T, d *double) (*client.Seat, error) {
	t.Helper()
	return signIn(t, d).HoldSeat(t.Context(), client.SeatRequest{
		Subscriber: "subscribers/s", Company: "subscribers/s/companies/c", Product: "books", DeviceID: "d",
	})
}

func held(t *testing.T, d *double) *client.Seat {
	t.Helper()
	seat, err := hold(t, d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := seat.Close(context.WithoutCancel(t.Context())); err != nil && !errors.Is(err, client.ErrSignedOut) {
			t.Error(err)
		}
	})
	return seat
}

func TestASeatIsRenewedAtAThirdOfItsLeaseAndReleasedOnce(t *testing.T) {
	d := &double{seats: seats{lease: 1, renewed: make(chan struct{})}}
	renewed := d.seats.renewed
	began := time.Now()
	seat := held(t, d)
	<-renewed
	if took := time.Since(began); took < 300*time.Millisecond || took > 900*time.Millisecond {
		t.Errorf("a lease of 1 s was renewed after %s", took)
	}
	for range 2 {
		if err := seat.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !errors.Is(seat.Err(), client.ErrReleased) || d.seats.hungUp != 1 || d.seats.released != "" {
		t.Errorf("it ended with %v, hung up %d times, released %q", seat.Err(), d.seats.hungUp, d.seats.released)
	}
	<-seat.Lost()
}

func TestASeatThatWasTakenIsLostAtTheNextRenewalWithTheReason(t *testing.T) {
	d := &double{seats: seats{lease: 1}}
	seat := held(t, d)
	d.seats.refuse(refuse(codes.FailedPrecondition, "SEAT_LOST", "Jūsu vieta vairs nav aizņemta", 0))
	select {
	case <-seat.Lost():
	case <-time.After(5 * time.Second):
		t.Fatal("the program was not told")
	}
	if client.Reason(seat.Err()) != "SEAT_LOST" {
		t.Errorf("it ended with %v", seat.Err())
	}
	if err := seat.Close(t.Context()); err != nil || d.seats.released != "" {
		t.Errorf("closing a lost seat released %q, %v", d.seats.released, err)
	}
}

func TestARenewalThatDoesNotGetThroughIsRepeatedUntilTheLeaseIsOver(t *testing.T) {
	d := &double{seats: seats{lease: 2}}
	seat := held(t, d)
	began := time.Now()
	d.seats.refuse(status.Error(codes.DeadlineExceeded, "no answer"))
	<-seat.Lost()
	if took := time.Since(began); took < time.Second || took > 4*time.Second {
		t.Errorf("a lease of 2 s was over after %s", took)
	}
	if !errors.Is(seat.Err(), client.ErrLeaseOver) || len(d.seats.holds)+d.seats.renewals < 3 {
		t.Errorf("%d and %d tries, %v", len(d.seats.holds), d.seats.renewals, seat.Err())
	}
}

func TestAShortDisturbanceLosesNoSeat(t *testing.T) {
	d := &double{seats: seats{lease: 3, renewed: make(chan struct{})}}
	renewed := d.seats.renewed
	seat := held(t, d)
	d.seats.refuse(status.Error(codes.Unavailable, "restarting"))
	for {
		d.seats.mu.Lock()
		tried := d.seats.renewals+d.seats.streams > 1
		d.seats.mu.Unlock()
		if tried {
			break
		}
		<-time.After(5 * time.Millisecond)
	}
	d.seats.refuse(nil)
	<-renewed
	if seat.Err() != nil {
		t.Error(seat.Err())
	}
}

func TestASeatEndsWithItsSession(t *testing.T) {
	d := &double{seats: seats{lease: 1}}
	s := signIn(t, d)
	seat, err := s.HoldSeat(t.Context(), client.SeatRequest{Subscriber: "subscribers/s", Company: "c", Product: "books", DeviceID: "d"})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	<-seat.Lost()
	if !errors.Is(seat.Err(), client.ErrSignedOut) {
		t.Errorf("it ended with %v", seat.Err())
	}
	if err := seat.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWhenAllSeatsAreTakenTheErrorNamesLimitAndHolders(t *testing.T) {
	d := &double{seats: seats{refusal: refuse(codes.ResourceExhausted, "SEATS_EXHAUSTED", "Strādā Ieva", 7*time.Second)}}
	_, err := hold(t, d)
	taken, ok := errors.AsType[*client.SeatsTakenError](err)
	if !ok || taken.Limit != 2 || taken.InCompany || taken.Holders != "Ieva" || client.Reason(err) != "SEATS_EXHAUSTED" {
		t.Errorf("got %#v", err)
	}
	if retry, ok := client.RetryAfter(err); !ok || retry != 7*time.Second {
		t.Errorf("retry after %s", retry)
	}
}

func TestWhileSeatsAreCountedAnewAClaimWaits(t *testing.T) {
	d := &double{seats: seats{lease: 60, recovering: 6}}
	held(t, d)
	if d.seats.claims != 7 {
		t.Errorf("%d tries", d.seats.claims)
	}
	d = &double{seats: seats{recovering: 1_000}}
	s := signIn(t, d)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := s.HoldSeat(ctx, client.SeatRequest{Subscriber: "subscribers/s", Company: "c", Product: "books", DeviceID: "d"})
	if client.Reason(err) != "SEATS_RECOVERING" && !errors.Is(err, context.DeadlineExceeded) && status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("after the time was over: %v", err)
	}
}

func TestAProgramThatSuspectsItsSeatIsGoneIsToldAtOnce(t *testing.T) {
	d := &double{seats: seats{lease: 3600}}
	seat := held(t, d)
	if err := seat.Check(t.Context()); err != nil || seat.Token() != "token-1" {
		t.Fatalf("a held seat: %v, %s", err, seat.Token())
	}
	d.seats.refuse(refuse(codes.FailedPrecondition, "SEAT_LOST", "", 0))
	if err := seat.Check(t.Context()); client.Reason(err) != "SEAT_LOST" {
		t.Errorf("a lost seat: %v", err)
	}
	<-seat.Lost()
}
