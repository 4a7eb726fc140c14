package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"kontor.internal/gateway/internal/door"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// guarded bounds how slowly a visitor may send and take, and turns a panic
// into one failed request.
//
// A body must be there within BodyPatience (an upload's handler goes on giving
// time as long as bytes come), and each write must be taken within Patience. In
// between nothing runs out: an answer may be a stream on which nothing happens
// for hours.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		paced := &pacedWriter{ResponseWriter: w, control: control, patience: s.Patience}
		// A connection that can have no deadlines, as in a test, has none.
		_ = control.SetWriteDeadline(time.Time{})
		if r.Body != http.NoBody {
			_ = control.SetReadDeadline(time.Now().Add(s.BodyPatience))
			body := &pacedBody{ReadCloser: r.Body, control: control}
			r = r.WithContext(context.WithValue(r.Context(), bodyKey{}, body))
			r.Body = body
		}
		defer func() {
			// What is left in buffers is sent after the handler.
			_ = control.SetWriteDeadline(time.Now().Add(s.Patience))
			s.recovered(paced, r, recover())
		}()
		next.ServeHTTP(paced, r)
	})
}

func (s *Server) recovered(w *pacedWriter, r *http.Request, panicked any) {
	if panicked == nil {
		return
	}
	if err, ok := panicked.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler) // net/http's way to cut the connection.
	}
	st := s.Door.Status(r.Context(), fmt.Errorf("rest: panic: %v\n%s", panicked, debug.Stack()))
	if w.wrote {
		panic(http.ErrAbortHandler) // Nobody takes half an answer for a whole one.
	}
	s.writeStatus(w, st)
}

// pacedWriter gives every write its time.
type pacedWriter struct {
	http.ResponseWriter

	control  *http.ResponseController
	patience time.Duration
	wrote    bool
}

// Unwrap lets http.ResponseController find the writer.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader notes that an answer has begun.
func (w *pacedWriter) WriteHeader(code int) {
	w.wrote = true
	w.ResponseWriter.WriteHeader(code)
}

// Write sends a piece within the writer's patience.
func (w *pacedWriter) Write(p []byte) (int, error) {
	w.wrote = true
	_ = w.control.SetWriteDeadline(time.Now().Add(w.patience))
	n, err := w.ResponseWriter.Write(p)
	_ = w.control.SetWriteDeadline(time.Time{})
	return n, err
}

// FlushError sends what is buffered, within the writer's patience.
func (w *pacedWriter) FlushError() error {
	_ = w.control.SetWriteDeadline(time.Now().Add(w.patience))
	err := w.control.Flush()
	_ = w.control.SetWriteDeadline(time.Time{})
	return err
}

type bodyKey struct{}

// pacedBody remembers how reading ended. At the body's end its deadline is
// lifted, so that it does not run out under a long answer; when it broke off,
// the deadline stays, so that net/http does not wait for the rest either.
type pacedBody struct {
	io.ReadCloser

	control *http.ResponseController
	err     error
}

// Read reads on.
func (b *pacedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.err = err
	}
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// bodyError says what is wrong with a body that could not be read to its end;
// nil when that was not the matter.
func bodyError(ctx context.Context) error {
	body, ok := ctx.Value(bodyKey{}).(*pacedBody)
	if !ok {
		return nil
	}
	return brokenBody(body.err)
}

func brokenBody(err error) error {
	var large *http.MaxBytesError
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return nil
	case errors.As(err, &large):
		return door.TooLarge(large.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return failure.New(commonv1.Reason_REASON_DEADLINE_EXCEEDED).Wrap(err)
	default:
		return failure.New(commonv1.Reason_REASON_CANCELLED).Wrap(err)
	}
}
