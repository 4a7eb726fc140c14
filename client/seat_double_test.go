package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

const seatName = "subscribers/s/licences/l/seats/t"

// seats is a double's only seat. Its clock is an hour ahead of this machine's.
type seats struct {
	licensingv1.UnimplementedSeatServiceServer
	licensingv1.UnimplementedTravelSeatServiceServer
	licensingv1.UnimplementedKeyServiceServer
	lease int32 // seconds

	mu         sync.Mutex
	recovering int // claims that have to wait
	claims     int
	claimed    *licensingv1.ClaimSeatRequest
	proofs     []*licensingv1.RenewSeatRequest // that calls and streams began with
	calls      int                             // single renewals
	tokens     int                             // given so far
	stamps     int
	refusal    error // of claims, single calls, and the renewals on streams
	noStreams  error // what every stream gets at once
	silent     bool  // streams give no answer
	swallow    int   // answers on streams that get lost
	released   []string
	taking     *timestamppb.Timestamp
	account    string // that it was handed over to
	asked      string

	heard chan *licensingv1.SeatHold         // renewals on streams, if anybody wants to know
	news  chan *licensingv1.SeatRenewal      // to be told
	cut   chan error                         // ends a stream
	line  []*licensingv1.WaitForSeatResponse // what who waits is told; nil breaks the stream
	waits int

	travel *licensingv1.CreateTravelSeatResponse
	jwks   []byte
}

func newSeats(lease int32) seats {
	return seats{
		lease: lease, heard: make(chan *licensingv1.SeatHold, 100), news: make(chan *licensingv1.SeatRenewal), cut: make(chan error),
	}
}

func kontorsTime(t time.Time) *timestamppb.Timestamp { return timestamppb.New(t.Add(time.Hour)) }

func (s *seats) expires() *timestamppb.Timestamp {
	return kontorsTime(time.Now().Add(time.Duration(s.lease) * time.Second))
}

func (s *seats) token() string {
	s.tokens++
	return fmt.Sprintf("token-%d", s.tokens)
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
		Seat: &licensingv1.Seat{Name: seatName, ExpireTime: s.expires()}, Token: s.token(), LeaseSeconds: s.lease,
	}, s.refusal
}

func (s *seats) RenewSeat(_ context.Context, r *licensingv1.RenewSeatRequest) (*licensingv1.RenewSeatResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.proofs = append(s.proofs, r)
	if s.refusal != nil {
		return nil, s.refusal
	}
	return &licensingv1.RenewSeatResponse{
		Seat: &licensingv1.Seat{Name: seatName, ExpireTime: s.expires(), TakeTime: s.taking}, Token: s.token(), LeaseSeconds: s.lease,
	}, nil
}

func (s *seats) ReleaseSeat(_ context.Context, r *licensingv1.ReleaseSeatRequest) (*licensingv1.ReleaseSeatResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.released = append(s.released, r.GetToken())
	return &licensingv1.ReleaseSeatResponse{}, nil
}

// HoldSeats holds the seat until the client closes its side, or the test cuts the stream.
func (s *seats) HoldSeats(stream grpc.BidiStreamingServer[licensingv1.HoldSeatsRequest, licensingv1.HoldSeatsResponse]) error {
	s.mu.Lock()
	broken, silent := s.noStreams, s.silent
	s.mu.Unlock()
	if broken != nil {
		return broken
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	go func() {
		for {
			message, err := stream.Recv()
			if err == nil && !silent {
				err = s.answer(stream, message)
			}
			if err != nil {
				cancel(err)
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), io.EOF) {
				s.mu.Lock()
				s.released = append(s.released, "by its stream")
				s.mu.Unlock()
				return nil
			}
			return context.Cause(ctx)
		case err := <-s.cut:
			return err
		case n := <-s.news:
			_ = stream.Send(&licensingv1.HoldSeatsResponse{Renewals: []*licensingv1.SeatRenewal{n}, Numbers: []int32{1}})
		}
	}
}

func (s *seats) answer(stream grpc.ServerStreamingServer[licensingv1.HoldSeatsResponse], m *licensingv1.HoldSeatsRequest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	hold := m.GetHolds()[0]
	if hold.GetSeat() != nil {
		s.proofs = append(s.proofs, hold.GetSeat())
	}
	defer func() { // The answer is on its way.
		select {
		case s.heard <- hold:
		default:
		}
	}()
	if s.swallow > 0 {
		s.swallow--
		return nil
	}
	r := &licensingv1.SeatRenewal{Name: seatName}
	if s.refusal == nil {
		s.stamps++
		r.Held, r.Stamp, r.ExpireTime, r.TakeTime = true, fmt.Sprintf("stamp-%d", s.stamps), s.expires(), s.taking
		if hold.GetSeat() != nil {
			r.Token = s.token()
		}
	}
	return stream.Send(&licensingv1.HoldSeatsResponse{Answer: true, Renewals: []*licensingv1.SeatRenewal{r}, Numbers: []int32{hold.GetNumber()}})
}

// WaitForSeat tells one place in line after the other; a nil one breaks the stream.
func (s *seats) WaitForSeat(_ *licensingv1.WaitForSeatRequest, stream grpc.ServerStreamingServer[licensingv1.WaitForSeatResponse]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits++
	for len(s.line) > 0 {
		turn := s.line[0]
		s.line = s.line[1:]
		if turn == nil {
			return refuse(codes.Unavailable, "UNAVAILABLE", "", 0)
		}
		if turn.GetOffered() {
			s.refusal = nil
		}
		if err := stream.Send(turn); err != nil {
			return err
		}
	}
	return s.refusal
}

func (s *seats) TransferSeat(_ context.Context, r *licensingv1.TransferSeatRequest) (*licensingv1.TransferSeatResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.GetAccount() == "accounts/stranger" {
		return nil, refuse(codes.FailedPrecondition, "SEAT_PERSON_UNFIT", "", 0)
	}
	s.account = r.GetAccount()
	return &licensingv1.TransferSeatResponse{OfferExpireTime: kontorsTime(time.Now().Add(2 * time.Minute))}, nil
}

func (s *seats) AskForSeat(_ context.Context, r *licensingv1.AskForSeatRequest) (*licensingv1.AskForSeatResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = r.GetName() + ": " + r.GetText()
	return &licensingv1.AskForSeatResponse{}, nil
}

func (s *seats) ListSeats(_ context.Context, r *licensingv1.ListSeatsRequest) (*licensingv1.ListSeatsResponse, error) {
	page := &licensingv1.ListSeatsResponse{Seats: []*licensingv1.Seat{{Name: r.GetParent() + "/seats/1"}}, NextPageToken: "more"}
	if r.GetPageToken() != "" {
		page = &licensingv1.ListSeatsResponse{Seats: []*licensingv1.Seat{{Name: r.GetParent() + "/seats/2"}}}
	}
	return page, nil
}

func (s *seats) CreateTravelSeat(context.Context, *licensingv1.CreateTravelSeatRequest) (*licensingv1.CreateTravelSeatResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.travel, s.refusal
}

func (s *seats) ReturnTravelSeat(_ context.Context, r *licensingv1.ReturnTravelSeatRequest) (*licensingv1.ReturnTravelSeatResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.released = append(s.released, r.GetName())
	return &licensingv1.ReturnTravelSeatResponse{}, nil
}

func (s *seats) GetJwks(context.Context, *licensingv1.GetJwksRequest) (*licensingv1.GetJwksResponse, error) {
	return &licensingv1.GetJwksResponse{Jwks: s.jwks}, nil
}

// set changes what the double does.
func (s *seats) set(change func(*seats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *seats) refuse(err error) { s.set(func(s *seats) { s.refusal = err }) }
