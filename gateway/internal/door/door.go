package door

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
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
	// MaxMessageBytes is the largest message taken.
	MaxMessageBytes int64
	// Texts of refusals.
	Texts *failure.Texts
	// Log of what the caller is not told.
	Log *slog.Logger
}

// openPatience is how long a stream waits for its service to be reached.
const openPatience = 10 * time.Second

// Visit is one request from outside, before it is admitted.
type Visit struct {
	// Token is the access token as it came, without the scheme.
	Token string
	// Address of the visitor.
	Address string
	// Locale wanted.
	Locale string
}

// maxLocale is far above what browsers send.
const maxLocale = 256

// NewVisit reads a request's headers. A language that no header of gRPC may
// carry is none; only the bearer scheme (RFC 6750) is a token.
func NewVisit(authorization, language, address string) Visit {
	v := Visit{Address: address}
	scheme, token, _ := strings.Cut(strings.TrimSpace(authorization), " ")
	if strings.EqualFold(scheme, "Bearer") {
		v.Token = strings.TrimSpace(token)
	}
	if len(language) <= maxLocale && !strings.ContainsFunc(language, func(r rune) bool { return r < ' ' || r > '~' }) {
		v.Locale = language
	}
	return v
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
// caller may do with whose data, the service decides. Of the request's own
// headers nothing goes on but what the caller's description says.
func (d *Door) Admit(ctx context.Context, method string) (context.Context, Method, error) {
	ctx = metadata.NewOutgoingContext(ctx, metadata.MD{})
	m, known := d.Methods[method]
	who, refused := d.identify(ctx, m)
	if !known {
		refused = failure.New(commonv1.Reason_REASON_METHOD_UNKNOWN)
	}
	// Refused requests count too, by their address: guessing tokens is no way
	// around the limits.
	if err := d.Limiter.Allow(ctx, m, who); err != nil {
		return ctx, m, err
	}
	return caller.With(ctx, who), m, refused
}

func (d *Door) identify(ctx context.Context, m Method) (caller.Caller, error) {
	visit := VisitOf(ctx)
	who := caller.Caller{Address: visit.Address, Locale: visit.Locale}
	if visit.Token == "" {
		if m.Public {
			return who, nil
		}
		return who, failure.New(commonv1.Reason_REASON_TOKEN_MISSING)
	}
	claims, err := d.verify(ctx, visit.Token)
	if err != nil {
		if m.Public { // It serves those whose token has ended, too.
			return who, nil
		}
		return who, err
	}
	who.Account, who.Session, who.Token = claims.Account, claims.Session, visit.Token
	return who, nil
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
	return Open(ctx, conn, desc, method, opts...)
}

// Open begins a stream at a service. Unlike a unary request a stream has no
// deadline, so waiting for a service that is away must have its own.
func Open(ctx context.Context, conn grpc.ClientConnInterface, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	away := failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", "service")
	timer := time.AfterFunc(openPatience, func() { cancel(away) })
	defer timer.Stop()
	stream, err := conn.NewStream(ctx, desc, method, opts...)
	if err != nil && errors.Is(context.Cause(ctx), away) {
		return nil, away.Wrap(err)
	}
	return stream, err // The request's end cancels the stream; nothing else may.
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
		if s.ClientStream, err = Open(s.ctx, conn, s.desc, s.method.Full, s.opts...); err != nil {
			return err
		}
	}
	return s.ClientStream.SendMsg(m)
}

// Context is the stream's.
func (s *operationStream) Context() context.Context { return s.ctx }
