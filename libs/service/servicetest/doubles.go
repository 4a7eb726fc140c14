package servicetest

import (
	"context"
	"encoding/json"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/mtls"
	"kontor.internal/libs/service"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

// double serves a stand-in for another service and answers its address.
func (s *Suite) double(name string, register func(grpc.ServiceRegistrar)) string {
	files, err := s.authority.Issue(name)
	must(s.t, err)
	tlsConfig, err := mtls.ServerConfig(files)
	must(s.t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(s.t, err)
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(tlsConfig)), grpc.UnaryInterceptor(typedErrors(s.t.Context())))
	healthv1.RegisterHealthServer(server, health.NewServer())
	switch name {
	case "identity":
		identityv1.RegisterKeyServiceServer(server, keys{key: s.key})
		identityv1.RegisterDirectoryServiceServer(server, s.Accounts)
	case "tenancy":
		tenancyv1.RegisterAccessServiceServer(server, s.Access)
	}
	if register != nil {
		register(server)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); err != nil {
			s.t.Errorf("double of %s: %v", name, err)
		}
	}()
	s.t.Cleanup(func() { server.Stop(); <-done })
	return listener.Addr().String()
}

// typedErrors lets doubles answer failures as real services do.
func typedErrors(context.Context) grpc.UnaryServerInterceptor {
	texts, err := failure.LoadTexts()
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		if err != nil {
			return nil, err
		}
		reply, failed := handle(ctx, req)
		if failed != nil {
			return nil, failure.Status(failed, texts, "en").Err()
		}
		return reply, nil
	}
}

func (s *Suite) conn(as string) *grpc.ClientConn {
	s.t.Helper()
	if conn, ok := s.conns[as]; ok {
		return conn
	}
	files, err := s.authority.Issue(as)
	must(s.t, err)
	conn, err := service.Dial(service.DialOptions{Name: s.name, Addrs: []string{s.Address}, TLS: files})
	must(s.t, err)
	s.conns[as] = conn
	return conn
}

// waitReady waits until the service calls itself healthy.
func (s *Suite) waitReady() {
	s.t.Helper()
	client := healthv1.NewHealthClient(s.conn("gateway"))
	Eventually(s.t, s.name+" is healthy", func() bool {
		answer, err := client.Check(s.t.Context(), &healthv1.HealthCheckRequest{})
		return err == nil && answer.GetStatus() == healthv1.HealthCheckResponse_SERVING
	})
}

// signed sends each call as its caller.
type signed struct {
	who  caller.Caller
	next grpc.ClientConnInterface
}

func (c signed) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return c.next.Invoke(caller.With(ctx, c.who), method, args, reply, opts...)
}

func (c signed) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return c.next.NewStream(caller.With(ctx, c.who), desc, method, opts...)
}

// keys publishes the key that the suite's tokens are signed with.
type keys struct {
	identityv1.UnimplementedKeyServiceServer
	key jwk.Key
}

func (k keys) GetJwks(context.Context, *identityv1.GetJwksRequest) (*identityv1.GetJwksResponse, error) {
	public, err := k.key.PublicKey()
	if err != nil {
		return nil, err
	}
	set := jwk.NewSet()
	if err := set.AddKey(public); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(set)
	return &identityv1.GetJwksResponse{Jwks: raw}, err
}

// Access is the test's table of rights, in tenancy's place.
type Access struct {
	tenancyv1.UnimplementedAccessServiceServer

	mu     sync.Mutex
	staff  map[string]bool
	grants map[[2]string]*tenancyv1.ResolveAccessResponse
	// subscribers of connections.
	subscribers map[string][]string
}

func newAccess() *Access {
	return &Access{
		staff: map[string]bool{}, grants: map[[2]string]*tenancyv1.ResolveAccessResponse{}, subscribers: map[string][]string{},
	}
}

// Staff makes an account the vendor's staff.
func (a *Access) Staff(account string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.staff[account] = true
}

// Grant gives an account permissions in a subscriber, connection or company,
// in place of those it had there.
func (a *Access) Grant(account, scope string, permissions ...authv1.Permission) {
	a.mu.Lock()
	defer a.mu.Unlock()
	parts := strings.Split(scope, "/")
	root := strings.Join(parts[:2], "/")
	grant, ok := a.grants[[2]string{account, root}]
	if !ok {
		grant = &tenancyv1.ResolveAccessResponse{Member: true, Administrator: "The Owner"}
		a.grants[[2]string{account, root}] = grant
	}
	if len(parts) == 2 {
		grant.Permissions = permissions
		return
	}
	grant.Companies = append(grant.Companies, &tenancyv1.CompanyAccess{Company: scope, Permissions: permissions})
}

// All are all permissions there are: an owner's.
func All() []authv1.Permission {
	var all []authv1.Permission
	for number := range authv1.Permission_name {
		if number != 0 {
			all = append(all, authv1.Permission(number))
		}
	}
	return all
}

// ResolveAccess answers from the table.
func (a *Access) ResolveAccess(_ context.Context, r *tenancyv1.ResolveAccessRequest) (*tenancyv1.ResolveAccessResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	answer := &tenancyv1.ResolveAccessResponse{Staff: a.staff[r.GetAccount()]}
	if grant, ok := a.grants[[2]string{r.GetAccount(), r.GetScope()}]; ok {
		answer.Member, answer.Administrator = true, grant.GetAdministrator()
		answer.Permissions, answer.Companies = grant.GetPermissions(), grant.GetCompanies()
	}
	for _, subscriber := range a.subscribers[r.GetScope()] {
		grant := a.grants[[2]string{r.GetAccount(), subscriber}]
		if slices.Contains(grant.GetPermissions(), authv1.Permission_PERMISSION_CONNECTIONS_MANAGE) {
			answer.Member = true
			answer.Permissions = append(slices.Clone(answer.GetPermissions()), authv1.Permission_PERMISSION_CONNECTIONS_READ,
				authv1.Permission_PERMISSION_CONNECTIONS_MANAGE, authv1.Permission_PERMISSION_DOCUMENTS_READ)
		}
	}
	return answer, nil
}

// Exclude takes from an account what it may in a subscriber.
func (a *Access) Exclude(account, subscriber string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.grants, [2]string{account, subscriber})
}

// AddConnectionSubscriber writes into the table.
func (a *Access) AddConnectionSubscriber(_ context.Context, r *tenancyv1.AddConnectionSubscriberRequest) (*tenancyv1.AddConnectionSubscriberResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.subscribers[r.GetConnection()], r.GetSubscriber()) {
		a.subscribers[r.GetConnection()] = append(a.subscribers[r.GetConnection()], r.GetSubscriber())
	}
	return &tenancyv1.AddConnectionSubscriberResponse{}, nil
}

// GrantConnectionAccess writes into the table.
func (a *Access) GrantConnectionAccess(_ context.Context, r *tenancyv1.GrantConnectionAccessRequest) (*tenancyv1.GrantConnectionAccessResponse, error) {
	a.Grant(r.GetAccount(), r.GetConnection(), r.GetPermissions()...)
	return &tenancyv1.GrantConnectionAccessResponse{}, nil
}

// RevokeConnectionAccess takes out of the table.
func (a *Access) RevokeConnectionAccess(_ context.Context, r *tenancyv1.RevokeConnectionAccessRequest) (*tenancyv1.RevokeConnectionAccessResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.grants, [2]string{r.GetAccount(), r.GetConnection()})
	return &tenancyv1.RevokeConnectionAccessResponse{}, nil
}

// Accounts is the test's table of accounts, in identity's place.
type Accounts struct {
	identityv1.UnimplementedDirectoryServiceServer

	links func(name string) (*identityv1.GetAccountLinkResponse, error)

	mu      sync.Mutex
	byEmail map[string]*identityv1.Account
}

func newAccounts(links func(string) (*identityv1.GetAccountLinkResponse, error)) *Accounts {
	return &Accounts{links: links, byEmail: map[string]*identityv1.Account{}}
}

// GetAccountLink answers what the test says.
func (a *Accounts) GetAccountLink(_ context.Context, r *identityv1.GetAccountLinkRequest) (*identityv1.GetAccountLinkResponse, error) {
	if a.links == nil {
		return nil, failure.NotFound(r.GetName())
	}
	return a.links(r.GetName())
}

func (a *Accounts) add(email string) *identityv1.Account {
	a.mu.Lock()
	defer a.mu.Unlock()
	account := &identityv1.Account{
		Name: "accounts/" + uuid.Must(uuid.NewV7()).String(), Email: email, FullName: "Person " + email, Language: "en",
		Kind: identityv1.AccountKind_ACCOUNT_KIND_PERSON, State: identityv1.AccountState_ACCOUNT_STATE_ACTIVE,
		CreateTime: timestamppb.New(time.Now()),
	}
	a.byEmail[strings.ToLower(email)] = account
	return account
}

// BatchGetAccounts answers from the table.
func (a *Accounts) BatchGetAccounts(_ context.Context, r *identityv1.BatchGetAccountsRequest) (*identityv1.BatchGetAccountsResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	wanted := map[string]bool{}
	for _, name := range r.GetNames() {
		wanted[name] = true
	}
	answer := &identityv1.BatchGetAccountsResponse{}
	for _, account := range a.byEmail {
		if wanted[account.GetName()] {
			answer.Accounts = append(answer.Accounts, account)
		}
	}
	return answer, nil
}

// FindAccount answers from the table.
func (a *Accounts) FindAccount(_ context.Context, r *identityv1.FindAccountRequest) (*identityv1.FindAccountResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	account, ok := a.byEmail[strings.ToLower(r.GetEmail())]
	if !ok {
		return nil, failure.NotFound("account")
	}
	return &identityv1.FindAccountResponse{Account: account}, nil
}

// EnsureAccount finds an account or makes one that waits for its activation.
func (a *Accounts) EnsureAccount(_ context.Context, r *identityv1.EnsureAccountRequest) (*identityv1.EnsureAccountResponse, error) {
	a.mu.Lock()
	account, found := a.byEmail[strings.ToLower(r.GetEmail())]
	a.mu.Unlock()
	answer := &identityv1.EnsureAccountResponse{Account: account, Created: !found}
	if !found {
		answer.Account = a.add(r.GetEmail())
		answer.Account.State = identityv1.AccountState_ACCOUNT_STATE_PENDING
		answer.Account.FullName, answer.Account.Kind = r.GetFullName(), r.GetKind()
	}
	if answer.GetAccount().GetState() == identityv1.AccountState_ACCOUNT_STATE_PENDING {
		answer.Activation = "activations/" + strings.TrimPrefix(answer.GetAccount().GetName(), "accounts/")
	}
	return answer, nil
}

// CheckSession says that every session lives.
func (a *Accounts) CheckSession(context.Context, *identityv1.CheckSessionRequest) (*identityv1.CheckSessionResponse, error) {
	return &identityv1.CheckSessionResponse{Active: true}, nil
}
