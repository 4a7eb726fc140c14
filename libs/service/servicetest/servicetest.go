// Package servicetest runs a service in a test as it runs in production: on
// its own migrated PostgreSQL database, on NATS, behind mutual TLS and every
// interceptor. Only what other services would answer is doubled: who may do
// what, which accounts there are, and whatever a test adds.
package servicetest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"google.golang.org/grpc"

	"kontor.internal/libs/authn"
	"kontor.internal/libs/caller"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/config"
	"kontor.internal/libs/events"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/mtls"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/postgres/pgtest"
	"kontor.internal/libs/servers/servertest"
	"kontor.internal/libs/service"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
)

// patience bounds every wait in a test.
const patience = 20 * time.Second

// Options say what is tested.
type Options struct {
	// Name of the service.
	Name string
	// Migrations of the service.
	Migrations fs.FS
	// Build makes the service from the settings that every service has.
	Build func(ctx context.Context, cfg service.Config) (*service.Service, error)
	// Doubles answer for other services, by name. The suite's own answer for
	// identity's KeyService and DirectoryService and tenancy's AccessService;
	// what is registered here comes on top.
	Doubles map[string]func(grpc.ServiceRegistrar)
	// Links answers identity's GetAccountLink; nil for none.
	Links func(name string) (*identityv1.GetAccountLinkResponse, error)
}

// Suite is a running service and the way to call it.
type Suite struct {
	// DB is the service's database.
	DB *pgxpool.Pool
	// Access is the table of rights.
	Access *Access
	// Accounts is the table of accounts.
	Accounts *Accounts
	// Address of the service.
	Address string
	// Service is the one under test.
	Service *service.Service
	// Config is what it was built from.
	Config service.Config

	t         testing.TB
	name      string
	authority *mtls.Authority
	clockFile string
	key       jwk.Key
	deps      events.Deps
	conns     map[string]*grpc.ClientConn
}

// Start runs a service until the test ends.
func Start(t testing.TB, o Options) *Suite {
	t.Helper()
	s := &Suite{
		t: t, name: o.Name, clockFile: filepath.Join(t.TempDir(), "clock"),
		Access: newAccess(), Accounts: newAccounts(o.Links), conns: map[string]*grpc.ClientConn{},
	}
	var err error
	s.authority, err = mtls.OpenAuthority(mtls.AuthorityConfig{Dir: t.TempDir()})
	must(t, err)
	s.key = newKey(t)

	cfg := s.config(o)
	s.Config = cfg
	s.Service, err = o.Build(t.Context(), cfg)
	must(t, err)
	s.Address, s.DB, s.deps = s.Service.Addr(), s.Service.DB, s.Service.EventDeps()
	s.run(s.Service)
	s.waitReady()
	return s
}

// config fills in what deployment would.
func (s *Suite) config(o Options) service.Config {
	var cfg service.Config
	files, err := s.authority.Issue(o.Name)
	must(s.t, err)
	environ := []string{
		"KONTOR_CA_FILE=" + files.CA, "KONTOR_CERT_FILE=" + files.Cert, "KONTOR_KEY_FILE=" + files.Key,
		"KONTOR_POSTGRES_DSN=" + pgtest.NewDSN(s.t, o.Migrations),
		"KONTOR_NATS_URL=" + servertest.NATS(s.t),
		"KONTOR_PAGE_KEY=0123456789abcdef0123456789abcdef",
		"KONTOR_LOG_LEVEL=warn", "KONTOR_LOG_FORMAT=text", "KONTOR_DRAIN_TIMEOUT=2s",
		"KONTOR_TEST_CLOCK_FILE=" + s.clockFile,
	}
	must(s.t, config.Load(&cfg, config.Options{Environ: environ}))
	for name, into := range map[string]*[]string{
		"identity": &cfg.IdentityAddrs, "tenancy": &cfg.TenancyAddrs, "licensing": &cfg.LicensingAddrs,
		"exchange": &cfg.ExchangeAddrs, "backup": &cfg.BackupAddrs, "notification": &cfg.NotificationAddrs,
	} {
		if name != o.Name {
			*into = []string{s.double(name, o.Doubles[name])}
		}
	}
	return cfg
}

// run serves until the test ends and fails it when the service fails.
func (s *Suite) run(svc *service.Service) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- svc.Run(ctx) }()
	s.t.Cleanup(func() {
		for _, conn := range s.conns {
			_ = conn.Close()
		}
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("%s stopped with %v", s.name, err)
		}
	})
}

// As calls the service as an account would, through the gateway.
func (s *Suite) As(account string) grpc.ClientConnInterface {
	return s.With(caller.Caller{Account: account, Kind: caller.KindPerson, Session: account + "/sessions/" + uuid.NewString()})
}

// Visitor calls the service without signing in, through the gateway.
func (s *Suite) Visitor() grpc.ClientConnInterface { return s.With(caller.Caller{}) }

// With calls the service through the gateway as a caller of the test's making.
// A caller with an account gets a token for it.
func (s *Suite) With(who caller.Caller) grpc.ClientConnInterface {
	if who.Account != "" && who.Token == "" {
		who.Token = s.Token(who)
	}
	if who.Address == "" {
		who.Address = "192.0.2.7"
	}
	return signed{who: who, next: s.conn("gateway")}
}

// AsService calls the service as another service would, for itself.
func (s *Suite) AsService(name string) grpc.ClientConnInterface {
	return signed{next: s.conn(name)}
}

// Token signs an access token for a caller.
func (s *Suite) Token(who caller.Caller) string {
	s.t.Helper()
	token, err := authn.SignAccess(s.key, authn.Claims{
		Account: who.Account, Session: who.Session, Company: who.Company, Kind: who.Kind,
		Expires: time.Now().Add(authn.Lifetime),
	}, time.Now())
	must(s.t, err)
	return token
}

// NewAccount makes up an account that identity knows, `accounts/…`.
func (s *Suite) NewAccount(email string) string { return s.Accounts.add(email).GetName() }

// Advance moves business dates.
func (s *Suite) Advance(d time.Duration) {
	s.t.Helper()
	now, err := clock.File(s.clockFile).Offset()
	must(s.t, err)
	must(s.t, clock.SetOffset(s.clockFile, now+d))
}

// Publish sends an event as another service would, through the outbox of the
// service under test.
func (s *Suite) Publish(e events.Event) {
	s.t.Helper()
	must(s.t, postgres.InTx(s.t.Context(), s.DB, func(tx pgx.Tx) error { return events.Append(s.t.Context(), tx, e) }))
}

// Events follows what is published from now on under some subjects.
func (s *Suite) Events(filters ...string) <-chan events.Received {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	received := make(chan events.Received, 1000)
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		err := events.Watch(ctx, s.deps, events.Watcher{
			Filters: filters,
			Ready:   func() { close(ready) },
			Handle:  func(_ context.Context, e events.Received) { received <- e },
		})
		if err != nil {
			s.t.Errorf("watch %v: %v", filters, err)
		}
	}()
	s.t.Cleanup(func() { cancel(); <-done })
	select {
	case <-ready:
	case <-time.After(patience):
		s.t.Fatalf("watch %v: not ready", filters)
	}
	return received
}

// Next waits for the next event.
func Next(t testing.TB, from <-chan events.Received) events.Received {
	t.Helper()
	select {
	case e := <-from:
		return e
	case <-time.After(patience):
		t.Fatal("no event came")
		return events.Received{}
	}
}

// WantReason fails the test unless an error has a reason.
func WantReason(t testing.TB, err error, want commonv1.Reason) {
	t.Helper()
	if got := failure.Reason(err); got != want {
		t.Fatalf("got %v (%v), want %v", got, err, want)
	}
}

// Eventually waits until something is so.
func Eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-deadline.C:
			t.Fatalf("it did not come to this: %s", what)
		case <-tick.C:
		}
	}
}

func newKey(t testing.TB) jwk.Key {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	key, err := jwk.Import(private)
	must(t, err)
	must(t, key.Set(jwk.KeyIDKey, "test"))
	must(t, key.Set(jwk.AlgorithmKey, jwa.EdDSA()))
	return key
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
