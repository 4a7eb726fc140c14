// Package native passes gRPC through the gateway as it comes: frames are not
// decoded, so the gateway needs no message types and adds little.
package native

import (
	"context"
	"errors"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
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
	// Texts of refusals.
	Texts *failure.Texts
	// Proxies that are trusted.
	Proxies door.Proxies
}

// Options are what a gRPC server needs to be the proxy.
func (p *Proxy) Options() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ForceServerCodecV2(frames{}), grpc.UnknownServiceHandler(p.handle)}
}

// handle passes one call on: admit, open the same method at its service, copy
// frames both ways, answer with its trailer and status.
func (p *Proxy) handle(_ any, outside grpc.ServerStream) error {
	visit := p.visit(outside.Context())
	err := p.pass(door.WithVisit(outside.Context(), visit), outside)
	if err == nil {
		return nil
	}
	if _, fromService := status.FromError(err); fromService {
		return err
	}
	return failure.Status(err, p.Texts, visit.Locale).Err()
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
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	first := &frame{}
	if m.Backend == "" { // The operation's name, in the first frame, tells where to.
		if err := outside.RecvMsg(first); err != nil {
			return err
		}
	}
	conn, err := p.Door.Backend(m, operationName(m, first))
	if err != nil {
		return err
	}
	desc := &grpc.StreamDesc{StreamName: string(m.Descriptor.Name()), ServerStreams: true, ClientStreams: true}
	inside, err := conn.NewStream(ctx, desc, method, grpc.ForceCodecV2(frames{}))
	if err != nil {
		return err
	}
	if m.Backend == "" {
		if err := inside.SendMsg(first); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	go sendAll(outside, inside, cancel)
	return answerAll(inside, outside)
}

// sendAll copies the caller's frames; it ends with the caller's half-close, or
// with the call.
func sendAll(outside grpc.ServerStream, inside grpc.ClientStream, cancel context.CancelFunc) {
	for {
		f := &frame{}
		err := outside.RecvMsg(f)
		if errors.Is(err, io.EOF) {
			_ = inside.CloseSend() // Fails only when the call is over; answerAll tells.
			return
		}
		if err != nil {
			cancel()
			return
		}
		if inside.SendMsg(f) != nil {
			return // The call is over; answerAll tells why.
		}
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
	token, _ := strings.CutPrefix(first(md, "authorization"), "Bearer ")
	v := door.Visit{Token: token, Locale: first(md, "accept-language")}
	if from, ok := peer.FromContext(ctx); ok {
		v.Address = p.Proxies.Visitor(from.Addr.String(), strings.Join(md.Get("x-forwarded-for"), ","))
	}
	return v
}

func first(md metadata.MD, key string) string {
	if values := md.Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// operationName reads the name of the operation that a request is about. All
// requests of OperationService have it in the same field.
func operationName(m door.Method, f *frame) string {
	if m.Backend != "" {
		return ""
	}
	var request commonv1.GetOperationRequest
	if err := proto.Unmarshal(f.data, &request); err != nil {
		return ""
	}
	return request.GetName()
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
