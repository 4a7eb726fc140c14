// Package member is who belongs to a subscriber, and what each may do there.
package member

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"kontor.internal/libs/civil"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/names"
)

// Member is an account in a subscriber.
type Member struct {
	ID, Subscriber, Account uuid.UUID
	// Owner says whether it is the subscriber's one owner.
	Owner bool
	// Access is false while it waits to be given.
	Access bool
	// End is the membership's last day (UTC); zero means without end.
	End civil.Date
	// Excluded is when it was; nil if it was not.
	Excluded *time.Time
	// Created is when the account first became a member.
	Created time.Time
	// Revision counts the changes.
	Revision int64
	// Held are its roles.
	Held Held
}

// State is what the membership is worth on a day.
func (m Member) State(today civil.Date) tenancyv1.MemberState {
	switch {
	case m.Excluded != nil:
		return tenancyv1.MemberState_MEMBER_STATE_EXCLUDED
	case !m.End.IsZero() && today.After(m.End):
		return tenancyv1.MemberState_MEMBER_STATE_ENDED
	case !m.Access:
		return tenancyv1.MemberState_MEMBER_STATE_WAITING
	default:
		return tenancyv1.MemberState_MEMBER_STATE_ACTIVE
	}
}

// Standing says whether it is a membership at all on a day: neither excluded nor ended.
func (m Member) Standing(today civil.Date) bool {
	state := m.State(today)
	return state == tenancyv1.MemberState_MEMBER_STATE_ACTIVE || state == tenancyv1.MemberState_MEMBER_STATE_WAITING
}

// MayOwn says whether the ownership can be given to it.
func (m Member) MayOwn() bool { return m.Excluded == nil && m.Access && m.End.IsZero() }

// Name is `subscribers/S/members/M`.
func (m Member) Name() string { return names.Member(m.Subscriber, m.ID) }

// Etag changes with each change.
func (m Member) Etag() string { return strconv.FormatInt(m.Revision, 10) }

// Rights are the permissions it has on a day; none unless ACTIVE.
func (m Member) Rights(today civil.Date) Rights {
	if m.State(today) != tenancyv1.MemberState_MEMBER_STATE_ACTIVE {
		return Rights{}
	}
	return RightsOf(m.Owner, m.Held)
}

// The fields of a member that can be changed, as update masks name them.
const (
	fieldRoles        = "roles"
	fieldCompanyRoles = "company_roles"
	fieldAccess       = "access"
	fieldEndDate      = "end_date"
	fieldOwner        = "owner"
)

// Change is what somebody wants to be otherwise.
type Change struct {
	Held   Held
	Access bool
	End    civil.Date
	// Fields that change: roles, company_roles, access, end_date.
	Fields []string
}

// Apply answers the member after a change on a day, and which fields are other ones then. OWNER_STAYS for the owner,
// MEMBER_EXCLUDED for an excluded member.
func (c Change) Apply(m Member, today civil.Date) (after Member, changed []string, err error) {
	switch {
	case m.Owner:
		return m, nil, failure.New(commonv1.Reason_REASON_OWNER_STAYS)
	case m.Excluded != nil:
		return m, nil, failure.New(commonv1.Reason_REASON_MEMBER_EXCLUDED)
	}
	after = m
	for _, field := range c.Fields {
		switch field {
		case fieldRoles:
			after.Held.Wide = c.Held.Wide
		case fieldCompanyRoles:
			after.Held.Companies = c.Held.Companies
		case fieldAccess:
			after.Access = c.Access
		case fieldEndDate:
			after.End = c.End
		default:
			return m, nil, failure.Invalid("update_mask", "has no field "+field)
		}
	}
	if after.End != m.End {
		if err := checkEnd(after.End, today); err != nil {
			return m, nil, err
		}
	}
	return after, differences(m, after), nil
}

func checkEnd(end, today civil.Date) error {
	if !end.IsZero() && end.Before(today) {
		return failure.Invalid("member.end_date", "lies in the past; exclude the member instead")
	}
	return nil
}

func differences(before, after Member) []string {
	var changed []string
	note := func(field string, differs bool) {
		if differs {
			changed = append(changed, field)
		}
	}
	note(fieldRoles, !Held{Wide: before.Held.Wide}.Equal(Held{Wide: after.Held.Wide}))
	note(fieldCompanyRoles, !Held{Companies: before.Held.Companies}.Equal(Held{Companies: after.Held.Companies}))
	note(fieldAccess, before.Access != after.Access)
	note(fieldEndDate, before.End != after.End)
	return changed
}

// Companies knows the companies of subscribers.
type Companies interface {
	// Titles of those of the companies that the subscriber has, by id; others are left out.
	Titles(ctx context.Context, subscriber uuid.UUID, companies []uuid.UUID) (map[uuid.UUID]string, error)
}

// CheckCompanies refuses roles in companies that the subscriber does not have, with NOT_FOUND.
func CheckCompanies(ctx context.Context, companies Companies, subscriber uuid.UUID, held Held) error {
	wanted := held.CompanyIDs()
	if len(wanted) == 0 {
		return nil
	}
	titles, err := companies.Titles(ctx, subscriber, wanted)
	if err != nil {
		return err
	}
	missing := slices.IndexFunc(wanted, func(company uuid.UUID) bool { _, ok := titles[company]; return !ok })
	if missing >= 0 {
		return failure.NotFound(names.Company(subscriber, wanted[missing]))
	}
	return nil
}
