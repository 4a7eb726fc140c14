package rest

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"kontor.internal/gateway/internal/door"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// fail answers an error as google.rpc.Status in JSON, with the HTTP code that
// belongs to it.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.writeStatus(w, s.statusOf(r.Context(), err))
}

// statusOf gives an answer of a service as it is, and makes one of what arose here.
func (s *Server) statusOf(ctx context.Context, err error) *status.Status {
	if st, ok := status.FromError(err); ok && hasInfo(st) {
		return st
	}
	return failure.Status(err, s.Texts, door.VisitOf(ctx).Locale)
}

func hasInfo(st *status.Status) bool {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == failure.Domain {
			return true
		}
	}
	return false
}

func (s *Server) writeStatus(w http.ResponseWriter, st *status.Status) {
	for _, d := range st.Details() {
		if retry, ok := d.(*errdetails.RetryInfo); ok {
			wait := retry.GetRetryDelay().AsDuration()
			w.Header().Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
		}
	}
	body, err := protojson.Marshal(st.Proto())
	if err != nil {
		http.Error(w, "internal", http.StatusInternalServerError)
		return
	}
	if st.Code() == codes.Unauthenticated {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(runtime.HTTPStatusFromCode(st.Code()))
	_, _ = w.Write(body) //nolint:gosec // JSON, under its content type and nosniff.
}

// transcodingError answers errors of services and of reading the request.
func (s *Server) transcodingError(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	s.fail(w, r.WithContext(ctx), s.unreadable(err))
}

// unreadable turns what the transcoder says of a bad request into a reason.
func (s *Server) unreadable(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return tooLarge(large.Limit)
	}
	st, ok := status.FromError(err)
	if !ok || hasInfo(st) || st.Code() != codes.InvalidArgument {
		return err
	}
	if st.Message() == "http: request body too large" {
		return tooLarge(s.MaxBodyBytes)
	}
	return failure.Invalid("body", st.Message())
}

func tooLarge(limit int64) error {
	return failure.New(commonv1.Reason_REASON_MESSAGE_TOO_LARGE, "limit_bytes", strconv.FormatInt(limit, 10))
}

func (s *Server) streamError(ctx context.Context, err error) *status.Status {
	return s.statusOf(ctx, err)
}

// routingError answers paths and methods that no route has.
func (s *Server) routingError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int) {
	if code == http.StatusBadRequest {
		s.fail(w, r, failure.Invalid("path", "can't be read"))
		return
	}
	s.fail(w, r, failure.New(commonv1.Reason_REASON_METHOD_UNKNOWN))
}
