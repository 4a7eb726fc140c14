package tenancy_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/service/servicetest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

// refused says whether PostgreSQL refuses a statement for want of a privilege.
func refused(t *testing.T, conn *pgx.Conn, sql string) bool {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql)
	var told *pgconn.PgError
	return errors.As(err, &told) && (told.Code == "42501" || told.Code == "25006") // insufficient_privilege, read_only_sql_transaction
}

func TestASeatOpensTheBooksForWhatOnesRightsComeTo(t *testing.T) {
	o := setupOffice(t)
	told := o.Events("kontor.tenancy.session.>")
	clerk, _ := o.clerk("ieva@liepa.example", "invoicing_clerk")
	opened := o.open(clerk, o.seat(clerk, o.company))
	if got := strings.Join(opened.GetPermissions(), " "); got != "books.issue_invoices books.read" {
		t.Error(got)
	}
	if opened.GetVersion() != "1.4.0" || opened.GetReadOnlyText() != "" || opened.GetSession().GetReadOnly() {
		t.Error(opened)
	}
	var event tenancyv1.SessionOpened
	must(t, servicetest.Next(t, told).Decode(&event))
	if event.GetSession() != opened.GetSession().GetName() || event.GetAccount() != clerk.account || event.GetDataArea() != "books" {
		t.Error(&event)
	}
	conn := o.connect(opened.GetLogin())
	_, err := conn.Exec(t.Context(), "SELECT number FROM books.accounts")
	must(t, err)
	_, err = conn.Exec(t.Context(), `INSERT INTO books.partners (code, name) VALUES ('p', 'Partner')`)
	if err == nil {
		t.Error("catalogues are written without a right to them")
	}
	issues, posts, account := false, true, ""
	must(t, conn.QueryRow(t.Context(), `SELECT has_table_privilege('books.invoices', 'INSERT'), has_table_privilege('books.journal_entries', 'INSERT'),
		kontor_meta.acting_account()`).Scan(&issues, &posts, &account))
	if !issues || posts || account != clerk.account {
		t.Errorf("issues invoices: %v, posts entries: %v, acts for %s", issues, posts, account)
	}
}

func TestALoginReachesNothingElse(t *testing.T) {
	o := setupOffice(t)
	other, _ := o.owner.addCompany(newCompany(o.subscriber))
	login := o.open(o.owner, o.seat(o.owner, o.company)).GetLogin()
	conn := o.connect(login)
	for _, sql := range []string{
		"CREATE TABLE books.mine (a int)", "CREATE SCHEMA mine", "CREATE TEMP TABLE mine (a int)", "CREATE TABLE public.mine (a int)",
		"CREATE ROLE mine", "CREATE DATABASE mine", "DROP TABLE books.accounts", "ALTER TABLE books.accounts DISABLE TRIGGER ALL",
		"SELECT * FROM kontor_meta.role_bounds", "UPDATE kontor_meta.role_bounds SET account = 'accounts/x'",
		"DELETE FROM kontor_meta.change_log", "CREATE FUNCTION books.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"ALTER ROLE CURRENT_USER VALID UNTIL 'infinity'", "ALTER ROLE CURRENT_USER CONNECTION LIMIT 1000",
		"COPY books.accounts TO PROGRAM 'cat'", "SET ROLE kontor_provisioner",
	} {
		if !refused(t, conn, sql) {
			t.Errorf("allowed: %s", sql)
		}
	}
	login.Database = o.databaseOf(other.GetName())
	if _, err := o.tryConnect(login); err == nil {
		t.Error("it reaches another company's database")
	}
}

func TestOpeningIsRefusedWithItsReason(t *testing.T) {
	o := setupOffice(t)
	clerk, _ := o.clerk("ieva@liepa.example", "payroll_clerk")
	stranger := o.person("nobody@else.example")
	other, _ := o.owner.addCompany(newCompany(o.subscriber))
	mine := func() seat { return o.seat(o.owner, o.company) }
	for name, c := range map[string]struct {
		who    person
		seat   func() seat
		change func(*tenancyv1.OpenCompanyRequest)
		want   commonv1.Reason
	}{
		"nobody's token": {o.owner, mine, func(r *tenancyv1.OpenCompanyRequest) { r.SeatToken = "x" }, commonv1.Reason_REASON_OPENING_SEAT_INVALID},
		"a token that licensing did not sign": {o.owner, mine, func(r *tenancyv1.OpenCompanyRequest) {
			r.SeatToken = newLicensing(t, o.rights).token(mine())
		}, commonv1.Reason_REASON_OPENING_SEAT_INVALID},
		"an access token":          {o.owner, mine, func(r *tenancyv1.OpenCompanyRequest) { r.SeatToken = o.Token(o.asCaller(o.owner)) }, commonv1.Reason_REASON_OPENING_SEAT_INVALID},
		"somebody else's seat":     {o.owner, func() seat { return o.seat(clerk, o.company) }, nil, commonv1.Reason_REASON_OPENING_SEAT_INVALID},
		"another company's seat":   {o.owner, func() seat { return o.seat(o.owner, other.GetName()) }, func(r *tenancyv1.OpenCompanyRequest) { r.Name = o.company }, commonv1.Reason_REASON_OPENING_SEAT_INVALID},
		"a seat that is over":      {o.owner, func() seat { s := mine(); s.until = time.Now().Add(-time.Second); return s }, nil, commonv1.Reason_REASON_OPENING_SEAT_INVALID},
		"a seat that was taken":    {o.owner, func() seat { s := mine(); o.licensing.drop(s.name, false); return s }, nil, commonv1.Reason_REASON_OPENING_SEAT_ENDED},
		"an area that is not made": {o.owner, mine, func(r *tenancyv1.OpenCompanyRequest) { r.DataArea = "payroll" }, commonv1.Reason_REASON_DATA_AREA_MISSING},
		"an area of no product":    {o.owner, mine, func(r *tenancyv1.OpenCompanyRequest) { r.DataArea = "chess" }, commonv1.Reason_REASON_DATA_AREA_MISSING},
		"a copy of nothing":        {o.owner, mine, func(r *tenancyv1.OpenCompanyRequest) { r.Copy = "targets/" + newID() }, commonv1.Reason_REASON_NOT_FOUND},
		"no right in the books":    {clerk, func() seat { return o.seat(clerk, o.company) }, nil, commonv1.Reason_REASON_PERMISSION_DENIED},
		"a stranger":               {stranger, func() seat { return o.seat(stranger, o.company) }, nil, commonv1.Reason_REASON_PERMISSION_DENIED},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.seat()
			r := &tenancyv1.OpenCompanyRequest{Name: s.company, DataArea: "books", SeatToken: o.licensing.token(s)}
			if c.change != nil {
				c.change(r)
			}
			_, err := c.who.openings().OpenCompany(t.Context(), r)
			servicetest.WantReason(t, err, c.want)
		})
	}
	_, err := o.tryOpen(clerk, o.seat(clerk, o.company))
	if text := failure.From(err).Meta("administrator"); text == "" {
		t.Error("the refusal does not say whom to ask")
	}
	var sessions int
	must(t, o.DB.QueryRow(t.Context(), "SELECT count(*) FROM session").Scan(&sessions))
	if sessions != 0 {
		t.Errorf("%d sessions are left of refused openings", sessions)
	}
}

func TestWhatTheLicenceLeavesToReadIsReadAndNotWritten(t *testing.T) {
	o := setupOffice(t)
	o.licensing.allowOnly(true, false)
	opened := o.open(o.owner, o.seat(o.owner, o.company))
	if !opened.GetSession().GetReadOnly() || opened.GetReadOnlyText() != "The trial ended on 23 December 2026." {
		t.Error(opened.GetSession(), opened.GetReadOnlyText())
	}
	if got := strings.Join(opened.GetPermissions(), " "); got != "books.read" {
		t.Error(got)
	}
	conn := o.connect(opened.GetLogin())
	_, err := conn.Exec(t.Context(), "SELECT * FROM books.journal_entries")
	must(t, err)
	insert := `INSERT INTO books.settings (name, value) VALUES ('company.name', 'Mine')`
	if !refused(t, conn, insert) {
		t.Error("written")
	}
	_, err = conn.Exec(t.Context(), "SET default_transaction_read_only = off")
	must(t, err)
	if !refused(t, conn, insert) {
		t.Error("written by a program that says it may")
	}
	o.licensing.allowOnly(false, false)
	_, err = o.tryOpen(o.owner, o.seat(o.owner, o.company))
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RIGHT_MISSING)
}

func TestOpeningAgainWithTheSameSeatEndsTheEarlierSession(t *testing.T) {
	o := setupOffice(t)
	told := o.Events("kontor.tenancy.session.closed")
	s := o.seat(o.owner, o.company)
	first := o.open(o.owner, s)
	conn := o.connect(first.GetLogin())
	second := o.open(o.owner, s)
	if first.GetLogin().GetUser() == second.GetLogin().GetUser() {
		t.Error("two sessions have one login")
	}
	o.closed(told, first.GetSession().GetName(), tenancyv1.SessionEnd_SESSION_END_CLOSED)
	o.gone(conn, first.GetLogin())
	must(t, o.connect(second.GetLogin()).Ping(t.Context()))
	o.swept()
	third := o.open(o.owner, s)
	if third.GetLogin().GetUser() != first.GetLogin().GetUser() {
		t.Error("a free login is not used again")
	}
	if third.GetLogin().GetPassword() == first.GetLogin().GetPassword() {
		t.Error("its password is")
	}
	must(t, o.connect(third.GetLogin()).Ping(t.Context()))
}

func TestALoginThatChangesHandsTakesNothingAlong(t *testing.T) {
	o := setupOffice(t)
	clerk, _ := o.clerk("ieva@liepa.example", "voucher_clerk")
	first := o.open(o.owner, o.seat(o.owner, o.company))
	_, err := o.owner.openings().CloseSession(t.Context(), &tenancyv1.CloseSessionRequest{Name: first.GetSession().GetName()})
	must(t, err)
	o.swept()
	second := o.open(clerk, o.seat(clerk, o.company))
	if second.GetLogin().GetUser() != first.GetLogin().GetUser() {
		t.Fatal("not the same login")
	}
	conn := o.connect(second.GetLogin())
	var account string
	var administers, posts bool
	must(t, conn.QueryRow(t.Context(), `SELECT kontor_meta.acting_account(), has_table_privilege('books.settings', 'UPDATE'),
		has_table_privilege('books.journal_entries', 'INSERT')`).Scan(&account, &administers, &posts))
	if account != clerk.account || administers || !posts {
		t.Errorf("acts for %s, administers: %v, posts: %v", account, administers, posts)
	}
}

func TestOneClosesOnlyOnesOwnSession(t *testing.T) {
	o := setupOffice(t)
	clerk, _ := o.clerk("ieva@liepa.example", "accountant")
	opened := o.open(clerk, o.seat(clerk, o.company))
	conn := o.connect(opened.GetLogin())
	r := &tenancyv1.CloseSessionRequest{Name: opened.GetSession().GetName()}
	_, err := o.owner.openings().CloseSession(t.Context(), r)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	must(t, conn.Ping(t.Context()))
	for range 2 { // Repeating it changes nothing.
		_, err = clerk.openings().CloseSession(t.Context(), r)
		must(t, err)
	}
	if took := o.gone(conn, opened.GetLogin()); took > 2*time.Second {
		t.Errorf("its connection ended after %v", took)
	}
	if n := o.count("kontor.tenancy.session.closed"); n != 1 {
		t.Errorf("told %d times", n)
	}
}

func TestWhoHasACompanyOpenIsListed(t *testing.T) {
	o := setupOffice(t)
	clerk, _ := o.clerk("ieva@liepa.example", "accountant")
	var want []string
	for _, p := range []person{o.owner, clerk} {
		want = append(want, o.open(p, o.seat(p, o.company)).GetSession().GetName())
	}
	var got []string
	r := &tenancyv1.ListSessionsRequest{Parent: o.company, PageSize: 1}
	for {
		page, err := o.owner.openings().ListSessions(t.Context(), r)
		must(t, err)
		for _, s := range page.GetSessions() {
			got = append(got, s.GetName())
		}
		if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	_, err := clerk.openings().ListSessions(t.Context(), &tenancyv1.ListSessionsRequest{Parent: o.company})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
}

func TestManyOpenAtOnceAndEachHasALoginOfTheirOwn(t *testing.T) {
	o := setupOffice(t)
	const many = 12
	logins := make(chan *tenancyv1.DatabaseLogin, many)
	for range many {
		s := o.seat(o.owner, o.company)
		go func() {
			opened, err := o.tryOpen(o.owner, s)
			if err != nil {
				t.Error(err)
			}
			logins <- opened.GetLogin()
		}()
	}
	seen := map[string]bool{}
	for range many {
		l := <-logins
		if seen[l.GetUser()] {
			t.Errorf("%s was given to two", l.GetUser())
		}
		seen[l.GetUser()] = true
		must(t, o.connect(l).Close(context.Background()))
	}
}

func TestOneSeatOpenedTwiceAtOnceHasOneSession(t *testing.T) {
	o := setupOffice(t)
	s := o.seat(o.owner, o.company)
	results := make(chan *tenancyv1.OpenCompanyResponse, 4)
	for range cap(results) {
		go func() {
			opened, err := o.tryOpen(o.owner, s)
			if err != nil && failure.Reason(err) != commonv1.Reason_REASON_CONFLICT {
				t.Error(err)
			}
			results <- opened
		}()
	}
	var answers []*tenancyv1.OpenCompanyResponse
	for range cap(results) {
		if opened := <-results; opened != nil {
			answers = append(answers, opened)
		}
	}
	o.swept()
	open := 0
	for _, opened := range answers {
		if conn, err := o.tryConnect(opened.GetLogin()); err == nil {
			_ = conn.Close(t.Context())
			open++
		}
	}
	var rows int
	must(t, o.DB.QueryRow(t.Context(), "SELECT count(*) FROM session WHERE ended IS NULL").Scan(&rows))
	if open != 1 || rows != 1 {
		t.Errorf("%d logins work for %d sessions", open, rows)
	}
}

func TestACompanyHasOnlySoManyLogins(t *testing.T) {
	o := setupOffice(t, "KONTOR_LOGINS_PER_COMPANY=2", "KONTOR_CONNECTIONS_PER_LOGIN=2")
	var last *tenancyv1.OpenCompanyResponse
	for range 2 {
		last = o.open(o.owner, o.seat(o.owner, o.company))
	}
	s := o.seat(o.owner, o.company)
	_, err := o.tryOpen(o.owner, s)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_OPENINGS_FULL)
	for range 2 {
		o.connect(last.GetLogin())
	}
	if _, err := o.tryConnect(last.GetLogin()); err == nil {
		t.Error("more connections than a login may have")
	}
	_, err = o.owner.openings().CloseSession(t.Context(), &tenancyv1.CloseSessionRequest{Name: last.GetSession().GetName()})
	must(t, err)
	o.swept()
	o.open(o.owner, s)
}
