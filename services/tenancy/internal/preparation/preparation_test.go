package preparation

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"kontor.internal/kits"
	"kontor.internal/kits/kit"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/member"
	"kontor.internal/services/tenancy/internal/opening"
)

func books14(t *testing.T) *kit.Kit {
	t.Helper()
	set, err := kits.Load()
	if err != nil {
		t.Fatal(err)
	}
	return set.Newest("books")
}

func TestLocalRightsComeToRoles(t *testing.T) {
	k := books14(t)
	for rights, want := range map[string]string{
		"administrator":        "administrator",
		"accountant":           "voucher_clerk",
		"accountant cashier":   "voucher_clerk",
		"invoicing":            "invoicing_clerk",
		"invoicing catalogues": "catalogue_clerk invoicing_clerk",
		"payments":             "payment_approver",
		"catalogues":           "catalogue_clerk",
		"viewer":               "viewer",
		"accountant invoicing payments catalogues": "accountant",
		"":           "",
		"astronomer": "",
	} {
		var permissions []string
		for _, right := range strings.Fields(rights) {
			permissions = append(permissions, k.LocalUsers.Permissions[right]...)
		}
		slices.Sort(permissions)
		if got := strings.Join(RolesFor(k, slices.Compact(permissions)), " "); got != want {
			t.Errorf("%q came to %q, want %q", rights, got, want)
		}
	}
}

func TestNobodyGetsMoreInTheBooksThanTheyHad(t *testing.T) {
	k := books14(t)
	rapid.Check(t, func(t *rapid.T) {
		had := rapid.SliceOfDistinct(rapid.SampledFrom(k.PermissionNames()), func(name string) string { return name }).Draw(t, "had")
		for _, key := range RolesFor(k, had) {
			at := slices.IndexFunc(member.Roles(), func(r member.Role) bool { return r.Key == key })
			for _, given := range opening.PermissionsIn(k, member.Roles()[at].Permissions, false) {
				if !slices.Contains(had, given) {
					t.Fatalf("%s gives %s to one who had %v", key, given, had)
				}
			}
		}
	})
}

func TestEveryWrongFieldIsNamed(t *testing.T) {
	users := func(pairs ...string) (list []*tenancyv1.LocalUserEmail) {
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, &tenancyv1.LocalUserEmail{UserName: pairs[i], Email: pairs[i+1]})
		}
		return list
	}
	for name, c := range map[string]struct {
		users []*tenancyv1.LocalUserEmail
		want  string
	}{
		"all is well":        {users("Ieva", "ieva@x.lv", "Anna", "anna@x.lv"), ""},
		"no addresses":       {users("Ieva", "ieva", "Anna", "anna@x.lv", "Juris", "@x.lv"), "users[0].email users[2].email"},
		"no domain":          {users("Ieva", "ieva@x", "Anna", "anna@.lv", "Juris", "a@b@c.lv"), "users[0].email users[1].email users[2].email"},
		"several in one":     {users("Ieva", "ieva@x.lv, anna@x.lv"), "users[0].email"},
		"one address of two": {users("Ieva", "office@x.lv", "Anna", " Office@X.lv"), "users[1].email"},
		"one user twice":     {users("Ieva", "ieva@x.lv", "Ieva", "anna@x.lv"), "users[1].user_name"},
	} {
		var got []string
		if err := check(c.users); err != nil {
			for _, f := range failure.From(err).Fields() {
				got = append(got, f.Path)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWishesAreMatchedWithTheBooks(t *testing.T) {
	k := books14(t)
	known := []kit.LocalUser{{Name: "Ieva", Permissions: []string{"books.read"}}, {Name: "Guest"}}
	ask := func(name string, roles ...string) []*tenancyv1.LocalUserEmail {
		return []*tenancyv1.LocalUserEmail{{UserName: name, Email: "a@b.lv", Roles: roles}}
	}
	for name, c := range map[string]struct {
		asked []*tenancyv1.LocalUserEmail
		roles string
		want  commonv1.Reason
	}{
		"by local rights":          {ask("Ieva"), "viewer", 0},
		"by what is asked for":     {ask("Ieva", "accountant"), "accountant", 0},
		"a name nobody has":        {ask("ieva"), "", commonv1.Reason_REASON_LOCAL_USER_UNKNOWN},
		"rights that come to none": {ask("Guest"), "", commonv1.Reason_REASON_INVALID_ARGUMENT},
		"none, but a role is said": {ask("Guest", "viewer"), "viewer", 0},
	} {
		list, err := wishes(k, known, c.asked)
		switch {
		case c.want != 0:
			if failure.Reason(err) != c.want {
				t.Errorf("%s: %v", name, err)
			}
		case err != nil || strings.Join(list[0].roles, " ") != c.roles:
			t.Errorf("%s: %v, %v", name, list, err)
		}
	}
}
