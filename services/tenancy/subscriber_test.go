package tenancy_test

import (
	"context"
	"fmt"
	"regexp"
	"sync"
	"testing"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"kontor.internal/libs/config"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/postgres/pgtest"
	"kontor.internal/libs/service/servicetest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy"
	"kontor.internal/services/tenancy/internal/invitation"
	"kontor.internal/services/tenancy/migrations"
)

func TestEverySettingIsDescribed(t *testing.T) {
	for _, key := range config.Describe(tenancy.Config{}) {
		if key.Doc == "" {
			t.Errorf("%s has no description", key.Name)
		}
	}
}

func TestConstraintsHaveNamesThatMapToReasons(t *testing.T) {
	pgtest.CheckConstraintsNamed(t, pgtest.New(t, migrations.FS), invitation.Constraints())
}

func TestWhoRegistersAloneGetsOneSubscriber(t *testing.T) {
	h := setup(t)
	p, s := h.owner("anna@example.test")
	if s.GetTitle() != "Person anna@example.test" || s.GetOwner() != p.account || s.GetRegion() != "eu-north" || s.GetComplete() {
		t.Errorf("made %v", s)
	}
	if !regexp.MustCompile(`^CL-[0-9]{7}$`).MatchString(s.GetCode()) {
		t.Errorf("code %q", s.GetCode())
	}
	// The same said again, a colleague made by somebody else, a technical account: none of them gets another.
	colleague, technical := h.person("b@example.test"), h.technical("t@example.test")
	h.activated(p.account, identityv1.AccountKind_ACCOUNT_KIND_PERSON, true)
	h.activated(colleague.account, identityv1.AccountKind_ACCOUNT_KIND_PERSON, false)
	h.activated(technical.account, identityv1.AccountKind_ACCOUNT_KIND_TECHNICAL, true)
	_, other := h.owner("c@example.test")
	servicetest.Eventually(t, "all five events are applied", func() bool {
		var applied int
		must(t, h.DB.QueryRow(t.Context(), "SELECT count(*) FROM kontor.inbox").Scan(&applied))
		return applied == 5
	})
	if other.GetCode() == s.GetCode() {
		t.Error("two subscribers have one code")
	}
	for _, who := range []person{p, colleague, technical} {
		want := 0
		if who.account == p.account {
			want = 1
		}
		list, err := who.subscribers().ListSubscribers(t.Context(), &tenancyv1.ListSubscribersRequest{})
		if err != nil || len(list.GetMemberships()) != want {
			t.Errorf("%s has %v, %v", who.email, list, err)
		}
	}
	if n := h.count("kontor.tenancy.subscriber.created"); n != 2 {
		t.Errorf("%d told of", n)
	}
	m, err := p.subscribers().ListSubscribers(t.Context(), &tenancyv1.ListSubscribersRequest{})
	must(t, err)
	if got := m.GetMemberships()[0].GetMember(); !got.GetOwner() || got.GetState() != tenancyv1.MemberState_MEMBER_STATE_ACTIVE || got.GetEmail() != p.email {
		t.Errorf("member %v", got)
	}
}

func TestTheOwnerSaysWhoTheCustomerIs(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	update := func(etag string, wanted *tenancyv1.Subscriber, fields ...string) (*tenancyv1.Subscriber, error) {
		wanted.Name, wanted.Etag = s.GetName(), etag
		answer, err := owner.subscribers().UpdateSubscriber(t.Context(), &tenancyv1.UpdateSubscriberRequest{
			Subscriber: wanted, UpdateMask: &fieldmaskpb.FieldMask{Paths: fields},
		})
		return answer.GetSubscriber(), err
	}
	named, err := update(s.GetEtag(), &tenancyv1.Subscriber{
		Title: " SIA Bērzs ", LegalForm: tenancyv1.LegalForm_LEGAL_FORM_LEGAL_ENTITY, Country: "LV", RegistrationNumber: "40003000123",
	})
	must(t, err)
	if named.GetTitle() != "SIA Bērzs" || !named.GetComplete() || named.GetLanguage() != "en" || named.GetEtag() == s.GetEtag() {
		t.Errorf("became %v", named)
	}
	person, err := update("", &tenancyv1.Subscriber{
		LegalForm: tenancyv1.LegalForm_LEGAL_FORM_NATURAL_PERSON, FirstName: "Anna", LastName: "Ozola", Language: "lv", Region: "eu-west",
	}, "legal_form", "first_name", "last_name", "language", "region")
	must(t, err)
	if person.GetTitle() != "Anna Ozola" || person.GetRegion() != "eu-west" || person.GetLanguage() != "lv" {
		t.Errorf("became %v", person)
	}
	same, err := update("", &tenancyv1.Subscriber{Title: "Anna Ozola"}, "title")
	if err != nil || same.GetEtag() != person.GetEtag() {
		t.Errorf("nothing changed, yet %v, %v", same, err)
	}
	if updated, completed := h.count("kontor.tenancy.subscriber.updated"), h.count("kontor.tenancy.subscriber.completed"); updated != 2 || completed != 1 {
		t.Errorf("told %d times of a change, %d times of completion", updated, completed)
	}
	for name, c := range map[string]struct {
		wanted *tenancyv1.Subscriber
		etag   string
		field  string
		want   commonv1.Reason
	}{
		"an old etag":             {&tenancyv1.Subscriber{Title: "x"}, s.GetEtag(), "title", commonv1.Reason_REASON_ETAG_MISMATCH},
		"no title":                {&tenancyv1.Subscriber{}, "", "title", commonv1.Reason_REASON_INVALID_ARGUMENT},
		"a title of two lines":    {&tenancyv1.Subscriber{Title: "a\nb"}, "", "title", commonv1.Reason_REASON_INVALID_ARGUMENT},
		"no legal form":           {&tenancyv1.Subscriber{}, "", "legal_form", commonv1.Reason_REASON_INVALID_ARGUMENT},
		"another language":        {&tenancyv1.Subscriber{Language: "de"}, "", "language", commonv1.Reason_REASON_INVALID_ARGUMENT},
		"no such country":         {&tenancyv1.Subscriber{Country: "XZ"}, "", "country", commonv1.Reason_REASON_INVALID_ARGUMENT},
		"a continent":             {&tenancyv1.Subscriber{Country: "150"}, "", "country", commonv1.Reason_REASON_INVALID_ARGUMENT},
		"no such region":          {&tenancyv1.Subscriber{Region: "mars"}, "", "region", commonv1.Reason_REASON_REGION_UNKNOWN},
		"a field not the owner's": {&tenancyv1.Subscriber{Code: "CL-0000000"}, "", "code", commonv1.Reason_REASON_INVALID_ARGUMENT},
	} {
		if _, err := update(c.etag, c.wanted, c.field); failure.Reason(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	got, err := owner.subscribers().GetSubscriber(t.Context(), &tenancyv1.GetSubscriberRequest{Name: s.GetName()})
	if err != nil || got.GetSubscriber().GetTitle() != "Anna Ozola" {
		t.Errorf("%v, %v", got, err)
	}
	regions, err := owner.subscribers().ListRegions(t.Context(), &tenancyv1.ListRegionsRequest{})
	if err != nil || fmt.Sprint(regions.GetRegions()) != "[eu-north eu-west]" {
		t.Errorf("%v, %v", regions, err)
	}
	looked, err := h.directory("licensing").LookupSubscriber(t.Context(), &tenancyv1.LookupSubscriberRequest{Name: s.GetName()})
	if err != nil || looked.GetSubscriber().GetTitle() != "Anna Ozola" {
		t.Errorf("%v, %v", looked, err)
	}
}

func TestAdministratorsDoNotSayWhoTheCustomerIs(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	admin, _ := h.join(owner, s.GetName(), "admin@example.test", "administrator")
	_, err := admin.subscribers().UpdateSubscriber(t.Context(), &tenancyv1.UpdateSubscriberRequest{
		Subscriber: &tenancyv1.Subscriber{Name: s.GetName(), Title: "Mine"},
	})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	if whom := failure.From(err).Meta("administrator"); whom != "Person anna@example.test" {
		t.Errorf("whom to ask is %q", whom)
	}
}

// Every scoped method, called by somebody who belongs elsewhere.
func TestAStrangerSeesAndChangesNothing(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	_, m := h.join(owner, s.GetName(), "clerk@example.test", "viewer")
	stranger, _ := h.owner("stranger@example.test")
	invitation := s.GetName() + "/invitations/" + "01900000-0000-7000-8000-000000000000"
	id := "6f1c2c62-3a52-4f3a-9f57-1d8d2b6a8f10"
	draft := &tenancyv1.Invitation{Email: "x@example.test", FullName: "X"}
	for name, call := range map[string]func(p person, ctx context.Context) error{
		"GetSubscriber": func(p person, ctx context.Context) error {
			_, err := p.subscribers().GetSubscriber(ctx, &tenancyv1.GetSubscriberRequest{Name: s.GetName()})
			return err
		},
		"UpdateSubscriber": func(p person, ctx context.Context) error {
			_, err := p.subscribers().UpdateSubscriber(ctx, &tenancyv1.UpdateSubscriberRequest{Subscriber: &tenancyv1.Subscriber{Name: s.GetName(), Title: "x"}})
			return err
		},
		"TransferOwnership": func(p person, ctx context.Context) error {
			_, err := p.subscribers().TransferOwnership(ctx, &tenancyv1.TransferOwnershipRequest{Name: s.GetName(), Member: m.GetName()})
			return err
		},
		"CancelOwnershipTransfer": func(p person, ctx context.Context) error {
			_, err := p.subscribers().CancelOwnershipTransfer(ctx, &tenancyv1.CancelOwnershipTransferRequest{Name: s.GetName()})
			return err
		},
		"AcceptOwnership": func(p person, ctx context.Context) error {
			_, err := p.subscribers().AcceptOwnership(ctx, &tenancyv1.AcceptOwnershipRequest{Name: s.GetName()})
			return err
		},
		"ListMembers": func(p person, ctx context.Context) error {
			_, err := p.members().ListMembers(ctx, &tenancyv1.ListMembersRequest{Parent: s.GetName()})
			return err
		},
		"GetMember": func(p person, ctx context.Context) error {
			_, err := p.members().GetMember(ctx, &tenancyv1.GetMemberRequest{Name: m.GetName()})
			return err
		},
		"CreateMember": func(p person, ctx context.Context) error {
			_, err := p.members().CreateMember(ctx, &tenancyv1.CreateMemberRequest{Parent: s.GetName(), Email: "x@example.test", Member: &tenancyv1.Member{}, RequestId: id})
			return err
		},
		"UpdateMember": func(p person, ctx context.Context) error {
			_, err := p.members().UpdateMember(ctx, &tenancyv1.UpdateMemberRequest{Member: &tenancyv1.Member{Name: m.GetName()}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"access"}}})
			return err
		},
		"ExcludeMember": func(p person, ctx context.Context) error {
			_, err := p.members().ExcludeMember(ctx, &tenancyv1.ExcludeMemberRequest{Name: m.GetName()})
			return err
		},
		"PreviewInvitation": func(p person, ctx context.Context) error {
			_, err := p.invitations().PreviewInvitation(ctx, &tenancyv1.PreviewInvitationRequest{Parent: s.GetName(), Invitation: draft})
			return err
		},
		"CreateInvitation": func(p person, ctx context.Context) error {
			_, err := p.invitations().CreateInvitation(ctx, &tenancyv1.CreateInvitationRequest{Parent: s.GetName(), Invitation: draft, RequestId: id})
			return err
		},
		"ResendInvitation": func(p person, ctx context.Context) error {
			_, err := p.invitations().ResendInvitation(ctx, &tenancyv1.ResendInvitationRequest{Name: invitation, RequestId: id})
			return err
		},
		"WithdrawInvitation": func(p person, ctx context.Context) error {
			_, err := p.invitations().WithdrawInvitation(ctx, &tenancyv1.WithdrawInvitationRequest{Name: invitation})
			return err
		},
		"ListInvitations": func(p person, ctx context.Context) error {
			_, err := p.invitations().ListInvitations(ctx, &tenancyv1.ListInvitationsRequest{Parent: s.GetName()})
			return err
		},
		"GetInvitation": func(p person, ctx context.Context) error {
			_, err := p.invitations().GetInvitation(ctx, &tenancyv1.GetInvitationRequest{Name: invitation})
			return err
		},
	} {
		if err := call(stranger, t.Context()); failure.Reason(err) != commonv1.Reason_REASON_PERMISSION_DENIED {
			t.Errorf("%s by a stranger: %v", name, err)
		}
		visitor := person{h: h, conn: h.Visitor()}
		if err := call(visitor, t.Context()); failure.Reason(err) != commonv1.Reason_REASON_TOKEN_MISSING {
			t.Errorf("%s by a visitor: %v", name, err)
		}
	}
	if h.count("kontor.tenancy.member.excluded")+h.count("kontor.tenancy.subscriber.updated") != 0 {
		t.Error("something was changed")
	}
}

func TestTheOwnershipMovesInTwoSteps(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	heir, m := h.join(owner, s.GetName(), "heir@example.test", "viewer")
	other, _ := h.join(owner, s.GetName(), "other@example.test", "administrator")
	offer := func(p person, member string) error {
		_, err := p.subscribers().TransferOwnership(t.Context(), &tenancyv1.TransferOwnershipRequest{Name: s.GetName(), Member: member})
		return err
	}
	accept := func(p person) (*tenancyv1.Subscriber, error) {
		answer, err := p.subscribers().AcceptOwnership(t.Context(), &tenancyv1.AcceptOwnershipRequest{Name: s.GetName()})
		return answer.GetSubscriber(), err
	}
	servicetest.WantReason(t, offer(other, m.GetName()), commonv1.Reason_REASON_OWNER_ONLY)
	_, err := accept(heir)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_OWNERSHIP_NOT_OFFERED)

	must(t, offer(owner, m.GetName()))
	_, err = accept(other)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_OWNERSHIP_NOT_OFFERED)
	_, err = other.subscribers().CancelOwnershipTransfer(t.Context(), &tenancyv1.CancelOwnershipTransferRequest{Name: s.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_OWNER_ONLY)
	_, err = owner.subscribers().CancelOwnershipTransfer(t.Context(), &tenancyv1.CancelOwnershipTransferRequest{Name: s.GetName()})
	must(t, err)
	_, err = accept(heir)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_OWNERSHIP_NOT_OFFERED)

	must(t, offer(owner, m.GetName()))
	got, err := accept(heir)
	if err != nil || got.GetOwner() != heir.account || got.GetPendingOwner() != "" {
		t.Fatalf("%v, %v", got, err)
	}
	members, err := owner.members().ListMembers(t.Context(), &tenancyv1.ListMembersRequest{Parent: s.GetName()})
	must(t, err)
	former := members.GetMembers()[0]
	if former.GetAccount() != owner.account || former.GetOwner() || fmt.Sprint(former.GetRoles()) != "[administrator]" {
		t.Errorf("the former owner is %v", former)
	}
	servicetest.Eventually(t, "the former owner may no longer rename", func() bool {
		_, err := owner.subscribers().UpdateSubscriber(t.Context(), &tenancyv1.UpdateSubscriberRequest{Subscriber: &tenancyv1.Subscriber{Name: s.GetName(), Title: "x"}})
		return failure.Reason(err) == commonv1.Reason_REASON_PERMISSION_DENIED
	})
	owned, err := h.directory("identity").ListOwnedSubscribers(t.Context(), &tenancyv1.ListOwnedSubscribersRequest{Account: heir.account})
	if err != nil || len(owned.GetSubscribers()) != 1 {
		t.Errorf("%v, %v", owned, err)
	}
}

func TestTheOwnershipGoesOnlyToWhoCanHoldIt(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	_, m := h.join(owner, s.GetName(), "heir@example.test", "viewer")
	list, err := owner.subscribers().ListSubscribers(t.Context(), &tenancyv1.ListSubscribersRequest{})
	must(t, err)
	offer := func(member string) error {
		_, err := owner.subscribers().TransferOwnership(t.Context(), &tenancyv1.TransferOwnershipRequest{Name: s.GetName(), Member: member})
		return err
	}
	change := func(wanted *tenancyv1.Member, fields ...string) {
		t.Helper()
		wanted.Name = m.GetName()
		_, err := owner.members().UpdateMember(t.Context(), &tenancyv1.UpdateMemberRequest{Member: wanted, UpdateMask: &fieldmaskpb.FieldMask{Paths: fields}})
		must(t, err)
	}
	servicetest.WantReason(t, offer(list.GetMemberships()[0].GetMember().GetName()), commonv1.Reason_REASON_OWNERSHIP_NEEDS_MEMBER)
	_, foreign := h.owner("foreign@example.test")
	servicetest.WantReason(t, offer(foreign.GetName()+"/members/01900000-0000-7000-8000-000000000000"), commonv1.Reason_REASON_NOT_FOUND)
	servicetest.WantReason(t, offer(s.GetName()+"/members/01900000-0000-7000-8000-000000000000"), commonv1.Reason_REASON_NOT_FOUND)
	change(&tenancyv1.Member{Access: false}, "access")
	servicetest.WantReason(t, offer(m.GetName()), commonv1.Reason_REASON_OWNERSHIP_NEEDS_MEMBER)
	change(&tenancyv1.Member{Access: true, EndDate: "2999-12-31"}, "access", "end_date")
	servicetest.WantReason(t, offer(m.GetName()), commonv1.Reason_REASON_OWNERSHIP_NEEDS_MEMBER)
	// Offered, and limited before it was accepted.
	change(&tenancyv1.Member{}, "end_date")
	must(t, offer(m.GetName()))
	change(&tenancyv1.Member{EndDate: "2999-12-31"}, "end_date")
	heir := person{h: h, conn: h.As(m.GetAccount())}
	_, err = heir.subscribers().AcceptOwnership(t.Context(), &tenancyv1.AcceptOwnershipRequest{Name: s.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_OWNERSHIP_NEEDS_MEMBER)
}

func TestAnOfferOfTheOwnershipDoesNotOutliveAnExclusion(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	heir, m := h.join(owner, s.GetName(), "heir@example.test", "viewer")
	_, err := owner.subscribers().TransferOwnership(t.Context(), &tenancyv1.TransferOwnershipRequest{Name: s.GetName(), Member: m.GetName()})
	must(t, err)
	_, err = owner.members().ExcludeMember(t.Context(), &tenancyv1.ExcludeMemberRequest{Name: m.GetName()})
	must(t, err)
	_, err = owner.members().CreateMember(t.Context(), &tenancyv1.CreateMemberRequest{
		Parent: s.GetName(), Email: heir.email, Member: &tenancyv1.Member{Access: true}, RequestId: newID(),
	})
	must(t, err)
	servicetest.Eventually(t, "the heir is back without the offer", func() bool {
		_, err := heir.subscribers().AcceptOwnership(t.Context(), &tenancyv1.AcceptOwnershipRequest{Name: s.GetName()})
		return failure.Reason(err) == commonv1.Reason_REASON_OWNERSHIP_NOT_OFFERED
	})
	now, err := h.directory("licensing").LookupSubscriber(t.Context(), &tenancyv1.LookupSubscriberRequest{Name: s.GetName()})
	if err != nil || now.GetSubscriber().GetOwner() != owner.account {
		t.Errorf("%v, %v", now, err)
	}
}

func TestTheLastOwnerCannotBeLost(t *testing.T) {
	h := setup(t)
	owner, s := h.owner("anna@example.test")
	admin, m := h.join(owner, s.GetName(), "admin@example.test", "administrator")
	list, err := owner.subscribers().ListSubscribers(t.Context(), &tenancyv1.ListSubscribersRequest{})
	must(t, err)
	own := list.GetMemberships()[0].GetMember().GetName()
	for _, who := range []person{owner, admin} {
		_, err := who.members().ExcludeMember(t.Context(), &tenancyv1.ExcludeMemberRequest{Name: own})
		servicetest.WantReason(t, err, commonv1.Reason_REASON_OWNER_STAYS)
		for _, field := range []string{"access", "end_date", "roles", "company_roles"} {
			_, err := who.members().UpdateMember(t.Context(), &tenancyv1.UpdateMemberRequest{
				Member: &tenancyv1.Member{Name: own, EndDate: "2999-12-31"}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{field}},
			})
			servicetest.WantReason(t, err, commonv1.Reason_REASON_OWNER_STAYS)
		}
	}
	for _, sql := range []string{ // What no code does, the database refuses too.
		"UPDATE member SET excluded = now() WHERE account_id = (SELECT owner_account FROM subscriber)",
		"UPDATE member SET access = false WHERE account_id = (SELECT owner_account FROM subscriber)",
		"UPDATE member SET end_date = '2030-01-01' WHERE account_id = (SELECT owner_account FROM subscriber)",
		"UPDATE subscriber SET owner_account = gen_random_uuid()",
		"UPDATE subscriber SET owner_account = NULL",
		"DELETE FROM member WHERE account_id = (SELECT owner_account FROM subscriber)",
	} {
		if _, err := h.DB.Exec(t.Context(), sql); err == nil {
			t.Errorf("%s: done", sql)
		}
	}
	// The heir accepts while an administrator excludes them: whichever comes first, there is an owner who can own.
	for range 5 {
		_, err := owner.subscribers().TransferOwnership(t.Context(), &tenancyv1.TransferOwnershipRequest{Name: s.GetName(), Member: m.GetName()})
		must(t, err)
		var both sync.WaitGroup
		both.Go(func() {
			_, _ = admin.subscribers().AcceptOwnership(context.WithoutCancel(t.Context()), &tenancyv1.AcceptOwnershipRequest{Name: s.GetName()})
		})
		both.Go(func() {
			_, _ = owner.members().ExcludeMember(context.WithoutCancel(t.Context()), &tenancyv1.ExcludeMemberRequest{Name: m.GetName()})
		})
		both.Wait()
		var holds bool
		must(t, h.DB.QueryRow(t.Context(), `SELECT m.may_own FROM subscriber s JOIN member m ON m.subscriber_id = s.id AND m.account_id = s.owner_account`).Scan(&holds))
		if !holds {
			t.Fatal("the owner can't own")
		}
		now, err := h.directory("licensing").LookupSubscriber(t.Context(), &tenancyv1.LookupSubscriberRequest{Name: s.GetName()})
		must(t, err)
		if now.GetSubscriber().GetOwner() != owner.account {
			return // The heir was quicker: nothing to repeat.
		}
		_, err = owner.members().CreateMember(t.Context(), &tenancyv1.CreateMemberRequest{
			Parent: s.GetName(), Email: admin.email, Member: &tenancyv1.Member{Access: true, Roles: []string{"administrator"}}, RequestId: newID(),
		})
		must(t, err)
	}
}

func TestSubscribersArePaged(t *testing.T) {
	h := setup(t)
	clerk := h.person("clerk@example.test")
	for i := range 3 {
		owner, s := h.owner(fmt.Sprintf("owner%d@example.test", i))
		_, err := owner.members().CreateMember(t.Context(), &tenancyv1.CreateMemberRequest{
			Parent: s.GetName(), Email: clerk.email, Member: &tenancyv1.Member{Access: i > 0, Roles: []string{"viewer"}}, RequestId: newID(),
		})
		must(t, err)
	}
	var all []*tenancyv1.Membership
	token := ""
	for {
		page, err := clerk.subscribers().ListSubscribers(t.Context(), &tenancyv1.ListSubscribersRequest{PageSize: 2, PageToken: token})
		must(t, err)
		all = append(all, page.GetMemberships()...)
		if token = page.GetNextPageToken(); token == "" {
			break
		}
		if _, err := h.person("x@example.test").subscribers().ListSubscribers(t.Context(), &tenancyv1.ListSubscribersRequest{PageSize: 2, PageToken: token}); failure.Reason(err) != commonv1.Reason_REASON_PAGE_TOKEN_INVALID {
			t.Errorf("somebody else's token: %v", err)
		}
	}
	if len(all) != 3 {
		t.Fatalf("%d", len(all))
	}
	if waiting := all[0]; waiting.GetMember().GetState() != tenancyv1.MemberState_MEMBER_STATE_WAITING || waiting.GetSubscriber().GetOwner() != "" || waiting.GetSubscriber().GetTitle() == "" {
		t.Errorf("without access one sees %v", waiting)
	}
	if active := all[1]; active.GetMember().GetState() != tenancyv1.MemberState_MEMBER_STATE_ACTIVE || active.GetSubscriber().GetOwner() == "" {
		t.Errorf("with access one sees %v", active)
	}
}
