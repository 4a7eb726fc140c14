package subscriber

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/member"
	"kontor.internal/services/tenancy/internal/subscriber/subscriberdb"
)

// ChangesDeps are what Changes are made of.
type ChangesDeps struct {
	Clock   clock.Clock
	NewID   id.Source
	Codes   *Codes
	Regions Regions
	Members *member.Members
}

// Changes changes subscribers, each in its caller's transaction and together with the events that tell of it.
type Changes struct{ d ChangesDeps }

// NewChanges returns Changes.
func NewChanges(d ChangesDeps) *Changes { return &Changes{d: d} }

// Person is somebody who registered alone.
type Person struct {
	Account uuid.UUID
	// Called is the full name, or the login without one.
	Called string
	// Language of the account.
	Language string
}

// Make makes the subscriber of a person who registered alone, owned by that person (C8). A second time it changes nothing.
func (c *Changes) Make(ctx context.Context, tx pgx.Tx, p Person) error {
	q := subscriberdb.New(tx)
	made, err := q.MadeFor(ctx, p.Account)
	if err != nil || made {
		return err
	}
	place, err := q.NextCode(ctx)
	if err != nil {
		return err
	}
	s := Subscriber{
		ID: c.d.NewID(), Title: p.Called, Region: c.d.Regions[0], Owner: p.Account, Created: c.d.Clock.Now(), Revision: 1,
	}
	if s.Code, err = c.d.Codes.Code(place); err != nil {
		return err
	}
	if s.Language, err = documentLanguage("language", p.Language); err != nil {
		s.Language = "en"
	}
	if err := q.InsertSubscriber(ctx, subscriberdb.InsertSubscriberParams{
		ID: s.ID, Code: s.Code, Title: s.Title, Region: s.Region, Language: s.Language, OwnerAccount: s.Owner,
		MadeFor: &p.Account, Created: s.Created,
	}); err != nil {
		return err
	}
	if err := c.tellCreated(ctx, tx, s); err != nil {
		return err
	}
	_, err = c.d.Members.Add(ctx, tx, member.Addition{
		Subscriber: s.ID, Account: p.Account, Access: true, Origin: tenancyv1.MemberOrigin_MEMBER_ORIGIN_REGISTRATION,
	})
	return err
}

// Update applies the owner's change. An etag that isn't empty must be the subscriber's.
func (c *Changes) Update(ctx context.Context, tx pgx.Tx, subscriber uuid.UUID, etag string, change Change) (Subscriber, error) {
	before, err := Lock(ctx, tx, subscriber)
	if err != nil {
		return Subscriber{}, err
	}
	if etag != "" && etag != before.Etag() {
		return Subscriber{}, failure.New(commonv1.Reason_REASON_ETAG_MISMATCH)
	}
	after, changed, err := change.Apply(before, c.d.Regions)
	if err != nil || len(changed) == 0 {
		return before, err
	}
	first := after.Complete() && after.Completed == nil
	if first {
		now := c.d.Clock.Now()
		after.Completed = &now
	}
	if after, err = update(ctx, tx, after); err != nil {
		return before, err
	}
	if err := c.tellUpdated(ctx, tx, after, changed); err != nil || !first {
		return after, err
	}
	return after, c.tellCompleted(ctx, tx, after)
}

// Offer offers the ownership to a member. Only the owner does.
func (c *Changes) Offer(ctx context.Context, tx pgx.Tx, owner, subscriber, memberID uuid.UUID) (Subscriber, error) {
	s, err := c.lockOwned(ctx, tx, owner, subscriber)
	if err != nil {
		return Subscriber{}, err
	}
	m, err := member.Lock(ctx, tx, subscriber, memberID)
	if err != nil {
		return Subscriber{}, err
	}
	if m.Owner || !m.MayOwn() {
		return Subscriber{}, failure.New(commonv1.Reason_REASON_OWNERSHIP_NEEDS_MEMBER)
	}
	if s.Pending != nil && *s.Pending == m.Account {
		return s, nil
	}
	s.Pending = &m.Account
	return c.updated(ctx, tx, s, fieldPendingOwner)
}

// CancelOffer takes an offer back. Only the owner does. Without one it changes nothing.
func (c *Changes) CancelOffer(ctx context.Context, tx pgx.Tx, owner, subscriber uuid.UUID) (Subscriber, error) {
	s, err := c.lockOwned(ctx, tx, owner, subscriber)
	if err != nil || s.Pending == nil {
		return s, err
	}
	s.Pending = nil
	return c.updated(ctx, tx, s, fieldPendingOwner)
}

// Forget takes back an offer to an account, if there is one: who was excluded and comes back is not offered it any more.
func (c *Changes) Forget(ctx context.Context, tx pgx.Tx, subscriber, account uuid.UUID) error {
	s, err := Lock(ctx, tx, subscriber)
	if err != nil || s.Pending == nil || *s.Pending != account {
		return err
	}
	s.Pending = nil
	_, err = c.updated(ctx, tx, s, fieldPendingOwner)
	return err
}

// AcceptOffer makes the account that the ownership is offered to the owner.
func (c *Changes) AcceptOffer(ctx context.Context, tx pgx.Tx, account, subscriber uuid.UUID) (Subscriber, error) {
	s, err := Lock(ctx, tx, subscriber)
	if err != nil {
		return Subscriber{}, err
	}
	if s.Pending == nil || *s.Pending != account {
		return Subscriber{}, failure.New(commonv1.Reason_REASON_OWNERSHIP_NOT_OFFERED)
	}
	former := s.Owner
	s.Owner, s.Pending = account, nil
	if s, err = c.updated(ctx, tx, s, fieldOwner, fieldPendingOwner); err != nil {
		return Subscriber{}, err
	}
	return s, c.d.Members.HandOver(ctx, tx, subscriber, former, account)
}

func (c *Changes) lockOwned(ctx context.Context, tx pgx.Tx, owner, subscriber uuid.UUID) (Subscriber, error) {
	s, err := Lock(ctx, tx, subscriber)
	if err == nil && s.Owner != owner {
		err = errNotOwner
	}
	return s, err
}

func (c *Changes) updated(ctx context.Context, tx pgx.Tx, s Subscriber, fields ...string) (Subscriber, error) {
	s, err := update(ctx, tx, s)
	if err != nil {
		return Subscriber{}, err
	}
	return s, c.tellUpdated(ctx, tx, s, fields)
}

// now is the time that events carry.
func (c *Changes) now() time.Time { return c.d.Clock.Now() }
