package rest

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// fail answers an error as google.rpc.Status in JSON, with the HTTP code that
// belongs to it.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.writeStatus(w, s.Door.Status(r.Context(), err))
}

func (s *Server) writeStatus(w http.ResponseWriter, st *status.Status) {
	s.writeCoded(w, st, httpCode(st))
}

// httpCode is the gRPC code's, but for what HTTP can say better: too large is
// no "come again later".
func httpCode(st *status.Status) int {
	if failure.Reason(st.Err()) == commonv1.Reason_REASON_MESSAGE_TOO_LARGE {
		return http.StatusRequestEntityTooLarge
	}
	return runtime.HTTPStatusFromCode(st.Code())
}

func (s *Server) writeCoded(w http.ResponseWriter, st *status.Status, code int) {
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
	w.WriteHeader(code)
	_, _ = w.Write(body) //nolint:gosec // JSON, under its content type and nosniff.
}

// transcodingError answers errors of services and of reading the request.
func (s *Server) transcodingError(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	// The transcoder's context has the request's visit and body, too.
	s.fail(w, r.WithContext(ctx), unreadable(ctx, err))
}

var (
	unknownField = regexp.MustCompile(`unknown field "([^"]{1,100})"`)
	jsonPlace    = regexp.MustCompile(`\(line (\d+):(\d+)\)`)
	pathField    = regexp.MustCompile(`^(?:type mismatch|missing), parameter: ([a-z_.]{1,100})`)
)

// unreadable turns what the transcoder says of a bad request into a reason. Its
// own words differ from release to release; only names and places are kept.
func unreadable(ctx context.Context, err error) error {
	st, ok := status.FromError(err)
	if !ok || len(st.Details()) > 0 || st.Code() != codes.InvalidArgument {
		return err
	}
	if broken := bodyError(ctx); broken != nil {
		return broken
	}
	if found := unknownField.FindStringSubmatch(st.Message()); found != nil {
		return failure.Invalid(found[1], "is no field of this request").Wrap(err)
	}
	if found := pathField.FindStringSubmatch(st.Message()); found != nil {
		return failure.Invalid(found[1], "has a value of another type").Wrap(err)
	}
	text := "is not what this method takes in JSON"
	if found := jsonPlace.FindStringSubmatch(st.Message()); found != nil {
		text += ": look at line " + found[1] + ", column " + found[2]
	}
	return failure.Invalid("body", text).Wrap(err)
}

func (s *Server) streamError(ctx context.Context, err error) *status.Status {
	return s.Door.Status(ctx, err)
}

// routingError answers paths and methods that no route has.
func (s *Server) routingError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int) {
	if code == http.StatusBadRequest {
		s.fail(w, r, failure.Invalid("path", "can't be read"))
		return
	}
	s.writeCoded(w, s.Door.Status(r.Context(), failure.New(commonv1.Reason_REASON_METHOD_UNKNOWN)), code)
}
