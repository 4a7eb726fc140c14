package exchange_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"kontor.internal/libs/config"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/servers/servertest"
	"kontor.internal/libs/service"
	"kontor.internal/libs/service/servicetest"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/exchange"
	"kontor.internal/services/exchange/migrations"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, servertest.IgnoreShared()) }

// house is exchange running alone, with doubles of what it asks.
type house struct {
	*servicetest.Suite
	t         *testing.T
	companies *companies
	paid      *rights
}

// companies is the double of tenancy's directory.
type companies struct {
	tenancyv1.UnimplementedDirectoryServiceServer
	mu    sync.Mutex
	known map[string]*tenancyv1.Company
}

func (d *companies) LookupCompany(_ context.Context, r *tenancyv1.LookupCompanyRequest) (*tenancyv1.LookupCompanyResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c, ok := d.known[r.GetName()]; ok {
		return &tenancyv1.LookupCompanyResponse{Company: c}, nil
	}
	return nil, failure.NotFound(r.GetName())
}

// rights is the double of licensing's answer.
type rights struct {
	licensingv1.UnimplementedRightServiceServer
	mu      sync.Mutex
	refused bool
}

func (d *rights) refuse(refused bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refused = refused
}

func (d *rights) DecideRight(context.Context, *licensingv1.DecideRightRequest) (*licensingv1.DecideRightResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &licensingv1.DecideRightResponse{Decision: &licensingv1.Decision{Allowed: !d.refused, Conditions: []*licensingv1.Condition{
		{Key: "plan_includes", Met: !d.refused, Text: "The plan has no exchange.", Remedy: "add_on_document_exchange"},
	}}}, nil
}

func setup(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, companies: &companies{known: map[string]*tenancyv1.Company{}}, paid: &rights{}}
	h.Suite = servicetest.Start(t, servicetest.Options{
		Name: "exchange", Migrations: migrations.FS,
		Build: func(ctx context.Context, common service.Config) (*service.Service, error) {
			var cfg exchange.Config
			err := config.Load(&cfg, config.Options{Environ: []string{
				"KONTOR_BLOB_URL=file://" + t.TempDir(), "KONTOR_KEY_ENCRYPTION_KEY=" + strings.Repeat("k", 32),
				"KONTOR_CA_FILE=x", "KONTOR_CERT_FILE=x", "KONTOR_KEY_FILE=x", "KONTOR_POSTGRES_DSN=x", "KONTOR_NATS_URL=x",
				"KONTOR_PAGE_KEY=" + strings.Repeat("p", 32),
			}})
			if err != nil {
				return nil, err
			}
			cfg.Config = common
			return exchange.New(ctx, cfg)
		},
		Doubles: map[string]func(grpc.ServiceRegistrar){
			"tenancy":   func(r grpc.ServiceRegistrar) { tenancyv1.RegisterDirectoryServiceServer(r, h.companies) },
			"licensing": func(r grpc.ServiceRegistrar) { licensingv1.RegisterRightServiceServer(r, h.paid) },
		},
	})
	return h
}

// company makes up a company of a subscriber.
func (h *house) company(subscriber, taxNumber string) string {
	h.companies.mu.Lock()
	defer h.companies.mu.Unlock()
	name := subscriber + "/companies/" + uuid.NewString()
	h.companies.known[name] = &tenancyv1.Company{Name: name, Title: "Liepa SIA", TaxNumber: taxNumber}
	return name
}

// manager is somebody who manages connections of a subscriber.
func (h *house) manager() (account, subscriber string) {
	account, subscriber = h.NewAccount(uuid.NewString()+"@liepa.example"), "subscribers/"+uuid.NewString()
	h.Access.Grant(account, subscriber, authv1.Permission_PERMISSION_CONNECTIONS_MANAGE, authv1.Permission_PERMISSION_CONNECTIONS_READ)
	return account, subscriber
}

func (h *house) connections(account string) exchangev1.ConnectionServiceClient {
	return exchangev1.NewConnectionServiceClient(h.As(account))
}

func (h *house) documents(account string) exchangev1.DocumentServiceClient {
	return exchangev1.NewDocumentServiceClient(h.As(account))
}

const taxNumber = "LV40003000123"

// wanted is a connection within one subscriber.
func (h *house) wanted(subscriber string) *exchangev1.CreateConnectionRequest {
	return &exchangev1.CreateConnectionRequest{
		Parent: subscriber, SenderCompany: h.company(subscriber, taxNumber), ReceiverCompany: h.company(subscriber, taxNumber),
		SenderProgram: exchangev1.Program_PROGRAM_START_FAKTURA, ReceiverProgram: exchangev1.Program_PROGRAM_FINANSE_I_KSIEGOWOSC,
		SenderEmail: uuid.NewString() + "@liepa.example", ReceiverEmail: uuid.NewString() + "@office.example", RequestId: uuid.NewString(),
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// connect makes a connection that is active.
func (h *house) connect() (manager string, c *exchangev1.Connection) {
	h.t.Helper()
	manager, subscriber := h.manager()
	answer, err := h.connections(manager).CreateConnection(h.t.Context(), h.wanted(subscriber))
	must(h.t, err)
	return manager, answer.GetConnection()
}

// invoice is one that the client library wrote, with another number.
func invoice(t testing.TB, number string) []byte {
	t.Helper()
	content, err := os.ReadFile("internal/ubl/testdata/written-invoice.xml")
	must(t, err)
	return bytes.Replace(content, []byte("B-7 &lt;7&gt;"), []byte(number), 1)
}

func sum(content []byte) string {
	h := sha256.Sum256(content)
	return hex.EncodeToString(h[:])
}

func message(connection, id string, content []byte) *exchangev1.SendDocumentRequest {
	return &exchangev1.SendDocumentRequest{
		Parent: connection, MessageId: id, Type: exchangev1.DocumentType_DOCUMENT_TYPE_INVOICE, Filename: id + ".xml", Content: content,
	}
}
