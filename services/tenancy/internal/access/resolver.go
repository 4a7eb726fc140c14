package access

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/libs/authz"
	"kontor.internal/libs/civil"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/postgres"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/access/accessdb"
	"kontor.internal/services/tenancy/internal/member"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/people"
)

// Deps are what a resolver is made of.
type Deps struct {
	DB     *pgxpool.Pool
	Clock  clock.Clock
	People *people.People
}

// Resolver reads rights from tenancy's own tables, with one query each. Safe for concurrent use.
type Resolver struct{ d Deps }

// NewResolver returns a resolver.
func NewResolver(d Deps) *Resolver { return &Resolver{d: d} }

// Resolve makes Resolver the authz.Resolver of tenancy's own methods.
func (r *Resolver) Resolve(ctx context.Context, account, scope string) (authz.Access, error) {
	answer, err := r.answer(ctx, account, scope)
	if err != nil {
		return authz.Access{}, err
	}
	return authz.FromResponse(answer), nil
}

// answer tells of an account in `subscribers/S`, in `connections/X`, or, when the scope is empty, only whether it is
// staff. What can't be the name of anything has no rights, like an unknown account.
func (r *Resolver) answer(ctx context.Context, account, scope string) (*tenancyv1.ResolveAccessResponse, error) {
	none := &tenancyv1.ResolveAccessResponse{}
	who, err := names.ParseAccount(account)
	if err != nil {
		return none, nil //nolint:nilerr // Such an account is unknown.
	}
	switch {
	case strings.HasPrefix(scope, "subscribers/"):
		subscriber, err := names.ParseSubscriber(scope)
		if err != nil {
			return none, nil //nolint:nilerr // Such a subscriber is unknown.
		}
		return r.inSubscriber(ctx, who, subscriber)
	case strings.HasPrefix(scope, "connections/"):
		connection, err := names.ParseConnection(scope)
		if err != nil {
			return none, nil //nolint:nilerr // Such a connection is unknown.
		}
		return r.inConnection(ctx, who, connection)
	case scope == "":
		staff, err := accessdb.New(r.d.DB).IsStaff(ctx, who)
		return &tenancyv1.ResolveAccessResponse{Staff: staff}, translate(err)
	default:
		return none, nil
	}
}

func (r *Resolver) inSubscriber(ctx context.Context, account, subscriber uuid.UUID) (*tenancyv1.ResolveAccessResponse, error) {
	rows, err := accessdb.New(r.d.DB).StandingIn(ctx, accessdb.StandingInParams{AccountID: account, SubscriberID: subscriber})
	if err != nil {
		return nil, translate(err)
	}
	found := fromRows(rows)
	answer := found.answer(account, subscriber, civil.DateOf(r.d.Clock.Now(), time.UTC))
	if answer.GetMember() {
		answer.Administrator = r.d.People.Name(ctx, found.owner)
	}
	return answer, nil
}

// fromRows reads the one membership that the rows repeat for each of its roles.
func fromRows(rows []accessdb.StandingInRow) standing {
	s := standing{held: member.Held{Companies: map[uuid.UUID][]string{}}}
	for _, r := range rows {
		s.staff = r.Staff
		if r.MemberID == nil || r.OwnerAccount == nil || r.Access == nil {
			continue
		}
		s.member, s.access, s.end, s.owner = true, *r.Access, r.EndDate, *r.OwnerAccount
		switch {
		case r.Role == nil:
		case r.CompanyID == nil:
			s.held.Wide = append(s.held.Wide, *r.Role)
		default:
			s.held.Companies[*r.CompanyID] = append(s.held.Companies[*r.CompanyID], *r.Role)
		}
	}
	return s
}

// inConnection is what was granted to the account itself, which is at an end, and what follows from its memberships.
func (r *Resolver) inConnection(ctx context.Context, account, connection uuid.UUID) (*tenancyv1.ResolveAccessResponse, error) {
	q := accessdb.New(r.d.DB)
	found, err := q.ConnectionPermissions(ctx, accessdb.ConnectionPermissionsParams{AccountID: account, ConnectionID: connection})
	if err != nil {
		return nil, translate(err)
	}
	rows, err := q.StandingsByConnection(ctx, accessdb.StandingsByConnectionParams{AccountID: account, ConnectionID: connection})
	if err != nil {
		return nil, translate(err)
	}
	held := shown(found.Permissions)
	today := civil.DateOf(r.d.Clock.Now(), time.UTC)
	for subscriber, s := range bySubscriber(rows) {
		held = append(held, throughMembership(s.answer(account, subscriber, today).GetPermissions())...)
	}
	slices.Sort(held)
	return &tenancyv1.ResolveAccessResponse{Staff: found.Staff, Member: len(held) > 0, Permissions: slices.Compact(held)}, nil
}

// bySubscriber reads memberships that the rows repeat for each of their roles.
func bySubscriber(rows []accessdb.StandingsByConnectionRow) map[uuid.UUID]standing {
	found := map[uuid.UUID]standing{}
	for _, r := range rows {
		s, known := found[r.SubscriberID]
		if !known {
			s.held.Companies = map[uuid.UUID][]string{}
		}
		s.member, s.access, s.end, s.owner = true, r.Access, r.EndDate, r.OwnerAccount
		if r.Role != nil && r.CompanyID == nil { // A role in one company says nothing about connections.
			s.held.Wide = append(s.held.Wide, *r.Role)
		}
		found[r.SubscriberID] = s
	}
	return found
}

func translate(err error) error { return postgres.Constraints(nil).Translate(err) }
