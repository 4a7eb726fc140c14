package member

import (
	"cmp"
	"maps"
	"slices"

	"github.com/google/uuid"

	"kontor.internal/libs/failure"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/names"
)

// The roles that code speaks of.
const (
	RoleOwner         = "owner"
	RoleAdministrator = "administrator"
)

// Role is a named set of permissions.
type Role struct {
	// Key is what is stored.
	Key string
	// Titles by language; English is always there.
	Titles map[string]string
	// Wide says whether it can be given in the whole subscriber.
	Wide bool
	// InCompany says whether it can be given in a single company.
	InCompany bool
	// Permissions where it is given.
	Permissions []authv1.Permission
}

// Short names, for the table below only.
const (
	subscriberRead   = authv1.Permission_PERMISSION_SUBSCRIBER_READ
	subscriberManage = authv1.Permission_PERMISSION_SUBSCRIBER_MANAGE
	membersRead      = authv1.Permission_PERMISSION_MEMBERS_READ
	membersManage    = authv1.Permission_PERMISSION_MEMBERS_MANAGE
	companiesRead    = authv1.Permission_PERMISSION_COMPANIES_READ
	companiesManage  = authv1.Permission_PERMISSION_COMPANIES_MANAGE
	companiesOpen    = authv1.Permission_PERMISSION_COMPANIES_OPEN
	licencesRead     = authv1.Permission_PERMISSION_LICENCES_READ
	licencesManage   = authv1.Permission_PERMISSION_LICENCES_MANAGE
	seatsClaim       = authv1.Permission_PERMISSION_SEATS_CLAIM
	seatsRead        = authv1.Permission_PERMISSION_SEATS_READ
	seatsManage      = authv1.Permission_PERMISSION_SEATS_MANAGE
	connectionsRead  = authv1.Permission_PERMISSION_CONNECTIONS_READ
	connectionsMng   = authv1.Permission_PERMISSION_CONNECTIONS_MANAGE
	documentsSend    = authv1.Permission_PERMISSION_DOCUMENTS_SEND
	documentsReceive = authv1.Permission_PERMISSION_DOCUMENTS_RECEIVE
	documentsRead    = authv1.Permission_PERMISSION_DOCUMENTS_READ
	snapshotsRead    = authv1.Permission_PERMISSION_SNAPSHOTS_READ
	snapshotsManage  = authv1.Permission_PERMISSION_SNAPSHOTS_MANAGE
	dataExport       = authv1.Permission_PERMISSION_DATA_EXPORT
	booksRead        = authv1.Permission_PERMISSION_BOOKS_READ
	booksVouchers    = authv1.Permission_PERMISSION_BOOKS_POST_VOUCHERS
	booksInvoices    = authv1.Permission_PERMISSION_BOOKS_ISSUE_INVOICES
	booksPayments    = authv1.Permission_PERMISSION_BOOKS_APPROVE_PAYMENTS
	booksMaster      = authv1.Permission_PERMISSION_BOOKS_MANAGE_MASTER_DATA
	booksAdminister  = authv1.Permission_PERMISSION_BOOKS_ADMINISTER
	payrollRead      = authv1.Permission_PERMISSION_PAYROLL_READ
	payrollManage    = authv1.Permission_PERMISSION_PAYROLL_MANAGE
)

// inCompany are the permissions that mean something in a single company.
func inCompany() []authv1.Permission {
	return []authv1.Permission{
		companiesRead, companiesManage, companiesOpen, connectionsRead, connectionsMng, documentsSend, documentsReceive,
		documentsRead, snapshotsRead, snapshotsManage, dataExport, booksRead, booksVouchers, booksInvoices, booksPayments,
		booksMaster, booksAdminister, payrollRead, payrollManage,
	}
}

// toWork are the subscriber's own permissions that opening a company takes: a seat, and knowing of what licence.
func toWork() []authv1.Permission {
	return []authv1.Permission{licencesRead, seatsRead, seatsClaim}
}

// Roles are all roles, the widest first.
func Roles() []Role {
	open := []authv1.Permission{companiesRead, companiesOpen}
	with := func(more ...authv1.Permission) []authv1.Permission { return append(slices.Clone(open), more...) }
	return []Role{
		{
			Key: RoleOwner, Titles: map[string]string{"en": "Owner", "lv": "Īpašnieks"},
			Permissions: everything(),
		},
		{
			// J8: the administrator has all. Saying who the customer is stays with the owner (C8).
			Key: RoleAdministrator, Titles: map[string]string{"en": "Administrator", "lv": "Administrators"}, Wide: true, InCompany: true,
			Permissions: slices.DeleteFunc(everything(), func(p authv1.Permission) bool { return p == subscriberManage }),
		},
		{
			Key: "accountant", Titles: map[string]string{"en": "Accountant", "lv": "Grāmatvedis"}, Wide: true, InCompany: true,
			Permissions: with(booksRead, booksVouchers, booksInvoices, booksPayments, booksMaster, connectionsRead,
				documentsSend, documentsReceive, documentsRead, snapshotsRead, dataExport),
		},
		{
			Key: "invoicing_clerk", Titles: map[string]string{"en": "Invoicing clerk", "lv": "Rēķinu izrakstītājs"}, Wide: true, InCompany: true,
			Permissions: with(booksRead, booksInvoices, documentsSend, documentsRead),
		},
		{
			Key: "voucher_clerk", Titles: map[string]string{"en": "Voucher clerk", "lv": "Dokumentu iegrāmatotājs"}, Wide: true, InCompany: true,
			Permissions: with(booksRead, booksVouchers, documentsReceive, documentsRead),
		},
		{
			Key: "catalogue_clerk", Titles: map[string]string{"en": "Catalogue clerk", "lv": "Katalogu uzturētājs"}, Wide: true, InCompany: true,
			Permissions: with(booksRead, booksMaster),
		},
		{
			Key: "payment_approver", Titles: map[string]string{"en": "Payment approver", "lv": "Maksājumu apstiprinātājs"}, Wide: true, InCompany: true,
			Permissions: with(booksRead, booksPayments),
		},
		{
			Key: "payroll_clerk", Titles: map[string]string{"en": "Payroll clerk", "lv": "Algu grāmatvedis"}, Wide: true, InCompany: true,
			Permissions: with(payrollRead, payrollManage),
		},
		{
			Key: "document_clerk", Titles: map[string]string{"en": "Document exchange clerk", "lv": "Dokumentu apmaiņas operators"}, Wide: true, InCompany: true,
			Permissions: []authv1.Permission{companiesRead, connectionsRead, documentsSend, documentsReceive, documentsRead},
		},
		{
			Key: "auditor", Titles: map[string]string{"en": "Auditor", "lv": "Revidents"}, Wide: true, InCompany: true,
			Permissions: with(booksRead, payrollRead, documentsRead, snapshotsRead, dataExport),
		},
		{
			Key: "viewer", Titles: map[string]string{"en": "Viewer", "lv": "Skatītājs"}, Wide: true, InCompany: true,
			Permissions: with(booksRead),
		},
	}
}

func everything() []authv1.Permission {
	all := append([]authv1.Permission{
		subscriberRead, subscriberManage, membersRead, membersManage, licencesRead, licencesManage, seatsClaim, seatsRead, seatsManage,
	}, inCompany()...)
	slices.Sort(all)
	return all
}

// byKey finds a role.
func byKey(key string) (Role, bool) {
	for _, role := range Roles() {
		if role.Key == key {
			return role, true
		}
	}
	return Role{}, false
}

// Held are the roles of one member: keys in the whole subscriber, and in single companies.
type Held struct {
	Wide      []string
	Companies map[uuid.UUID][]string
}

// Equal says whether two hold the same, in whatever order.
func (h Held) Equal(other Held) bool {
	a, b := h.tidy(), other.tidy()
	return slices.Equal(a.Wide, b.Wide) && maps.EqualFunc(a.Companies, b.Companies, slices.Equal)
}

// With holds what either holds.
func (h Held) With(other Held) Held {
	both := Held{Wide: append(slices.Clone(h.Wide), other.Wide...), Companies: map[uuid.UUID][]string{}}
	for _, one := range []Held{h, other} {
		for company, keys := range one.Companies {
			both.Companies[company] = append(slices.Clone(both.Companies[company]), keys...)
		}
	}
	return both.tidy()
}

// CompanyIDs are the companies it speaks of, sorted.
func (h Held) CompanyIDs() []uuid.UUID {
	return slices.SortedFunc(maps.Keys(h.Companies), compareIDs)
}

func (h Held) tidy() Held {
	out := Held{Wide: sortedOnce(h.Wide), Companies: map[uuid.UUID][]string{}}
	for company, keys := range h.Companies {
		if len(keys) > 0 {
			out.Companies[company] = sortedOnce(keys)
		}
	}
	return out
}

// ParseHeld reads the roles of a request about a subscriber. ROLE_UNKNOWN for one that can't be given so; NOT_FOUND for
// a company of somebody else. Whether the companies exist is not looked at.
func ParseHeld(subscriber uuid.UUID, wide []string, companies []*tenancyv1.CompanyRoles) (Held, error) {
	held := Held{Wide: wide, Companies: map[uuid.UUID][]string{}}
	for _, key := range wide {
		if role, ok := byKey(key); !ok || !role.Wide {
			return Held{}, failure.New(commonv1.Reason_REASON_ROLE_UNKNOWN, "role", key, "scope", "subscriber")
		}
	}
	for _, c := range companies {
		parent, company, err := names.ParseCompany(c.GetCompany())
		if err != nil {
			return Held{}, err
		}
		if parent != subscriber {
			return Held{}, failure.NotFound(c.GetCompany())
		}
		for _, key := range c.GetRoles() {
			if role, ok := byKey(key); !ok || !role.InCompany {
				return Held{}, failure.New(commonv1.Reason_REASON_ROLE_UNKNOWN, "role", key, "scope", "company")
			}
		}
		held.Companies[company] = append(held.Companies[company], c.GetRoles()...)
	}
	return held.tidy(), nil
}

// Rights are the permissions that follow from a membership.
type Rights struct {
	// Wide hold in the subscriber and all its companies.
	Wide []authv1.Permission
	// Companies hold in single companies, on top.
	Companies map[uuid.UUID][]authv1.Permission
}

// RightsOf computes what somebody with access may do. A role that no longer exists gives nothing.
func RightsOf(owner bool, held Held) Rights {
	wide := []authv1.Permission{subscriberRead}
	if owner {
		wide = append(wide, everything()...)
	}
	for _, key := range held.Wide {
		role, _ := byKey(key)
		wide = append(append(wide, role.Permissions...), aside(role)...)
	}
	rights := Rights{Companies: map[uuid.UUID][]authv1.Permission{}}
	for company, keys := range held.Companies {
		var here []authv1.Permission
		for _, key := range keys {
			role, _ := byKey(key)
			for _, p := range role.Permissions {
				if slices.Contains(inCompany(), p) {
					here = append(here, p)
				}
			}
			wide = append(wide, aside(role)...)
		}
		rights.Companies[company] = sortedOnce(here)
	}
	rights.Wide = sortedOnce(wide)
	return rights
}

// aside is what a role gives in the subscriber wherever it is held.
func aside(role Role) []authv1.Permission {
	if slices.Contains(role.Permissions, companiesOpen) {
		return toWork()
	}
	return nil
}

func sortedOnce[T cmp.Ordered](list []T) []T {
	sorted := slices.Clone(list)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

func compareIDs(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }
