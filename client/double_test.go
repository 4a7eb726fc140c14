package client_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/client"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// double answers as Kontor's contract says and breaks where a test wants it; the real services are tried in test/e2e.
type double struct {
	identityv1.UnimplementedSessionServiceServer
	commonv1.UnimplementedOperationServiceServer
	tenancyv1.UnimplementedUploadServiceServer

	life time.Duration // of access tokens

	mu        sync.Mutex
	pairs     int // token pairs given so far
	refreshes int
	lose      int // answers to refreshes that get lost
	expired   int // calls whose token is called expired
	refusal   error
	seen      metadata.MD
	company   string
	signedOut string

	upload *tenancyv1.Upload
	bytes  []byte
	cutAt  int // the connection breaks when so many bytes came; 0 for never
	calls  int

	states []*commonv1.Operation
	drop   int // watches that break after their first state

	seats seats
}

// start serves a double over TLS and connects to it.
func start(t *testing.T, d *double) *client.Client {
	t.Helper()
	certified := httptest.NewTLSServer(nil)
	certified.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS13})))
	identityv1.RegisterSessionServiceServer(server, d)
	commonv1.RegisterOperationServiceServer(server, d)
	licensingv1.RegisterSeatServiceServer(server, &d.seats)
	licensingv1.RegisterTravelSeatServiceServer(server, &d.seats)
	licensingv1.RegisterKeyServiceServer(server, &d.seats)
	tenancyv1.RegisterUploadServiceServer(server, d)
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(listener) })
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	c, err := client.Connect(client.Config{Address: listener.Addr().String(), Roots: roots, Language: "lv"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		server.Stop()
		served.Wait()
	})
	if d.life == 0 {
		d.life = 5 * time.Minute
	}
	return c
}

// signIn is a session on a double; it is closed with the test.
func signIn(t *testing.T, d *double) *client.Session {
	t.Helper()
	s, err := start(t, d).SignIn(t.Context(), client.Credentials{Identifier: "ieva@example.org", Password: "right", Device: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func refuse(code codes.Code, reason, text string, retry time.Duration) error {
	details := []protoadapt.MessageV1{
		&errdetails.ErrorInfo{Reason: reason, Domain: "kontor", Metadata: map[string]string{
			"limit": "2", "holders": "Ieva", "waiting": "3", "licence": "subscribers/s/licences/l", "offers": "wait,read_only",
		}},
		&errdetails.LocalizedMessage{Locale: "lv", Message: text},
	}
	if retry > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(retry)})
	}
	s, err := status.New(code, "in English").WithDetails(details...)
	if err != nil {
		panic(err)
	}
	return s.Err()
}

func (d *double) pair() (*identityv1.SessionTokens, *identityv1.Session) {
	d.pairs++
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) // not this machine's time
	tokens := &identityv1.SessionTokens{
		AccessToken: fmt.Sprintf("access-%d", d.pairs), RefreshToken: fmt.Sprintf("refresh-%d", d.pairs),
		AccessTokenExpireTime: timestamppb.New(now.Add(d.life)),
	}
	return tokens, &identityv1.Session{Name: "accounts/a/sessions/s", RefreshTime: timestamppb.New(now), Company: d.company}
}

func (d *double) SignIn(ctx context.Context, r *identityv1.SignInRequest) (*identityv1.SignInResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen, _ = metadata.FromIncomingContext(ctx)
	if r.GetPassword() != "right" {
		return nil, refuse(codes.ResourceExhausted, "TOO_MANY_ATTEMPTS", "Par daudz mēģinājumu", 3*time.Second)
	}
	tokens, session := d.pair()
	return &identityv1.SignInResponse{Tokens: tokens, Session: session}, nil
}

func (d *double) RefreshSession(_ context.Context, r *identityv1.RefreshSessionRequest) (*identityv1.RefreshSessionResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refreshes++
	if d.refusal != nil {
		return nil, d.refusal
	}
	last := fmt.Sprintf("refresh-%d", d.pairs)
	before := fmt.Sprintf("refresh-%d", d.pairs-1)
	switch r.GetRefreshToken() {
	case last:
	case before: // repeated: the same successor again
		d.pairs--
	default:
		return nil, refuse(codes.Unauthenticated, "REFRESH_TOKEN_REUSED", "Izmantots divreiz", 0)
	}
	tokens, session := d.pair()
	if d.lose > 0 {
		d.lose--
		return nil, status.Error(codes.DeadlineExceeded, "the answer got lost")
	}
	return &identityv1.RefreshSessionResponse{Tokens: tokens, Session: session}, nil
}

func (d *double) ChooseCompany(ctx context.Context, r *identityv1.ChooseCompanyRequest) (*identityv1.ChooseCompanyResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen, _ = metadata.FromIncomingContext(ctx)
	d.company = r.GetCompany()
	return &identityv1.ChooseCompanyResponse{AccessToken: "access-for-" + d.company}, nil
}

func (d *double) ListSessions(ctx context.Context, _ *identityv1.ListSessionsRequest) (*identityv1.ListSessionsResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	d.seen, _ = metadata.FromIncomingContext(ctx)
	if d.expired > 0 {
		d.expired--
		return nil, refuse(codes.Unauthenticated, "TOKEN_EXPIRED", "", 0)
	}
	return &identityv1.ListSessionsResponse{}, d.refusal
}

func (d *double) SignOut(_ context.Context, r *identityv1.SignOutRequest) (*identityv1.SignOutResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.signedOut = r.GetRefreshToken()
	return &identityv1.SignOutResponse{}, nil
}

func (d *double) CreateUpload(_ context.Context, r *tenancyv1.CreateUploadRequest) (*tenancyv1.CreateUploadResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.upload == nil {
		d.upload = &tenancyv1.Upload{
			Name: r.GetParent() + "/uploads/u", SizeBytes: r.GetSizeBytes(), Sha256: r.GetSha256(), State: tenancyv1.UploadState_UPLOAD_STATE_RECEIVING,
		}
	}
	return &tenancyv1.CreateUploadResponse{Upload: d.upload}, nil
}

func (d *double) WriteUpload(stream grpc.ClientStreamingServer[tenancyv1.WriteUploadRequest, tenancyv1.WriteUploadResponse]) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	for first := true; ; first = false {
		r, err := stream.Recv()
		if err == io.EOF { //nolint:errorlint // Recv gives it bare
			return stream.SendAndClose(&tenancyv1.WriteUploadResponse{Upload: d.upload})
		}
		if err != nil {
			return err
		}
		if first && r.GetOffset() != int64(len(d.bytes)) {
			return refuse(codes.FailedPrecondition, "UPLOAD_OFFSET_MISMATCH", "", 0)
		}
		d.bytes = append(d.bytes, r.GetData()...)
		d.upload.ReceivedBytes = int64(len(d.bytes))
		if d.cutAt > 0 && len(d.bytes) >= d.cutAt {
			d.cutAt = 0
			return status.Error(codes.Unavailable, "the way is cut")
		}
	}
}

func (d *double) GetUpload(context.Context, *tenancyv1.GetUploadRequest) (*tenancyv1.GetUploadResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &tenancyv1.GetUploadResponse{Upload: d.upload}, nil
}

func (d *double) CompleteUpload(context.Context, *tenancyv1.CompleteUploadRequest) (*tenancyv1.CompleteUploadResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if sum := sha256.Sum256(d.bytes); string(sum[:]) != string(d.upload.GetSha256()) {
		return nil, refuse(codes.FailedPrecondition, "UPLOAD_CHECKSUM_MISMATCH", "", 0)
	}
	if d.refusal != nil {
		return nil, d.refusal
	}
	d.upload.State = tenancyv1.UploadState_UPLOAD_STATE_VERIFIED
	return &tenancyv1.CompleteUploadResponse{Upload: d.upload}, nil
}

func (d *double) WatchOperation(_ *commonv1.WatchOperationRequest, stream grpc.ServerStreamingServer[commonv1.WatchOperationResponse]) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	for len(d.states) > 0 {
		if err := stream.Send(&commonv1.WatchOperationResponse{Operation: d.states[0]}); err != nil {
			return err
		}
		d.states = d.states[1:]
		if d.drop > 0 {
			d.drop--
			return status.Error(codes.Unavailable, "the way is cut")
		}
	}
	return nil
}

func hash(content []byte) []byte {
	sum := sha256.Sum256(content)
	return sum[:]
}
