package tenancy_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/service/servicetest"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

const week = 7 * 24 * time.Hour

// invite makes an invitation as an owner.
func (p person) invite(subscriber string, draft *tenancyv1.Invitation) (*tenancyv1.Invitation, error) {
	made, err := p.invitations().CreateInvitation(p.h.t.Context(), &tenancyv1.CreateInvitationRequest{
		Parent: subscriber, Invitation: draft, RequestId: newID(),
	})
	return made.GetInvitation(), err
}

func viewer(email string) *tenancyv1.Invitation {
	return &tenancyv1.Invitation{Email: email, FullName: "Jānis Liepa", Access: true, Roles: []string{"viewer"}}
}

// link asks for an invitation's letter as notification does.
func (h *house) link(i *tenancyv1.Invitation) (*tenancyv1.GetInvitationLinkResponse, error) {
	return h.directory("notification").GetInvitationLink(h.t.Context(), &tenancyv1.GetInvitationLinkRequest{Name: i.GetName()})
}

func (h *house) token(i *tenancyv1.Invitation) string {
	h.t.Helper()
	letter, err := h.link(i)
	must(h.t, err)
	return letter.GetToken()
}

func (p person) accept(token string) (*tenancyv1.AcceptInvitationResponse, error) {
	return p.invitations().AcceptInvitation(context.WithoutCancel(p.h.t.Context()), &tenancyv1.AcceptInvitationRequest{Token: token})
}

func (p person) state(i *tenancyv1.Invitation) tenancyv1.InvitationState {
	p.h.t.Helper()
	got, err := p.invitations().GetInvitation(p.h.t.Context(), &tenancyv1.GetInvitationRequest{Name: i.GetName()})
	must(p.h.t, err)
	return got.GetInvitation().GetState()
}

func TestAnInvitationFromPreviewToWork(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	draft := viewer("janis@example.test")
	draft.Message, draft.Language = "See you on Monday.", "lv"
	preview, err := owner.invitations().PreviewInvitation(t.Context(), &tenancyv1.PreviewInvitationRequest{Parent: s.GetName(), Invitation: draft})
	must(t, err)
	for _, part := range []string{"Person anna@example.test", s.GetTitle(), s.GetCode(), "Jānis Liepa", "See you on Monday."} {
		if !strings.Contains(preview.GetBody(), part) {
			t.Errorf("%q is not in the preview:\n%s", part, preview.GetBody())
		}
	}
	if n := h.count("kontor.tenancy.invitation.created"); n != 0 || preview.GetLanguage() != "lv" {
		t.Errorf("a preview sent %d letters in %s", n, preview.GetLanguage())
	}

	request := &tenancyv1.CreateInvitationRequest{Parent: s.GetName(), Invitation: draft, RequestId: newID()}
	made, err := owner.invitations().CreateInvitation(t.Context(), request)
	must(t, err)
	again, err := owner.invitations().CreateInvitation(t.Context(), request)
	if err != nil || !proto.Equal(again, made) || h.count("kontor.tenancy.invitation.created") != 1 {
		t.Errorf("repeated: %v, %v", again, err)
	}
	i := made.GetInvitation()
	if valid := i.GetExpireTime().AsTime().Sub(i.GetCreateTime().AsTime()); valid != week {
		t.Errorf("valid for %v", valid)
	}

	letter, err := h.link(i)
	must(t, err)
	if letter.GetSubject() != preview.GetSubject() || letter.GetEmail() != "janis@example.test" || letter.GetInviter() != "Person anna@example.test" ||
		letter.GetSubscriberTitle() != s.GetTitle() || letter.GetLanguage() != "lv" || strings.Contains(letter.GetBody(), letter.GetToken()) {
		t.Errorf("letter %v", letter)
	}
	for _, table := range []string{"invitation", "kontor.outbox", "kontor.idempotency"} {
		var kept bool
		must(t, h.DB.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM "+table+" r WHERE r::text LIKE '%' || $1 || '%')", letter.GetToken()).Scan(&kept))
		if kept {
			t.Errorf("the secret is kept in %s", table)
		}
	}

	visitor := person{h: h, conn: h.Visitor()}
	lookup := func() *tenancyv1.LookupInvitationByTokenResponse {
		t.Helper()
		page, err := visitor.invitations().LookupInvitationByToken(t.Context(), &tenancyv1.LookupInvitationByTokenRequest{Token: letter.GetToken()})
		must(t, err)
		return page
	}
	if page := lookup(); page.GetState() != tenancyv1.InvitationState_INVITATION_STATE_OPEN || page.GetRegistered() || page.GetFullName() != "Jānis Liepa" ||
		page.GetEmail() != "janis@example.test" || page.GetSubscriberTitle() != s.GetTitle() || page.GetInviter() == "" {
		t.Errorf("the link leads to %v", page)
	}
	known, err := h.directory("identity").LookupInvitation(t.Context(), &tenancyv1.LookupInvitationRequest{Token: letter.GetToken()})
	if err != nil || known.GetEmail() != "janis@example.test" || known.GetInvitation() != i.GetName() {
		t.Errorf("identity is told %v, %v", known, err)
	}
	_, err = visitor.accept(letter.GetToken())
	servicetest.WantReason(t, err, commonv1.Reason_REASON_TOKEN_MISSING)

	janis := h.person("janis@example.test")
	if page := lookup(); !page.GetRegistered() {
		t.Error("the link does not see that he has registered")
	}
	welcome, err := janis.accept(letter.GetToken())
	must(t, err)
	if welcome.GetSubscriber() != s.GetName() || welcome.GetAdministrator() != "Person anna@example.test" || welcome.GetAdministratorEmail() != owner.email ||
		welcome.GetMember().GetState() != tenancyv1.MemberState_MEMBER_STATE_ACTIVE || !has(welcome.GetPermissions(), authv1.Permission_PERMISSION_BOOKS_READ) {
		t.Errorf("welcomed with %v", welcome)
	}
	got, err := owner.invitations().GetInvitation(t.Context(), &tenancyv1.GetInvitationRequest{Name: i.GetName()})
	if err != nil || got.GetInvitation().GetMember() != welcome.GetMember().GetName() || got.GetInvitation().GetAcceptTime() == nil {
		t.Errorf("%v, %v", got, err)
	}
	if page := lookup(); page.GetState() != tenancyv1.InvitationState_INVITATION_STATE_ACCEPTED {
		t.Errorf("afterwards the link leads to %v", page)
	}
	_, err = h.directory("identity").LookupInvitation(t.Context(), &tenancyv1.LookupInvitationRequest{Token: letter.GetToken()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVITATION_UNKNOWN)
	_, err = h.link(i)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
}

func TestOfSeveralToOneEmailOnlyTheLastIsValid(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	first, err := owner.invite(s.GetName(), viewer("janis@example.test"))
	must(t, err)
	firstToken := h.token(first)
	second, err := owner.invite(s.GetName(), viewer("JANIS@example.test"))
	must(t, err)
	elsewhere, err := owner.invite(s.GetName(), viewer("other@example.test"))
	must(t, err)
	janis := h.person("janis@example.test")
	_, err = janis.accept(firstToken)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVITATION_REPLACED)
	_, err = janis.accept(h.token(second))
	must(t, err)
	if owner.state(first) != tenancyv1.InvitationState_INVITATION_STATE_REPLACED || owner.state(elsewhere) != tenancyv1.InvitationState_INVITATION_STATE_OPEN {
		t.Error("states", owner.state(first), owner.state(elsewhere))
	}
}

func TestTwoToOneEmailAtOnceLeaveOneOpen(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	errs := make([]error, 4)
	var all sync.WaitGroup
	for n := range errs {
		all.Go(func() { _, errs[n] = owner.invite(s.GetName(), viewer("janis@example.test")) })
	}
	all.Wait()
	for _, err := range errs {
		if r := failure.Reason(err); r != commonv1.Reason_REASON_UNSPECIFIED && r != commonv1.Reason_REASON_CONFLICT {
			t.Error(err)
		}
	}
	var open int
	must(t, h.DB.QueryRow(t.Context(), "SELECT count(*) FROM invitation WHERE state = 1").Scan(&open))
	if open != 1 {
		t.Errorf("%d are open", open)
	}
}

func TestAnInvitationIsValidForSevenDaysAndCanBeSentAgain(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	first, err := owner.invite(s.GetName(), viewer("janis@example.test"))
	must(t, err)
	token, janis := h.token(first), h.person("janis@example.test")
	h.Advance(week - time.Hour)
	if state := owner.state(first); state != tenancyv1.InvitationState_INVITATION_STATE_OPEN {
		t.Errorf("an hour before: %v", state)
	}
	h.Advance(time.Hour)
	_, err = janis.accept(token)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVITATION_EXPIRED)
	if e := failure.From(err); e.Meta("inviter") != "Person anna@example.test" || e.Meta("expire_time") == "" {
		t.Errorf("%v", e)
	}
	request := &tenancyv1.ResendInvitationRequest{Name: first.GetName(), RequestId: newID()}
	fresh, err := owner.invitations().ResendInvitation(t.Context(), request)
	must(t, err)
	again, err := owner.invitations().ResendInvitation(t.Context(), request)
	if err != nil || !proto.Equal(again, fresh) || h.count("kontor.tenancy.invitation.resent") != 1 {
		t.Errorf("repeated: %v, %v", again, err)
	}
	i := fresh.GetInvitation()
	if i.GetName() == first.GetName() || i.GetExpireTime().AsTime().Sub(i.GetCreateTime().AsTime()) != week || fmt.Sprint(i.GetRoles()) != "[viewer]" {
		t.Errorf("fresh %v", i)
	}
	_, err = janis.accept(token)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVITATION_REPLACED)
	h.Advance(week - time.Hour)
	_, err = janis.accept(h.token(i))
	must(t, err)
	_, err = owner.invitations().ResendInvitation(t.Context(), &tenancyv1.ResendInvitationRequest{Name: i.GetName(), RequestId: newID()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVITATION_ACCEPTED)
}

func TestAWithdrawnInvitationCannotBeAccepted(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	i, err := owner.invite(s.GetName(), viewer("janis@example.test"))
	must(t, err)
	token, janis := h.token(i), h.person("janis@example.test")
	for range 2 {
		got, err := owner.invitations().WithdrawInvitation(t.Context(), &tenancyv1.WithdrawInvitationRequest{Name: i.GetName()})
		if err != nil || got.GetInvitation().GetState() != tenancyv1.InvitationState_INVITATION_STATE_WITHDRAWN {
			t.Fatalf("%v, %v", got, err)
		}
	}
	if n := h.count("kontor.tenancy.invitation.withdrawn"); n != 1 {
		t.Errorf("told %d times", n)
	}
	_, err = janis.accept(token)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVITATION_WITHDRAWN)
	next, err := owner.invite(s.GetName(), viewer("janis@example.test"))
	must(t, err)
	_, err = janis.accept(h.token(next))
	must(t, err)
	_, err = owner.invitations().WithdrawInvitation(t.Context(), &tenancyv1.WithdrawInvitationRequest{Name: next.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVITATION_ACCEPTED)
}

func TestAnInvitationIsAcceptedExactlyOnce(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	i, err := owner.invite(s.GetName(), viewer("janis@example.test"))
	must(t, err)
	token := h.token(i)
	people := []person{h.person("janis@example.test"), h.person("b@example.test"), h.person("c@example.test")}
	errs := make([]error, len(people))
	var all sync.WaitGroup
	for n, p := range people {
		all.Go(func() { _, errs[n] = p.accept(token) })
	}
	all.Wait()
	winner := -1
	for n, err := range errs {
		switch failure.Reason(err) {
		case commonv1.Reason_REASON_UNSPECIFIED:
			if winner >= 0 {
				t.Error("two accepted it")
			}
			winner = n
		case commonv1.Reason_REASON_INVITATION_ACCEPTED, commonv1.Reason_REASON_CONFLICT:
		default:
			t.Error(err)
		}
	}
	if winner < 0 {
		t.Fatal("nobody accepted it")
	}
	repeated, err := people[winner].accept(token)
	if err != nil || repeated.GetSubscriber() != s.GetName() {
		t.Errorf("repeated by the same: %v, %v", repeated, err)
	}
	_, err = people[(winner+1)%3].accept(token)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVITATION_ACCEPTED)
	if n := h.count("kontor.tenancy.invitation.accepted"); n != 1 {
		t.Errorf("told %d times", n)
	}
	if n := h.count("kontor.tenancy.member.added"); n != 2 { // The owner and one more.
		t.Errorf("%d members", n)
	}
}

func TestAnInvitationWithoutAccessMakesAMemberWhoWaits(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	draft := viewer("janis@example.test")
	draft.Access = false
	i, err := owner.invite(s.GetName(), draft)
	must(t, err)
	janis := h.person("janis@example.test")
	welcome, err := janis.accept(h.token(i))
	if err != nil || welcome.GetMember().GetState() != tenancyv1.MemberState_MEMBER_STATE_WAITING || len(welcome.GetPermissions()) != 0 || welcome.GetAdministrator() == "" {
		t.Errorf("%v, %v", welcome, err)
	}
	_, err = janis.subscribers().GetSubscriber(t.Context(), &tenancyv1.GetSubscriberRequest{Name: s.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
}

func TestOnlyTheOwnerWithAConfirmedEmailInvites(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	admin, _ := h.join(owner, s.GetName(), "admin@example.test", "administrator")
	_, err := admin.invite(s.GetName(), viewer("x@example.test"))
	servicetest.WantReason(t, err, commonv1.Reason_REASON_OWNER_ONLY)
	if e := failure.From(err); e.Meta("administrator") != "Person anna@example.test" || e.Meta("subscriber") != s.GetName() {
		t.Errorf("%v", e)
	}
	_, err = admin.invitations().PreviewInvitation(t.Context(), &tenancyv1.PreviewInvitationRequest{Parent: s.GetName(), Invitation: viewer("x@example.test")})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_OWNER_ONLY)
	i, err := owner.invite(s.GetName(), viewer("x@example.test"))
	must(t, err)
	_, err = admin.invitations().ResendInvitation(t.Context(), &tenancyv1.ResendInvitationRequest{Name: i.GetName(), RequestId: newID()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_OWNER_ONLY)

	account, err := h.Accounts.FindAccount(t.Context(), &identityv1.FindAccountRequest{Email: owner.email})
	must(t, err)
	account.GetAccount().State = identityv1.AccountState_ACCOUNT_STATE_PENDING
	_, err = owner.invite(s.GetName(), viewer("y@example.test"))
	servicetest.WantReason(t, err, commonv1.Reason_REASON_OWNER_EMAIL_UNCONFIRMED)
}

func TestInvitationsThatCannotBeMade(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	h.join(owner, s.GetName(), "clerk@example.test", "viewer")
	h.technical("robot@example.test")
	for name, c := range map[string]struct {
		draft *tenancyv1.Invitation
		want  commonv1.Reason
	}{
		"to a member":            {viewer("clerk@example.test"), commonv1.Reason_REASON_ALREADY_MEMBER},
		"to oneself":             {viewer("Anna@example.test"), commonv1.Reason_REASON_ALREADY_MEMBER},
		"to a technical account": {viewer("robot@example.test"), commonv1.Reason_REASON_ACCOUNT_TECHNICAL},
		"to no e-mail":           {viewer("x"), commonv1.Reason_REASON_INVALID_ARGUMENT},
		"to nobody by name":      {&tenancyv1.Invitation{Email: "x@example.test"}, commonv1.Reason_REASON_INVALID_ARGUMENT},
		"to a name of blanks":    {&tenancyv1.Invitation{Email: "x@example.test", FullName: "  "}, commonv1.Reason_REASON_INVALID_ARGUMENT},
		"to a name of two lines": {&tenancyv1.Invitation{Email: "x@example.test", FullName: "a\nBcc: b"}, commonv1.Reason_REASON_INVALID_ARGUMENT},
		"with too many words":    {&tenancyv1.Invitation{Email: "x@example.test", FullName: "X", Message: strings.Repeat("x", 2001)}, commonv1.Reason_REASON_INVALID_ARGUMENT},
		"as a second owner":      {&tenancyv1.Invitation{Email: "x@example.test", FullName: "X", Roles: []string{"owner"}}, commonv1.Reason_REASON_ROLE_UNKNOWN},
		"into no company": {
			&tenancyv1.Invitation{Email: "x@example.test", FullName: "X", CompanyRoles: []*tenancyv1.CompanyRoles{{
				Company: s.GetName() + "/companies/01900000-0000-7000-8000-000000000000", Roles: []string{"viewer"},
			}}}, commonv1.Reason_REASON_NOT_FOUND,
		},
	} {
		if _, err := owner.invite(s.GetName(), c.draft); failure.Reason(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := h.count("kontor.tenancy.invitation.created"); n != 0 {
		t.Errorf("%d were made", n)
	}
}

func TestAPlansAccountsCountThoseWhoAreInvited(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	h.rights.allow(2)
	i, err := owner.invite(s.GetName(), viewer("janis@example.test"))
	must(t, err)
	_, err = owner.invite(s.GetName(), viewer("other@example.test"))
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RIGHT_MISSING)
	_, err = owner.invite(s.GetName(), viewer("janis@example.test")) // The same person takes no more room.
	must(t, err)
	again, err := owner.invitations().ListInvitations(t.Context(), &tenancyv1.ListInvitationsRequest{Parent: s.GetName()})
	must(t, err)
	open := again.GetInvitations()[0]
	h.rights.allow(1)
	janis := h.person("janis@example.test")
	_, err = janis.accept(h.token(open))
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RIGHT_MISSING)
	h.rights.allow(2)
	_, err = janis.accept(h.token(open)) // What was refused can be done once there is room.
	must(t, err)
	if owner.state(i) != tenancyv1.InvitationState_INVITATION_STATE_REPLACED {
		t.Error("the first one is", owner.state(i))
	}
}

func TestWhoIsInAlreadyGetsTheRolesOnTop(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	i, err := owner.invite(s.GetName(), viewer("janis.private@example.test"))
	must(t, err)
	janis, _ := h.join(owner, s.GetName(), "janis@example.test", "payroll_clerk")
	welcome, err := janis.accept(h.token(i))
	if err != nil || fmt.Sprint(welcome.GetMember().GetRoles()) != "[payroll_clerk viewer]" {
		t.Errorf("%v, %v", welcome, err)
	}
	second, err := owner.invite(s.GetName(), viewer("robot@example.test"))
	must(t, err)
	_, err = owner.accept(h.token(second))
	servicetest.WantReason(t, err, commonv1.Reason_REASON_ALREADY_MEMBER)
	_, err = h.technical("robot2@example.test").accept(h.token(second))
	servicetest.WantReason(t, err, commonv1.Reason_REASON_ACCOUNT_TECHNICAL)
}

func TestLinksThatNobodyMadeLeadNowhere(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	i, err := owner.invite(s.GetName(), viewer("janis@example.test"))
	must(t, err)
	token := h.token(i)
	for name, bad := range map[string]string{"forged": token[1:] + token[:1], "an id": newID(), "words": "let me in"} {
		_, err := owner.accept(bad)
		if failure.Reason(err) != commonv1.Reason_REASON_INVITATION_UNKNOWN {
			t.Errorf("%s: %v", name, err)
		}
		_, err = (person{h: h, conn: h.Visitor()}).invitations().LookupInvitationByToken(t.Context(), &tenancyv1.LookupInvitationByTokenRequest{Token: bad})
		if failure.Reason(err) != commonv1.Reason_REASON_INVITATION_UNKNOWN {
			t.Errorf("%s looked up: %v", name, err)
		}
	}
	_, err = (person{h: h, conn: h.Visitor()}).invitations().LookupInvitationByToken(t.Context(), &tenancyv1.LookupInvitationByTokenRequest{})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)
}

func TestAllInvitationsEverMadeAreListedNewestFirst(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	for n := range 3 {
		_, err := owner.invite(s.GetName(), viewer(fmt.Sprintf("x%d@example.test", n)))
		must(t, err)
	}
	_, err := owner.invite(s.GetName(), viewer("x0@example.test"))
	must(t, err)
	var seen []string
	token := ""
	for {
		page, err := owner.invitations().ListInvitations(t.Context(), &tenancyv1.ListInvitationsRequest{Parent: s.GetName(), PageSize: 3, PageToken: token})
		must(t, err)
		for _, i := range page.GetInvitations() {
			seen = append(seen, fmt.Sprint(i.GetEmail()[:2], i.GetState().Number()))
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if fmt.Sprint(seen) != "[x01 x21 x11 x04]" {
		t.Errorf("%v", seen)
	}
}
