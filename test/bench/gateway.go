package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/mtls"
	"kontor.internal/libs/service"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	"kontor.internal/test/harness"
)

const (
	// workers ask at once.
	workers = 8
	// accounts share the requests, so that no account meets its limit.
	accounts = 48
	// lasting is how long each kind of request is driven.
	lasting = 4 * time.Second
)

// Gateway compares a one-row read in identity by REST and by gRPC through the
// gateway with the same read by gRPC at identity itself, all in one run.
func Gateway(ctx context.Context, suite *harness.Suite, out io.Writer) error {
	people := make([]*harness.Person, accounts)
	for i := range people {
		p, err := suite.SignUp(ctx, fmt.Sprintf("Reader %d", i))
		if err != nil {
			return err
		}
		people[i] = p
	}
	direct, err := readDirectly(ctx, suite, people)
	if err != nil {
		return err
	}
	native, err := readNatively(ctx, people)
	if err != nil {
		return err
	}
	rest, err := drive(ctx, workers, 0, lasting, func(ctx context.Context, worker, n int) error {
		return people[(worker+n*workers)%accounts].Get(ctx, "/v1/accounts/me", nil)
	})
	if err != nil {
		return err
	}
	Figure{Name: "direct_grpc_read", Value: direct.perSecond, Unit: "req/s", P50: direct.p50, P99: direct.p99}.Print(out)
	Figure{
		Name: "gateway_grpc_read", Value: native.perSecond, Unit: "req/s", P50: native.p50, P99: native.p99,
		Ratio: native.perSecond / direct.perSecond, Of: "direct_grpc_read",
	}.Print(out)
	Figure{
		Name: "gateway_rest_read", Value: rest.perSecond, Unit: "req/s", P50: rest.p50, P99: rest.p99,
		Ratio: rest.perSecond / direct.perSecond, Of: "direct_grpc_read", Goal: "ratio>=0.25",
	}.Print(out)
	return nil
}

// me is the read: the caller's own account.
func me() *identityv1.GetAccountRequest { return &identityv1.GetAccountRequest{Name: "accounts/me"} }

// readDirectly reads at identity as the gateway would.
func readDirectly(ctx context.Context, suite *harness.Suite, people []*harness.Person) (l load, err error) {
	folder := filepath.Join(suite.State().Data, "tls", "gateway")
	conn, err := service.Dial(service.DialOptions{
		Name: "identity", Addrs: suite.State().Services["identity"],
		TLS: mtls.Files{CA: suite.State().CA, Cert: filepath.Join(folder, "tls.crt"), Key: filepath.Join(folder, "tls.key")},
	})
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	client := identityv1.NewAccountServiceClient(conn)
	return drive(ctx, workers, 0, lasting, func(ctx context.Context, worker, n int) error {
		who := caller.Caller{Token: people[(worker+n*workers)%accounts].Token, Address: "127.0.0.1"}
		_, err := client.GetAccount(caller.With(ctx, who), me())
		return err
	})
}

// readNatively reads by gRPC through the gateway, a connection an account.
func readNatively(ctx context.Context, people []*harness.Person) (l load, err error) {
	clients := make([]identityv1.AccountServiceClient, len(people))
	for i, p := range people {
		conn, err := p.GRPC()
		if err != nil {
			return l, err
		}
		defer func() { _ = conn.Close() }() // Only reads went over it.
		clients[i] = identityv1.NewAccountServiceClient(conn)
	}
	return drive(ctx, workers, 0, lasting, func(ctx context.Context, worker, n int) error {
		_, err := clients[(worker+n*workers)%accounts].GetAccount(ctx, me())
		return err
	})
}

// SignIn measures signing in, which is bound by hashing passwords on purpose.
func SignIn(ctx context.Context, suite *harness.Suite, out io.Writer) error {
	const tries = 40 // A minute's limit for one address is not to be met.
	p, err := suite.SignUp(ctx, "Signs In")
	if err != nil {
		return err
	}
	l, err := drive(ctx, 1, tries, 2*time.Second, func(ctx context.Context, _, _ int) error {
		return p.SignIn(ctx, harness.Password)
	})
	if err != nil {
		return err
	}
	Figure{Name: "sign_in_latency", Value: millis(l.p50), Unit: "ms", P50: l.p50, P99: l.p99}.Print(out)
	return nil
}
