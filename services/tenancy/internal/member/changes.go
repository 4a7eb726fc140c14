package member

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/libs/civil"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/member/memberdb"
)

// Constraints are the rules that the database keeps about members.
func Constraints() postgres.Constraints {
	return postgres.Constraints{
		"subscriber_owner_stands": commonv1.Reason_REASON_OWNER_STAYS,
		"member_account_once":     commonv1.Reason_REASON_CONFLICT, // Two added the same account at once.
	}
}

// Members changes memberships, each in its caller's transaction and together with the events that tell of it.
type Members struct {
	clock clock.Clock
	newID id.Source
}

// NewMembers returns Members by a clock and a source of ids.
func NewMembers(clock clock.Clock, newID id.Source) *Members {
	return &Members{clock: clock, newID: newID}
}

// Today is the day that memberships are judged by.
func (s *Members) Today() civil.Date { return civil.DateOf(s.clock.Now(), time.UTC) }

// Addition is an account that is to become a member.
type Addition struct {
	Subscriber, Account uuid.UUID
	// Email of the account, for ALREADY_MEMBER's text.
	Email  string
	Access bool
	End    civil.Date
	Held   Held
	Origin tenancyv1.MemberOrigin
	// Activation that waits for the account's holder, `activations/V`; empty when the account is active.
	Activation string
	// Invitation that was accepted, `subscribers/S/invitations/I`.
	Invitation string
	// Company and LocalUser are what a member is prepared from (J4).
	Company, LocalUser string
	// Merge gives a member that stands already what it lacks; otherwise that is ALREADY_MEMBER.
	Merge bool
	// Room that was found for it.
	Room Room
}

// Add makes an account a member, brings an excluded or ended one back with what is given here, or adds to one that
// stands (Merge). OWNER_STAYS never comes of it: an owner has everything and stays as is.
func (s *Members) Add(ctx context.Context, tx pgx.Tx, a Addition) (Member, error) {
	if err := s.take(ctx, tx, a.Room); err != nil {
		return Member{}, err
	}
	m, found, err := lockOfAccount(ctx, tx, a.Subscriber, a.Account)
	if err != nil {
		return Member{}, err
	}
	switch {
	case !found:
		m = Member{
			ID: s.newID(), Subscriber: a.Subscriber, Account: a.Account, Access: a.Access, End: a.End,
			Created: s.clock.Now(), Revision: 1, Held: a.Held.tidy(),
			Owner: a.Origin == tenancyv1.MemberOrigin_MEMBER_ORIGIN_REGISTRATION,
		}
		if err := insert(ctx, tx, m); err != nil {
			return Member{}, err
		}
	case !m.Standing(s.Today()):
		m.Access, m.End, m.Held, m.Excluded = a.Access, a.End, a.Held.tidy(), nil
		if m, err = update(ctx, tx, m); err != nil {
			return Member{}, err
		}
	case a.Merge && !m.Owner:
		return s.merge(ctx, tx, m, a)
	case a.Merge:
		return m, nil
	default:
		return Member{}, failure.New(commonv1.Reason_REASON_ALREADY_MEMBER, "email", a.Email, "member", m.Name())
	}
	return m, s.tellAdded(ctx, tx, m, a)
}

func (s *Members) merge(ctx context.Context, tx pgx.Tx, m Member, a Addition) (Member, error) {
	return s.apply(ctx, tx, m, Change{
		Held: m.Held.With(a.Held), Access: m.Access || a.Access, Fields: []string{fieldRoles, fieldCompanyRoles, fieldAccess},
	})
}

// Change changes a member. An etag that isn't empty must be the member's.
func (s *Members) Change(ctx context.Context, tx pgx.Tx, subscriber, member uuid.UUID, etag string, c Change) (Member, error) {
	m, err := Lock(ctx, tx, subscriber, member)
	if err != nil {
		return Member{}, err
	}
	if etag != "" && etag != m.Etag() {
		return Member{}, failure.New(commonv1.Reason_REASON_ETAG_MISMATCH)
	}
	return s.apply(ctx, tx, m, c)
}

func (s *Members) apply(ctx context.Context, tx pgx.Tx, m Member, c Change) (Member, error) {
	after, changed, err := c.Apply(m, s.Today())
	if err != nil || len(changed) == 0 {
		return m, err
	}
	if after, err = update(ctx, tx, after); err != nil {
		return m, err
	}
	return after, s.tellUpdated(ctx, tx, after, changed, after.Access && !m.Access)
}

// Exclude ends a person's access to a subscriber. An excluded member stays as is. OWNER_STAYS for the owner.
func (s *Members) Exclude(ctx context.Context, tx pgx.Tx, subscriber, member uuid.UUID) (Member, error) {
	m, err := Lock(ctx, tx, subscriber, member)
	switch {
	case err != nil:
		return Member{}, err
	case m.Owner:
		return Member{}, failure.New(commonv1.Reason_REASON_OWNER_STAYS)
	case m.Excluded != nil:
		return m, nil
	}
	now := s.clock.Now()
	m.Excluded, m.Access, m.Held = &now, false, Held{}
	if m, err = update(ctx, tx, m); err != nil {
		return Member{}, err
	}
	return m, s.tellExcluded(ctx, tx, m)
}

// HandOver makes one member the owner's rights' holder in place of another, after subscriber's row says so: the former
// owner stays as an administrator.
func (s *Members) HandOver(ctx context.Context, tx pgx.Tx, subscriber, from, to uuid.UUID) error {
	for _, account := range []uuid.UUID{from, to} {
		m, found, err := lockOfAccount(ctx, tx, subscriber, account)
		if err != nil {
			return err
		}
		if !found || (account == to && !m.MayOwn()) {
			return failure.New(commonv1.Reason_REASON_OWNERSHIP_NEEDS_MEMBER)
		}
		if account == from && !slices.Contains(m.Held.Wide, RoleAdministrator) {
			m.Held = m.Held.With(Held{Wide: []string{RoleAdministrator}})
		}
		if m, err = update(ctx, tx, m); err != nil {
			return err
		}
		if err := s.tellUpdated(ctx, tx, m, []string{fieldOwner}, false); err != nil {
			return err
		}
	}
	return nil
}

// endEvery is how often memberships are looked at whose last day has passed. Requests don't wait for it: they judge by
// the day themselves. It ends what is kept open elsewhere.
const endEvery = time.Minute

// Periodic is the timer that tells of memberships that ended.
func (s *Members) Periodic(pool *pgxpool.Pool) jobs.Periodic {
	return jobs.Periodic{
		Name: "members_ended", Every: endEvery, AtStart: true,
		Run: func(ctx context.Context) error { return s.TellEnded(ctx, pool) },
	}
}

// TellEnded tells of each membership whose last day has passed, once.
func (s *Members) TellEnded(ctx context.Context, pool *pgxpool.Pool) error {
	for {
		var some int
		err := postgres.InTx(ctx, pool, func(tx pgx.Tx) error {
			ended, err := memberdb.New(tx).TakeEnded(ctx, s.Today())
			some = len(ended)
			for _, e := range ended {
				if err == nil {
					err = s.tellEnded(ctx, tx, Member{ID: e.ID, Subscriber: e.SubscriberID, Account: e.AccountID})
				}
			}
			return err
		})
		if err != nil || some == 0 {
			return err
		}
	}
}
