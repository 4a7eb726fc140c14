package member_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"kontor.internal/libs/civil"
	"kontor.internal/libs/failure"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/member"
)

func day(t testing.TB, text string) civil.Date {
	t.Helper()
	d, err := civil.ParseDate(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestStateOfAMembership(t *testing.T) {
	today, then := day(t, "2026-11-23"), time.Now()
	for name, c := range map[string]struct {
		m    member.Member
		want tenancyv1.MemberState
	}{
		"with access is active":             {member.Member{Access: true}, tenancyv1.MemberState_MEMBER_STATE_ACTIVE},
		"without access waits":              {member.Member{}, tenancyv1.MemberState_MEMBER_STATE_WAITING},
		"is active on its last day":         {member.Member{Access: true, End: today}, tenancyv1.MemberState_MEMBER_STATE_ACTIVE},
		"has ended the day after":           {member.Member{Access: true, End: today.AddDays(-1)}, tenancyv1.MemberState_MEMBER_STATE_ENDED},
		"that ended and waits has ended":    {member.Member{End: today.AddDays(-1)}, tenancyv1.MemberState_MEMBER_STATE_ENDED},
		"is excluded whatever else is true": {member.Member{Access: true, End: today, Excluded: &then}, tenancyv1.MemberState_MEMBER_STATE_EXCLUDED},
	} {
		if got := c.m.State(today); got != c.want {
			t.Errorf("a membership %s: %v", name, got)
		}
		if active := c.want == tenancyv1.MemberState_MEMBER_STATE_ACTIVE; (len(c.m.Rights(today).Wide) > 0) != active {
			t.Errorf("a membership %s has rights %v", name, c.m.Rights(today))
		}
	}
}

func TestRolesGiveWhatFitsThePost(t *testing.T) {
	company := uuid.New()
	for name, c := range map[string]struct {
		owner     bool
		held      member.Held
		wide, not []authv1.Permission
		here      []authv1.Permission
	}{
		"the owner has everything": {
			owner: true, wide: []authv1.Permission{authv1.Permission_PERMISSION_SUBSCRIBER_MANAGE, authv1.Permission_PERMISSION_PAYROLL_MANAGE, authv1.Permission_PERMISSION_MEMBERS_MANAGE},
		},
		"an administrator has all but saying who the customer is": {
			held: member.Held{Wide: []string{"administrator"}},
			wide: []authv1.Permission{authv1.Permission_PERMISSION_MEMBERS_MANAGE, authv1.Permission_PERMISSION_LICENCES_MANAGE},
			not:  []authv1.Permission{authv1.Permission_PERMISSION_SUBSCRIBER_MANAGE},
		},
		"an administrator of one company manages no members": {
			held: member.Held{Companies: map[uuid.UUID][]string{company: {"administrator"}}},
			wide: []authv1.Permission{authv1.Permission_PERMISSION_SUBSCRIBER_READ, authv1.Permission_PERMISSION_SEATS_CLAIM},
			not:  []authv1.Permission{authv1.Permission_PERMISSION_MEMBERS_MANAGE, authv1.Permission_PERMISSION_BOOKS_READ, authv1.Permission_PERMISSION_COMPANIES_READ},
			here: []authv1.Permission{authv1.Permission_PERMISSION_BOOKS_ADMINISTER, authv1.Permission_PERMISSION_SNAPSHOTS_MANAGE},
		},
		"a payroll clerk does not read the books": {
			held: member.Held{Wide: []string{"payroll_clerk"}},
			wide: []authv1.Permission{authv1.Permission_PERMISSION_PAYROLL_MANAGE, authv1.Permission_PERMISSION_COMPANIES_OPEN},
			not:  []authv1.Permission{authv1.Permission_PERMISSION_BOOKS_READ},
		},
		"an auditor changes nothing": {
			held: member.Held{Wide: []string{"auditor"}},
			wide: []authv1.Permission{authv1.Permission_PERMISSION_BOOKS_READ, authv1.Permission_PERMISSION_DATA_EXPORT},
			not:  []authv1.Permission{authv1.Permission_PERMISSION_BOOKS_POST_VOUCHERS, authv1.Permission_PERMISSION_BOOKS_APPROVE_PAYMENTS},
		},
		"a document clerk opens no company and takes no seat": {
			held: member.Held{Companies: map[uuid.UUID][]string{company: {"document_clerk"}}},
			not:  []authv1.Permission{authv1.Permission_PERMISSION_SEATS_CLAIM},
			here: []authv1.Permission{authv1.Permission_PERMISSION_DOCUMENTS_SEND},
		},
		"a role that is no more gives nothing": {
			held: member.Held{Wide: []string{"king"}}, not: []authv1.Permission{authv1.Permission_PERMISSION_BOOKS_READ},
		},
	} {
		got := member.RightsOf(c.owner, c.held)
		for _, p := range c.wide {
			if !slices.Contains(got.Wide, p) {
				t.Errorf("%s: lacks %v", name, p)
			}
		}
		for _, p := range c.not {
			if slices.Contains(got.Wide, p) {
				t.Errorf("%s: has %v", name, p)
			}
		}
		for _, p := range c.here {
			if !slices.Contains(got.Companies[company], p) {
				t.Errorf("%s: lacks %v in the company", name, p)
			}
		}
	}
}

func TestRolesAreWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for _, role := range member.Roles() {
		if seen[role.Key] || role.Titles["en"] == "" || role.Titles["lv"] == "" || len(role.Permissions) == 0 {
			t.Errorf("role %+v", role)
		}
		seen[role.Key] = true
		if role.Key != member.RoleOwner && slices.Contains(role.Permissions, authv1.Permission_PERMISSION_SUBSCRIBER_MANAGE) {
			t.Errorf("%s manages the subscriber", role.Key)
		}
	}
	for number := range authv1.Permission_name {
		p := authv1.Permission(number)
		if p != 0 && !slices.Contains(member.RightsOf(true, member.Held{}).Wide, p) {
			t.Errorf("the owner lacks %v", p)
		}
	}
}

func drawHeld(t *rapid.T, label string) member.Held {
	keys := rapid.SliceOfN(rapid.SampledFrom([]string{"administrator", "accountant", "viewer", "payroll_clerk", "auditor"}), 0, 4)
	held := member.Held{Wide: keys.Draw(t, label), Companies: map[uuid.UUID][]string{}}
	for i := range 3 {
		held.Companies[uuid.UUID{15: byte(i)}] = keys.Draw(t, label)
	}
	return held
}

func TestMoreRolesNeverTakeARightAway(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawHeld(t, "a"), drawHeld(t, "b")
		both, one := member.RightsOf(false, a.With(b)), member.RightsOf(false, a)
		for _, p := range one.Wide {
			if !slices.Contains(both.Wide, p) {
				t.Fatalf("%v is gone", p)
			}
		}
		for company, list := range one.Companies {
			for _, p := range list {
				if !slices.Contains(both.Companies[company], p) {
					t.Fatalf("%v is gone in %s", p, company)
				}
			}
		}
		if !a.With(b).Equal(b.With(a)) || !a.With(a).Equal(a) {
			t.Fatal("joining depends on order or count")
		}
	})
}

func TestAChangeNeverTouchesTheOwnerOrTheExcluded(t *testing.T) {
	today, then := day(t, "2026-11-23"), time.Now()
	change := member.Change{Access: false, Fields: []string{"access"}}
	for name, c := range map[string]struct {
		m    member.Member
		want commonv1.Reason
	}{
		"the owner":          {member.Member{Owner: true, Access: true}, commonv1.Reason_REASON_OWNER_STAYS},
		"an excluded member": {member.Member{Excluded: &then}, commonv1.Reason_REASON_MEMBER_EXCLUDED},
		"an ended member":    {member.Member{Access: true, End: today.AddDays(-9)}, commonv1.Reason_REASON_UNSPECIFIED},
	} {
		if _, _, err := change.Apply(c.m, today); failure.Reason(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
