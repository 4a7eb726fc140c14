package tenancy_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/service/servicetest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

// holdOwnRow keeps the row of the connection's own role locked: whoever changes the role waits for its transaction.
func holdOwnRow(ctx context.Context, conn *pgx.Conn) error {
	for _, sql := range []string{
		"SET default_transaction_read_only = off", "BEGIN", "ALTER ROLE CURRENT_USER PASSWORD 'chosen by the program'",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// A program that keeps its role's row to itself is disconnected like another, keeps nobody else connected, and does not
// get in again, however often it tries.
func TestAProgramThatHoldsItsRoleIsDisconnectedLikeAnother(t *testing.T) {
	o := setupOffice(t)
	hostile, other := o.seat(o.owner, o.company), o.seat(o.owner, o.company)
	opened, openedOther := o.open(o.owner, hostile), o.open(o.owner, other)
	held, bystander := o.connect(opened.GetLogin()), o.connect(openedOther.GetLogin())
	must(t, holdOwnRow(t.Context(), held))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // It comes again as fast as it can.
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if conn, err := o.tryConnect(opened.GetLogin()); err == nil {
				_ = holdOwnRow(t.Context(), conn)
			}
		}
	}()
	o.ends(hostile, licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_TAKEN)
	o.ends(other, licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_TAKEN)
	if took := o.gone(bystander, openedOther.GetLogin()); took > soon {
		t.Errorf("the other one after %v", took)
	}
	if took := o.gone(held, opened.GetLogin()); took > soon {
		t.Errorf("after %v", took)
	}
	close(stop)
	<-stopped
	o.swept()
}

// Other programs' logins are prolonged although one program's role can't be changed now.
func TestAProgramThatHoldsItsRoleKeepsNoOtherFromBeingProlonged(t *testing.T) {
	o := setupOffice(t)
	hostile, other := o.seat(o.owner, o.company), o.seat(o.owner, o.company)
	openedHostile, opened := o.open(o.owner, hostile), o.open(o.owner, other)
	must(t, holdOwnRow(t.Context(), o.connect(openedHostile.GetLogin())))
	renewed := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	o.licensing.hold(hostile.name, renewed)
	o.licensing.hold(other.name, renewed)
	o.exec("UPDATE session SET lease_end = now() - interval '1 minute', login_until = now() + interval '1 minute'")
	servicetest.Eventually(t, "the other login's end has moved", func() (so bool) {
		must(t, o.cluster("postgres").QueryRow(t.Context(), "SELECT rolvaliduntil > now() + interval '1 hour' FROM pg_roles WHERE rolname = $1",
			opened.GetLogin().GetUser()).Scan(&so))
		return so
	})
	var until time.Time
	must(t, o.DB.QueryRow(t.Context(), "SELECT login_until FROM session WHERE id = $1", idOf(openedHostile.GetSession().GetName())).Scan(&until))
	if time.Until(until) > time.Minute {
		t.Errorf("the login that could not be changed is believed to be: %v", until)
	}
}

func TestALoginGetsIntoItsCompanysDatabaseAlone(t *testing.T) {
	o := setupOffice(t)
	login := o.open(o.owner, o.seat(o.owner, o.company)).GetLogin()
	o.connect(login)
	own := login.GetDatabase()
	for _, database := range []string{"postgres", "template1"} {
		login.Database = database
		if _, err := o.tryConnect(login); err == nil {
			t.Errorf("it gets into %s", database)
		}
	}
	login.Database = own
}

// The seat ends after the opener has seen it held, and the event of it comes before there is a session to end.
func TestNoSessionOutlivesASeatThatEndsWhileItIsOpened(t *testing.T) {
	o := setupOffice(t)
	s := o.seat(o.owner, o.company)
	token := o.licensing.token(s)
	o.licensing.onceAsked(func() { o.licensing.states[s.name] = &licensingv1.SeatState{Seat: s.name} })
	_, err := o.owner.openings().OpenCompany(t.Context(), &tenancyv1.OpenCompanyRequest{Name: s.company, DataArea: "books", SeatToken: token})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_OPENING_SEAT_ENDED)
	var open int
	must(t, o.DB.QueryRow(t.Context(), "SELECT count(*) FROM session WHERE ended IS NULL").Scan(&open))
	if open != 0 {
		t.Errorf("%d sessions stay open", open)
	}
}

func TestASeatForAnotherProductOpensNothing(t *testing.T) {
	o := setupOffice(t)
	s := o.seat(o.owner, o.company)
	s.product = "payroll"
	_, err := o.tryOpen(o.owner, s)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_OPENING_SEAT_INVALID)
}

// Whoever opens much gets fewer connections for it, and always one.
func TestOneSubscriberDoesNotTakeAllConnections(t *testing.T) {
	o := setupOffice(t, "KONTOR_CONNECTIONS_PER_LOGIN=4", "KONTOR_CONNECTIONS_SHARE=6")
	for n, want := range []int{4, 2, 1, 1} {
		login := o.open(o.owner, o.seat(o.owner, o.company)).GetLogin()
		var limit int
		must(t, o.cluster("postgres").QueryRow(t.Context(), "SELECT rolconnlimit FROM pg_roles WHERE rolname = $1", login.GetUser()).Scan(&limit))
		if limit != want {
			t.Errorf("login %d may have %d connections, want %d", n+1, limit, want)
		}
	}
}
