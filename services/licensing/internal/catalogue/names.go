package catalogue

import (
	"strings"

	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// PlanName is a plan's resource name.
func PlanName(id string) string { return "plans/" + id }

// PlanID is the id in a plan's resource name.
func PlanID(name string) string { return strings.TrimPrefix(name, "plans/") }

func productID(name string) string { return strings.TrimPrefix(name, "products/") }

// Proto is the kind in the contract of licensing.
func (k Kind) Proto() licensingv1.LicenceKind {
	switch k {
	case Trial:
		return licensingv1.LicenceKind_LICENCE_KIND_TRIAL
	case Paid:
		return licensingv1.LicenceKind_LICENCE_KIND_PAID
	case Rented:
		return licensingv1.LicenceKind_LICENCE_KIND_RENTED
	case Educational:
		return licensingv1.LicenceKind_LICENCE_KIND_EDUCATIONAL
	default:
		return licensingv1.LicenceKind_LICENCE_KIND_UNSPECIFIED
	}
}

// KindOf reads a kind; it is empty for the unspecified one.
func KindOf(kind licensingv1.LicenceKind) Kind {
	for _, k := range []Kind{Trial, Paid, Rented, Educational} {
		if k.Proto() == kind {
			return k
		}
	}
	return ""
}

// Proto is the limits in the contract of licensing.
func (l Limits) Proto() *licensingv1.Limits {
	return &licensingv1.Limits{
		Seats: l.Seats, Companies: l.Companies, SeatsPerCompany: l.SeatsPerCompany,
		Accounts: l.Accounts, LeaseSeconds: l.LeaseSeconds,
	}
}
