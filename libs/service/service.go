// Package service is how every Kontor service starts, serves and stops: one
// place for configuration, TLS, telemetry, interceptors, health, background
// work and shutdown, so that a service's own start reads in one screen.
package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"buf.build/go/protovalidate"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"kontor.internal/libs/authn"
	"kontor.internal/libs/authz"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/events"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/idempotency"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/mtls"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/telemetry"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

// Spec says what a service is.
type Spec struct {
	// Name, as in its certificate and its subjects: `identity`.
	Name string
	// Config of every service.
	Config Config
	// Migrations are the service's own, goose files at the root; nil for a
	// service without tables of its own.
	Migrations fs.FS
	// Keys check access tokens; nil fetches them from identity. Identity gives
	// its own.
	Keys func(s *Service) authn.KeySource
	// Sessions says whether a session lives, while cut off from events; nil asks
	// identity. Identity gives its own.
	Sessions func(s *Service) func(ctx context.Context, session string) (bool, error)
	// Access resolves rights; nil asks tenancy. Tenancy gives its own.
	Access func(s *Service) authz.Resolver
}

// Service is a service under construction, then one that runs. Its exported
// fields are what the service's own parts are built from.
type Service struct {
	Name      string
	Log       *slog.Logger
	Clock     clock.Clock
	DB        *pgxpool.Pool
	NATS      *nats.Conn
	JetStream jetstream.JetStream
	Telemetry *telemetry.Telemetry
	Pages     *paging.Codec
	Texts     *failure.Texts

	cfg      Config
	peers    *peers
	grpc     *grpc.Server
	health   *health.Server
	listener net.Listener
	admin    net.Listener
	guard    *guard
	cache    *authz.Cache
	rules    authz.Rules
	periodic []jobs.Periodic
	tasks    []task
	closers  []closer
	ready    atomic.Bool
}

type task struct {
	name string
	run  func(ctx context.Context) error
}

type closer struct {
	name  string
	close func(ctx context.Context) error
}

// streamWorkers answer requests on stacks that have grown already; what comes while all are at work gets a goroutine of its
// own, as do streams beyond them.
const streamWorkers = 64

// New makes a service: telemetry, clock, certificates, listeners, database
// with its tables migrated, NATS. What it opened it closes again on failure.
// Register servers and background work on it, then Run it.
func New(ctx context.Context, spec Spec) (_ *Service, err error) {
	s := &Service{Name: spec.Name, cfg: spec.Config, Clock: clock.System{}, rules: authz.Rules{}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("service: start %s: %w", spec.Name, err), s.closeAll())
		}
	}()
	stop := giveRoom()
	s.OnClose("collector's room", func(context.Context) error { stop(); return nil })
	if spec.Config.TestClockFile != "" {
		s.Clock = clock.File(spec.Config.TestClockFile)
	}
	if s.Texts, err = failure.LoadTexts(); err != nil {
		return nil, err
	}
	if err := s.openTelemetry(ctx); err != nil {
		return nil, err
	}
	if err := s.openStores(ctx, spec); err != nil {
		return nil, err
	}
	if err := s.openServer(spec); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Service) openTelemetry(ctx context.Context) (err error) {
	s.Telemetry, err = telemetry.Start(ctx, telemetry.Config{
		Service: s.Name, OTLPEndpoint: s.cfg.OTLPEndpoint, OTLPInsecure: s.cfg.OTLPInsecure,
		LogLevel: s.cfg.LogLevel, LogFormat: s.cfg.LogFormat,
	})
	if err != nil {
		return err
	}
	s.Log = s.Telemetry.Logger()
	s.OnClose("telemetry", s.Telemetry.Shutdown)
	return nil
}

func (s *Service) openStores(ctx context.Context, spec Spec) (err error) {
	s.peers = &peers{
		base:  DialOptions{TLS: s.cfg.TLS(), Stats: s.Telemetry.GRPCClientHandler()},
		addrs: s.cfg.peers(), conns: map[string]*grpc.ClientConn{},
	}
	s.OnClose("peers", func(context.Context) error { return s.peers.close() })
	if s.Pages, err = paging.NewCodec([]byte(s.cfg.PageKey)); err != nil {
		return err
	}
	if spec.Migrations != nil {
		if s.DB, err = postgres.Open(ctx, s.cfg.Postgres, postgres.WithTracer(s.Telemetry.PGXTracer()), postgres.WithName(s.Name)); err != nil {
			return err
		}
		s.OnClose("database", func(context.Context) error { s.DB.Close(); return nil })
		if err := s.Telemetry.InstrumentPool(s.DB); err != nil {
			return err
		}
		if err := postgres.Migrate(ctx, s.DB, spec.Migrations); err != nil {
			return err
		}
	}
	tlsConfig, err := NATSConfig(s.cfg.NATS, s.cfg.TLS())
	if err != nil {
		return err
	}
	if s.NATS, s.JetStream, err = events.Connect(s.cfg.NATS, tlsConfig, s.Name, s.Log); err != nil {
		return err
	}
	s.OnClose("nats", func(context.Context) error { s.NATS.Close(); return nil })
	if s.DB != nil {
		relay, err := events.NewRelay(s.EventDeps())
		if err != nil {
			return err
		}
		s.Go("outbox relay", relay.Run)
		s.periodic = append(s.periodic, events.Periodic(s.DB)...)
		s.periodic = append(s.periodic, idempotency.Periodic(s.DB)...)
	}
	return nil
}

func (s *Service) openServer(spec Spec) (err error) {
	if s.listener, err = net.Listen("tcp", s.cfg.Listen); err != nil {
		return err
	}
	s.OnClose("listener", func(context.Context) error { return ignoreClosed(s.listener.Close()) })
	if s.cfg.AdminListen != "" {
		if s.admin, err = net.Listen("tcp", s.cfg.AdminListen); err != nil {
			return err
		}
		s.OnClose("admin listener", func(context.Context) error { return ignoreClosed(s.admin.Close()) })
	}
	if s.guard, err = s.newGuard(spec); err != nil {
		return err
	}
	options, err := serverOptions(s.guard.chain())
	if err != nil {
		return err
	}
	tlsConfig, err := mtls.ServerConfig(s.cfg.TLS())
	if err != nil {
		return err
	}
	s.grpc = grpc.NewServer(append(options,
		grpc.Creds(credentials.NewTLS(tlsConfig)),
		grpc.StatsHandler(s.Telemetry.GRPCServerHandler()),
		grpc.MaxRecvMsgSize(s.cfg.MaxMessageBytes),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
	)...)
	s.health = health.NewServer()
	s.health.SetServingStatus("", healthv1.HealthCheckResponse_NOT_SERVING)
	healthv1.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
	return nil
}

func (s *Service) newGuard(spec Spec) (*guard, error) {
	validator, err := protovalidate.New()
	if err != nil {
		return nil, err
	}
	keys := s.remoteKeys
	if spec.Keys != nil {
		keys = spec.Keys
	}
	sessions := s.remoteSessions
	if spec.Sessions != nil {
		sessions = spec.Sessions
	}
	resolve := s.remoteAccess
	if spec.Access != nil {
		resolve = spec.Access
	}
	s.cache = authz.NewCache(resolve(s), time.Now)
	g := &guard{
		log: s.Log, texts: s.Texts, deadline: s.cfg.Deadline, validator: validator, streams: newStreams(),
		verifier:    authn.NewVerifier(keys(s)),
		revocations: authn.NewRevocations(s.NATS.IsConnected, sessions(s)),
		authorizer:  authz.New(s.rules, s.cache),
	}
	g.revocations.OnRevoke(g.streams.sessionEnded)
	return g, nil
}

func (s *Service) remoteKeys(*Service) authn.KeySource {
	client := identityv1.NewKeyServiceClient(s.Peer("identity"))
	return authn.NewRemoteKeys(func(ctx context.Context) ([]byte, error) {
		answer, err := client.GetJwks(ctx, &identityv1.GetJwksRequest{})
		return answer.GetJwks(), err
	})
}

func (s *Service) remoteSessions(*Service) func(ctx context.Context, session string) (bool, error) {
	client := identityv1.NewDirectoryServiceClient(s.Peer("identity"))
	return func(ctx context.Context, session string) (bool, error) {
		answer, err := client.CheckSession(ctx, &identityv1.CheckSessionRequest{Session: session})
		return answer.GetActive(), err
	}
}

func (s *Service) remoteAccess(*Service) authz.Resolver {
	return authz.Remote(tenancyv1.NewAccessServiceClient(s.Peer("tenancy")))
}

// GRPC is where servers are registered.
func (s *Service) GRPC() grpc.ServiceRegistrar { return s.grpc }

// Peer is the connection to another service, balanced over its copies. It is
// opened when first used and waits for the service to be there, within the
// deadline of each call.
func (s *Service) Peer(name string) grpc.ClientConnInterface { return s.peers.get(name) }

// Authorizer asks for more than a method's rule can say.
func (s *Service) Authorizer() *authz.Authorizer { return s.guard.authorizer }

// Addr is where gRPC listens.
func (s *Service) Addr() string { return s.listener.Addr().String() }

// EventDeps is what publishing and consuming need.
func (s *Service) EventDeps() events.Deps {
	return events.Deps{
		Pool: s.DB, JetStream: s.JetStream, Log: s.Log, Stream: s.cfg.NATS, Service: s.Name,
		Meter: s.Telemetry.Meter("kontor/events"), Tracer: s.Telemetry.Tracer("kontor/events"),
	}
}

// Go adds work that lives as long as the service. An error from it stops the
// service; it must return when its context ends.
func (s *Service) Go(name string, run func(ctx context.Context) error) {
	s.tasks = append(s.tasks, task{name, run})
}

// OnClose adds what is closed after the service stopped, last added first.
func (s *Service) OnClose(name string, closeIt func(ctx context.Context) error) {
	s.closers = append(s.closers, closer{name, closeIt})
}

// Consume follows events for as long as the service lives.
func (s *Service) Consume(c events.Consumer) {
	s.Go("consumer "+c.Name, func(ctx context.Context) error { return events.Consume(ctx, s.EventDeps(), c) })
}

// Periodic are the timers that every service with a database has: pass them on
// to its jobs.
func (s *Service) Periodic() []jobs.Periodic { return s.periodic }
