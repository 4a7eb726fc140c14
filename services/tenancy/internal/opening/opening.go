// Package opening lets accounting programs work in company databases: a held seat and rights in the company are turned
// into a database login that lives as long as the seat. Sessions follow leases, and leases are real time, so this
// package reads the machine's clock, not the suite's.
package opening

import (
	"cmp"
	"slices"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/kits/kit"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/member"
	"kontor.internal/services/tenancy/internal/names"
)

const (
	// margin is how much longer than the lease a login takes new connections: renewals move the lease often, and the role
	// only now and then. A session whose seat is gone is ended long before, so this bounds only what nobody could end.
	margin = 15 * time.Minute
	// slack is what is left of the margin when the role is moved along.
	slack = 5 * time.Minute
)

// Session is one program's access to a company's database.
type Session struct {
	ID, Subscriber, Company, Account uuid.UUID
	// Seat is `subscribers/S/licences/L/seats/T`.
	Seat     string
	Area     string
	ReadOnly bool
	Created  time.Time
	// LeaseEnd is when the seat's lease ends as far as known.
	LeaseEnd time.Time
}

// Name is `subscribers/S/companies/C/sessions/X`.
func (s Session) Name() string { return names.Session(s.Subscriber, s.Company, s.ID) }

// ToProto is what the API shows of it.
func (s Session) ToProto() *tenancyv1.Session {
	return &tenancyv1.Session{
		Name: s.Name(), Account: names.Account(s.Account), Seat: s.Seat, DataArea: s.Area, ReadOnly: s.ReadOnly,
		CreateTime: timestamppb.New(s.Created), LeaseEndTime: timestamppb.New(s.LeaseEnd),
	}
}

// loginUntil is until when the login of a session takes new connections.
func loginUntil(leaseEnd time.Time) time.Time { return leaseEnd.Add(margin) }

// movesLogin says whether the login's end has to be moved for a renewed lease.
func movesLogin(leaseEnd, until time.Time) bool { return leaseEnd.Add(slack).After(until) }

// kitPermission is how kits name a permission, empty for one that no kit asks for.
func kitPermission(p authv1.Permission) string {
	switch p {
	case authv1.Permission_PERMISSION_BOOKS_READ:
		return "books.read"
	case authv1.Permission_PERMISSION_BOOKS_POST_VOUCHERS:
		return "books.post_vouchers"
	case authv1.Permission_PERMISSION_BOOKS_ISSUE_INVOICES:
		return "books.issue_invoices"
	case authv1.Permission_PERMISSION_BOOKS_APPROVE_PAYMENTS:
		return "books.approve_payments"
	case authv1.Permission_PERMISSION_BOOKS_MANAGE_MASTER_DATA:
		return "books.manage_master_data"
	case authv1.Permission_PERMISSION_BOOKS_ADMINISTER:
		return "books.administer"
	case authv1.Permission_PERMISSION_PAYROLL_READ:
		return "payroll.read"
	case authv1.Permission_PERMISSION_PAYROLL_MANAGE:
		return "payroll.manage"
	default:
		return ""
	}
}

// inCompany are the permissions that somebody has in one company, wherever they come from.
func inCompany(rights member.Rights, company uuid.UUID) []authv1.Permission {
	return append(slices.Clone(rights.Wide), rights.Companies[company]...)
}

// PermissionsIn are the kit's permissions that somebody's permissions come to, sorted. Those that write are left out of
// what may only be read.
func PermissionsIn(k *kit.Kit, held []authv1.Permission, readOnly bool) []string {
	var found []string
	for _, p := range held {
		name := kitPermission(p)
		if known, ok := k.Permissions[name]; ok && (!readOnly || !known.Writes) {
			found = append(found, name)
		}
	}
	return sortedOnce(found)
}

func sortedOnce[T cmp.Ordered](list []T) []T {
	slices.Sort(list)
	return slices.Compact(list)
}
