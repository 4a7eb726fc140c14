package identity_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/config"
	"kontor.internal/libs/events"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/service"
	"kontor.internal/libs/service/servicetest"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/identity"
	"kontor.internal/services/identity/migrations"
)

const goodPassword = "Rudens-2026"

// bundle is identity running alone, with the doubles of its neighbours.
type bundle struct {
	*servicetest.Suite
	t         *testing.T
	tenancy   *tenancy
	accounts  identityv1.AccountServiceClient // as a visitor
	sessions  identityv1.SessionServiceClient // as a visitor
	directory identityv1.DirectoryServiceClient
	happened  <-chan events.Received
}

// tenancy is the double of tenancy's directory.
type tenancy struct {
	tenancyv1.UnimplementedDirectoryServiceServer
	invitations map[string]*tenancyv1.LookupInvitationResponse
	companies   map[string]bool
}

func (d *tenancy) LookupInvitation(_ context.Context, r *tenancyv1.LookupInvitationRequest) (*tenancyv1.LookupInvitationResponse, error) {
	if found, ok := d.invitations[r.GetToken()]; ok {
		return found, nil
	}
	return nil, failure.NotFound("invitation")
}

func (d *tenancy) LookupCompany(_ context.Context, r *tenancyv1.LookupCompanyRequest) (*tenancyv1.LookupCompanyResponse, error) {
	if d.companies[r.GetName()] {
		return &tenancyv1.LookupCompanyResponse{Company: &tenancyv1.Company{Name: r.GetName()}}, nil
	}
	return nil, failure.NotFound(r.GetName())
}

// settings fills in what identity needs beyond every service's.
func settings(t testing.TB, common service.Config, more ...string) identity.Config {
	t.Helper()
	var cfg identity.Config
	environ := append([]string{
		"KONTOR_KEY_ENCRYPTION_KEY=" + strings.Repeat("k", 32), "KONTOR_TOKEN_KEY=" + strings.Repeat("t", 32),
		"KONTOR_ARGON2_MEMORY_KIB=64", "KONTOR_ARGON2_ITERATIONS=1", "KONTOR_LETTER_PAUSE=0s",
		"KONTOR_CA_FILE=x", "KONTOR_CERT_FILE=x", "KONTOR_KEY_FILE=x", "KONTOR_POSTGRES_DSN=x", "KONTOR_NATS_URL=x",
	}, more...)
	require.NoError(t, config.Load(&cfg, config.Options{Environ: environ}))
	cfg.Config = common
	return cfg
}

func setup(t *testing.T, more ...string) *bundle {
	t.Helper()
	d := &tenancy{invitations: map[string]*tenancyv1.LookupInvitationResponse{}, companies: map[string]bool{}}
	suite := servicetest.Start(t, servicetest.Options{
		Name: "identity", Migrations: migrations.FS,
		Build: func(ctx context.Context, common service.Config) (*service.Service, error) {
			return identity.New(ctx, settings(t, common, more...))
		},
		Doubles: map[string]func(grpc.ServiceRegistrar){
			"tenancy": func(r grpc.ServiceRegistrar) { tenancyv1.RegisterDirectoryServiceServer(r, d) },
		},
	})
	return &bundle{
		Suite: suite, t: t, tenancy: d,
		accounts:  identityv1.NewAccountServiceClient(suite.Visitor()),
		sessions:  identityv1.NewSessionServiceClient(suite.Visitor()),
		directory: identityv1.NewDirectoryServiceClient(suite.AsService("notification")),
		happened:  suite.Events("kontor.identity.>"),
	}
}

// tenancyDirectory is identity's directory as tenancy calls it.
func (b *bundle) tenancyDirectory() identityv1.DirectoryServiceClient {
	return identityv1.NewDirectoryServiceClient(b.AsService("tenancy"))
}

// next waits for the next event, which must be such a one.
func next[M proto.Message](b *bundle, into M) M {
	b.t.Helper()
	e := servicetest.Next(b.t, b.happened)
	require.Truef(b.t, e.Is(into), "%s came, not %s", e.Message, into.ProtoReflect().Descriptor().FullName())
	require.NoError(b.t, e.Decode(into))
	return into
}

// quiet fails the test when an event waits. The marker is published after
// everything before it, so nothing is on its way behind it.
func (b *bundle) quiet() {
	b.t.Helper()
	email := id.NewString() + "@marker.lv"
	made, err := b.tenancyDirectory().EnsureAccount(b.t.Context(), &identityv1.EnsureAccountRequest{Email: email})
	require.NoError(b.t, err)
	require.Equal(b.t, made.GetAccount().GetName(), next(b, &identityv1.AccountRegistered{}).GetAccount())
}

// register registers an e-mail and answers the confirmation link's secret.
func (b *bundle) register(email string) (token string) {
	b.t.Helper()
	_, err := b.accounts.RegisterAccount(b.t.Context(), &identityv1.RegisterAccountRequest{
		Email: email, FullName: "Ieva Kalniņa", Language: "lv", RequestId: id.NewString(),
	})
	require.NoError(b.t, err)
	next(b, &identityv1.AccountRegistered{})
	return b.link(next(b, &identityv1.AccountActivationRequested{}).GetActivation())
}

// link asks for a link's secret as the letter's writer does.
func (b *bundle) link(name string) string {
	b.t.Helper()
	answer, err := b.directory.GetAccountLink(b.t.Context(), &identityv1.GetAccountLinkRequest{Name: name})
	require.NoError(b.t, err)
	return answer.GetToken()
}

// person registers and activates somebody, with goodPassword.
func (b *bundle) person(email string) *identityv1.Account {
	b.t.Helper()
	answer, err := b.accounts.ActivateAccount(b.t.Context(), &identityv1.ActivateAccountRequest{
		Token: b.register(email), Password: goodPassword,
	})
	require.NoError(b.t, err)
	next(b, &identityv1.AccountActivated{})
	return answer.GetAccount()
}

// signIn signs in with goodPassword.
func (b *bundle) signIn(email string) *identityv1.SignInResponse {
	b.t.Helper()
	answer, err := b.sessions.SignIn(b.t.Context(), &identityv1.SignInRequest{
		Identifier: email, Password: goodPassword, DeviceName: "Office PC",
	})
	require.NoError(b.t, err)
	next(b, &identityv1.SessionStarted{})
	return answer
}

// as calls with an access token.
func (b *bundle) as(token string) grpc.ClientConnInterface {
	return b.With(caller.Caller{Token: token})
}

// from calls as a visitor from an address.
func (b *bundle) from(address string) identityv1.SessionServiceClient {
	return identityv1.NewSessionServiceClient(b.With(caller.Caller{Address: address}))
}
