package tenancy_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"kontor.internal/libs/events"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/seal"
	"kontor.internal/libs/service/servicetest"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/cluster"
	"kontor.internal/services/tenancy/internal/opening"
)

// soon is how long a program may go on after its seat is gone.
const soon = 2 * time.Second

// ends tells, as licensing does, that a seat is held no longer.
func (o *office) ends(s seat, why licensingv1.SeatChangeKind) {
	o.licensing.drop(s.name, false)
	o.changes(&licensingv1.SeatChange{Kind: why, Seat: s.name, Account: s.account, Company: s.company, Product: "books"})
}

// changes tells what happened to a seat.
func (o *office) changes(c *licensingv1.SeatChange) {
	pool, _, _ := strings.Cut(c.GetSeat(), "/seats/")
	o.Publish(events.Event{
		Subject: "kontor.licensing.seat.changed", Aggregate: pool + "/seats", Subscriber: o.subscriber, Time: time.Now(),
		Payload: &licensingv1.SeatsChanged{Changes: []*licensingv1.SeatChange{c}},
	})
}

// idOf is the last part of a name.
func idOf(name string) uuid.UUID { return uuid.MustParse(name[len(name)-36:]) }

// licenceUpdated tells, as licensing does, that a licence changed.
func (o *office) licenceUpdated() {
	licence := o.subscriber + "/licences/" + newID()
	o.Publish(events.Event{
		Subject: "kontor.licensing.licence.updated", Aggregate: licence, Subscriber: o.subscriber, Time: time.Now(),
		Payload: &licensingv1.LicenceUpdated{Licence: &licensingv1.Licence{Name: licence}},
	})
}

func (o *office) exec(sql string, values ...any) {
	o.t.Helper()
	_, err := o.DB.Exec(o.t.Context(), sql, values...)
	must(o.t, err)
}

func TestWhoseSeatIsGoneIsDisconnectedWithinTwoSeconds(t *testing.T) {
	o := setupOffice(t)
	told := o.Events("kontor.tenancy.session.closed")
	for _, why := range []licensingv1.SeatChangeKind{licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_TAKEN, licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_RELEASED, licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_EXPIRED} {
		s := o.seat(o.owner, o.company)
		opened := o.open(o.owner, s)
		first, second := o.connect(opened.GetLogin()), o.connect(opened.GetLogin())
		bystander := o.connect(o.open(o.owner, o.seat(o.owner, o.company)).GetLogin())
		o.ends(s, why)
		if took := o.gone(first, opened.GetLogin()); took > soon {
			t.Errorf("%v: after %v", why, took)
		}
		if second.Ping(t.Context()) == nil {
			t.Errorf("%v: a second connection stays", why)
		}
		must(t, bystander.Ping(t.Context()))
		o.closed(told, opened.GetSession().GetName(), tenancyv1.SessionEnd_SESSION_END_SEAT)
	}
}

// A statement that runs does not keep its connection alive.
func TestWhoWorksWhileTheirSeatIsTakenIsInterrupted(t *testing.T) {
	o := setupOffice(t)
	s := o.seat(o.owner, o.company)
	opened := o.open(o.owner, s)
	conn := o.connect(opened.GetLogin())
	busy := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "SELECT pg_sleep(30)")
		busy <- err
	}()
	servicetest.Eventually(t, "the statement runs", func() (so bool) {
		must(t, o.cluster("postgres").QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE usename = $1 AND state = 'active')",
			opened.GetLogin().GetUser()).Scan(&so))
		return so
	})
	o.ends(s, licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_TAKEN)
	began := time.Now()
	if err := <-busy; err == nil || time.Since(began) > soon {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

func TestASessionLivesAsLongAsItsLeaseIsRenewed(t *testing.T) {
	o := setupOffice(t)
	s := o.seat(o.owner, o.company)
	opened := o.open(o.owner, s)
	conn, id := o.connect(opened.GetLogin()), idOf(opened.GetSession().GetName())
	leaseEnd := func() (at time.Time) {
		must(t, o.DB.QueryRow(t.Context(), "SELECT lease_end FROM session WHERE id = $1", id).Scan(&at))
		return at
	}
	// The lease is over as far as known, and the login about to be; the seat was renewed meanwhile.
	renewed := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	o.licensing.hold(s.name, renewed)
	o.exec("UPDATE session SET lease_end = now() - interval '1 minute', login_until = now() + interval '1 minute' WHERE id = $1", id)
	servicetest.Eventually(t, "the renewed lease is known", func() bool { return leaseEnd().Equal(renewed) })
	servicetest.Eventually(t, "the login's end has moved", func() (so bool) {
		must(t, o.cluster("postgres").QueryRow(t.Context(), "SELECT rolvaliduntil = $2 FROM pg_roles WHERE rolname = $1",
			opened.GetLogin().GetUser(), renewed.Add(15*time.Minute)).Scan(&so))
		return so
	})
	must(t, conn.Ping(t.Context()))
	// A pool that can't tell leaves sessions alone, however often it is asked.
	o.licensing.drop(s.name, true)
	o.exec("UPDATE session SET lease_end = now() - interval '1 minute' WHERE id = $1", id)
	asked := o.licensing.statesAsked()
	servicetest.Eventually(t, "the seat was asked about twice", func() bool { return o.licensing.statesAsked() >= asked+2 })
	must(t, conn.Ping(t.Context()))
	// Nobody told of the seat's end; the lease's end tells.
	o.licensing.drop(s.name, false)
	if took := o.gone(conn, opened.GetLogin()); took > soon {
		t.Errorf("after %v", took)
	}
}

func TestALoginEndsWhenItsRightsBecomeOthers(t *testing.T) {
	o := setupOffice(t)
	told := o.Events("kontor.tenancy.session.closed")
	same, sameMember := o.clerk("same@liepa.example", "invoicing_clerk")
	more, moreMember := o.clerk("more@liepa.example", "invoicing_clerk")
	stays := o.connect(o.open(same, o.seat(same, o.company)).GetLogin())
	s := o.seat(more, o.company)
	opened := o.open(more, s)
	goes := o.connect(opened.GetLogin())
	give := func(member string, roles ...string) {
		t.Helper()
		_, err := o.owner.members().UpdateMember(t.Context(), &tenancyv1.UpdateMemberRequest{
			Member:     &tenancyv1.Member{Name: member, CompanyRoles: []*tenancyv1.CompanyRoles{{Company: o.company, Roles: roles}}},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"company_roles"}},
		})
		must(t, err)
	}
	give(sameMember.GetName(), "invoicing_clerk", "document_clerk") // Documents are nothing to the books.
	give(moreMember.GetName(), "invoicing_clerk", "voucher_clerk")
	if took := o.gone(goes, opened.GetLogin()); took > soon {
		t.Errorf("after %v", took)
	}
	o.closed(told, opened.GetSession().GetName(), tenancyv1.SessionEnd_SESSION_END_RIGHTS)
	again := o.open(more, s)
	if got := strings.Join(again.GetPermissions(), " "); got != "books.issue_invoices books.post_vouchers books.read" {
		t.Error(got)
	}
	must(t, stays.Ping(t.Context()))

	_, err := o.owner.members().ExcludeMember(t.Context(), &tenancyv1.ExcludeMemberRequest{Name: sameMember.GetName()})
	must(t, err)
	servicetest.Eventually(t, "who is excluded is disconnected", func() bool { return stays.Ping(t.Context()) != nil })
}

func TestALicenceThatAllowsLessEndsWhatWrites(t *testing.T) {
	o := setupOffice(t)
	told := o.Events("kontor.tenancy.session.closed")
	s := o.seat(o.owner, o.company)
	opened := o.open(o.owner, s)
	conn := o.connect(opened.GetLogin())
	o.licensing.allowOnly(true, false)
	o.licenceUpdated()
	if took := o.gone(conn, opened.GetLogin()); took > soon {
		t.Errorf("after %v", took)
	}
	o.closed(told, opened.GetSession().GetName(), tenancyv1.SessionEnd_SESSION_END_RIGHTS)
	reads := o.open(o.owner, s)
	if !reads.GetSession().GetReadOnly() {
		t.Error("it writes")
	}
	must(t, o.connect(reads.GetLogin()).Ping(t.Context()))
}

func TestATrialThatEndsByTheCalendarEndsWhatWrites(t *testing.T) {
	o := setupOffice(t)
	o.licensing.untilTime(time.Now().Add(24 * time.Hour))
	opened := o.open(o.owner, o.seat(o.owner, o.company))
	conn := o.connect(opened.GetLogin())
	servicetest.Eventually(t, "the session was looked at", func() bool { return o.licensing.writesAsked() > 1 })
	o.licensing.allowOnly(true, false)
	must(t, conn.Ping(t.Context()))
	o.Advance(25 * time.Hour)
	o.gone(conn, opened.GetLogin())
}

// What an opener that died leaves behind, at each of its steps, is cleared away and stands in nobody's way.
func TestWhatADeadOpenerLeavesIsClearedAway(t *testing.T) {
	o := setupOffice(t)
	s := o.seat(o.owner, o.company)
	opened := o.open(o.owner, s)
	role, id := opened.GetLogin().GetUser(), idOf(opened.GetSession().GetName())
	closed := func() (so bool) {
		must(t, o.cluster("postgres").QueryRow(t.Context(), "SELECT NOT rolcanlogin FROM pg_roles WHERE rolname = $1", role).Scan(&so))
		return so
	}
	swept := func() (so bool) {
		must(t, o.DB.QueryRow(t.Context(), "SELECT swept FROM session WHERE id = $1", id).Scan(&so))
		return so
	}
	t.Run("it died after it let the role in", func(t *testing.T) {
		o.exec("UPDATE session SET ready = false WHERE id = $1", id)
		o.ends(s, licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_RELEASED)
		servicetest.Eventually(t, "the role is closed", closed)
		// It may be that the opener only sleeps, and opens the role now: until that is impossible it is closed again and
		// again, and given to nobody.
		for range 2 {
			_, err := o.cluster("postgres").Exec(t.Context(), "ALTER ROLE "+pgx.Identifier{role}.Sanitize()+" LOGIN")
			must(t, err)
			servicetest.Eventually(t, "the role is closed again", closed)
		}
		if swept() {
			t.Error("its slot is free while an opener may be at it")
		}
		if other := o.open(o.owner, o.seat(o.owner, o.company)); other.GetLogin().GetUser() == role {
			t.Error("its role was given to somebody else")
		}
		o.exec("UPDATE session SET created = created - interval '2 minutes' WHERE id = $1", id)
		servicetest.Eventually(t, "it is swept", swept)
	})
	t.Run("it died before the role was made", func(t *testing.T) {
		slot, session := uuid.New(), uuid.New()
		o.exec(`INSERT INTO login_slot (id, database_id, role_name) SELECT $1, live_id, 'nobody_made_this' FROM company WHERE id = $2`, slot, idOf(o.company))
		o.exec(`INSERT INTO session (id, company_id, slot_id, account_id, seat, area, product, read_only, created, lease_end, login_until,
			connections, device) VALUES ($1, $2, $3, $4, $5, 'books', 'books', false, now() - interval '2 minutes', now() - interval '1 minute', now(), 1, 'd')`,
			session, idOf(o.company), slot, idOf(o.owner.account), o.subscriber+"/licences/x/seats/y")
		id = session
		servicetest.Eventually(t, "it is swept", swept)
		again := o.open(o.owner, o.seat(o.owner, o.company))
		must(t, o.connect(again.GetLogin()).Ping(t.Context()))
	})
}

func TestAnOpeningThatFailsIsUndoneAndMayBeRepeated(t *testing.T) {
	o := setupOffice(t)
	admin := o.cluster("postgres")
	_, err := admin.Exec(t.Context(), "ALTER ROLE kontor_provisioner NOCREATEROLE")
	must(t, err)
	restore := func() {
		_, err := admin.Exec(context.Background(), "ALTER ROLE kontor_provisioner CREATEROLE")
		must(t, err)
	}
	defer restore()
	s := o.seat(o.owner, o.company)
	if _, err := o.tryOpen(o.owner, s); err == nil {
		t.Fatal("opened without a login")
	}
	var open int
	must(t, o.DB.QueryRow(t.Context(), "SELECT count(*) FROM session WHERE ended IS NULL").Scan(&open))
	if open != 0 {
		t.Errorf("%d sessions are open that nobody opened", open)
	}
	restore()
	must(t, o.connect(o.open(o.owner, s).GetLogin()).Ping(t.Context()))
}

func TestMaintenanceEndsAllSessionsOfItsCompanyAndWaitsForTheirEnd(t *testing.T) {
	o := setupOffice(t)
	other, _ := o.owner.addCompany(newCompany(o.subscriber))
	stays := o.connect(o.open(o.owner, o.seat(o.owner, other.GetName())).GetLogin())
	var conns []*pgx.Conn
	for range 3 {
		conns = append(conns, o.connect(o.open(o.owner, o.seat(o.owner, o.company)).GetLogin()))
	}
	// Another copy of the service does it.
	sealer, err := seal.New("kontor tenancy clusters", strings.Repeat("k", 32), "")
	must(t, err)
	clusters := cluster.NewClusters(o.DB, sealer)
	defer clusters.Close()
	copies := opening.NewSessions(opening.Deps{DB: o.DB, Log: o.Service.Log, Clusters: clusters})
	must(t, postgres.InTx(t.Context(), o.DB, func(tx pgx.Tx) error {
		return opening.EndAll(t.Context(), tx, idOf(o.company), tenancyv1.SessionEnd_SESSION_END_MAINTENANCE)
	}))
	must(t, copies.SweepCompany(t.Context(), idOf(o.company)))
	for _, conn := range conns {
		if conn.Ping(t.Context()) == nil {
			t.Error("a connection survived")
		}
	}
	must(t, copies.Sweep(t.Context()))
	must(t, stays.Ping(t.Context()))
	if n := o.count("kontor.tenancy.session.closed"); n != len(conns) {
		t.Errorf("told %d times", n)
	}
}

// The goal is 25 ms; the limit here is for machines that do much else meanwhile.
func TestOpeningTakesAFewMilliseconds(t *testing.T) {
	o := setupOffice(t)
	s := o.seat(o.owner, o.company)
	var took []time.Duration
	for range 12 {
		began := time.Now()
		opened := o.open(o.owner, s)
		took = append(took, time.Since(began))
		_, err := o.owner.openings().CloseSession(t.Context(), &tenancyv1.CloseSessionRequest{Name: opened.GetSession().GetName()})
		must(t, err)
		o.swept()
	}
	slices.Sort(took)
	median := took[len(took)/2]
	t.Logf("median %v, longest %v", median, took[len(took)-1])
	if median > 250*time.Millisecond {
		t.Errorf("the median is %v", median)
	}
}
