package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/authn"
	"kontor.internal/libs/authz"
	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/mtls"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// guard holds what the interceptors need.
type guard struct {
	log         *slog.Logger
	texts       *failure.Texts
	deadline    time.Duration
	verifier    *authn.Verifier
	revocations *authn.Revocations
	authorizer  *authz.Authorizer
	validator   protovalidate.Validator
	streams     *streams
}

// link is one interceptor for unary methods and its twin for streams.
type link struct {
	name   string
	unary  grpc.UnaryServerInterceptor
	stream grpc.StreamServerInterceptor
}

// chain is every interceptor, outermost first. Telemetry is gRPC's stats
// handler and lies around them all.
func (g *guard) chain() []link {
	return []link{
		{"errors", g.errorsUnary, g.errorsStream},
		{"recovery", g.recoverUnary, g.recoverStream},
		{"deadline", g.deadlineUnary, g.deadlineStream},
		{"authentication", g.authenticateUnary, g.authenticateStream},
		{"authorisation and validation", g.admitUnary, g.admitStream},
	}
}

// serverOptions refuses a chain in which a stream misses what unary methods
// have, or the other way round.
func serverOptions(chain []link) ([]grpc.ServerOption, error) {
	var unary []grpc.UnaryServerInterceptor
	var stream []grpc.StreamServerInterceptor
	for _, l := range chain {
		if l.unary == nil || l.stream == nil {
			return nil, fmt.Errorf("service: interceptor %q does not guard unary methods and streams alike", l.name)
		}
		unary, stream = append(unary, l.unary), append(stream, l.stream)
	}
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(unary...), grpc.ChainStreamInterceptor(stream...)}, nil
}

// errors: what a handler returns becomes a status here and nowhere else.

func (g *guard) errorsUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	started := time.Now()
	reply, err := handle(ctx, req)
	return reply, g.conclude(ctx, info.FullMethod, started, err)
}

func (g *guard) errorsStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	started := time.Now()
	return g.conclude(ss.Context(), info.FullMethod, started, handle(srv, ss))
}

// conclude logs the outcome in one line and turns the error into a status.
func (g *guard) conclude(ctx context.Context, method string, started time.Time, err error) error {
	if err == nil {
		if g.log.Enabled(ctx, slog.LevelDebug) {
			g.log.DebugContext(ctx, "served", "method", method, "took", time.Since(started))
		}
		return nil
	}
	took := slog.Duration("took", time.Since(started))
	typed := failure.From(err)
	if typed.Reason() == commonv1.Reason_REASON_INTERNAL {
		errorID := id.NewString()
		g.log.ErrorContext(ctx, "failed", "method", method, "error_id", errorID, "err", err, took)
		typed = failure.New(commonv1.Reason_REASON_INTERNAL, "error_id", errorID)
	} else {
		g.log.InfoContext(ctx, "refused", "method", method, "reason", failure.Name(typed.Reason()), "err", err, took)
	}
	return failure.Status(typed, g.texts, localeOf(ctx)).Err()
}

func localeOf(ctx context.Context) string {
	return header(ctx, HeaderLocale)
}

// recovery: a panic is one failed request, not a failed service.

func (g *guard) recoverUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (reply any, err error) {
	defer func() { err = recovered(recover(), err) }()
	return handle(ctx, req)
}

func (g *guard) recoverStream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
	defer func() { err = recovered(recover(), err) }()
	return handle(srv, ss)
}

func recovered(panicked any, err error) error {
	if panicked == nil {
		return err
	}
	return fmt.Errorf("panic: %v\n%s", panicked, debug.Stack())
}

// deadline: no unary request runs for ever. Streams end with their caller,
// with the session, or at the drain.

func (g *guard) deadlineUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if own, ok := ctx.Deadline(); !ok || time.Until(own) > g.deadline {
		bounded, cancel := context.WithTimeout(ctx, g.deadline)
		defer cancel()
		ctx = bounded
	}
	reply, err := handle(ctx, req)
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = ctx.Err()
	}
	return reply, err
}

func (g *guard) deadlineStream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	return handle(srv, ss)
}

// authentication: who calls.

func (g *guard) authenticateUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	who, err := g.identify(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	return handle(caller.With(ctx, who), req)
}

func (g *guard) authenticateStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	who, err := g.identify(ss.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	ctx, end := g.streams.open(caller.With(ss.Context(), who), who)
	defer end()
	err = handle(srv, &guardedStream{ServerStream: ss, ctx: ctx, guard: g, method: info.FullMethod})
	if cause := context.Cause(ctx); err != nil && cause != nil && ss.Context().Err() == nil {
		return cause // The stream was closed because the session or the right ended.
	}
	return err
}

func (g *guard) identify(ctx context.Context, method string) (caller.Caller, error) {
	who := caller.Caller{
		Service: peerService(ctx), Locale: header(ctx, HeaderLocale),
		Address: header(ctx, HeaderAddress), OnBehalfOf: header(ctx, HeaderOnBehalfOf),
	}
	token, ok := strings.CutPrefix(header(ctx, HeaderAuthorization), "Bearer ")
	if !ok || token == "" {
		return who, nil
	}
	claims, err := g.verify(ctx, token)
	if err != nil {
		// Between services the certificate counts; the token only tells for whom,
		// and work that was begun with a good token may end after it. A public
		// method serves those whose token has ended as it serves those with none.
		if g.authorizer.Internal(method) || g.authorizer.Public(method) {
			return who, nil
		}
		return who, err
	}
	who.Account, who.Session, who.Company, who.Kind = claims.Account, claims.Session, claims.Company, claims.Kind
	who.Token = token
	return who, nil
}

func (g *guard) verify(ctx context.Context, token string) (authn.Claims, error) {
	claims, err := g.verifier.Verify(ctx, token, time.Now())
	if err != nil {
		return claims, err
	}
	revoked, err := g.revocations.Revoked(ctx, claims.Session)
	switch {
	case err != nil:
		return claims, failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", "identity").Wrap(err)
	case revoked:
		return claims, failure.New(commonv1.Reason_REASON_SESSION_REVOKED)
	}
	return claims, nil
}

func peerService(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return ""
	}
	name, _ := mtls.PeerService(info.State)
	return name
}

// header reads one header; reading them all would copy them.
func header(ctx context.Context, key string) string {
	if values := metadata.ValueFromIncomingContext(ctx, key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// admission: may the caller, and is the request well-formed.

func (g *guard) admitUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	ctx, err := g.admit(ctx, info.FullMethod, req)
	if err != nil {
		return nil, err
	}
	return handle(ctx, req)
}

// admitStream lets the stream begin; its first message is admitted when it is
// received, because the rule's field stands in it.
func (g *guard) admitStream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	return handle(srv, ss)
}

func (g *guard) admit(ctx context.Context, method string, req any) (context.Context, error) {
	message, ok := req.(proto.Message)
	if !ok {
		return ctx, fmt.Errorf("service: %s: request is no proto message", method)
	}
	who, err := g.authorizer.Check(ctx, method, message)
	if err != nil {
		return ctx, err
	}
	if err := g.validate(message); err != nil {
		return ctx, err
	}
	if r, ok := req.(interface{ GetRequestId() string }); ok {
		who.RequestID = r.GetRequestId()
	}
	return caller.With(ctx, who), nil
}

func (g *guard) validate(message proto.Message) error {
	err := g.validator.Validate(message)
	var broken *protovalidate.ValidationError
	if !errors.As(err, &broken) {
		return err
	}
	var fields []failure.Field
	for _, v := range broken.Violations {
		fields = append(fields, failure.Field{
			Path: protovalidate.FieldPathString(v.Proto.GetField()), Rule: v.Proto.GetRuleId(), Text: v.Proto.GetMessage(),
		})
	}
	return failure.New(commonv1.Reason_REASON_INVALID_ARGUMENT, "field", fields[0].Path).WithField(fields...)
}
