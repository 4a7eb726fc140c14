package opening

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"kontor.internal/libs/clock"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/database"
	"kontor.internal/services/tenancy/internal/opening/openingdb"
)

// Open sessions are held against what licences allow, which changes by the calendar, and more seldom against people's
// rights, in case an event was missed. Changes that are told of are acted on at once.
const (
	reviewEvery = 3 * time.Second
	rightsEvery = 20 // reviews
)

// reviewed is an open session with what its login was given.
type reviewed = openingdb.ListForReviewRow

// scope bounds a review: to an account, to a subscriber, or to both. Nil bounds nothing.
type scope struct {
	account, subscriber *uuid.UUID
	// rights says whether people's rights are looked at, not only licences.
	rights bool
}

// RunReviews reviews sessions until ctx ends. Its clock is the suite's, by which licences begin and end.
func (s *Sessions) RunReviews(ctx context.Context, suite clock.Clock) error {
	for n := 0; ; n++ {
		if err := s.review(ctx, scope{rights: n%rightsEvery == 0}, suite.Now()); err != nil && ctx.Err() == nil {
			s.d.Log.WarnContext(ctx, "open sessions can't be reviewed; they stay as they are", "error", err)
		}
		if !pause(ctx, reviewEvery) {
			return nil
		}
	}
}

// review ends the sessions whose logins are not what they would be if they were opened now, so that their programs open
// anew as they may.
func (s *Sessions) review(ctx context.Context, in scope, suite time.Time) error {
	look := reviewing{Sessions: s, rights: in.rights, suite: suite, held: map[standing][]authv1.Permission{}}
	var after uuid.UUID
	for {
		rows, err := openingdb.New(s.d.DB).ListForReview(ctx, openingdb.ListForReviewParams{
			After: after, Account: in.account, Subscriber: in.subscriber, Limit: portion,
		})
		if err != nil {
			return translate(err)
		}
		if len(rows) == 0 {
			break
		}
		if err := look.at(ctx, rows); err != nil {
			return err
		}
		after = rows[len(rows)-1].ID
	}
	if in.account == nil && in.subscriber == nil {
		s.modes.keep(look.pairs)
	}
	return nil
}

// reviewing is one review under way.
type reviewing struct {
	*Sessions
	rights bool
	suite  time.Time
	held   map[standing][]authv1.Permission
	pairs  []pair
}

// standing is an account in a company.
type standing struct{ subscriber, company, account uuid.UUID }

// at ends those of some sessions that can't stay.
func (l *reviewing) at(ctx context.Context, rows []reviewed) error {
	var over []uuid.UUID
	for _, r := range rows {
		l.pairs = append(l.pairs, pair{r.SubscriberID, r.Product})
		stays, err := l.licensed(ctx, r)
		if err == nil && stays && l.rights {
			stays, err = l.entitled(ctx, r)
		}
		if err != nil {
			return err
		}
		if !stays {
			over = append(over, r.ID)
		}
	}
	return l.endThese(ctx, over, tenancyv1.SessionEnd_SESSION_END_RIGHTS)
}

// licensed says whether the licence still allows a session what it allowed.
func (l *reviewing) licensed(ctx context.Context, r reviewed) (stays bool, err error) {
	for _, oldest := range []time.Duration{keptFor, freshFor} {
		m, err := l.modes.of(ctx, pair{r.SubscriberID, r.Product}, l.suite, oldest)
		if err != nil {
			return false, err
		}
		readOnly := r.SeatReads || !m.Write || database.Purpose(r.Purpose) == database.RestoredBeside
		if m.Refused == nil && readOnly == r.ReadOnly {
			return true, nil
		}
	}
	return false, nil
}

// entitled says whether a person's rights still come to just the groups that the login was given.
func (l *reviewing) entitled(ctx context.Context, r reviewed) (bool, error) {
	k, err := kitOf(l.d.Kits, r.Product, r.Version)
	if err != nil {
		return true, nil //nolint:nilerr // A later release of the service knows the kit, and judges.
	}
	who := standing{r.SubscriberID, r.CompanyID, r.AccountID}
	held, known := l.held[who]
	if !known {
		if held, err = l.heldBy(ctx, r.SubscriberID, r.CompanyID, r.AccountID); err != nil {
			return false, err
		}
		l.held[who] = held
	}
	wanted := k.GroupsFor(r.GroupPrefix, PermissionsIn(k, held, r.ReadOnly), r.ReadOnly)
	return slices.Contains(held, authv1.Permission_PERMISSION_COMPANIES_OPEN) && len(wanted) > 0 && slices.Equal(wanted, r.Groups), nil
}
