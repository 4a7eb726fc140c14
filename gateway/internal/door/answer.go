package door

import (
	"context"
	"errors"
	"strconv"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// Status is how an error is answered outside: what a service said as it said
// it, everything else with exactly one reason of the contract. What gRPC or the
// network say of a lost connection stays in the log.
func (d *Door) Status(ctx context.Context, err error) *status.Status {
	var typed *failure.Error
	if !errors.As(err, &typed) {
		if st, ok := status.FromError(err); ok && hasInfo(st) {
			return st
		}
		typed = failure.From(err)
	}
	switch {
	case typed.Reason() == commonv1.Reason_REASON_INTERNAL && typed.Meta("error_id") == "":
		errorID := id.NewString()
		d.Log.ErrorContext(ctx, "failed", "error_id", errorID, "err", err)
		typed = failure.New(commonv1.Reason_REASON_INTERNAL, "error_id", errorID)
	case typed.Reason() == commonv1.Reason_REASON_UNAVAILABLE:
		d.Log.WarnContext(ctx, "a service does not answer", "err", err)
	case typed.Reason() == commonv1.Reason_REASON_MESSAGE_TOO_LARGE && typed.Meta("limit_bytes") == "":
		typed = TooLarge(d.MaxMessageBytes)
	}
	return failure.Status(typed, d.Texts, VisitOf(ctx).Locale)
}

// TooLarge is the refusal of a message above the limit.
func TooLarge(limit int64) *failure.Error {
	return failure.New(commonv1.Reason_REASON_MESSAGE_TOO_LARGE, "limit_bytes", strconv.FormatInt(limit, 10))
}

func hasInfo(st *status.Status) bool {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == failure.Domain {
			return true
		}
	}
	return false
}
