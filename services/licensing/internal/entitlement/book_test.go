package entitlement_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/events"
	"kontor.internal/libs/id"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/postgres/pgtest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/contract"
	"kontor.internal/services/licensing/internal/entitlement"
	"kontor.internal/services/licensing/internal/licence"
	"kontor.internal/services/licensing/migrations"
)

// stored is a subscriber with an accepted contract and a licence in a database.
type stored struct {
	t     *testing.T
	pool  *pgxpool.Pool
	store *licence.Store
	now   *clock.Fake
	real  *clock.Fake
	l     licence.Licence
}

func store(t *testing.T) *stored {
	t.Helper()
	s := &stored{t: t, pool: pgtest.New(t, migrations.FS), store: licence.NewStore(), now: clock.NewFake(at(t, "2026-01-10T08:00:00Z"))}
	s.real = clock.NewFake(at(t, "2026-01-10T08:00:00Z"))
	s.l = in(t, "Europe/Riga").licence("books-prof", "2026-01-01", "").facts.Licences[0]
	s.l.Subscriber, s.l.Created, s.l.TermsSince, s.l.Revision = id.New(), s.now.Now(), s.now.Now(), 1
	s.in(func(tx pgx.Tx) error {
		if err := s.store.Insert(t.Context(), tx, s.l, licence.Given{Author: id.New()}, s.now.Now()); err != nil {
			return err
		}
		k := contract.Contract{
			ID: id.New(), Subscriber: s.l.Subscriber, Number: "K-2026-000001", Plan: "books-prof", Language: "en", Customer: "X",
			Zone: "Europe/Riga", Key: "k", SHA256: make([]byte, 32), Size: 1, Filename: "f", Created: s.now.Now(),
		}
		if err := (contract.Store{}).Insert(t.Context(), tx, k); err != nil {
			return err
		}
		return contract.Store{}.Accept(t.Context(), tx, k.ID, contract.Acceptance{Account: id.New(), SHA256: k.SHA256, Time: s.now.Now()})
	})
	return s
}

func (s *stored) in(fn func(tx pgx.Tx) error) {
	s.t.Helper()
	require.NoError(s.t, postgres.InTx(s.t.Context(), s.pool, fn))
}

func (s *stored) book() *entitlement.Book {
	return entitlement.NewBook(entitlement.BookDeps{
		DB: s.pool, Licences: s.store, Catalogue: builtIn(s.t), Clock: s.now, Real: s.real,
	})
}

func (s *stored) companies(limit string) {
	s.t.Helper()
	s.in(func(tx pgx.Tx) error {
		return s.store.InsertChange(s.t.Context(), tx, s.l.ID, licence.Change{
			ID: id.New(), Field: licence.FieldCompanies, Old: "3", New: limit, Author: id.New(), Created: s.now.Now(),
		})
	})
	s.now.Advance(time.Second)
}

func (s *stored) allowed(b *entitlement.Book, count int32) bool {
	s.t.Helper()
	d, err := b.Decide(s.t.Context(), s.l.Subscriber, entitlement.Question{Action: addCompany, CountAfter: count})
	require.NoError(s.t, err)
	return d.Allowed
}

func TestARefusalIsNeverGivenOnKeptFacts(t *testing.T) {
	s := store(t)
	b := s.book()
	require.True(t, s.allowed(b, 3))
	require.False(t, s.allowed(b, 4))
	s.companies("5") // On another copy, whose event has not come yet.
	require.True(t, s.allowed(b, 4))
}

func TestKeptFactsEndWithTheirTimeOrAnEvent(t *testing.T) {
	s := store(t)
	b := s.book()
	require.True(t, s.allowed(b, 3))
	s.companies("1")
	require.True(t, s.allowed(b, 3), "kept for a moment")
	s.real.Advance(6 * time.Second)
	require.False(t, s.allowed(b, 3), "not for longer")

	s.companies("3")
	require.True(t, s.allowed(b, 3))
	s.companies("1")
	b.Watcher().Handle(t.Context(), events.Received{Envelope: &commonv1.Envelope{Subscriber: licence.SubscriberName(s.l.Subscriber)}})
	require.False(t, s.allowed(b, 3), "the event drops them")
}

func TestKeptFactsFollowTheClock(t *testing.T) {
	s := store(t)
	b := s.book()
	ask := func() bool {
		d, err := b.Decide(t.Context(), s.l.Subscriber, entitlement.Question{Action: licensingv1.Action_ACTION_WRITE})
		require.NoError(t, err)
		return d.Allowed
	}
	s.in(func(tx pgx.Tx) error {
		l, err := s.store.Lock(t.Context(), tx, s.l.Subscriber, s.l.ID)
		if err != nil {
			return err
		}
		l.End = date(t, "2026-01-31")
		return s.store.Update(t.Context(), tx, &l, s.now.Now())
	})
	require.True(t, ask())
	require.True(t, ask(), "from kept facts, and the answer is kept with them")
	s.now.Set(at(t, "2026-01-31T22:00:00Z"))
	require.False(t, ask(), "the licence ended while its facts were kept")
}

func TestAnUnknownSubscriberHasFactsWithoutRights(t *testing.T) {
	s := store(t)
	facts, err := s.book().Facts(t.Context(), uuid.New())
	require.NoError(t, err)
	require.Empty(t, facts.Licences)
	require.False(t, entitlement.Decide(facts, entitlement.Question{Action: use}, s.now.Now()).Allowed)
}
