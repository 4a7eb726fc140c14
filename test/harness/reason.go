package harness

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
)

// Reason is the reason of a refusal over REST or gRPC; empty when the error is
// none.
func Reason(err error) string {
	if refusal, ok := Refused(err); ok {
		return refusal.Reason
	}
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}
