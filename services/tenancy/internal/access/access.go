// Package access answers who may do what where: for tenancy's own methods, and for the other services.
package access

import (
	"slices"

	"github.com/google/uuid"

	"kontor.internal/libs/civil"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/member"
	"kontor.internal/services/tenancy/internal/names"
)

// standing is what is known of an account in a subscriber.
type standing struct {
	staff bool
	// member is false for strangers and excluded members; nothing below counts then.
	member bool
	access bool
	end    civil.Date
	// owner is the account of the subscriber's owner.
	owner uuid.UUID
	held  member.Held
}

// answer is the rights that follow for an account in a subscriber on a day. Who has no access, or none any more, is told
// apart from strangers only by whom to ask.
func (s standing) answer(account, subscriber uuid.UUID, today civil.Date) *tenancyv1.ResolveAccessResponse {
	answer := &tenancyv1.ResolveAccessResponse{Staff: s.staff, Member: s.member}
	m := member.Member{Owner: s.owner == account, Access: s.access, End: s.end, Held: s.held}
	if !s.member || !m.Standing(today) {
		answer.Member = false
		return answer
	}
	rights := m.Rights(today)
	answer.Permissions = rights.Wide
	for _, company := range s.held.CompanyIDs() {
		if permissions := rights.Companies[company]; len(permissions) > 0 {
			answer.Companies = append(answer.Companies, &tenancyv1.CompanyAccess{
				Company: names.Company(subscriber, company), Permissions: permissions,
			})
		}
	}
	return answer
}

// managing is what comes with managing a subscriber's connections: the main account (S3) sees documents and their history,
// and neither sends nor receives.
var managing = []authv1.Permission{
	authv1.Permission_PERMISSION_CONNECTIONS_READ, authv1.Permission_PERMISSION_CONNECTIONS_MANAGE, authv1.Permission_PERMISSION_DOCUMENTS_READ,
}

// throughMembership is what a member may in a connection of the subscriber, by the permissions in the whole of it.
func throughMembership(wide []authv1.Permission) []authv1.Permission {
	if slices.Contains(wide, authv1.Permission_PERMISSION_CONNECTIONS_MANAGE) {
		return managing
	}
	var held []authv1.Permission
	for _, p := range []authv1.Permission{authv1.Permission_PERMISSION_CONNECTIONS_READ, authv1.Permission_PERMISSION_DOCUMENTS_READ} {
		if slices.Contains(wide, p) {
			held = append(held, p)
		}
	}
	return held
}

// stored are permissions as a row keeps them: each once, sorted, so that equal grants are equal.
func stored(permissions []authv1.Permission) []int32 {
	list := make([]int32, len(permissions))
	for i, p := range permissions {
		list[i] = int32(p)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func shown(permissions []int32) []authv1.Permission {
	list := make([]authv1.Permission, len(permissions))
	for i, p := range permissions {
		list[i] = authv1.Permission(p)
	}
	return list
}
