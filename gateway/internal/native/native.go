// Package native passes gRPC through the gateway as it comes: frames are not
// decoded, so the gateway needs no message types and adds little.
package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip" // Programs may compress what they send.
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"kontor.internal/gateway/internal/door"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// Proxy is the handler of every method.
type Proxy struct {
	// Door admits.
	Door *door.Door
	// Proxies that are trusted.
	Proxies door.Proxies
}

// Options are what a gRPC server needs to be the proxy.
func (p *Proxy) Options() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ForceServerCodecV2(frames{}), grpc.UnknownServiceHandler(p.handle)}
}

// handle passes one call on: admit, open the same method at its service, copy
// frames both ways, answer with its trailer and status.
func (p *Proxy) handle(_ any, outside grpc.ServerStream) (err error) {
	ctx := door.WithVisit(outside.Context(), p.visit(outside.Context()))
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("native: panic: %v\n%s", panicked, debug.Stack())
		}
		if err != nil {
			err = p.Door.Status(ctx, err).Err()
		}
	}()
	return p.pass(ctx, outside)
}

func (p *Proxy) pass(ctx context.Context, outside grpc.ServerStream) error {
	method, ok := grpc.MethodFromServerStream(outside)
	if !ok {
		return failure.New(commonv1.Reason_REASON_METHOD_UNKNOWN)
	}
	ctx, m, err := p.Door.Admit(ctx, method)
	if err != nil {
		return err
	}
	if !m.Streaming() {
		var cancelDeadline context.CancelFunc
		ctx, cancelDeadline = context.WithTimeout(ctx, p.Door.Deadline)
		defer cancelDeadline()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	inside, err := p.open(ctx, m, outside)
	if err != nil {
		return err
	}
	go p.sendAll(outside, inside, cancel) // Ends with the call: its RecvMsg does.
	err = answerAll(inside, outside)
	if status.Code(err) == codes.Canceled && ctx.Err() != nil {
		return context.Cause(ctx) // Why the call was given up: what the caller sent could not be read.
	}
	return err
}

// open begins the same call at its service.
func (p *Proxy) open(ctx context.Context, m door.Method, outside grpc.ServerStream) (grpc.ClientStream, error) {
	var begin *frame
	var operation string
	if m.Backend == "" { // The operation's name, in the first frame, tells where to.
		begin = &frame{}
		if err := p.receive(outside, begin); err != nil {
			return nil, err
		}
		var err error
		if operation, err = operationName(begin); err != nil {
			return nil, failure.Invalid("message", "can't be read").Wrap(err)
		}
	}
	conn, err := p.Door.Backend(m, operation)
	if err != nil {
		return nil, err
	}
	desc := &grpc.StreamDesc{StreamName: string(m.Descriptor.Name()), ServerStreams: true, ClientStreams: true}
	inside, err := door.Open(ctx, conn, desc, m.Full, grpc.ForceCodecV2(frames{}))
	if err != nil || begin == nil {
		return inside, err
	}
	if err := inside.SendMsg(begin); err != nil && !errors.Is(err, io.EOF) { // EOF: the answer tells.
		return nil, err
	}
	return inside, nil
}

// sendAll copies the caller's frames; it ends with the caller's half-close, or
// with the call.
func (p *Proxy) sendAll(outside grpc.ServerStream, inside grpc.ClientStream, cancel context.CancelCauseFunc) {
	for {
		f := &frame{}
		err := p.receive(outside, f)
		if errors.Is(err, io.EOF) {
			_ = inside.CloseSend() // Fails only when the call is over; answerAll tells.
			return
		}
		if err != nil {
			cancel(err)
			return
		}
		if inside.SendMsg(f) != nil {
			return // The call is over; answerAll tells why.
		}
	}
}

// receive takes the caller's next frame, or says why it can't be taken.
func (p *Proxy) receive(outside grpc.ServerStream, f *frame) error {
	err := outside.RecvMsg(f)
	switch {
	case err == nil && int64(len(f.data)) > p.Door.MaxMessageBytes, status.Code(err) == codes.ResourceExhausted:
		return door.TooLarge(p.Door.MaxMessageBytes)
	case status.Code(err) == codes.Internal:
		return failure.Invalid("message", "can't be read").Wrap(err)
	default:
		return err // The end, too.
	}
}

// answerAll copies the service's header, frames and trailer.
func answerAll(inside grpc.ClientStream, outside grpc.ServerStream) error {
	header, err := inside.Header()
	if err == nil && len(header) > 0 {
		if err := outside.SendHeader(outward(header)); err != nil {
			return err
		}
	}
	for {
		f := &frame{}
		err := inside.RecvMsg(f)
		if err != nil {
			outside.SetTrailer(outward(inside.Trailer()))
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := outside.SendMsg(f); err != nil {
			return err
		}
	}
}

// outward drops what gRPC sets itself.
func outward(md metadata.MD) metadata.MD {
	out := metadata.MD{}
	for key, values := range md {
		if key == "content-type" || strings.HasPrefix(key, "grpc-") {
			continue
		}
		out[key] = values
	}
	return out
}

func (p *Proxy) visit(ctx context.Context) door.Visit {
	md, _ := metadata.FromIncomingContext(ctx)
	address := ""
	if from, ok := peer.FromContext(ctx); ok {
		address = p.Proxies.Visitor(from.Addr.String(), strings.Join(md.Get("x-forwarded-for"), ","))
	}
	return door.NewVisit(first(md, "authorization"), first(md, "accept-language"), address)
}

func first(md metadata.MD, key string) string {
	if values := md.Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// operationName reads the name of the operation that a request is about. All
// requests of OperationService have it in the same field.
func operationName(f *frame) (string, error) {
	var request commonv1.GetOperationRequest
	err := proto.Unmarshal(f.data, &request)
	return request.GetName(), err
}

// frame is one message, not decoded.
type frame struct{ data []byte }

// frames is the codec that leaves messages as they are.
type frames struct{}

var _ encoding.CodecV2 = frames{}

// Marshal gives the bytes of a frame.
func (frames) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*frame)
	if !ok {
		return nil, errors.New("native: not a frame")
	}
	return mem.BufferSlice{mem.SliceBuffer(f.data)}, nil
}

// Unmarshal keeps the bytes of a frame.
func (frames) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return errors.New("native: not a frame")
	}
	f.data = data.Materialize()
	return nil
}

// Name says that the frames are protobuf.
func (frames) Name() string { return "proto" }
