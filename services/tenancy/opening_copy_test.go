package tenancy_test

import (
	"testing"

	"kontor.internal/libs/service/servicetest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

func TestACopyBesideIsOpenedAndOnlyRead(t *testing.T) {
	o := setupOffice(t)
	target := o.restore(o.company, o.dump(o.company), "operation-8", tenancyv1.RestoreMode_RESTORE_MODE_BESIDE)
	s := o.seat(o.owner, o.company)
	r := &tenancyv1.OpenCompanyRequest{Name: o.company, DataArea: "books", SeatToken: o.licensing.token(s), Copy: target}
	opened, err := o.owner.openings().OpenCompany(t.Context(), r)
	must(t, err)
	if !opened.GetSession().GetReadOnly() || opened.GetReadOnlyText() != "" || opened.GetLogin().GetDatabase() == o.databaseOf(o.company) {
		t.Error(opened.GetSession(), opened.GetReadOnlyText())
	}
	conn := o.connect(opened.GetLogin())
	_, err = conn.Exec(t.Context(), "SELECT * FROM books.accounts")
	must(t, err)
	if !refused(t, conn, "INSERT INTO books.settings (name, value) VALUES ('company.name', 'Mine')") {
		t.Error("a copy is written")
	}
	_, err = o.lent().DropRestoreTarget(t.Context(), &tenancyv1.DropRestoreTargetRequest{Target: target})
	must(t, err)
	if conn.Ping(t.Context()) == nil {
		t.Error("a dropped copy is still read")
	}
	_, err = o.owner.openings().OpenCompany(t.Context(), r)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
}

func TestBooksThatTakeTheOthersPlaceAreOpenedAnew(t *testing.T) {
	o := setupOffice(t)
	told := o.Events("kontor.tenancy.session.closed")
	s := o.seat(o.owner, o.company)
	before := o.open(o.owner, s)
	conn := o.connect(before.GetLogin())
	target := o.restore(o.company, o.dump(o.company), "operation-9", tenancyv1.RestoreMode_RESTORE_MODE_IN_PLACE)
	if target == "" || conn.Ping(t.Context()) == nil {
		t.Error("somebody still works in the books of before")
	}
	o.closed(told, before.GetSession().GetName(), tenancyv1.SessionEnd_SESSION_END_MAINTENANCE)
	after := o.open(o.owner, s)
	if after.GetLogin().GetDatabase() == before.GetLogin().GetDatabase() {
		t.Error("the books of before are opened")
	}
	must(t, o.connect(after.GetLogin()).Ping(t.Context()))
}
