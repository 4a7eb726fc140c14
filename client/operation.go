package client

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// ErrCancelled is how an operation ended that somebody cancelled; nothing of it is left.
var ErrCancelled = errors.New("the operation was cancelled")

// Wait follows a long-running operation to its end, over lost connections too. progress hears of each state that is seen;
// it may be nil. An operation that failed gives its *Error, one that was cancelled ErrCancelled.
func (s *Session) Wait(ctx context.Context, name string, progress func(*commonv1.Operation)) (*commonv1.Operation, error) {
	operations := commonv1.NewOperationServiceClient(s.Conn())
	wait := firstWait
	for {
		last, err := watch(ctx, operations, name, progress)
		if last != nil {
			wait = firstWait
		}
		switch {
		case over(last):
			return last, outcome(last)
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil && !passing(err) && Reason(err) != "":
			return nil, err
		}
		if err := pause(ctx, wait); err != nil {
			return nil, err
		}
		wait = min(2*wait, longestWait)
	}
}

// watch follows an operation on one stream, and gives the last state seen.
func watch(ctx context.Context, operations commonv1.OperationServiceClient, name string, progress func(*commonv1.Operation)) (*commonv1.Operation, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := operations.WatchOperation(ctx, &commonv1.WatchOperationRequest{Name: name})
	if err != nil {
		return nil, err
	}
	var last *commonv1.Operation
	for !over(last) {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return last, nil
		}
		if err != nil {
			return last, err
		}
		last = answer.GetOperation()
		if progress != nil {
			progress(last)
		}
	}
	return last, nil
}

func over(o *commonv1.Operation) bool {
	switch o.GetState() {
	case commonv1.Operation_STATE_SUCCEEDED, commonv1.Operation_STATE_FAILED, commonv1.Operation_STATE_CANCELLED:
		return true
	default:
		return false
	}
}

func outcome(o *commonv1.Operation) error {
	switch o.GetState() {
	case commonv1.Operation_STATE_FAILED:
		return newError(status.FromProto(o.GetError()))
	case commonv1.Operation_STATE_CANCELLED:
		return ErrCancelled
	default:
		return nil
	}
}

// Result reads what an operation that succeeded came to, into a message of its kind.
func Result(o *commonv1.Operation, into proto.Message) error {
	if o.GetResult() == nil {
		return fmt.Errorf("operation %s has no result", o.GetName())
	}
	return o.GetResult().UnmarshalTo(into)
}
