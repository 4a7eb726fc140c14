package gateway_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/nats-io/nats.go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"

	"kontor.internal/gateway"
	"kontor.internal/libs/authn"
	"kontor.internal/libs/caller"
	"kontor.internal/libs/config"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/mtls"
	"kontor.internal/libs/servers/servertest"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
)

const me = "accounts/018f0000-0000-7000-8000-000000000001"

// suite is a gateway as in production, in front of doubles of the services.
type suite struct {
	t         *testing.T
	authority *mtls.Authority
	nats      string
	http      *http.Client
	address   string
	grpc      *grpc.ClientConn

	identity  *identity
	uploads   *uploads
	licensing *licensing
}

// start runs a gateway until the test ends.
func start(t *testing.T, change func(cfg *gateway.Config)) *suite {
	t.Helper()
	s := &suite{
		t: t, nats: servertest.NATS(t), identity: &identity{key: newKey(t)},
		uploads: &uploads{announced: 3 << 20, piece: make(chan int, 1000)}, licensing: &licensing{file: random(t, 1<<20)},
	}
	var err error
	s.authority, err = mtls.OpenAuthority(mtls.AuthorityConfig{Dir: t.TempDir()})
	must(t, err)
	cfg := s.config()
	if change != nil {
		change(&cfg)
	}
	g, err := gateway.New(t.Context(), cfg)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	trust, err := mtls.TrustConfig(s.authority.CAFile())
	must(t, err)
	trust.ServerName = "localhost"
	transport := &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true}
	s.http, s.address = &http.Client{Transport: transport}, g.HTTPAddr()
	s.grpc, err = grpc.NewClient(g.GRPCAddr(), grpc.WithTransportCredentials(credentials.NewTLS(trust)))
	must(t, err)
	t.Cleanup(func() {
		_ = s.grpc.Close()
		transport.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the gateway stopped with %v", err)
		}
	})
	return s
}

func (s *suite) config() gateway.Config {
	s.t.Helper()
	own, err := s.authority.Issue("gateway")
	must(s.t, err)
	public, err := s.authority.IssueServer(mtls.ServerRequest{Name: "public", Hosts: []string{"localhost", "127.0.0.1"}})
	must(s.t, err)
	var cfg gateway.Config
	must(s.t, config.Load(&cfg, config.Options{Environ: []string{
		"KONTOR_CA_FILE=" + own.CA, "KONTOR_CERT_FILE=" + own.Cert, "KONTOR_KEY_FILE=" + own.Key,
		"KONTOR_PUBLIC_CERT_FILE=" + public.Cert, "KONTOR_PUBLIC_KEY_FILE=" + public.Key,
		"KONTOR_NATS_URL=" + s.nats, "KONTOR_LOG_LEVEL=error", "KONTOR_LOG_FORMAT=text", "KONTOR_DRAIN_TIMEOUT=2s",
	}}))
	cfg.IdentityAddrs = []string{s.double("identity", s.identity.register)}
	cfg.TenancyAddrs = []string{s.double("tenancy", s.uploads.register)}
	cfg.LicensingAddrs = []string{s.double("licensing", s.licensing.register)}
	return cfg
}

// double serves a stand-in as its service is served: behind mutual TLS.
func (s *suite) double(name string, register func(grpc.ServiceRegistrar)) string {
	s.t.Helper()
	files, err := s.authority.Issue(name)
	must(s.t, err)
	tlsConfig, err := mtls.ServerConfig(files)
	must(s.t, err)
	texts, err := failure.LoadTexts()
	must(s.t, err)
	listener, err := (&net.ListenConfig{}).Listen(s.t.Context(), "tcp", "127.0.0.1:0")
	must(s.t, err)
	typed := func(err error) error {
		if failure.Reason(err) == 0 {
			return nil
		}
		return failure.Status(err, texts, "lv").Err()
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(tlsConfig)),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			reply, err := handle(ctx, req)
			return reply, typed(err)
		}),
		grpc.StreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			return typed(handle(srv, ss))
		}))
	register(server)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	s.t.Cleanup(func() { server.Stop(); <-done })
	return listener.Addr().String()
}

// token signs an access token of a session that lasts for a while.
func (s *suite) token(session string, lasts time.Duration) string {
	s.t.Helper()
	return s.tokenBy(s.identity.key, session, lasts)
}

func (s *suite) tokenBy(key jwk.Key, session string, lasts time.Duration) string {
	s.t.Helper()
	token, err := authn.SignAccess(key, authn.Claims{
		Account: me, Session: me + "/sessions/" + session, Kind: caller.KindPerson, Expires: time.Now().Add(lasts),
	}, time.Now())
	must(s.t, err)
	return token
}

// revoke tells of a session's end as identity's relay does.
func (s *suite) revoke(session string) {
	s.t.Helper()
	conn, err := nats.Connect(s.nats)
	must(s.t, err)
	defer conn.Close()
	message := &identityv1.SessionRevoked{Session: me + "/sessions/" + session, Account: me}
	payload, err := proto.Marshal(message)
	must(s.t, err)
	msg := nats.NewMsg("kontor.identity.session.revoked")
	msg.Data = payload
	for key, value := range map[string]string{
		"ce-id": id.NewString(), "ce-type": msg.Subject, "ce-subject": message.GetSession(), "ce-kontorversion": "1",
		"ce-time": time.Now().UTC().Format(time.RFC3339Nano), "ce-kontormessage": string(message.ProtoReflect().Descriptor().FullName()),
	} {
		msg.Header.Set(key, value)
	}
	js, err := conn.JetStream()
	must(s.t, err)
	_, err = js.PublishMsg(msg)
	must(s.t, err)
}

// answer is what came back over HTTP.
type answer struct {
	code   int
	header http.Header
	body   []byte
}

// refusal is google.rpc.Status in JSON.
type refusal struct {
	Details []struct {
		Type     string            `json:"@type"`
		Reason   string            `json:"reason"`
		Metadata map[string]string `json:"metadata"`
		Locale   string            `json:"locale"`
		Message  string            `json:"message"`
	} `json:"details"`
}

func (a answer) refusal(t *testing.T) (reason string, r refusal) {
	t.Helper()
	if err := json.Unmarshal(a.body, &r); err != nil {
		t.Fatalf("HTTP %d %q: %v", a.code, a.body, err)
	}
	infos := 0
	for _, d := range r.Details {
		if strings.HasSuffix(d.Type, "google.rpc.ErrorInfo") {
			reason = d.Reason
			infos++
		}
	}
	if infos != 1 {
		t.Errorf("HTTP %d has %d ErrorInfos: %s", a.code, infos, a.body)
	}
	return reason, r
}

// do sends a request with headers, as name and value in turn.
func (s *suite) do(method, path, body string, headers ...string) answer {
	s.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(s.t.Context(), method, "https://"+s.address+path, reader)
	must(s.t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := s.http.Do(request)
	must(s.t, err)
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	must(s.t, err)
	return answer{code: response.StatusCode, header: response.Header, body: raw}
}

// want sends a request that is refused.
func (s *suite) want(code int, reason, method, path, body string, headers ...string) answer {
	s.t.Helper()
	got := s.do(method, path, body, headers...)
	if found, _ := got.refusal(s.t); got.code != code || found != reason {
		s.t.Errorf("%s %s: HTTP %d %s, want %d %s (%s)", method, path, got.code, found, code, reason, got.body)
	}
	return got
}

func (s *suite) signedIn() []string {
	return []string{"Authorization", "Bearer " + s.token("s", time.Minute)}
}

// raw opens a connection for HTTP/1.1 by hand.
func (s *suite) raw() *tls.Conn {
	s.t.Helper()
	trust, err := mtls.TrustConfig(s.authority.CAFile())
	must(s.t, err)
	trust.ServerName, trust.NextProtos = "localhost", []string{"http/1.1"}
	conn, err := (&tls.Dialer{Config: trust}).DialContext(s.t.Context(), "tcp", s.address)
	must(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	secure, ok := conn.(*tls.Conn)
	if !ok {
		s.t.Fatal("no TLS")
	}
	return secure
}

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline, tick := time.NewTimer(20*time.Second), time.NewTicker(5*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !so() {
		select {
		case <-deadline.C:
			t.Fatalf("it did not come to this: %s", what)
		case <-tick.C:
		}
	}
}

func newKey(t *testing.T) jwk.Key {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	key, err := jwk.Import(private)
	must(t, err)
	must(t, key.Set(jwk.KeyIDKey, "test"))
	must(t, key.Set(jwk.AlgorithmKey, jwa.EdDSA()))
	return key
}

func random(t *testing.T, size int) []byte {
	t.Helper()
	b := &bytes.Buffer{}
	_, err := io.CopyN(b, rand.Reader, int64(size))
	must(t, err)
	return b.Bytes()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
