package service

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// recheck is how often the right behind an open stream is resolved again, as
// long as no event says that it changed.
const recheck = time.Minute

// streams are the streams that are open. When a session ends its streams are
// closed at once; when an account's rights change theirs are checked again.
type streams struct {
	mu  sync.Mutex
	all map[*openStream]struct{}
}

// openStream is one stream and what it was admitted with.
type openStream struct {
	who   caller.Caller
	close context.CancelCauseFunc

	mu    sync.Mutex
	again func() error // resolves the right again; nil before the first message
}

func newStreams() *streams { return &streams{all: map[*openStream]struct{}{}} }

type streamKey struct{}

// open registers a stream. The context it answers ends with a typed failure
// when the stream must close.
func (s *streams) open(ctx context.Context, who caller.Caller) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stream := &openStream{who: who, close: cancel}
	s.mu.Lock()
	s.all[stream] = struct{}{}
	s.mu.Unlock()
	return context.WithValue(ctx, streamKey{}, stream), func() {
		s.mu.Lock()
		delete(s.all, stream)
		s.mu.Unlock()
		cancel(nil)
	}
}

// admitted remembers how to check the stream's right again.
func admitted(ctx context.Context, again func() error) {
	if stream, ok := ctx.Value(streamKey{}).(*openStream); ok {
		stream.mu.Lock()
		stream.again = again
		stream.mu.Unlock()
	}
}

// sessionEnded closes the streams of a session.
func (s *streams) sessionEnded(session string) {
	for _, stream := range s.of(func(w caller.Caller) bool { return w.Session == session }) {
		stream.close(failure.New(commonv1.Reason_REASON_SESSION_REVOKED))
	}
}

// accountChanged checks the streams of an account again; empty means all.
func (s *streams) accountChanged(account string) {
	for _, stream := range s.of(func(w caller.Caller) bool { return account == "" || w.Account == account }) {
		stream.mu.Lock()
		again := stream.again
		stream.mu.Unlock()
		if again == nil {
			continue
		}
		// A right that can't be resolved just now is not a right that ended.
		if err := again(); err != nil && failure.Reason(err) != commonv1.Reason_REASON_UNAVAILABLE {
			stream.close(err)
		}
	}
}

func (s *streams) of(match func(caller.Caller) bool) []*openStream {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*openStream
	for stream := range s.all {
		if match(stream.who) {
			found = append(found, stream)
		}
	}
	return found
}

// watch checks every stream again each minute until ctx ends.
func (s *streams) watch(ctx context.Context) error {
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.accountChanged("")
		}
	}
}

// guardedStream admits the first message and validates every message.
type guardedStream struct {
	grpc.ServerStream
	ctx    context.Context //nolint:containedctx // it is the stream's own.
	guard  *guard
	method string
	begun  bool
}

// Context is the stream's, with its caller; it ends when the stream must close.
func (s *guardedStream) Context() context.Context { return s.ctx }

// RecvMsg receives a message, and gives up waiting when the stream must close.
func (s *guardedStream) RecvMsg(m any) error {
	if err := s.receive(m); err != nil {
		return err
	}
	message, ok := m.(proto.Message)
	if !ok {
		return nil
	}
	if s.begun {
		return s.guard.validate(message)
	}
	s.begun = true
	ctx, err := s.guard.admit(s.ctx, s.method, message)
	if err != nil {
		return err
	}
	first := proto.Clone(message)
	who := s.ctx
	admitted(s.ctx, func() error {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(who), callDeadline)
		defer cancel()
		_, err := s.guard.authorizer.Check(bounded, s.method, first)
		return err
	})
	s.ctx = ctx
	return nil
}

func (s *guardedStream) receive(m any) error {
	received := make(chan error, 1)
	go func() { received <- s.ServerStream.RecvMsg(m) }()
	select {
	case err := <-received:
		return err
	case <-s.ctx.Done():
		// The goroutine ends with the stream, which the handler's return ends.
		return context.Cause(s.ctx)
	}
}

// SendMsg refuses to send once the stream must close.
func (s *guardedStream) SendMsg(m any) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	return s.ServerStream.SendMsg(m)
}
