// Package preparation gives the local users of books that came from the premises their accounts (J4): each local name
// gets an e-mail, which is the user name from then on, and the roles that the local rights come to.
package preparation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"kontor.internal/kits/kit"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/member"
	"kontor.internal/services/tenancy/internal/opening"
)

// RolesFor are the roles that a kit's permissions come to, the widest first: none that gives more in the books than the
// permissions do, and together as much of them as roles can give.
func RolesFor(k *kit.Kit, permissions []string) []string {
	var fitting []fit
	for _, role := range member.Roles() {
		gives := opening.PermissionsIn(k, role.Permissions, false)
		if role.InCompany && len(gives) > 0 && len(without(gives, permissions)) == 0 {
			fitting = append(fitting, fit{key: role.Key, gives: gives, size: len(role.Permissions)})
		}
	}
	slices.SortStableFunc(fitting, func(a, b fit) int {
		return cmp.Or(cmp.Compare(len(b.gives), len(a.gives)), cmp.Compare(a.size, b.size))
	})
	var roles []string
	for _, f := range fitting {
		if left := without(permissions, f.gives); len(left) < len(permissions) {
			roles, permissions = append(roles, f.key), left
		}
	}
	return roles
}

// fit is a role and what it gives in one product; size is how much it gives anywhere.
type fit struct {
	key   string
	gives []string
	size  int
}

func without(list, others []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(one string) bool { return slices.Contains(others, one) })
}

// toProto shows a local user with roles.
func toProto(u kit.LocalUser, roles []string) *tenancyv1.LocalUser {
	return &tenancyv1.LocalUser{
		UserName: u.Name, FullName: u.FullName, Rights: u.Rights, UnknownRights: u.Unknown, Roles: roles, Account: u.Account,
	}
}

// check refuses what is wrong with a request in itself, every wrong field named.
func check(users []*tenancyv1.LocalUserEmail) error {
	var wrong []failure.Field
	names, emails := map[string]bool{}, map[string]bool{}
	for i, u := range users {
		key := strings.ToLower(strings.TrimSpace(u.GetEmail()))
		if names[u.GetUserName()] {
			wrong = append(wrong, field(i, "user_name", "is named twice"))
		}
		switch {
		case !looksRight(key):
			wrong = append(wrong, field(i, "email", "is not an e-mail address"))
		case emails[key]:
			wrong = append(wrong, field(i, "email", "is given to two users"))
		}
		names[u.GetUserName()], emails[key] = true, true
	}
	return invalid(wrong)
}

// looksRight tells typing errors early; identity has the last word.
func looksRight(email string) bool {
	local, domain, found := strings.Cut(email, "@")
	return found && local != "" && strings.Contains(strings.Trim(domain, "."), ".") && !strings.ContainsAny(email, " \t\r\n,;<>") && !strings.Contains(domain, "@")
}

func field(index int, name, text string) failure.Field {
	return failure.Field{Path: fmt.Sprintf("users[%d].%s", index, name), Text: text}
}

func invalid(wrong []failure.Field) error {
	if len(wrong) == 0 {
		return nil
	}
	return failure.New(commonv1.Reason_REASON_INVALID_ARGUMENT, "field", wrong[0].Path).WithField(wrong...)
}

// wish is one local user and who they are to become.
type wish struct {
	user  kit.LocalUser
	email string
	roles []string
}

// wishes matches a request with the books. LOCAL_USER_UNKNOWN for a name that the books do not have; ROLE_UNKNOWN for a role
// that can't be given in a company; INVALID_ARGUMENT for users that no role would come of.
func wishes(k *kit.Kit, known []kit.LocalUser, asked []*tenancyv1.LocalUserEmail) ([]wish, error) {
	var (
		list  []wish
		wrong []failure.Field
	)
	for i, a := range asked {
		at := slices.IndexFunc(known, func(u kit.LocalUser) bool { return u.Name == a.GetUserName() })
		if at < 0 {
			return nil, failure.New(commonv1.Reason_REASON_LOCAL_USER_UNKNOWN, "user", a.GetUserName())
		}
		w := wish{user: known[at], email: strings.TrimSpace(a.GetEmail()), roles: a.GetRoles()}
		if len(w.roles) == 0 {
			w.roles = RolesFor(k, w.user.Permissions)
		}
		if len(w.roles) == 0 {
			wrong = append(wrong, field(i, "roles", "the local rights come to no role; name one"))
		}
		list = append(list, w)
	}
	return list, invalid(wrong)
}

// checkLink refuses to give a local user, who is somebody already, to another account. Account is empty for one that is
// yet to be made.
func checkLink(u kit.LocalUser, account string) error {
	if u.Account == "" || u.Account == account {
		return nil
	}
	return failure.New(commonv1.Reason_REASON_LOCAL_USER_LINKED, "user", u.Name)
}
