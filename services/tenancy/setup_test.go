package tenancy_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/config"
	"kontor.internal/libs/events"
	"kontor.internal/libs/servers/servertest"
	"kontor.internal/libs/service"
	"kontor.internal/libs/service/servicetest"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy"
	"kontor.internal/services/tenancy/migrations"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, servertest.IgnoreShared()) }

const provisionerPassword = "the-password-of-this-test"

const firstStaffToken = "the-one-time-token-of-this-test"

// house is a running tenancy with doubles of identity's and licensing's answers.
type house struct {
	*servicetest.Suite
	t      *testing.T
	rights *rightsDouble
	// environ are settings beside those that every test has.
	environ []string
	// objects is the folder of the object store.
	objects string
}

func setup(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, rights: &rightsDouble{limit: 1000}, objects: t.TempDir()}
	h.makeProvisioner()
	h.Suite = servicetest.Start(t, servicetest.Options{
		Name: "tenancy", Migrations: migrations.FS, Build: h.build,
		Doubles: map[string]func(grpc.ServiceRegistrar){
			"licensing": func(r grpc.ServiceRegistrar) { licensingv1.RegisterRightServiceServer(r, h.rights) },
		},
	})
	return h
}

// build gives tenancy its own settings beside those that every service has.
func (h *house) build(ctx context.Context, common service.Config) (*service.Service, error) {
	cfg := tenancy.Config{}
	cluster, caFile := servertest.TLSPostgres(h.t)
	err := config.Load(&cfg, config.Options{Environ: append(append(placeholders(), h.environ...),
		"KONTOR_LINK_KEY="+strings.Repeat("l", 32), "KONTOR_SUBSCRIBER_CODE_KEY="+strings.Repeat("c", 32),
		"KONTOR_FIRST_STAFF_TOKEN="+firstStaffToken, "KONTOR_REGIONS=eu-north,eu-west",
		"KONTOR_KEY_ENCRYPTION_KEY="+strings.Repeat("k", 32), "KONTOR_DEFAULT_CLUSTER_HOST=127.0.0.1",
		fmt.Sprintf("KONTOR_DEFAULT_CLUSTER_PORT=%d", cluster.Port()), "KONTOR_DEFAULT_CLUSTER_PASSWORD="+provisionerPassword,
		"KONTOR_DEFAULT_CLUSTER_CA_FILE="+caFile, "KONTOR_BLOB_URL=file://"+h.objects,
	)})
	if err != nil {
		return nil, err
	}
	cfg.Config = common
	return tenancy.New(ctx, cfg)
}

// makeProvisioner makes the cluster's provisioner as an installation does: no superuser.
func (h *house) makeProvisioner() {
	h.t.Helper()
	cluster, _ := servertest.TLSPostgres(h.t)
	conn, err := pgx.Connect(h.t.Context(), cluster.DSN("postgres"))
	must(h.t, err)
	defer func() { must(h.t, conn.Close(h.t.Context())) }()
	_, err = conn.Exec(h.t.Context(), `DO $$ BEGIN
		CREATE ROLE kontor_provisioner LOGIN CREATEDB CREATEROLE PASSWORD '`+provisionerPassword+`';
		GRANT pg_signal_backend TO kontor_provisioner;
		REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC;
		GRANT CONNECT ON DATABASE postgres TO kontor_provisioner;
		EXCEPTION WHEN duplicate_object THEN NULL; END $$`)
	must(h.t, err)
}

// placeholders stand for the settings that every service needs, where a test loads only tenancy's own.
func placeholders() []string {
	return []string{
		"KONTOR_CA_FILE=x", "KONTOR_CERT_FILE=x", "KONTOR_KEY_FILE=x", "KONTOR_POSTGRES_DSN=x", "KONTOR_NATS_URL=x",
		"KONTOR_PAGE_KEY=" + strings.Repeat("p", 32),
	}
}

// rightsDouble is licensing's answer: so many accounts and no more.
type rightsDouble struct {
	licensingv1.UnimplementedRightServiceServer

	mu    sync.Mutex
	limit int32
	asked []*licensingv1.DecideRightRequest
}

func (d *rightsDouble) DecideRight(_ context.Context, r *licensingv1.DecideRightRequest) (*licensingv1.DecideRightResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, r)
	decision := &licensingv1.Decision{Action: r.GetAction(), Allowed: r.GetCountAfter() <= d.limit}
	decision.Conditions = []*licensingv1.Condition{{
		Key: "within_limit", Met: decision.GetAllowed(), Text: "The plan has room for so many accounts.", Remedy: "raise_limit",
	}}
	return &licensingv1.DecideRightResponse{Decision: decision}, nil
}

func (d *rightsDouble) allow(limit int32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limit = limit
}

func (d *rightsDouble) lastCount() int32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[len(d.asked)-1].GetCountAfter()
}

// person is somebody with an account, and the ways to call as them.
type person struct {
	h       *house
	account string
	email   string
	conn    grpc.ClientConnInterface
}

func (h *house) person(email string) person {
	account := h.NewAccount(email)
	return person{h: h, account: account, email: email, conn: h.As(account)}
}

func (p person) subscribers() tenancyv1.SubscriberServiceClient {
	return tenancyv1.NewSubscriberServiceClient(p.conn)
}

func (p person) members() tenancyv1.MemberServiceClient {
	return tenancyv1.NewMemberServiceClient(p.conn)
}

func (p person) invitations() tenancyv1.InvitationServiceClient {
	return tenancyv1.NewInvitationServiceClient(p.conn)
}

func (p person) staff() tenancyv1.StaffServiceClient { return tenancyv1.NewStaffServiceClient(p.conn) }

// activated tells tenancy what identity tells when an account was activated.
func (h *house) activated(account string, kind identityv1.AccountKind, selfRegistered bool) {
	h.Publish(events.Event{
		Subject: "kontor.identity.account.activated", Aggregate: account, Time: time.Now(),
		Payload: &identityv1.AccountActivated{Account: account, Kind: kind, SelfRegistered: selfRegistered},
	})
}

// owner registers a person alone and waits for the subscriber that comes of it.
func (h *house) owner(email string) (person, *tenancyv1.Subscriber) {
	h.t.Helper()
	p := h.person(email)
	h.activated(p.account, identityv1.AccountKind_ACCOUNT_KIND_PERSON, true)
	var found *tenancyv1.Subscriber
	servicetest.Eventually(h.t, "the subscriber of "+email+" is made", func() bool {
		list, err := p.subscribers().ListSubscribers(h.t.Context(), &tenancyv1.ListSubscribersRequest{})
		if err != nil || len(list.GetMemberships()) == 0 {
			return false
		}
		found = list.GetMemberships()[0].GetSubscriber()
		return true
	})
	return p, found
}

// join makes a person a member with roles in the whole subscriber.
func (h *house) join(owner person, subscriber, email string, roles ...string) (person, *tenancyv1.Member) {
	h.t.Helper()
	p := h.person(email)
	m, err := owner.members().CreateMember(h.t.Context(), &tenancyv1.CreateMemberRequest{
		Parent: subscriber, Email: email, Member: &tenancyv1.Member{Access: true, Roles: roles}, RequestId: uuid.NewString(),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return p, m.GetMember()
}

// resolve asks as another service does.
func (h *house) resolve(account, scope string) *tenancyv1.ResolveAccessResponse {
	h.t.Helper()
	answer, err := tenancyv1.NewAccessServiceClient(h.AsService("licensing")).ResolveAccess(h.t.Context(),
		&tenancyv1.ResolveAccessRequest{Account: account, Scope: scope})
	if err != nil {
		h.t.Fatal(err)
	}
	return answer
}

func (h *house) directory(service string) tenancyv1.DirectoryServiceClient {
	return tenancyv1.NewDirectoryServiceClient(h.AsService(service))
}

// count counts events of a type so far.
func (h *house) count(subject string) (n int) {
	h.t.Helper()
	err := h.DB.QueryRow(h.t.Context(), "SELECT count(*) FROM kontor.outbox WHERE subject = $1", subject).Scan(&n)
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

func (h *house) technical(email string) person {
	p := h.person(email)
	found, err := h.Accounts.FindAccount(h.t.Context(), &identityv1.FindAccountRequest{Email: email})
	if err != nil {
		h.t.Fatal(err)
	}
	found.GetAccount().Kind = identityv1.AccountKind_ACCOUNT_KIND_TECHNICAL
	p.conn = h.With(caller.Caller{Account: p.account, Kind: caller.KindTechnical, Session: p.account + "/sessions/" + uuid.NewString()})
	return p
}

func has(list []authv1.Permission, wanted authv1.Permission) bool {
	for _, p := range list {
		if p == wanted {
			return true
		}
	}
	return false
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newID() string { return uuid.NewString() }
