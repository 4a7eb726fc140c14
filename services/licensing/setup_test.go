package licensing_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/config"
	"kontor.internal/libs/events"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/servers/servertest"
	"kontor.internal/libs/service"
	"kontor.internal/libs/service/servicetest"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/licensing"
	"kontor.internal/services/licensing/migrations"
)

// bundle is licensing running alone, with the double of tenancy.
type bundle struct {
	*servicetest.Suite
	t       *testing.T
	tenancy *tenancy
	objects string // the object store's folder
	rights  licensingv1.RightServiceClient
}

// tenancy is the double of tenancy's directory.
type tenancy struct {
	tenancyv1.UnimplementedDirectoryServiceServer
	mu          sync.Mutex
	subscribers map[string]*tenancyv1.Subscriber
}

func (d *tenancy) LookupSubscriber(_ context.Context, r *tenancyv1.LookupSubscriberRequest) (*tenancyv1.LookupSubscriberResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if found, ok := d.subscribers[r.GetName()]; ok {
		return &tenancyv1.LookupSubscriberResponse{Subscriber: proto.CloneOf(found)}, nil
	}
	return nil, failure.NotFound(r.GetName())
}

func (d *tenancy) change(name string, how func(*tenancyv1.Subscriber)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	how(d.subscribers[name])
}

// settings fills in what licensing needs beyond every service's.
func settings(t testing.TB, common service.Config, objects string, more ...string) licensing.Config {
	t.Helper()
	var cfg licensing.Config
	environ := append([]string{
		"KONTOR_KEY_ENCRYPTION_KEY=" + strings.Repeat("k", 32), "KONTOR_BLOB_URL=file://" + objects, "KONTOR_TERM_CHECK_INTERVAL=100ms",
		"KONTOR_REDIS_URL=redis://" + servertest.Redis(t),
		"KONTOR_CA_FILE=x", "KONTOR_CERT_FILE=x", "KONTOR_KEY_FILE=x", "KONTOR_POSTGRES_DSN=x", "KONTOR_NATS_URL=x",
	}, more...)
	require.NoError(t, config.Load(&cfg, config.Options{Environ: environ}))
	cfg.Config = common
	return cfg
}

func setup(t *testing.T, more ...string) *bundle {
	t.Helper()
	d := &tenancy{subscribers: map[string]*tenancyv1.Subscriber{}}
	objects := t.TempDir()
	suite := servicetest.Start(t, servicetest.Options{
		Name: "licensing", Migrations: migrations.FS,
		Build: func(ctx context.Context, common service.Config) (*service.Service, error) {
			return licensing.New(ctx, settings(t, common, objects, more...))
		},
		Doubles: map[string]func(grpc.ServiceRegistrar){
			"tenancy": func(r grpc.ServiceRegistrar) { tenancyv1.RegisterDirectoryServiceServer(r, d) },
		},
	})
	return &bundle{
		Suite: suite, t: t, tenancy: d, objects: objects, rights: licensingv1.NewRightServiceClient(suite.AsService("tenancy")),
	}
}

// customer is a subscriber whose owner calls.
type customer struct {
	*bundle
	name      string
	owner     string
	contracts licensingv1.ContractServiceClient
	licences  licensingv1.LicenceServiceClient
	explain   licensingv1.EntitlementServiceClient
}

// customer makes up a subscriber that is complete, with its owner.
func (b *bundle) customer(country string) *customer {
	b.t.Helper()
	c := &customer{bundle: b, name: "subscribers/" + id.NewString(), owner: b.NewAccount(id.NewString() + "@testapiemers.lv")}
	b.tenancy.mu.Lock()
	b.tenancy.subscribers[c.name] = &tenancyv1.Subscriber{
		Name: c.name, Code: "CL-0000042", Title: "SIA Ķēžu ģērbtuve", LegalForm: tenancyv1.LegalForm_LEGAL_FORM_LEGAL_ENTITY,
		Country: country, Language: "lv", Owner: c.owner,
	}
	b.tenancy.mu.Unlock()
	b.Access.Grant(c.owner, c.name, authv1.Permission_PERMISSION_LICENCES_READ, authv1.Permission_PERMISSION_LICENCES_MANAGE)
	c.contracts = licensingv1.NewContractServiceClient(b.As(c.owner))
	c.licences = licensingv1.NewLicenceServiceClient(b.As(c.owner))
	c.explain = licensingv1.NewEntitlementServiceClient(b.As(c.owner))
	return c
}

// staff calls as one of the vendor's staff.
func (b *bundle) staff() licensingv1.LicenceServiceClient {
	b.t.Helper()
	account := b.NewAccount(id.NewString() + "@kontor.lv")
	b.Access.Staff(account)
	return licensingv1.NewLicenceServiceClient(b.As(account))
}

// contract makes a contract for a plan.
func (c *customer) contract(plan string) *licensingv1.Contract {
	c.t.Helper()
	answer, err := c.contracts.CreateContract(c.t.Context(), &licensingv1.CreateContractRequest{
		Parent: c.name, Plan: "plans/" + plan, RequestId: id.NewString(),
	})
	require.NoError(c.t, err)
	return answer.GetContract()
}

// accept accepts a contract as it was read.
func (c *customer) accept(k *licensingv1.Contract) *licensingv1.Contract {
	c.t.Helper()
	answer, err := c.contracts.AcceptContract(c.t.Context(), &licensingv1.AcceptContractRequest{
		Name: k.GetName(), DocumentSha256: k.GetDocumentSha256(), RequestId: id.NewString(),
	})
	require.NoError(c.t, err)
	return answer.GetContract()
}

// trial is a customer whose trial has begun.
func (b *bundle) trial(country string) (*customer, *licensingv1.Licence) {
	b.t.Helper()
	c := b.customer(country)
	return c, c.licence(c.accept(c.contract("books-trial")).GetLicence())
}

func (c *customer) licence(name string) *licensingv1.Licence {
	c.t.Helper()
	answer, err := c.licences.GetLicence(c.t.Context(), &licensingv1.GetLicenceRequest{Name: name})
	require.NoError(c.t, err)
	return answer.GetLicence()
}

// decide asks as tenancy does.
func (c *customer) decide(action licensingv1.Action, product string, count int32) *licensingv1.Decision {
	c.t.Helper()
	answer, err := c.rights.DecideRight(c.t.Context(), &licensingv1.DecideRightRequest{
		Subscriber: c.name, Action: action, Product: product, CountAfter: count,
	})
	require.NoError(c.t, err)
	return answer.GetDecision()
}

// want waits for the next event of a subscriber and reads it.
func want[M proto.Message](t *testing.T, from <-chan events.Received, into M) M {
	t.Helper()
	e := servicetest.Next(t, from)
	require.Truef(t, e.Is(into), "%s came, not %s", e.Message, into.ProtoReflect().Descriptor().FullName())
	require.NoError(t, e.Decode(into))
	return into
}

// changed is the next thing of a kind that happened to a seat.
func changed(t *testing.T, from <-chan events.Received, kind licensingv1.SeatChangeKind) *licensingv1.SeatChange {
	t.Helper()
	for {
		for _, c := range want(t, from, &licensingv1.SeatsChanged{}).GetChanges() {
			if c.GetKind() == kind {
				return c
			}
		}
	}
}

const day = 24 * time.Hour
