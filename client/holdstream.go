package client

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// holdStream is one stream that holds the seat. But for its goroutine, which receives, it belongs to the seat's.
type holdStream struct {
	cancel   context.CancelFunc
	running  sync.WaitGroup
	messages chan *licensingv1.HoldSeatsResponse // closed at the end
	err      error                               // why it ended
	grpc     licensingv1.SeatService_HoldSeatsClient

	opened   bool // whether a message came: grpc is there since
	waits    bool // whether a renewal waits for its answer
	began    time.Time
	patience time.Time         // until when it waits
	checks   []chan<- struct{} // that the answer is for, too
}

// open begins a stream with the seat's renewal.
func (s *Seat) open() *holdStream {
	ctx, cancel := context.WithCancel(context.Background())
	st := &holdStream{cancel: cancel, messages: make(chan *licensingv1.HoldSeatsResponse)}
	s.sends(st)
	subscriber, _, _ := strings.Cut(s.name, "/licences/")
	first := &licensingv1.HoldSeatsRequest{Parent: subscriber, Holds: []*licensingv1.SeatHold{
		{Number: number, Seat: s.proof(), IdleSeconds: s.idle()},
	}}
	st.running.Go(func() {
		defer close(st.messages)
		st.err = st.receive(ctx, s.seats, first)
	})
	return st
}

// receive hands on messages until there are no more.
func (st *holdStream) receive(ctx context.Context, seats licensingv1.SeatServiceClient, first *licensingv1.HoldSeatsRequest) (err error) {
	if st.grpc, err = seats.HoldSeats(ctx); err != nil {
		return err
	}
	if err := st.grpc.Send(first); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for {
		m, err := st.grpc.Recv()
		if err != nil {
			return err
		}
		select {
		case st.messages <- m:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// finish closes this side, and tells whether Kontor ended the stream as it does when it has taken the seat back.
func (st *holdStream) finish(ctx context.Context) bool {
	if st == nil || !st.opened || st.grpc.CloseSend() != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	for {
		select {
		case _, more := <-st.messages:
			if !more {
				return errors.Is(st.err, io.EOF)
			}
		case <-ctx.Done():
			return false
		}
	}
}

// drop cuts the stream, which leaves the seat to its lease.
func (s *Seat) drop() {
	st := s.stream
	if st == nil {
		return
	}
	st.cancel()
	st.running.Wait()
	s.asked = append(st.checks, s.asked...)
	s.stream = nil
}
