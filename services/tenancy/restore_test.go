package tenancy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/servers/servertest"
	"kontor.internal/libs/service/servicetest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

func (h *house) lent() tenancyv1.CompanyDatabaseServiceClient {
	return tenancyv1.NewCompanyDatabaseServiceClient(h.AsService("backup"))
}

// run runs one of PostgreSQL's programs with a lent login, as backup does.
func (h *house) run(l *tenancyv1.DatabaseLogin, program string, args ...string) {
	h.t.Helper()
	server, _ := servertest.TLSPostgres(h.t)
	ca := filepath.Join(h.t.TempDir(), "ca.pem")
	must(h.t, os.WriteFile(ca, []byte(l.GetCaPem()), 0o600))
	command := exec.CommandContext(h.t.Context(), server.Program(program), args...)
	command.Env = []string{
		"PGHOST=" + l.GetHost(), fmt.Sprintf("PGPORT=%d", l.GetPort()), "PGUSER=" + l.GetUser(), "PGPASSWORD=" + l.GetPassword(),
		"PGDATABASE=" + l.GetDatabase(), "PGSSLMODE=verify-full", "PGSSLROOTCERT=" + ca,
	}
	if out, err := command.CombinedOutput(); err != nil {
		h.t.Fatalf("%s: %v: %s", program, err, out)
	}
}

// dump copies a company's live database into a file.
func (h *house) dump(company string) (file string) {
	h.t.Helper()
	answer, err := h.lent().OpenForDump(h.t.Context(), &tenancyv1.OpenForDumpRequest{Company: company})
	must(h.t, err)
	file = filepath.Join(h.t.TempDir(), "dump")
	h.run(answer.GetLogin(), "pg_dump", "--format=custom", "--file="+file)
	for range 2 {
		_, err = h.lent().CloseDump(h.t.Context(), &tenancyv1.CloseDumpRequest{Company: company, User: answer.GetLogin().GetUser()})
		must(h.t, err)
	}
	return file
}

// restore fills a target from a file and takes it into use.
func (h *house) restore(company, file, key string, mode tenancyv1.RestoreMode) string {
	h.t.Helper()
	r := &tenancyv1.CreateRestoreTargetRequest{Company: company, Mode: mode, Key: key}
	lost, err := h.lent().CreateRestoreTarget(h.t.Context(), r)
	must(h.t, err)
	target, err := h.lent().CreateRestoreTarget(h.t.Context(), r)
	must(h.t, err)
	if lost.GetTarget() != target.GetTarget() {
		h.t.Errorf("the same key made %s and %s", lost.GetTarget(), target.GetTarget())
	}
	h.run(target.GetLogin(), "pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", "--dbname="+target.GetLogin().GetDatabase(), file)
	for range 2 {
		_, err = h.lent().CommitRestoreTarget(h.t.Context(), &tenancyv1.CommitRestoreTargetRequest{Target: target.GetTarget()})
		must(h.t, err)
	}
	return target.GetTarget()
}

func count(t *testing.T, conn *pgx.Conn, table string) (n int) {
	t.Helper()
	must(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n))
	return n
}

// within runs work on a superuser's connection, which must not be there any more when the database is dropped.
func (h *house) within(database string, work func(conn *pgx.Conn)) {
	h.t.Helper()
	server, _ := servertest.TLSPostgres(h.t)
	conn, err := pgx.Connect(h.t.Context(), server.DSN(database))
	must(h.t, err)
	work(conn)
	must(h.t, conn.Close(h.t.Context()))
}

func TestADroppedTableComesBackInThePlaceOfTheLiveDatabase(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	company, _ := owner.addCompany(newCompany(s.GetName()))
	before := h.databaseOf(company.GetName())
	file, accounts := h.dump(company.GetName()), 0
	h.within(before, func(conn *pgx.Conn) {
		accounts = count(t, conn, "books.accounts")
		_, err := conn.Exec(t.Context(), "DROP TABLE books.accounts CASCADE")
		must(t, err)
	})
	told := h.Events("kontor.tenancy.company.>")

	target := h.restore(company.GetName(), file, "operation-1", tenancyv1.RestoreMode_RESTORE_MODE_IN_PLACE)
	after := h.databaseOf(company.GetName())
	if after == before {
		t.Fatal("the restored database did not take the live one's place")
	}
	h.within(after, func(conn *pgx.Conn) {
		if got := count(t, conn, "books.accounts"); got != accounts {
			t.Errorf("%d accounts, want %d", got, accounts)
		}
	})
	for e := servicetest.Next(t, told); !e.Is(&tenancyv1.CompanyRestored{}); e = servicetest.Next(t, told) {
		t.Log(e.Message)
	}
	got, err := owner.companies().GetCompany(t.Context(), &tenancyv1.GetCompanyRequest{Name: company.GetName()})
	must(t, err)
	if len(got.GetCompany().GetChecklist()) == 0 || got.GetCompany().GetDataAreas()[0].GetVersion() != "1.4.0" {
		t.Error(got)
	}
	_, err = h.lent().DropRestoreTarget(t.Context(), &tenancyv1.DropRestoreTargetRequest{Target: target})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RESTORE_TARGET_STATE)

	admin := h.cluster("postgres")
	exists := func() bool {
		return count(t, admin, "pg_database WHERE datname = '"+before+"'") == 1
	}
	if !exists() {
		t.Error("what was replaced is gone at once")
	}
	h.Advance(8 * 24 * time.Hour)
	servicetest.Eventually(t, "what was replaced is dropped after a week", func() bool { return !exists() })
}

func TestACopyBesideIsReadAndDropped(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	company, _ := owner.addCompany(newCompany(s.GetName()))
	before := h.databaseOf(company.GetName())
	target := h.restore(company.GetName(), h.dump(company.GetName()), "operation-2", tenancyv1.RestoreMode_RESTORE_MODE_BESIDE)
	if h.databaseOf(company.GetName()) != before {
		t.Fatal("a copy beside took the live one's place")
	}
	read, err := h.lent().OpenForDump(t.Context(), &tenancyv1.OpenForDumpRequest{Company: company.GetName(), Target: target})
	must(t, err)
	if read.GetDataAreas()[0].GetVersion() != "1.4.0" || read.GetLogin().GetDatabase() == before {
		t.Error(read.GetDataAreas())
	}
	for range 2 {
		_, err = h.lent().DropRestoreTarget(t.Context(), &tenancyv1.DropRestoreTargetRequest{Target: target})
		must(t, err)
	}
	if n := count(t, h.cluster("postgres"), "pg_roles WHERE rolname = '"+read.GetLogin().GetUser()+"'"); n != 0 {
		t.Error("the copy's logins are still there")
	}
	_, err = h.lent().CommitRestoreTarget(t.Context(), &tenancyv1.CommitRestoreTargetRequest{Target: target})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
}

func TestWhatIsNoCompanyDatabaseIsNotTakenIntoUse(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	company, _ := owner.addCompany(newCompany(s.GetName()))
	target, err := h.lent().CreateRestoreTarget(t.Context(), &tenancyv1.CreateRestoreTargetRequest{
		Company: company.GetName(), Mode: tenancyv1.RestoreMode_RESTORE_MODE_IN_PLACE, Key: "operation-3",
	})
	must(t, err)
	before := h.databaseOf(company.GetName())
	_, err = h.lent().CommitRestoreTarget(t.Context(), &tenancyv1.CommitRestoreTargetRequest{Target: target.GetTarget()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RESTORE_TARGET_UNFIT)
	if h.databaseOf(company.GetName()) != before {
		t.Error("an empty database took the live one's place")
	}
	_, err = h.lent().DropRestoreTarget(t.Context(), &tenancyv1.DropRestoreTargetRequest{Target: target.GetTarget()})
	must(t, err)
}

func TestALoginToDumpCanNotWrite(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("ilze@liepa.example")
	company, _ := owner.addCompany(newCompany(s.GetName()))
	answer, err := h.lent().OpenForDump(t.Context(), &tenancyv1.OpenForDumpRequest{Company: company.GetName()})
	must(t, err)
	l := answer.GetLogin()
	conn, err := pgx.Connect(t.Context(), fmt.Sprintf("host=%s port=%d user=%s password=%s dbname=%s sslmode=require",
		l.GetHost(), l.GetPort(), l.GetUser(), l.GetPassword(), l.GetDatabase()))
	must(t, err)
	defer func() { must(t, conn.Close(t.Context())) }()
	if count(t, conn, "books.accounts") == 0 {
		t.Error("nothing can be read")
	}
	if _, err := conn.Exec(t.Context(), "DELETE FROM books.accounts"); err == nil {
		t.Error("it wrote")
	}
}

// A login for a dump is good until it is given back, in the company that it was lent for, and no longer.
func TestALoginForADumpIsGivenBack(t *testing.T) {
	o := setupOffice(t)
	other, _ := o.owner.addCompany(newCompany(o.subscriber))
	answer, err := o.lent().OpenForDump(t.Context(), &tenancyv1.OpenForDumpRequest{Company: o.company})
	must(t, err)
	conn := o.connect(answer.GetLogin())
	closeFor := func(company string) {
		t.Helper()
		_, err := o.lent().CloseDump(t.Context(), &tenancyv1.CloseDumpRequest{Company: company, User: answer.GetLogin().GetUser()})
		must(t, err)
	}
	closeFor(other.GetName())
	must(t, conn.Ping(t.Context()))
	var door time.Time
	must(t, o.cluster("postgres").QueryRow(t.Context(), "SELECT rolvaliduntil FROM pg_roles WHERE rolname = $1", answer.GetLogin().GetUser()).Scan(&door))
	if time.Until(door) > 5*time.Minute {
		t.Errorf("it lets in until %v", door)
	}
	closeFor(o.company)
	if conn.Ping(t.Context()) == nil {
		t.Error("its connection stays")
	}
	if _, err := o.tryConnect(answer.GetLogin()); err == nil {
		t.Error("it lets in")
	}
}

// sessions is how often a company's database was connected to, once nobody is.
func (o *office) sessions() int64 {
	o.t.Helper()
	var found *tenancyv1.SessionCount
	servicetest.Eventually(o.t, "nobody is connected", func() bool {
		found = o.sessionCount()
		return found != nil
	})
	return found.GetSessions()
}

func (o *office) sessionCount() *tenancyv1.SessionCount {
	o.t.Helper()
	for token := ""; ; {
		page, err := o.lent().ScanSessionCounts(o.t.Context(), &tenancyv1.ScanSessionCountsRequest{PageToken: token})
		must(o.t, err)
		for _, count := range page.GetCounts() {
			if count.GetCompany() == o.company {
				return count
			}
		}
		if token = page.GetNextPageToken(); token == "" {
			return nil
		}
	}
}

// Backup leaves out companies to which nobody has connected; lending and giving back a login that nobody used is no connection.
func TestWhoConnectsToACompanyIsCounted(t *testing.T) {
	o := setupOffice(t)
	before := o.sessions()
	answer, err := o.lent().OpenForDump(t.Context(), &tenancyv1.OpenForDumpRequest{Company: o.company})
	must(t, err)
	if now := o.sessions(); now != before {
		t.Errorf("a login that was lent counts: %d after %d", now, before)
	}
	conn := o.connect(answer.GetLogin())
	must(t, conn.Ping(t.Context()))
	if o.sessionCount() != nil {
		t.Error("it is told of one that somebody is connected to")
	}
	_, err = o.lent().CloseDump(t.Context(), &tenancyv1.CloseDumpRequest{Company: o.company, User: answer.GetLogin().GetUser()})
	must(t, err)
	if now := o.sessions(); now != before+1 {
		t.Errorf("one that connected makes %d of %d", now, before)
	}
	if _, err := o.lent().ScanSessionCounts(t.Context(), &tenancyv1.ScanSessionCountsRequest{PageToken: "x"}); err == nil {
		t.Error("a page token that was never answered is taken")
	}
}
