package tenancy_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/service/servicetest"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/member"
)

func TestAnAdministratorMakesUsersByEmail(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	admin, _ := h.join(owner, s.GetName(), "admin@example.test", "administrator")
	told := h.Events("kontor.tenancy.member.>")
	request := &tenancyv1.CreateMemberRequest{
		Parent: s.GetName(), Email: "ieva@example.test", FullName: "Ieva Liepa",
		Member: &tenancyv1.Member{Access: true, Roles: []string{"viewer", "invoicing_clerk", "viewer"}}, RequestId: newID(),
	}
	made, err := admin.members().CreateMember(t.Context(), request)
	must(t, err)
	m := made.GetMember()
	if m.GetEmail() != "ieva@example.test" || m.GetFullName() != "Ieva Liepa" || fmt.Sprint(m.GetRoles()) != "[invoicing_clerk viewer]" ||
		m.GetState() != tenancyv1.MemberState_MEMBER_STATE_ACTIVE || m.GetOwner() {
		t.Errorf("made %v", m)
	}
	var added tenancyv1.MemberAdded
	e := servicetest.Next(t, told)
	for must(t, e.Decode(&added)); added.GetMember() != m.GetName(); must(t, e.Decode(&added)) {
		e = servicetest.Next(t, told) // What happened before may come late.
	}
	if added.GetActivation() == "" || added.GetOrigin() != tenancyv1.MemberOrigin_MEMBER_ORIGIN_ADDED || e.Envelope.GetActor() != admin.account {
		t.Errorf("told %v by %s", &added, e.Envelope.GetActor())
	}
	again, err := admin.members().CreateMember(t.Context(), request)
	if err != nil || !proto.Equal(again, made) {
		t.Errorf("repeated: %v, %v", again, err)
	}
	other := proto.Clone(request).(*tenancyv1.CreateMemberRequest)
	other.FullName = "Somebody Else"
	_, err = admin.members().CreateMember(t.Context(), other)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_REQUEST_ID_REUSED)
	got, err := admin.members().GetMember(t.Context(), &tenancyv1.GetMemberRequest{Name: m.GetName()})
	if err != nil || !proto.Equal(got.GetMember(), m) {
		t.Errorf("%v, %v", got, err)
	}
	if n := h.count("kontor.tenancy.member.added"); n != 3 { // owner, administrator, Ieva
		t.Errorf("%d told of", n)
	}
}

func TestMembersThatCannotBeMade(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	h.join(owner, s.GetName(), "clerk@example.test", "viewer")
	h.technical("robot@example.test")
	_, foreign := h.owner("foreign@example.test")
	company := "/companies/01900000-0000-7000-8000-000000000000"
	in := func(company string, roles ...string) *tenancyv1.Member {
		return &tenancyv1.Member{CompanyRoles: []*tenancyv1.CompanyRoles{{Company: company, Roles: roles}}}
	}
	for name, c := range map[string]struct {
		email  string
		member *tenancyv1.Member
		want   commonv1.Reason
	}{
		"a member":                  {"Clerk@Example.test", &tenancyv1.Member{}, commonv1.Reason_REASON_ALREADY_MEMBER},
		"the owner":                 {owner.email, &tenancyv1.Member{}, commonv1.Reason_REASON_ALREADY_MEMBER},
		"a technical account":       {"robot@example.test", &tenancyv1.Member{}, commonv1.Reason_REASON_ACCOUNT_TECHNICAL},
		"no e-mail":                 {"nobody", &tenancyv1.Member{}, commonv1.Reason_REASON_INVALID_ARGUMENT},
		"an unknown role":           {"x@example.test", &tenancyv1.Member{Roles: []string{"king"}}, commonv1.Reason_REASON_ROLE_UNKNOWN},
		"a second owner":            {"x@example.test", &tenancyv1.Member{Roles: []string{"owner"}}, commonv1.Reason_REASON_ROLE_UNKNOWN},
		"an owner of a company":     {"x@example.test", in(s.GetName()+company, "owner"), commonv1.Reason_REASON_ROLE_UNKNOWN},
		"in a company there is not": {"x@example.test", in(s.GetName()+company, "viewer"), commonv1.Reason_REASON_NOT_FOUND},
		"in somebody's company":     {"x@example.test", in(foreign.GetName()+company, "viewer"), commonv1.Reason_REASON_NOT_FOUND},
		"in no company":             {"x@example.test", in("x", "viewer"), commonv1.Reason_REASON_NOT_FOUND},
		"ended before it began":     {"x@example.test", &tenancyv1.Member{EndDate: "2001-01-01"}, commonv1.Reason_REASON_INVALID_ARGUMENT},
		"until no date":             {"x@example.test", &tenancyv1.Member{EndDate: "2026-02-30"}, commonv1.Reason_REASON_INVALID_ARGUMENT},
	} {
		_, err := owner.members().CreateMember(t.Context(), &tenancyv1.CreateMemberRequest{
			Parent: s.GetName(), Email: c.email, Member: c.member, RequestId: newID(),
		})
		if failure.Reason(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.rights.allow(2)
	_, err := owner.members().CreateMember(t.Context(), &tenancyv1.CreateMemberRequest{
		Parent: s.GetName(), Email: "x@example.test", Member: &tenancyv1.Member{}, RequestId: newID(),
	})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RIGHT_MISSING)
	if missing := failure.From(err); missing.Meta("conditions") != "within_limit" || missing.Meta("remedies") != "raise_limit" || h.rights.lastCount() != 3 {
		t.Errorf("%v after %d", missing, h.rights.lastCount())
	}
	found, err := h.DB.Exec(t.Context(), "SELECT FROM member JOIN subscriber s ON s.id = subscriber_id WHERE s.title LIKE '%anna%'")
	if err != nil || found.RowsAffected() != 2 {
		t.Errorf("%v members, %v", found, err)
	}
}

func TestOnlyOneOfTwoTakesTheLastRoom(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	h.rights.allow(2)
	errs := make([]error, 4)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			_, errs[i] = owner.members().CreateMember(context.WithoutCancel(t.Context()), &tenancyv1.CreateMemberRequest{
				Parent: s.GetName(), Email: fmt.Sprintf("x%d@example.test", i), Member: &tenancyv1.Member{}, RequestId: newID(),
			})
		})
	}
	all.Wait()
	made := 0
	for _, err := range errs {
		switch failure.Reason(err) {
		case commonv1.Reason_REASON_UNSPECIFIED:
			made++
		case commonv1.Reason_REASON_CONFLICT, commonv1.Reason_REASON_RIGHT_MISSING:
		default:
			t.Error(err)
		}
	}
	if made != 1 {
		t.Errorf("%d were made", made)
	}
}

func TestRolesTakeEffectAtOnce(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	clerk, m := h.join(owner, s.GetName(), "clerk@example.test", "viewer")
	list := func() error {
		_, err := clerk.members().ListMembers(t.Context(), &tenancyv1.ListMembersRequest{Parent: s.GetName()})
		return err
	}
	servicetest.WantReason(t, list(), commonv1.Reason_REASON_PERMISSION_DENIED)
	update := func(etag string, roles ...string) (*tenancyv1.Member, error) {
		answer, err := owner.members().UpdateMember(t.Context(), &tenancyv1.UpdateMemberRequest{
			Member: &tenancyv1.Member{Name: m.GetName(), Roles: roles, Etag: etag}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"roles"}},
		})
		return answer.GetMember(), err
	}
	began := time.Now()
	raised, err := update(m.GetEtag(), "administrator")
	must(t, err)
	servicetest.Eventually(t, "the clerk may list members", func() bool { return list() == nil })
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	if !has(h.resolve(clerk.account, s.GetName()).GetPermissions(), authv1.Permission_PERMISSION_MEMBERS_MANAGE) {
		t.Error("other services are told of no administrator")
	}
	_, err = update(m.GetEtag(), "viewer")
	servicetest.WantReason(t, err, commonv1.Reason_REASON_ETAG_MISMATCH)
	_, err = update(raised.GetEtag(), "king")
	servicetest.WantReason(t, err, commonv1.Reason_REASON_ROLE_UNKNOWN)
	before := h.count("kontor.tenancy.access.changed")
	same, err := update("", "administrator")
	if err != nil || same.GetEtag() != raised.GetEtag() || h.count("kontor.tenancy.access.changed") != before {
		t.Errorf("nothing changed, yet %v, %v", same, err)
	}
	for name, mask := range map[string][]string{"no field": nil, "a field that can't": {"email"}} {
		_, err := owner.members().UpdateMember(t.Context(), &tenancyv1.UpdateMemberRequest{
			Member: &tenancyv1.Member{Name: m.GetName()}, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask},
		})
		if failure.Reason(err) != commonv1.Reason_REASON_INVALID_ARGUMENT {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = owner.members().GetMember(t.Context(), &tenancyv1.GetMemberRequest{Name: s.GetName() + "/members/" + newID()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
}

func TestAccessCanBeGivenLater(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	p := h.person("clerk@example.test")
	made, err := owner.members().CreateMember(t.Context(), &tenancyv1.CreateMemberRequest{
		Parent: s.GetName(), Email: p.email, Member: &tenancyv1.Member{Roles: []string{"administrator"}}, RequestId: newID(),
	})
	must(t, err)
	if made.GetMember().GetState() != tenancyv1.MemberState_MEMBER_STATE_WAITING {
		t.Errorf("%v", made)
	}
	if got := h.resolve(p.account, s.GetName()); len(got.GetPermissions()) != 0 || got.GetAdministrator() == "" {
		t.Errorf("without access: %v", got)
	}
	told := h.Events("kontor.tenancy.member.updated")
	_, err = owner.members().UpdateMember(t.Context(), &tenancyv1.UpdateMemberRequest{
		Member: &tenancyv1.Member{Name: made.GetMember().GetName(), Access: true}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"access"}},
	})
	must(t, err)
	var updated tenancyv1.MemberUpdated
	must(t, servicetest.Next(t, told).Decode(&updated))
	if !updated.GetAccessGiven() || fmt.Sprint(updated.GetFields()) != "[access]" {
		t.Errorf("told %v", &updated)
	}
	if got := h.resolve(p.account, s.GetName()); !has(got.GetPermissions(), authv1.Permission_PERMISSION_BOOKS_READ) {
		t.Errorf("with access: %v", got)
	}
}

func TestAnExcludedMemberKeepsTheAccountAndLosesAccessAtOnce(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	admin, m := h.join(owner, s.GetName(), "admin@example.test", "administrator")
	list := func() error {
		_, err := admin.members().ListMembers(t.Context(), &tenancyv1.ListMembersRequest{Parent: s.GetName()})
		return err
	}
	must(t, list())
	began := time.Now()
	for range 2 { // Repeating it changes nothing.
		excluded, err := owner.members().ExcludeMember(t.Context(), &tenancyv1.ExcludeMemberRequest{Name: m.GetName()})
		if err != nil || excluded.GetMember().GetState() != tenancyv1.MemberState_MEMBER_STATE_EXCLUDED || excluded.GetMember().GetExcludeTime() == nil {
			t.Fatalf("%v, %v", excluded, err)
		}
	}
	servicetest.Eventually(t, "the excluded member is refused", func() bool {
		return failure.Reason(list()) == commonv1.Reason_REASON_PERMISSION_DENIED
	})
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	if n := h.count("kontor.tenancy.member.excluded"); n != 1 {
		t.Errorf("told %d times", n)
	}
	if got := h.resolve(admin.account, s.GetName()); got.GetMember() || len(got.GetPermissions()) != 0 || got.GetAdministrator() != "" {
		t.Errorf("still %v", got)
	}
	mine, err := admin.subscribers().ListSubscribers(t.Context(), &tenancyv1.ListSubscribersRequest{})
	if err != nil || len(mine.GetMemberships()) != 0 {
		t.Errorf("the account lives on with %v, %v", mine, err)
	}
	_, err = owner.members().UpdateMember(t.Context(), &tenancyv1.UpdateMemberRequest{
		Member: &tenancyv1.Member{Name: m.GetName(), Access: true}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"access"}},
	})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_MEMBER_EXCLUDED)
	back, err := owner.members().CreateMember(t.Context(), &tenancyv1.CreateMemberRequest{
		Parent: s.GetName(), Email: admin.email, Member: &tenancyv1.Member{Access: true, Roles: []string{"viewer"}}, RequestId: newID(),
	})
	if err != nil || back.GetMember().GetName() != m.GetName() || fmt.Sprint(back.GetMember().GetRoles()) != "[viewer]" {
		t.Errorf("back as %v, %v", back, err)
	}
}

func TestAMembershipEndsAfterItsLastDay(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	auditor, m := h.join(owner, s.GetName(), "auditor@example.test", "auditor")
	last := time.Now().UTC().AddDate(0, 0, 3).Format(time.DateOnly)
	_, err := owner.members().UpdateMember(t.Context(), &tenancyv1.UpdateMemberRequest{
		Member: &tenancyv1.Member{Name: m.GetName(), EndDate: last}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"end_date"}},
	})
	must(t, err)
	h.Advance(3 * 24 * time.Hour)
	if got := h.resolve(auditor.account, s.GetName()); len(got.GetPermissions()) == 0 {
		t.Error("the last day is no longer part of it")
	}
	h.Advance(24 * time.Hour)
	if got := h.resolve(auditor.account, s.GetName()); got.GetMember() || len(got.GetPermissions()) != 0 {
		t.Errorf("after it, still %v", got)
	}
	members := member.NewMembers(h.Service.Clock, nil)
	for range 2 {
		must(t, members.TellEnded(t.Context(), h.DB))
	}
	if n := h.count("kontor.tenancy.member.ended"); n != 1 {
		t.Errorf("told %d times", n)
	}
	got, err := owner.members().GetMember(t.Context(), &tenancyv1.GetMemberRequest{Name: m.GetName()})
	if err != nil || got.GetMember().GetState() != tenancyv1.MemberState_MEMBER_STATE_ENDED || got.GetMember().GetEndDate() != last {
		t.Errorf("%v, %v", got, err)
	}
}

func TestMembersArePagedAndRolesListed(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	for i := range 4 {
		h.join(owner, s.GetName(), fmt.Sprintf("m%d@example.test", i), "viewer")
	}
	var seen []string
	token := ""
	for {
		page, err := owner.members().ListMembers(t.Context(), &tenancyv1.ListMembersRequest{Parent: s.GetName(), PageSize: 2, PageToken: token})
		must(t, err)
		for _, m := range page.GetMembers() {
			seen = append(seen, m.GetEmail())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if fmt.Sprint(seen) != "[anna@example.test m0@example.test m1@example.test m2@example.test m3@example.test]" {
		t.Errorf("%v", seen)
	}
	_, err := owner.members().ListMembers(t.Context(), &tenancyv1.ListMembersRequest{Parent: s.GetName(), PageToken: "x"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PAGE_TOKEN_INVALID)
	roles, err := owner.members().ListRoles(t.Context(), &tenancyv1.ListRolesRequest{})
	if err != nil || len(roles.GetRoles()) != len(member.Roles()) || roles.GetRoles()[0].GetTitle() != "Owner" || roles.GetRoles()[0].GetSubscriberWide() {
		t.Errorf("%v, %v", roles, err)
	}
}

// Whom roles in single companies let do what, without a company at hand: a row is put in as the company half will.
func TestRightsDifferFromCompanyToCompany(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	clerk, m := h.join(owner, s.GetName(), "clerk@example.test")
	one, two := "01900000-0000-7000-8000-000000000001", "01900000-0000-7000-8000-000000000002"
	_, err := h.DB.Exec(t.Context(), `INSERT INTO member_role (member_id, company_id, role)
		SELECT split_part($1, '/', 4)::uuid, $2::uuid, 'accountant' UNION ALL SELECT split_part($1, '/', 4)::uuid, $3::uuid, 'viewer'`, m.GetName(), one, two)
	must(t, err)
	got := h.resolve(clerk.account, s.GetName())
	if has(got.GetPermissions(), authv1.Permission_PERMISSION_BOOKS_READ) || !has(got.GetPermissions(), authv1.Permission_PERMISSION_SEATS_CLAIM) ||
		has(got.GetPermissions(), authv1.Permission_PERMISSION_MEMBERS_READ) {
		t.Errorf("in the subscriber: %v", got.GetPermissions())
	}
	if len(got.GetCompanies()) != 2 || got.GetAdministrator() != "Person anna@example.test" {
		t.Fatalf("%v", got)
	}
	first, second := got.GetCompanies()[0], got.GetCompanies()[1]
	if first.GetCompany() != s.GetName()+"/companies/"+one || !has(first.GetPermissions(), authv1.Permission_PERMISSION_BOOKS_POST_VOUCHERS) {
		t.Errorf("in the first: %v", first)
	}
	if has(second.GetPermissions(), authv1.Permission_PERMISSION_BOOKS_POST_VOUCHERS) || !has(second.GetPermissions(), authv1.Permission_PERMISSION_BOOKS_READ) {
		t.Errorf("in the second: %v", second)
	}
	shown, err := owner.members().GetMember(t.Context(), &tenancyv1.GetMemberRequest{Name: m.GetName()})
	if err != nil || len(shown.GetMember().GetCompanyRoles()) != 2 {
		t.Errorf("%v, %v", shown, err)
	}
}
