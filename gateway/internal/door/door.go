package door

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/authn"
	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// Door admits requests and passes them to the service that answers them.
type Door struct {
	// Methods that exist for outsiders.
	Methods Methods
	// Backends by service name.
	Backends map[string]grpc.ClientConnInterface
	// Verifier and Revocations check access tokens.
	Verifier    *authn.Verifier
	Revocations *authn.Revocations
	// Limiter counts requests.
	Limiter *Limiter
	// Deadline is the longest time a unary request may take.
	Deadline time.Duration
	// Log of refusals.
	Log *slog.Logger
}

// Visit is one request from outside, before it is admitted.
type Visit struct {
	// Token is the access token as it came, without the scheme.
	Token string
	// Address of the visitor.
	Address string
	// Locale wanted.
	Locale string
}

type visitKey struct{}

// WithVisit keeps a request's visit for the connection that passes it on.
func WithVisit(ctx context.Context, v Visit) context.Context {
	return context.WithValue(ctx, visitKey{}, v)
}

// VisitOf gives the request's visit.
func VisitOf(ctx context.Context) Visit {
	v, _ := ctx.Value(visitKey{}).(Visit)
	return v
}

// Admit finds the method and decides whether the visit may try it: the token
// must be good where one is needed, and the rate within its limit. What the
// caller may do with whose data, the service decides.
func (d *Door) Admit(ctx context.Context, method string) (context.Context, Method, error) {
	m, ok := d.Methods[method]
	if !ok {
		return ctx, m, failure.New(commonv1.Reason_REASON_METHOD_UNKNOWN)
	}
	visit := VisitOf(ctx)
	who := caller.Caller{Address: visit.Address, Locale: visit.Locale}
	if visit.Token != "" {
		claims, err := d.verify(ctx, visit.Token)
		switch {
		case err == nil:
			who.Account, who.Session, who.Token = claims.Account, claims.Session, visit.Token
		case !m.Public: // A public method serves those whose token has ended, too.
			return ctx, m, err
		}
	} else if !m.Public {
		return ctx, m, failure.New(commonv1.Reason_REASON_TOKEN_MISSING)
	}
	if err := d.Limiter.Allow(ctx, m, who); err != nil {
		return ctx, m, err
	}
	return caller.With(ctx, who), m, nil
}

func (d *Door) verify(ctx context.Context, token string) (authn.Claims, error) {
	claims, err := d.Verifier.Verify(ctx, token, time.Now())
	if err != nil {
		return claims, err
	}
	revoked, err := d.Revocations.Revoked(ctx, claims.Session)
	switch {
	case err != nil:
		return claims, failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", "identity").Wrap(err)
	case revoked:
		return claims, failure.New(commonv1.Reason_REASON_SESSION_REVOKED)
	}
	return claims, nil
}

// Backend is the connection to the service that answers a method. Operations
// are found by their name, which begins with the service's.
func (d *Door) Backend(m Method, operation string) (grpc.ClientConnInterface, error) {
	name := m.Backend
	if name == "" {
		id := operation[strings.LastIndex(operation, "/")+1:]
		name, _, _ = strings.Cut(id, "-")
	}
	conn, ok := d.Backends[name]
	if !ok {
		if m.Backend == "" {
			return nil, failure.NotFound(operation)
		}
		return nil, failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", name)
	}
	return conn, nil
}

// Invoke passes a unary request on. With NewStream it makes the door a
// connection, on which generated clients call as if they were let in already.
func (d *Door) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	ctx, m, err := d.Admit(ctx, method)
	if err != nil {
		return err
	}
	conn, err := d.Backend(m, nameOf(args))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, d.Deadline)
	defer cancel()
	return conn.Invoke(ctx, method, args, reply, opts...)
}

// NewStream passes a stream on.
func (d *Door) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, m, err := d.Admit(ctx, method)
	if err != nil {
		return nil, err
	}
	if m.Backend == "" {
		return &operationStream{door: d, method: m, ctx: ctx, desc: desc, opts: opts}, nil
	}
	conn, err := d.Backend(m, "")
	if err != nil {
		return nil, err
	}
	return conn.NewStream(ctx, desc, method, opts...)
}

// nameOf reads the resource name of a request.
func nameOf(request any) string {
	if named, ok := request.(interface{ GetName() string }); ok {
		return named.GetName()
	}
	return ""
}

// operationStream finds its backend when its request is sent, since the
// request names the operation.
type operationStream struct {
	grpc.ClientStream
	door   *Door
	method Method
	ctx    context.Context //nolint:containedctx // it is the stream's own.
	desc   *grpc.StreamDesc
	opts   []grpc.CallOption
}

// SendMsg opens the stream at the operation's service and sends the request.
func (s *operationStream) SendMsg(m any) error {
	if s.ClientStream == nil {
		request, ok := m.(proto.Message)
		if !ok {
			return failure.New(commonv1.Reason_REASON_INTERNAL)
		}
		conn, err := s.door.Backend(s.method, nameOf(request))
		if err != nil {
			return err
		}
		if s.ClientStream, err = conn.NewStream(s.ctx, s.desc, s.method.Full, s.opts...); err != nil {
			return err
		}
	}
	return s.ClientStream.SendMsg(m)
}

// Context is the stream's.
func (s *operationStream) Context() context.Context { return s.ctx }
