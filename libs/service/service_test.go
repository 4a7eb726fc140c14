package service_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/events"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/service"
	"kontor.internal/libs/service/servicetest"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

// desk is a service of one scoped unary method and one scoped stream, which do
// what the operation's name says.
type desk struct {
	commonv1.UnimplementedOperationServiceServer
	seen chan caller.Caller
}

func (d *desk) GetOperation(ctx context.Context, r *commonv1.GetOperationRequest) (*commonv1.GetOperationResponse, error) {
	switch {
	case strings.HasSuffix(r.GetName(), "/panic"):
		panic("a slip")
	case strings.HasSuffix(r.GetName(), "/leak"):
		return nil, errors.New(`relation "secret_table" does not exist`)
	case strings.HasSuffix(r.GetName(), "/slow"):
		<-ctx.Done()
		return nil, ctx.Err()
	}
	d.seen <- caller.From(ctx)
	return &commonv1.GetOperationResponse{Operation: &commonv1.Operation{Name: r.GetName()}}, nil
}

func (d *desk) WatchOperation(_ *commonv1.WatchOperationRequest, stream grpc.ServerStreamingServer[commonv1.WatchOperationResponse]) error {
	if err := stream.Send(&commonv1.WatchOperationResponse{}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return context.Cause(stream.Context())
}

type suite struct {
	*servicetest.Suite
	seen chan caller.Caller
}

func start(t *testing.T) suite {
	t.Helper()
	d := &desk{seen: make(chan caller.Caller, 10)}
	return suite{seen: d.seen, Suite: servicetest.Start(t, servicetest.Options{
		Name: "tried",
		Build: func(ctx context.Context, cfg service.Config) (*service.Service, error) {
			cfg.Deadline = 200 * time.Millisecond
			s, err := service.New(ctx, service.Spec{Name: "tried", Config: cfg, Migrations: fstest.MapFS{}})
			if err != nil {
				return nil, err
			}
			commonv1.RegisterOperationServiceServer(s.GRPC(), d)
			return s, nil
		},
	})}
}

const own = "subscribers/s/operations/o"

// member makes an account that may read subscriber s.
func (s suite) member(email string) string {
	account := s.NewAccount(email)
	s.Access.Grant(account, "subscribers/s", authv1.Permission_PERMISSION_SUBSCRIBER_READ)
	return account
}

func get(t *testing.T, conn grpc.ClientConnInterface, name string) error {
	t.Helper()
	_, err := commonv1.NewOperationServiceClient(conn).GetOperation(t.Context(), &commonv1.GetOperationRequest{Name: name})
	return err
}

func TestAHandlerSeesWhoCallsAndFromWhere(t *testing.T) {
	s := start(t)
	account := s.member("a@example.com")
	err := get(t, s.With(caller.Caller{Account: account, Session: account + "/sessions/1", Kind: caller.KindPerson, Locale: "lv", Address: "192.0.2.9"}), own)
	if err != nil {
		t.Fatal(err)
	}
	who := <-s.seen
	if who.Account != account || who.Service != "gateway" || who.Locale != "lv" || who.Address != "192.0.2.9" || who.Token == "" {
		t.Errorf("seen %+v", who)
	}
}

func TestRequestsThatMustNotReachAHandler(t *testing.T) {
	s := start(t)
	member := s.As(s.member("a@example.com"))
	for name, c := range map[string]struct {
		conn grpc.ClientConnInterface
		name string
		want commonv1.Reason
	}{
		"no token":                   {s.Visitor(), own, commonv1.Reason_REASON_TOKEN_MISSING},
		"a forged token":             {s.With(caller.Caller{Account: "accounts/x", Token: "forged"}), own, commonv1.Reason_REASON_TOKEN_INVALID},
		"a foreign subscriber":       {member, "subscribers/t/operations/o", commonv1.Reason_REASON_PERMISSION_DENIED},
		"a name that has no scope":   {member, "operations/o", commonv1.Reason_REASON_INVALID_ARGUMENT},
		"a name that is too long":    {member, own + strings.Repeat("x", 300), commonv1.Reason_REASON_INVALID_ARGUMENT},
		"a message that is too long": {member, own + strings.Repeat("x", 5<<20), commonv1.Reason_REASON_MESSAGE_TOO_LARGE},
	} {
		if got := failure.Reason(get(t, c.conn, c.name)); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if len(s.seen) != 0 {
		t.Error("a handler saw one of them")
	}
	_, err := commonv1.NewOperationServiceClient(member).CancelOperation(t.Context(), &commonv1.CancelOperationRequest{Name: own})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_METHOD_UNKNOWN)
}

func TestSlipsOfAHandlerStayInside(t *testing.T) {
	s := start(t)
	member := s.As(s.member("a@example.com"))
	for _, name := range []string{"subscribers/s/panic", "subscribers/s/leak"} {
		err := get(t, member, name)
		st, _ := status.FromError(err)
		if st.Code() != codes.Internal || strings.Contains(st.String(), "secret_table") || strings.Contains(st.String(), "slip") {
			t.Errorf("%s: %v", name, err)
		}
		var infos int
		for _, d := range st.Details() {
			if info, ok := d.(*errdetails.ErrorInfo); ok {
				infos++
				if info.GetMetadata()["error_id"] == "" {
					t.Errorf("%s: no error id", name)
				}
			}
		}
		if infos != 1 {
			t.Errorf("%s: %d ErrorInfo", name, infos)
		}
	}
}

func TestARequestDoesNotOutliveItsDeadline(t *testing.T) {
	s := start(t)
	servicetest.WantReason(t, get(t, s.As(s.member("a@example.com")), "subscribers/s/slow"), commonv1.Reason_REASON_DEADLINE_EXCEEDED)
}

// watch opens a stream that has begun.
func watch(t *testing.T, conn grpc.ClientConnInterface) grpc.ServerStreamingClient[commonv1.WatchOperationResponse] {
	t.Helper()
	stream, err := commonv1.NewOperationServiceClient(conn).WatchOperation(t.Context(), &commonv1.WatchOperationRequest{Name: own})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	return stream
}

// endsWithin fails unless the stream ends in time with a reason.
func endsWithin(t *testing.T, stream grpc.ServerStreamingClient[commonv1.WatchOperationResponse], limit time.Duration, want commonv1.Reason) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { _, err := stream.Recv(); ended <- err }()
	select {
	case err := <-ended:
		servicetest.WantReason(t, err, want)
	case <-time.After(limit):
		t.Fatal("the stream goes on")
	}
}

func TestAStreamIsRefusedAsAUnaryMethodIs(t *testing.T) {
	s := start(t)
	for name, c := range map[string]struct {
		conn grpc.ClientConnInterface
		want commonv1.Reason
	}{
		"a visitor":  {s.Visitor(), commonv1.Reason_REASON_TOKEN_MISSING},
		"a stranger": {s.As(s.NewAccount("x@example.com")), commonv1.Reason_REASON_PERMISSION_DENIED},
	} {
		stream, err := commonv1.NewOperationServiceClient(c.conn).WatchOperation(t.Context(), &commonv1.WatchOperationRequest{Name: own})
		if err == nil {
			_, err = stream.Recv()
		}
		if got := failure.Reason(err); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestStreamsEndWithinTwoSecondsOfTheirSession(t *testing.T) {
	s := start(t)
	account := s.member("a@example.com")
	session := account + "/sessions/1"
	conn := s.With(caller.Caller{Account: account, Session: session, Kind: caller.KindPerson})
	stream, other := watch(t, conn), watch(t, s.With(caller.Caller{Account: account, Session: account + "/sessions/2"}))
	s.Publish(events.Event{
		Subject: "kontor.identity.session.revoked", Aggregate: session, Time: time.Now(),
		Payload: &identityv1.SessionRevoked{Session: session, Account: account},
	})
	endsWithin(t, stream, 2*time.Second, commonv1.Reason_REASON_SESSION_REVOKED)
	servicetest.WantReason(t, get(t, conn, own), commonv1.Reason_REASON_SESSION_REVOKED)
	if err := other.Context().Err(); err != nil {
		t.Errorf("another session's stream ended too: %v", err)
	}
}

func TestStreamsEndWithinTwoSecondsOfTheirRight(t *testing.T) {
	s := start(t)
	account := s.member("a@example.com")
	conn := s.As(account)
	stream := watch(t, conn)
	s.Access.Grant(account, "subscribers/s")
	s.Publish(events.Event{
		Subject: "kontor.tenancy.access.changed", Aggregate: account, Time: time.Now(),
		Payload: &tenancyv1.AccessChanged{Account: account, Scope: "subscribers/s"},
	})
	endsWithin(t, stream, 2*time.Second, commonv1.Reason_REASON_PERMISSION_DENIED)
	servicetest.WantReason(t, get(t, conn, own), commonv1.Reason_REASON_PERMISSION_DENIED)
}

func TestAServiceWithAMethodThatNobodyDescribedDoesNotRun(t *testing.T) {
	s := start(t)
	built := func() error {
		svc, err := service.New(t.Context(), service.Spec{Name: "tried", Config: s.Config})
		if err != nil {
			return err
		}
		svc.GRPC().RegisterService(&grpc.ServiceDesc{
			ServiceName: "kontor.tried.v1.SecretService", HandlerType: (*any)(nil),
			Methods: []grpc.MethodDesc{{MethodName: "Get"}},
		}, struct{}{})
		return svc.Run(t.Context())
	}
	if err := built(); err == nil || !strings.Contains(err.Error(), "SecretService/Get") {
		t.Fatalf("it ran: %v", err)
	}
}
