package tenancy_test

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/service/servicetest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

func (p person) claim(token string) (*tenancyv1.StaffMember, error) {
	got, err := p.staff().ClaimFirstStaff(p.h.t.Context(), &tenancyv1.ClaimFirstStaffRequest{Token: token})
	return got.GetStaff(), err
}

func (p person) add(email string) (*tenancyv1.StaffMember, error) {
	got, err := p.staff().AddStaff(p.h.t.Context(), &tenancyv1.AddStaffRequest{Email: email, RequestId: newID()})
	return got.GetStaff(), err
}

func TestTheFirstOfTheStaffClaimsOnce(t *testing.T) {
	h := setup(t)
	vera, other := h.person("vera@vendor.test"), h.person("other@vendor.test")
	_, err := vera.claim("guess")
	servicetest.WantReason(t, err, commonv1.Reason_REASON_STAFF_TOKEN_WRONG)
	_, err = (person{h: h, conn: h.Visitor()}).claim(firstStaffToken)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_TOKEN_MISSING)
	_, err = vera.add(other.email)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)

	first, err := vera.claim(firstStaffToken)
	if err != nil || first.GetAccount() != vera.account || first.GetAddedBy() != "" || first.GetEmail() != vera.email {
		t.Fatalf("%v, %v", first, err)
	}
	again, err := vera.claim(firstStaffToken)
	if err != nil || !proto.Equal(again, first) {
		t.Errorf("repeated: %v, %v", again, err)
	}
	_, err = other.claim(firstStaffToken)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_STAFF_CLAIMED)
	if !h.resolve(vera.account, "").GetStaff() || h.resolve(other.account, "").GetStaff() || h.count("kontor.tenancy.staff.added") != 1 {
		t.Error("the wrong ones are staff")
	}
}

func TestStaffAddAndRemoveEachOtherButNotTheLast(t *testing.T) {
	h := setup(t)
	vera, otto := h.person("vera@vendor.test"), h.person("otto@vendor.test")
	first, err := vera.claim(firstStaffToken)
	must(t, err)
	servicetest.Eventually(t, "vera is staff", func() bool {
		_, err := vera.staff().ListStaff(t.Context(), &tenancyv1.ListStaffRequest{})
		return err == nil
	})
	remove := func(p person, name string) error {
		_, err := p.staff().RemoveStaff(t.Context(), &tenancyv1.RemoveStaffRequest{Name: name})
		return err
	}
	servicetest.WantReason(t, remove(vera, first.GetName()), commonv1.Reason_REASON_LAST_STAFF)
	_, err = vera.add("nobody@vendor.test")
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	h.technical("robot@vendor.test")
	_, err = vera.add("robot@vendor.test")
	servicetest.WantReason(t, err, commonv1.Reason_REASON_ACCOUNT_TECHNICAL)
	second, err := vera.add(otto.email)
	if err != nil || second.GetAddedBy() != vera.account {
		t.Fatalf("%v, %v", second, err)
	}
	same, err := vera.add(otto.email)
	if err != nil || !proto.Equal(same, second) || h.count("kontor.tenancy.staff.added") != 2 {
		t.Errorf("added again: %v, %v", same, err)
	}
	page, err := vera.staff().ListStaff(t.Context(), &tenancyv1.ListStaffRequest{PageSize: 1})
	must(t, err)
	next, err := vera.staff().ListStaff(t.Context(), &tenancyv1.ListStaffRequest{PageSize: 1, PageToken: page.GetNextPageToken()})
	must(t, err)
	if got := fmt.Sprint(page.GetStaff()[0].GetEmail(), next.GetStaff()[0].GetEmail(), next.GetNextPageToken()); got != vera.email+otto.email {
		t.Errorf("listed %s", got)
	}
	servicetest.Eventually(t, "otto removes vera", func() bool { return remove(otto, first.GetName()) == nil })
	servicetest.WantReason(t, remove(otto, first.GetName()), commonv1.Reason_REASON_NOT_FOUND)
	servicetest.WantReason(t, remove(otto, "staff/x"), commonv1.Reason_REASON_NOT_FOUND)
	servicetest.Eventually(t, "vera is refused", func() bool {
		_, err := vera.staff().ListStaff(t.Context(), &tenancyv1.ListStaffRequest{})
		return failure.Reason(err) == commonv1.Reason_REASON_PERMISSION_DENIED
	})
	_, err = vera.claim(firstStaffToken) // Once claimed and removed, the token makes nobody staff any more.
	servicetest.WantReason(t, err, commonv1.Reason_REASON_STAFF_CLAIMED)
}

func TestStaffSeeNoCustomersData(t *testing.T) {
	h := setup(t)
	_, s := h.owner("anna@example.test")
	vera := h.person("vera@vendor.test")
	_, err := vera.claim(firstStaffToken)
	must(t, err)
	_, err = vera.subscribers().GetSubscriber(t.Context(), &tenancyv1.GetSubscriberRequest{Name: s.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
}
