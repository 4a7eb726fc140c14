package tenancy_test

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/events"
	"kontor.internal/libs/seattoken"
	"kontor.internal/libs/service/servicetest"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/migrations"
)

// office is a house with a company, and with a licensing that gives out seats.
type office struct {
	*house
	licensing  *licensingDouble
	owner      person
	subscriber string
	company    string
}

func setupOffice(t *testing.T, environ ...string) *office {
	t.Helper()
	h := &house{t: t, rights: &rightsDouble{limit: 1000}, environ: environ, objects: t.TempDir()}
	o := &office{house: h, licensing: newLicensing(t, h.rights)}
	h.makeProvisioner()
	h.Suite = servicetest.Start(t, servicetest.Options{
		Name: "tenancy", Migrations: migrations.FS, Build: h.build,
		Doubles: map[string]func(grpc.ServiceRegistrar){"licensing": func(r grpc.ServiceRegistrar) {
			licensingv1.RegisterRightServiceServer(r, o.licensing)
			licensingv1.RegisterKeyServiceServer(r, publicKeys{key: o.licensing.key})
		}},
	})
	owner, s := h.owner("ilze@liepa.example")
	o.owner, o.subscriber = owner, s.GetName()
	company, _ := owner.addCompany(newCompany(s.GetName()))
	o.company = company.GetName()
	return o
}

// licensingDouble answers about seats and about reading and writing; the rest is rightsDouble's.
type licensingDouble struct {
	*rightsDouble
	t   testing.TB
	key jwk.Key

	mu      sync.Mutex
	states  map[string]*licensingv1.SeatState
	noWrite bool
	noRead  bool
	seats   int
	asked   struct{ states, writes int }
	after   func()
	changes time.Time
}

func newLicensing(t testing.TB, rights *rightsDouble) *licensingDouble {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	key, err := jwk.Import(private)
	must(t, err)
	must(t, key.Set(jwk.KeyIDKey, "seats"))
	must(t, key.Set(jwk.AlgorithmKey, jwa.EdDSA()))
	return &licensingDouble{rightsDouble: rights, t: t, key: key, states: map[string]*licensingv1.SeatState{}}
}

func (d *licensingDouble) DecideRight(ctx context.Context, r *licensingv1.DecideRightRequest) (*licensingv1.DecideRightResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var refused bool
	switch r.GetAction() {
	case licensingv1.Action_ACTION_WRITE:
		refused = d.noWrite
		d.asked.writes++
	case licensingv1.Action_ACTION_READ:
		refused = d.noRead
	default:
		return d.rightsDouble.DecideRight(ctx, r)
	}
	decision := &licensingv1.Decision{Action: r.GetAction(), Allowed: !refused}
	if !d.changes.IsZero() {
		decision.ChangeTime = timestamppb.New(d.changes)
	}
	if refused {
		decision.Conditions = []*licensingv1.Condition{{Key: "licence_valid", Text: "The trial ended on 23 December 2026.", Remedy: "subscribe"}}
	}
	return &licensingv1.DecideRightResponse{Decision: decision}, nil
}

func (d *licensingDouble) allowOnly(read, write bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.noRead, d.noWrite = !read, !write
}

func (d *licensingDouble) BatchGetSeatStates(_ context.Context, r *licensingv1.BatchGetSeatStatesRequest) (*licensingv1.BatchGetSeatStatesResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked.states++
	answer := &licensingv1.BatchGetSeatStatesResponse{}
	for _, seat := range r.GetSeats() {
		state := d.states[seat]
		if state == nil {
			state = &licensingv1.SeatState{Seat: seat}
		}
		answer.States = append(answer.States, state)
	}
	if d.after != nil {
		d.after()
		d.after = nil
	}
	return answer, nil
}

// onceAsked does something to the states right after they are told the next time.
func (d *licensingDouble) onceAsked(do func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.after = do
}

// untilTime says when the answers become others by themselves.
func (d *licensingDouble) untilTime(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes = at
}

func (d *licensingDouble) statesAsked() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked.states
}

func (d *licensingDouble) writesAsked() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked.writes
}

// hold says that a seat is held until then.
func (d *licensingDouble) hold(seat string, until time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.states[seat] = &licensingv1.SeatState{Seat: seat, Held: true, ExpireTime: timestamppb.New(until)}
}

func (d *licensingDouble) drop(seat string, unknown bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.states[seat] = &licensingv1.SeatState{Seat: seat, Unknown: unknown}
}

// publicKeys is licensing's KeyService.
type publicKeys struct {
	licensingv1.UnimplementedKeyServiceServer
	key jwk.Key
}

func (k publicKeys) GetJwks(context.Context, *licensingv1.GetJwksRequest) (*licensingv1.GetJwksResponse, error) {
	public, err := k.key.PublicKey()
	if err != nil {
		return nil, err
	}
	set := jwk.NewSet()
	if err := set.AddKey(public); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(set)
	return &licensingv1.GetJwksResponse{Jwks: raw}, err
}

// seat is a place to work that somebody holds.
type seat struct {
	name, account, company string
	// product that it was claimed for; empty for books.
	product string
	// device that it is used on; empty for d.
	device string
	reads  bool
	until  time.Time
}

// seat claims one for a minute.
func (o *office) seat(p person, company string) seat {
	o.licensing.mu.Lock()
	o.licensing.seats++
	n := o.licensing.seats
	o.licensing.mu.Unlock()
	s := seat{
		name: o.subscriber + "/licences/" + newID() + "/seats/" + strconv.Itoa(n), account: p.account, company: company,
		until: time.Now().Add(time.Minute),
	}
	o.licensing.hold(s.name, s.until)
	return s
}

// token is what licensing signs for a seat.
func (d *licensingDouble) token(s seat) string {
	d.t.Helper()
	token, err := seattoken.Sign(d.key, seattoken.Claims{
		Seat: s.name, Account: s.account, Company: s.company, Device: cmp.Or(s.device, "d"), Product: cmp.Or(s.product, "books"), ReadOnly: s.reads, Slot: 1, Generation: 1, Expires: s.until,
	}, time.Now())
	must(d.t, err)
	return token
}

func (p person) openings() tenancyv1.OpeningServiceClient {
	return tenancyv1.NewOpeningServiceClient(p.conn)
}

func (o *office) tryOpen(p person, s seat) (*tenancyv1.OpenCompanyResponse, error) {
	return p.openings().OpenCompany(o.t.Context(), &tenancyv1.OpenCompanyRequest{
		Name: s.company, DataArea: "books", SeatToken: o.licensing.token(s),
	})
}

func (o *office) open(p person, s seat) *tenancyv1.OpenCompanyResponse {
	o.t.Helper()
	answer, err := o.tryOpen(p, s)
	must(o.t, err)
	return answer
}

// asCaller is somebody as the gateway knows them.
func (o *office) asCaller(p person) caller.Caller {
	return caller.Caller{Account: p.account, Kind: caller.KindPerson, Session: p.account + "/sessions/" + newID()}
}

// clerk is a member with roles in the office's company alone.
func (o *office) clerk(email string, roles ...string) (person, *tenancyv1.Member) {
	o.t.Helper()
	p := o.person(email)
	m, err := o.owner.members().CreateMember(o.t.Context(), &tenancyv1.CreateMemberRequest{
		Parent: o.subscriber, Email: email, RequestId: newID(),
		Member: &tenancyv1.Member{Access: true, CompanyRoles: []*tenancyv1.CompanyRoles{{Company: o.company, Roles: roles}}},
	})
	must(o.t, err)
	return p, m.GetMember()
}

// tryConnect does what a program does with a login: it demands the server's certificate.
func (o *office) tryConnect(l *tenancyv1.DatabaseLogin) (*pgx.Conn, error) {
	o.t.Helper()
	file := filepath.Join(o.t.TempDir(), "ca.pem")
	must(o.t, os.WriteFile(file, []byte(l.GetCaPem()), 0o600))
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d dbname=%s user=%s sslmode=verify-full sslrootcert=%s",
		l.GetHost(), l.GetPort(), l.GetDatabase(), l.GetUser(), file))
	must(o.t, err)
	config.Password = l.GetPassword()
	config.DialFunc = (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	conn, err := pgx.ConnectConfig(o.t.Context(), config)
	if err == nil {
		o.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	}
	return conn, err
}

func (o *office) connect(l *tenancyv1.DatabaseLogin) *pgx.Conn {
	o.t.Helper()
	conn, err := o.tryConnect(l)
	must(o.t, err)
	return conn
}

// gone waits until a program's connection is ended and its login works no more, and says how long that took.
func (o *office) gone(conn *pgx.Conn, l *tenancyv1.DatabaseLogin) time.Duration {
	o.t.Helper()
	began := time.Now()
	servicetest.Eventually(o.t, "the connection has ended", func() bool { return conn.Ping(o.t.Context()) != nil })
	took := time.Since(began)
	servicetest.Eventually(o.t, "the login is closed", func() bool {
		again, err := o.tryConnect(l)
		if err == nil {
			_ = again.Close(o.t.Context())
		}
		return err != nil
	})
	return took
}

// swept waits until nothing is left of ended sessions.
func (o *office) swept() {
	o.t.Helper()
	servicetest.Eventually(o.t, "all that ended is swept", func() bool {
		var left int
		must(o.t, o.DB.QueryRow(o.t.Context(), "SELECT count(*) FROM session WHERE ended IS NOT NULL AND NOT swept").Scan(&left))
		return left == 0
	})
}

// closed waits for the event of a session's end and checks why.
func (o *office) closed(told <-chan events.Received, session string, want tenancyv1.SessionEnd) {
	o.t.Helper()
	for {
		e := servicetest.Next(o.t, told)
		var closed tenancyv1.SessionClosed
		if !e.Is(&closed) {
			continue
		}
		must(o.t, e.Decode(&closed))
		if closed.GetSession() != session || closed.GetEnd() != want {
			o.t.Errorf("%v, want %s %v", &closed, session, want)
		}
		return
	}
}
