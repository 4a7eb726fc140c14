// Package failure is how Kontor's errors are made and told apart. An error is
// typed where it arises, with a reason from kontor/common/v1 and the values
// that its text needs; it becomes a gRPC status in one place (Status).
package failure

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// Domain stands in every ErrorInfo.
const Domain = "kontor"

// Error is a refusal with its reason.
type Error struct {
	reason commonv1.Reason
	meta   map[string]string
	fields []Field
	retry  time.Duration
	cause  error
}

// Field is one rule that one request field breaks.
type Field struct {
	// Path of the field, as in the proto: `company.tax_number`.
	Path string
	// Rule is the broken rule's key, e.g. `digit`; may be empty.
	Rule string
	// Text says what is wrong.
	Text string
}

// New returns an error with a reason and the values of its text, as key and
// value in turn. An odd number of them is a programming error and panics.
func New(reason commonv1.Reason, pairs ...string) *Error {
	if len(pairs)%2 != 0 {
		panic("failure.New: odd number of key and value")
	}
	e := &Error{reason: reason, meta: make(map[string]string, len(pairs)/2)}
	for i := 0; i < len(pairs); i += 2 {
		e.meta[pairs[i]] = pairs[i+1]
	}
	return e
}

// Invalid returns INVALID_ARGUMENT for one field.
func Invalid(path, text string) *Error {
	return New(commonv1.Reason_REASON_INVALID_ARGUMENT, "field", path).WithField(Field{Path: path, Text: text})
}

// NotFound returns NOT_FOUND for a resource name.
func NotFound(resource string) *Error {
	return New(commonv1.Reason_REASON_NOT_FOUND, "resource", resource)
}

// WithField adds broken rules of request fields.
func (e *Error) WithField(fields ...Field) *Error {
	c := *e
	c.fields = append(append([]Field(nil), e.fields...), fields...)
	return &c
}

// WithRetry says after how long the same request may succeed.
func (e *Error) WithRetry(after time.Duration) *Error {
	c := *e
	c.retry = after
	return &c
}

// Wrap keeps the cause for the log. It is never shown to the caller.
func (e *Error) Wrap(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// Error gives the reason, its values and the cause, for logs.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(Name(e.reason))
	for _, k := range sortedKeys(e.meta) {
		fmt.Fprintf(&b, " %s=%q", k, e.meta[k])
	}
	for _, f := range e.fields {
		fmt.Fprintf(&b, "; %s: %s", f.Path, f.Text)
	}
	if e.cause != nil {
		fmt.Fprintf(&b, ": %v", e.cause)
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// Reason gives the reason.
func (e *Error) Reason() commonv1.Reason { return e.reason }

// Meta gives one value of the text.
func (e *Error) Meta(key string) string { return e.meta[key] }

// Fields gives the broken rules.
func (e *Error) Fields() []Field { return e.fields }

// Is makes errors.Is compare reasons.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.reason == e.reason
}

// Name is the reason as clients see it: without the enum's prefix.
func Name(r commonv1.Reason) string {
	return strings.TrimPrefix(r.String(), "REASON_")
}

// Code is the gRPC code that the contract gives a reason.
func Code(r commonv1.Reason) codes.Code {
	v := r.Descriptor().Values().ByNumber(r.Number())
	if v == nil {
		return codes.Unknown
	}
	c, ok := proto.GetExtension(v.Options(), commonv1.E_Code).(code.Code)
	if !ok {
		return codes.Unknown
	}
	return codes.Code(c)
}

// Reason finds the reason of an error: of a typed one, of a status that
// another service answered, of a context's end. It is UNSPECIFIED for nil and
// INTERNAL for everything that nobody typed.
func Reason(err error) commonv1.Reason {
	if err == nil {
		return commonv1.Reason_REASON_UNSPECIFIED
	}
	return From(err).reason
}

// From turns any error into a typed one.
func From(err error) *Error {
	var typed *Error
	if errors.As(err, &typed) {
		return typed
	}
	if st, ok := status.FromError(err); ok {
		return fromStatus(st, err)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return New(commonv1.Reason_REASON_DEADLINE_EXCEEDED).Wrap(err)
	case errors.Is(err, context.Canceled):
		return New(commonv1.Reason_REASON_CANCELLED).Wrap(err)
	}
	return New(commonv1.Reason_REASON_INTERNAL).Wrap(err)
}

// fromStatus reads an answer of another service; gRPC's own failures
// (connection lost, deadline) become reasons of ours.
func fromStatus(st *status.Status, cause error) *Error {
	e := &Error{meta: map[string]string{}, cause: cause}
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == Domain {
				e.reason = commonv1.Reason(commonv1.Reason_value["REASON_"+d.GetReason()])
				for k, v := range d.GetMetadata() {
					e.meta[k] = v
				}
			}
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				e.fields = append(e.fields, Field{Path: v.GetField(), Rule: v.GetReason(), Text: v.GetDescription()})
			}
		case *errdetails.RetryInfo:
			e.retry = d.GetRetryDelay().AsDuration()
		}
	}
	if e.reason != commonv1.Reason_REASON_UNSPECIFIED {
		return e
	}
	e.reason = reasonOfCode(st.Code())
	if e.reason == commonv1.Reason_REASON_UNAVAILABLE {
		e.meta["part"] = "service"
	}
	return e
}

func reasonOfCode(c codes.Code) commonv1.Reason {
	switch c {
	case codes.DeadlineExceeded:
		return commonv1.Reason_REASON_DEADLINE_EXCEEDED
	case codes.Canceled:
		return commonv1.Reason_REASON_CANCELLED
	case codes.Unavailable:
		return commonv1.Reason_REASON_UNAVAILABLE
	case codes.Unimplemented:
		return commonv1.Reason_REASON_METHOD_UNKNOWN
	case codes.ResourceExhausted:
		return commonv1.Reason_REASON_MESSAGE_TOO_LARGE
	default:
		return commonv1.Reason_REASON_INTERNAL
	}
}

// Status turns an error into what the caller sees: exactly one ErrorInfo, a
// text in the caller's language, the broken rules, when to retry. The cause is
// left out.
func Status(err error, texts *Texts, locale string) *status.Status {
	e := From(err)
	language, english := texts.Match(locale), texts.Text(e.reason, fallback, e.meta)
	text := english
	if language != fallback {
		text = texts.Text(e.reason, language, e.meta)
	}
	st := status.New(Code(e.reason), english)
	details := []protoadapt.MessageV1{
		&errdetails.ErrorInfo{Reason: Name(e.reason), Domain: Domain, Metadata: e.meta},
		&errdetails.LocalizedMessage{Locale: language, Message: text},
	}
	if len(e.fields) > 0 {
		details = append(details, badRequest(e.fields))
	}
	if e.retry > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.retry)})
	}
	with, err := st.WithDetails(details...)
	if err != nil { // Only a code of OK or an unmarshalable detail fails; neither can be here.
		return st
	}
	return with
}

func badRequest(fields []Field) *errdetails.BadRequest {
	b := &errdetails.BadRequest{}
	for _, f := range fields {
		b.FieldViolations = append(b.FieldViolations, &errdetails.BadRequest_FieldViolation{
			Field: f.Path, Description: f.Text, Reason: f.Rule,
		})
	}
	return b
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
