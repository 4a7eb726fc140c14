package tenancy_test

import (
	"testing"

	"kontor.internal/libs/service/servicetest"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// One seat is used in two companies: who leaves one of them goes on working in the other.
func TestASeatThatLeavesACompanyStaysOpenInTheOther(t *testing.T) {
	o := setupOffice(t)
	second, _ := o.owner.addCompany(newCompany(o.subscriber))
	here := o.seat(o.owner, o.company)
	there := here
	there.company = second.GetName()
	first, other := o.open(o.owner, here), o.open(o.owner, there)
	left, stays := o.connect(first.GetLogin()), o.connect(other.GetLogin())
	o.changes(&licensingv1.SeatChange{
		Kind: licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_LEFT, Seat: here.name, Account: here.account, Company: here.company, DeviceId: "d",
	})
	if took := o.gone(left, first.GetLogin()); took > soon {
		t.Errorf("after %v", took)
	}
	must(t, stays.Ping(t.Context()))
	o.ends(there, licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_RELEASED)
	o.gone(stays, other.GetLogin())
}

// A guest's seat reads, whatever the licence and the guest's rights allow.
func TestASeatThatOnlyReadsOpensToRead(t *testing.T) {
	o := setupOffice(t)
	s := o.seat(o.owner, o.company)
	s.reads = true
	opened := o.open(o.owner, s)
	if !opened.GetSession().GetReadOnly() {
		t.Error("it writes")
	}
	conn := o.connect(opened.GetLogin())
	for range 2 { // When the second review asks, the first has done what it would do.
		asked := o.licensing.writesAsked()
		o.licenceUpdated()
		servicetest.Eventually(t, "the session is reviewed", func() bool { return o.licensing.writesAsked() > asked })
	}
	must(t, conn.Ping(t.Context()))
}
