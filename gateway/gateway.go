// Package gateway is the only door of Kontor: REST and JSON over HTTPS, native
// gRPC, sign-in cookies, rate limits, uploads and downloads that resume.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"kontor.internal/gateway/internal/door"
	"kontor.internal/gateway/internal/native"
	"kontor.internal/gateway/internal/rest"
	"kontor.internal/libs/authn"
	"kontor.internal/libs/events"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/mtls"
	"kontor.internal/libs/service"
	"kontor.internal/libs/telemetry"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	"kontor.internal/proto/gen/go/openapi"
)

// patience is how long a visitor may send or take nothing in the middle of a
// body before the connection is given to somebody else.
const patience = time.Minute

// Gateway is the door, open while Run runs.
type Gateway struct {
	cfg       Config
	log       *slog.Logger
	telemetry *telemetry.Telemetry
	door      *door.Door
	jetStream jetstream.JetStream

	http, native, admin net.Listener
	handler             http.Handler
	grpc                *grpc.Server
	followed            chan struct{}
	closers             []func(ctx context.Context) error
}

// New opens the listeners and the connections to the services; it answers
// nobody yet. What it opened it closes again on failure.
func New(ctx context.Context, cfg Config) (_ *Gateway, err error) {
	g := &Gateway{cfg: cfg, followed: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("gateway: start: %w", err), g.close())
		}
	}()
	g.telemetry, err = telemetry.Start(ctx, telemetry.Config{
		Service: "gateway", OTLPEndpoint: cfg.OTLPEndpoint, OTLPInsecure: cfg.OTLPInsecure,
		LogLevel: cfg.LogLevel, LogFormat: cfg.LogFormat,
	})
	if err != nil {
		return nil, err
	}
	g.log = g.telemetry.Logger()
	g.onClose(g.telemetry.Shutdown)
	proxies, err := door.ParseProxies(cfg.TrustedProxies)
	if err != nil {
		return nil, err
	}
	if err := g.makeDoor(); err != nil {
		return nil, err
	}
	server := &rest.Server{
		Door: g.door, Proxies: proxies, OpenAPI: openapi.JSON,
		BodyPatience: cfg.Deadline, Patience: patience,
	}
	if g.handler, err = server.Handler(ctx); err != nil {
		return nil, err
	}
	if err := g.makeNative(&native.Proxy{Door: g.door, Proxies: proxies}); err != nil {
		return nil, err
	}
	return g, g.listen(ctx)
}

// makeDoor connects to the services, to the events that end sessions, and to
// the counters of requests.
func (g *Gateway) makeDoor() error {
	methods, err := door.LoadMethods()
	if err != nil {
		return err
	}
	texts, err := failure.LoadTexts()
	if err != nil {
		return err
	}
	backends := map[string]grpc.ClientConnInterface{}
	for name, addrs := range g.cfg.backends() {
		if len(addrs) == 0 {
			continue // Its methods answer UNAVAILABLE.
		}
		conn, err := service.Dial(service.DialOptions{
			Name: name, Addrs: addrs, TLS: g.cfg.tls(), Stats: g.telemetry.GRPCClientHandler(),
		})
		if err != nil {
			return err
		}
		g.onClose(func(context.Context) error { return conn.Close() })
		backends[name] = conn
	}
	if backends["identity"] == nil {
		return errors.New("identity_addrs is empty: nobody could sign in")
	}
	natsTLS, err := g.cfg.natsTLS()
	if err != nil {
		return err
	}
	bus, js, err := events.Connect(g.cfg.NATS, natsTLS, "gateway", g.log)
	if err != nil {
		return err
	}
	g.onClose(func(context.Context) error { bus.Close(); return nil })
	g.jetStream = js
	limiter, err := g.limiter()
	if err != nil {
		return err
	}
	keys := identityv1.NewKeyServiceClient(backends["identity"])
	directory := identityv1.NewDirectoryServiceClient(backends["identity"])
	g.door = &door.Door{
		Methods: methods, Backends: backends, Limiter: limiter, Deadline: g.cfg.Deadline,
		MaxMessageBytes: int64(g.cfg.MaxMessageBytes), Texts: texts, Log: g.log,
		Verifier: authn.NewVerifier(authn.NewRemoteKeys(func(ctx context.Context) ([]byte, error) {
			answer, err := keys.GetJwks(ctx, &identityv1.GetJwksRequest{})
			return answer.GetJwks(), err
		})),
		Revocations: authn.NewRevocations(bus.IsConnected, func(ctx context.Context, session string) (bool, error) {
			answer, err := directory.CheckSession(ctx, &identityv1.CheckSessionRequest{Session: session})
			return answer.GetActive(), err
		}),
	}
	return nil
}

func (g *Gateway) limiter() (*door.Limiter, error) {
	limits := door.Limits{
		SensitivePerMinute: g.cfg.SensitivePerMinute, PublicPerSecond: g.cfg.PublicPerSecond, AccountPerSecond: g.cfg.AccountPerSecond,
	}
	if g.cfg.RedisURL == "" {
		return door.NewLimiter(limits, nil), nil
	}
	options, err := redis.ParseURL(g.cfg.RedisURL)
	if err != nil {
		return nil, errors.New("redis_url can't be read") // The error would quote the password.
	}
	client := redis.NewClient(options)
	g.onClose(func(context.Context) error { return client.Close() })
	if err := g.telemetry.InstrumentRedis(client); err != nil {
		return nil, err
	}
	return door.NewLimiter(limits, redis_rate.NewLimiter(client)), nil
}

func (g *Gateway) makeNative(proxy *native.Proxy) error {
	tlsConfig, err := mtls.PublicConfig(g.cfg.PublicCertFile, g.cfg.PublicKeyFile)
	if err != nil {
		return err
	}
	const maxStreams = 1000 // A connection's streams; one program needs a handful.
	g.grpc = grpc.NewServer(append(proxy.Options(),
		grpc.Creds(credentials.NewTLS(tlsConfig)),
		grpc.StatsHandler(g.telemetry.GRPCServerHandler()),
		// gRPC answers what is above its limit in words of its own, so its limit
		// lies above ours, and the proxy refuses what is in between.
		grpc.MaxRecvMsgSize(4*g.cfg.MaxMessageBytes),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(32<<10),
		grpc.ConnectionTimeout(10*time.Second),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
	)...)
	return nil
}

func (g *Gateway) listen(ctx context.Context) (err error) {
	for _, l := range []struct {
		into    *net.Listener
		address string
		limit   int
	}{{&g.http, g.cfg.HTTPListen, g.cfg.MaxConnections}, {&g.native, g.cfg.GRPCListen, g.cfg.MaxConnections}, {&g.admin, g.cfg.AdminListen, 0}} {
		if l.address == "" {
			continue
		}
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.address)
		if err != nil {
			return err
		}
		if l.limit > 0 {
			listener = netutil.LimitListener(listener, l.limit)
		}
		*l.into = listener
		g.onClose(func(context.Context) error {
			if err := listener.Close(); !errors.Is(err, net.ErrClosed) {
				return err
			}
			return nil
		})
	}
	return nil
}

// HTTPAddr is where HTTPS listens.
func (g *Gateway) HTTPAddr() string { return g.http.Addr().String() }

// GRPCAddr is where native gRPC listens.
func (g *Gateway) GRPCAddr() string { return g.native.Addr().String() }

func (g *Gateway) onClose(closeIt func(ctx context.Context) error) {
	g.closers = append(g.closers, closeIt)
}

func (g *Gateway) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var failed []error
	for i := len(g.closers) - 1; i >= 0; i-- {
		failed = append(failed, g.closers[i](ctx))
	}
	g.closers = nil
	return errors.Join(failed...)
}

// Run answers until ctx ends, then lets requests under way finish, within the
// drain time-out.
func (g *Gateway) Run(ctx context.Context) error {
	work, workCtx := errgroup.WithContext(ctx)
	work.Go(func() error { return g.followSessions(workCtx) })
	work.Go(func() error { return g.serveHTTP(workCtx) })
	work.Go(func() error { return g.serveNative(workCtx) })
	if g.admin != nil {
		work.Go(func() error { return g.serveAdmin(workCtx) })
	}
	g.log.InfoContext(ctx, "listening", "http", g.HTTPAddr(), "grpc", g.GRPCAddr())
	return errors.Join(work.Wait(), g.close())
}

// followSessions learns of sessions that end.
func (g *Gateway) followSessions(ctx context.Context) error {
	deps := events.Deps{Service: "gateway", JetStream: g.jetStream, Log: g.log, Stream: g.cfg.NATS}
	return events.Watch(ctx, deps, events.Watcher{
		Filters: []string{"kontor.identity.session.revoked"},
		Since:   authn.Replay,
		Ready:   func() { close(g.followed) },
		Handle: func(ctx context.Context, e events.Received) {
			var revoked identityv1.SessionRevoked
			if !e.Is(&revoked) {
				return
			}
			if err := e.Decode(&revoked); err != nil {
				g.log.ErrorContext(ctx, "event can't be read", "event", e.Envelope.GetId(), "err", err)
				return
			}
			g.door.Revocations.Ended(revoked.GetSession())
		},
	})
}

func (g *Gateway) serveHTTP(ctx context.Context) error {
	tlsConfig, err := mtls.PublicConfig(g.cfg.PublicCertFile, g.cfg.PublicKeyFile)
	if err != nil {
		return err
	}
	tlsConfig.NextProtos = []string{"h2", "http/1.1"}
	server := &http.Server{
		Handler: g.telemetry.HTTPMiddleware("gateway", true)(g.handler), TLSConfig: tlsConfig,
		// Slow senders of headers are cut off here. Bodies may be long uploads and
		// answers long streams: the handler bounds those by what moves.
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 250, SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.cfg.DrainTimeout)
		defer cancel()
		if server.Shutdown(drain) != nil {
			_ = server.Close() // What did not finish in time is cut.
		}
	}()
	err = server.ServeTLS(g.http, "", "")
	<-stopped
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (g *Gateway) serveNative(ctx context.Context) error {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		service.StopGracefully(g.grpc, g.cfg.DrainTimeout)
	}()
	err := g.grpc.Serve(g.native)
	<-stopped
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}

func (g *Gateway) serveAdmin(ctx context.Context) error {
	return service.ServeAdmin(ctx, g.admin, g.telemetry.MetricsHandler(), func() bool {
		select {
		case <-g.followed:
			return true
		default:
			return false
		}
	}, g.log)
}
