package backup_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/servers"
	"kontor.internal/libs/servers/servertest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

// target is a database to restore into.
type target struct {
	database, role string
	company, key   string
	mode           tenancyv1.RestoreMode
	state          string // made, used, dropped
}

// tenancy is the double of tenancy: it really makes databases and logins.
type tenancy struct {
	tenancyv1.UnimplementedCompanyDatabaseServiceServer
	tenancyv1.UnimplementedDirectoryServiceServer
	t      *testing.T
	server *servers.Postgres
	ca     string

	mu        sync.Mutex
	companies map[string]*tenancyv1.Company
	databases map[string]string // a company's live database
	targets   map[string]*target
	refuse    map[string]error // by method
	opened    chan struct{}    // hears of each OpenForDump, when set
	hold      chan struct{}    // OpenForDump waits for it, when set
	address   string           // given instead of the server's, when set
	dumper    string           // attributes of the role that dumps
	arrange   []string         // carried out in each new target
	// holdTarget, when set, holds up the answer of CreateRestoreTarget.
	holdTarget func(ctx context.Context)
	// making is held while a target is made or dropped.
	making sync.Mutex
}

func newTenancy(t *testing.T) *tenancy {
	server, ca := servertest.TLSPostgres(t)
	pem, err := os.ReadFile(ca)
	require.NoError(t, err)
	d := &tenancy{
		t: t, server: server, ca: string(pem), companies: map[string]*tenancyv1.Company{}, databases: map[string]string{},
		targets: map[string]*target{}, refuse: map[string]error{}, dumper: "BYPASSRLS",
	}
	t.Cleanup(func() { // After the service has stopped.
		for _, made := range d.targets {
			_ = d.exec(context.Background(), "", "DROP DATABASE IF EXISTS "+made.database+" WITH (FORCE)")
		}
	})
	return d
}

// exec runs statements as the superuser.
func (d *tenancy) exec(ctx context.Context, database string, statements ...string) error {
	conn, err := pgx.Connect(ctx, d.server.DSN(database))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func random(prefix string) string { return prefix + strings.ReplaceAll(id.NewString(), "-", "")[12:] }

// books are what a company's database holds at first.
const books = `
	CREATE SCHEMA books; CREATE SCHEMA kontor_meta;
	CREATE TABLE books.partner (id integer CONSTRAINT partner_pk PRIMARY KEY, name text NOT NULL);
	CREATE TABLE books.voucher (id integer PRIMARY KEY, partner integer REFERENCES books.partner (id), amount numeric(12,2), at timestamptz DEFAULT now(), scan bytea);
	CREATE TABLE books.note (text text);
	CREATE TABLE kontor_meta.release (area text PRIMARY KEY, version text);
	INSERT INTO kontor_meta.release VALUES ('books', '1.4.0');
	INSERT INTO books.partner SELECT n, 'Partneris Ņ ' || n FROM generate_series(1, 300) n;
	INSERT INTO books.voucher SELECT n, n % 300 + 1, n * 1.10, now(), decode(repeat(md5(n::text), 40), 'hex') FROM generate_series(1, 3000) n;
	INSERT INTO books.note VALUES ('one'), ('two'), ('two');
	ALTER TABLE books.voucher ENABLE ROW LEVEL SECURITY;
	CREATE POLICY open_years ON books.voucher USING (true);`

// company makes a company with books.
func (d *tenancy) company(subscriber string) string {
	d.t.Helper()
	name, database := subscriber+"/companies/"+id.NewString(), random("db_")
	require.NoError(d.t, d.exec(d.t.Context(), "", "CREATE DATABASE "+database))
	require.NoError(d.t, d.exec(d.t.Context(), database, books))
	d.t.Cleanup(func() {
		_ = d.exec(context.Background(), "", "DROP DATABASE IF EXISTS "+d.database(name)+" WITH (FORCE)")
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.databases[name] = database
	d.companies[name] = &tenancyv1.Company{
		Name: name, Title: "SIA Varavīksne", Region: "eu-north", State: tenancyv1.CompanyState_COMPANY_STATE_READY,
		DataAreas: []*tenancyv1.DataArea{{Area: "books", Product: "books", Edition: "standard", Version: "1.4.0"}},
	}
	return name
}

func (d *tenancy) database(company string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.databases[company]
}

// refuseWith lets a method fail until nil is given.
func (d *tenancy) refuseWith(method string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuse[method] = err
}

func (d *tenancy) refused(method string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refuse[method]
}

// host gives logins for another server's name.
func (d *tenancy) host(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.address = name
}

// attributes change what the role that dumps may do.
func (d *tenancy) attributes(a string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dumper = a
}

// arranged has something carried out in each new target.
func (d *tenancy) arranged(statements ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.arrange = statements
}

func (d *tenancy) arrangements() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.arrange
}

// become puts a company in a state.
func (d *tenancy) stateOf(company string) tenancyv1.CompanyState {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.companies[company].GetState()
}

func (d *tenancy) become(company string, state tenancyv1.CompanyState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.companies[company].State = state
}

// made counts all targets there ever were.
func (d *tenancy) made() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.targets)
}

// standing counts the targets that were not dropped.
func (d *tenancy) standing() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.targets {
		if t.state != "dropped" {
			n++
		}
	}
	return n
}

func (d *tenancy) login(ctx context.Context, database, role, attributes string, after ...string) (*tenancyv1.DatabaseLogin, error) {
	password := random("pw_")
	err := d.exec(ctx, database, append([]string{"CREATE ROLE " + role + " LOGIN " + attributes + " PASSWORD '" + password + "'"}, after...)...)
	return &tenancyv1.DatabaseLogin{
		Host: "127.0.0.1", Port: int32(d.server.Port()), Database: database, User: role, Password: password, CaPem: d.ca,
		ExpireTime: timestamppb.New(time.Now().Add(4 * time.Hour)),
	}, err
}

func (d *tenancy) OpenForDump(ctx context.Context, r *tenancyv1.OpenForDumpRequest) (*tenancyv1.OpenForDumpResponse, error) {
	if err := d.refused("OpenForDump"); err != nil {
		return nil, err
	}
	d.mu.Lock()
	database, opened, hold, areas := d.databases[r.GetCompany()], d.opened, d.hold, d.companies[r.GetCompany()].GetDataAreas()
	if r.GetTarget() != "" {
		database = d.targets[r.GetTarget()].database
	}
	d.mu.Unlock()
	if opened != nil {
		opened <- struct{}{}
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	role := random("dump_")
	d.mu.Lock()
	address, attributes := d.address, d.dumper
	d.mu.Unlock()
	login, err := d.login(ctx, database, role, attributes, "GRANT pg_read_all_data TO "+role)
	if address != "" {
		login.Host = address
	}
	return &tenancyv1.OpenForDumpResponse{Login: login, DataAreas: areas}, err
}

// ScanSessionCounts tells of all companies to which nobody is connected.
func (d *tenancy) ScanSessionCounts(ctx context.Context, _ *tenancyv1.ScanSessionCountsRequest) (*tenancyv1.ScanSessionCountsResponse, error) {
	conn, err := pgx.Connect(ctx, d.server.DSN("postgres"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	answer := &tenancyv1.ScanSessionCountsResponse{}
	d.mu.Lock()
	defer d.mu.Unlock()
	for company, database := range d.databases {
		c, system, connected := &tenancyv1.SessionCount{Company: company}, int64(0), 0
		err := conn.QueryRow(ctx, `SELECT (SELECT system_identifier FROM pg_control_system()), d.oid, (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
			COALESCE((extract(epoch FROM pg_stat_get_db_stat_reset_time(d.oid)) * 1000000)::bigint, 0), pg_stat_get_db_sessions(d.oid), pg_stat_get_db_numbackends(d.oid)
			FROM pg_database d WHERE d.datname = $1`, database).Scan(&system, &c.Database, &c.StartMicros, &c.ResetMicros, &c.Sessions, &connected)
		if err != nil {
			return nil, err
		}
		if c.System = uint64(system); connected == 0 {
			answer.Counts = append(answer.Counts, c)
		}
	}
	return answer, nil
}

// CloseDump drops the login. Like tenancy's own it does not connect to the company's database.
func (d *tenancy) CloseDump(ctx context.Context, r *tenancyv1.CloseDumpRequest) (*tenancyv1.CloseDumpResponse, error) {
	return &tenancyv1.CloseDumpResponse{}, d.exec(ctx, "", "DROP ROLE "+r.GetUser())
}

// dumpLogins counts the logins that were lent to dump and not given back.
func (d *tenancy) dumpLogins(ctx context.Context) (n int, err error) {
	conn, err := pgx.Connect(ctx, d.server.DSN("postgres"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(ctx) }()
	return n, conn.QueryRow(ctx, `SELECT count(*) FROM pg_roles WHERE rolname LIKE 'dump\_%'`).Scan(&n)
}

func (d *tenancy) CreateRestoreTarget(ctx context.Context, r *tenancyv1.CreateRestoreTargetRequest) (*tenancyv1.CreateRestoreTargetResponse, error) {
	if err := d.refused("CreateRestoreTarget"); err != nil {
		return nil, err
	}
	if state := d.stateOf(r.GetCompany()); state != tenancyv1.CompanyState_COMPANY_STATE_READY {
		return nil, failure.New(commonv1.Reason_REASON_COMPANY_NOT_READY, "state", state.String())
	}
	name, login, err := d.makeTarget(ctx, r)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	hold := d.holdTarget
	d.mu.Unlock()
	if hold != nil {
		hold(ctx)
	}
	return &tenancyv1.CreateRestoreTargetResponse{Target: name, Login: login}, nil
}

// makeTarget makes a target, or finds the one of its key, while no other is made or dropped.
func (d *tenancy) makeTarget(ctx context.Context, r *tenancyv1.CreateRestoreTargetRequest) (string, *tenancyv1.DatabaseLogin, error) {
	d.making.Lock()
	defer d.making.Unlock()
	if name, made := d.known(r.GetKey()); made != nil {
		if made.state == "dropped" {
			return "", nil, failure.New(commonv1.Reason_REASON_RESTORE_TARGET_STATE, "state", made.state)
		}
		login, err := d.login(ctx, made.database, random("own_"), "")
		return name, login, err
	}
	made := &target{database: random("db_"), role: random("own_"), company: r.GetCompany(), key: r.GetKey(), mode: r.GetMode(), state: "made"}
	login, err := d.login(ctx, "", made.role, "")
	if err != nil {
		return "", nil, err
	}
	login.Database = made.database
	if err := d.exec(ctx, "", "CREATE DATABASE "+made.database+" OWNER "+made.role); err != nil {
		return "", nil, err
	}
	if err := d.exec(ctx, made.database, d.arrangements()...); err != nil {
		return "", nil, err
	}
	name := "targets/" + id.NewString()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.targets[name] = made
	return name, login, nil
}

// known is the target that was made under a key.
func (d *tenancy) known(key string) (string, *target) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, t := range d.targets {
		if t.key == key {
			return name, t
		}
	}
	return "", nil
}

func (d *tenancy) CommitRestoreTarget(_ context.Context, r *tenancyv1.CommitRestoreTargetRequest) (*tenancyv1.CommitRestoreTargetResponse, error) {
	if err := d.refused("CommitRestoreTarget"); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.targets[r.GetTarget()]
	if t.state == "dropped" {
		return nil, failure.New(commonv1.Reason_REASON_RESTORE_TARGET_STATE, "state", "dropped")
	}
	t.state = "used"
	if t.mode == tenancyv1.RestoreMode_RESTORE_MODE_IN_PLACE {
		d.databases[t.company] = t.database
	}
	return &tenancyv1.CommitRestoreTargetResponse{Company: proto.CloneOf(d.companies[t.company])}, nil
}

func (d *tenancy) DropRestoreTarget(ctx context.Context, r *tenancyv1.DropRestoreTargetRequest) (*tenancyv1.DropRestoreTargetResponse, error) {
	d.making.Lock()
	defer d.making.Unlock()
	d.mu.Lock()
	t := d.targets[r.GetTarget()]
	t.state = "dropped"
	d.mu.Unlock()
	return &tenancyv1.DropRestoreTargetResponse{}, d.exec(ctx, "", "DROP DATABASE IF EXISTS "+t.database+" WITH (FORCE)")
}

func (d *tenancy) LookupCompany(_ context.Context, r *tenancyv1.LookupCompanyRequest) (*tenancyv1.LookupCompanyResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c, ok := d.companies[r.GetName()]; ok {
		return &tenancyv1.LookupCompanyResponse{Company: proto.CloneOf(c)}, nil
	}
	return nil, failure.NotFound(r.GetName())
}

func (d *tenancy) ScanCompanies(context.Context, *tenancyv1.ScanCompaniesRequest) (*tenancyv1.ScanCompaniesResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	answer := &tenancyv1.ScanCompaniesResponse{}
	for _, c := range d.companies {
		answer.Companies = append(answer.Companies, proto.CloneOf(c))
	}
	return answer, nil
}

// licensing is the double of licensing: it allows what is not refused.
type licensing struct {
	licensingv1.UnimplementedRightServiceServer
	mu      sync.Mutex
	refused map[licensingv1.Action]bool
}

func (l *licensing) refuse(actions ...licensingv1.Action) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused = map[licensingv1.Action]bool{}
	for _, a := range actions {
		l.refused[a] = true
	}
}

func (l *licensing) DecideRight(_ context.Context, r *licensingv1.DecideRightRequest) (*licensingv1.DecideRightResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused[r.GetAction()] {
		return &licensingv1.DecideRightResponse{Decision: &licensingv1.Decision{Conditions: []*licensingv1.Condition{
			{Key: "licence_valid", Text: "The trial has ended.", Remedy: "subscribe"},
		}}}, nil
	}
	return &licensingv1.DecideRightResponse{Decision: &licensingv1.Decision{Allowed: true}}, nil
}
