package client

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Error is a refusal by Kontor, or a call that did not get through.
type Error struct {
	// Reason is for programs: a name of kontor.common.v1.Reason without `REASON_`, e.g. `SEATS_EXHAUSTED`. Empty when no
	// part of Kontor answered.
	Reason string
	// Text is for people, in the language that the client was configured with.
	Text string
	// Values are what the text names, e.g. `limit`.
	Values map[string]string
	// Violations of single fields of the request.
	Violations []Violation
	// RetryAfter is when to try again; 0 says nothing about it.
	RetryAfter time.Duration

	status *status.Status
}

// Violation is what is wrong with one field of a request.
type Violation struct {
	// Field is its path, e.g. `users[2].email`.
	Field string
	// Text is for people.
	Text string
	// Reason is for programs; may be empty.
	Reason string
}

// Error gives reason and text.
func (e *Error) Error() string {
	text := e.Text
	for _, v := range e.Violations {
		text += fmt.Sprintf("; %s: %s", v.Field, v.Text)
	}
	if e.Reason == "" {
		return fmt.Sprintf("%s: %s", e.Code(), text)
	}
	return e.Reason + ": " + text
}

// Code is the gRPC code.
func (e *Error) Code() codes.Code { return e.status.Code() }

// GRPCStatus gives the whole status, with all its details, to package status.
func (e *Error) GRPCStatus() *status.Status { return e.status }

// Reason is why a call was refused; empty when the error is no refusal by Kontor.
func Reason(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return ""
}

// RetryAfter is when a refused call may be tried again, where Kontor said so.
func RetryAfter(err error) (time.Duration, bool) {
	e, ok := errors.AsType[*Error](err)
	return retryOf(e), ok && e.RetryAfter > 0
}

func retryOf(e *Error) time.Duration {
	if e == nil {
		return 0
	}
	return e.RetryAfter
}

// typed makes an *Error of what a call on a connection gave; other errors stay as they are.
func typed(err error) error {
	if err == nil {
		return nil
	}
	if _, done := errors.AsType[*Error](err); done {
		return err
	}
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	return newError(s)
}

func newError(s *status.Status) *Error {
	e := &Error{Text: s.Message(), status: s}
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			e.Reason, e.Values = d.GetReason(), d.GetMetadata()
		case *errdetails.LocalizedMessage:
			e.Text = d.GetMessage()
		case *errdetails.RetryInfo:
			e.RetryAfter = d.GetRetryDelay().AsDuration()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				e.Violations = append(e.Violations, Violation{Field: v.GetField(), Text: v.GetDescription(), Reason: v.GetReason()})
			}
		}
	}
	return e
}

// passing tells whether a call failed for something that may be over soon, and is worth repeating as it is. A token that
// expired is renewed by the connection.
func passing(err error) bool {
	if Reason(err) == "TOKEN_EXPIRED" {
		return true
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Aborted, codes.ResourceExhausted:
		return true
	default:
		return false
	}
}
