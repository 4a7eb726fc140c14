package entitlement

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/events"
	"kontor.internal/services/licensing/internal/catalogue"
	"kontor.internal/services/licensing/internal/contract"
	"kontor.internal/services/licensing/internal/licence"
)

const (
	// factsFor is how long facts are used without reading them again. What changes here, or on another copy by its event,
	// drops them at once; a refusal is never given on kept facts.
	factsFor = 5 * time.Second
	// maxBooks bounds the memory; past it everything is read anew.
	maxBooks = 50_000
	// maxDecided bounds the decisions that are kept of one subscriber.
	maxDecided = 16
)

// Book answers from the facts in the database. It keeps them for a moment, because the same subscriber's programs ask
// again and again. Safe for concurrent use.
type Book struct {
	deps BookDeps

	mu    sync.Mutex
	kept  map[uuid.UUID]keptFacts
	drops uint64 // counts, so that facts that were on their way while something changed are not kept
}

// BookDeps are what a Book needs.
type BookDeps struct {
	DB        *pgxpool.Pool
	Contracts contract.Store
	Licences  *licence.Store
	Catalogue *catalogue.Catalogue
	// Clock is the suite's; Real is the machine's, for how long facts are kept.
	Clock, Real clock.Clock
}

type keptFacts struct {
	facts Facts
	until time.Time
	// decided are questions that were allowed, and how: the same is asked again and again.
	decided map[Question]keptDecision
}

// keptDecision stays true from one turn of a licence or a contract to the next, by the suite's clock.
type keptDecision struct {
	Decision
	from, until time.Time
}

// NewBook returns a book.
func NewBook(deps BookDeps) *Book {
	return &Book{deps: deps, kept: map[uuid.UUID]keptFacts{}}
}

// Decide answers a question now.
func (b *Book) Decide(ctx context.Context, subscriber uuid.UUID, q Question) (Decision, error) {
	now := b.deps.Clock.Now()
	if known, ok := b.recall(subscriber); ok {
		if d := b.decide(known, q, now); d.Allowed {
			return d, nil
		}
	}
	facts, err := b.Facts(ctx, subscriber)
	if err != nil {
		return Decision{}, err
	}
	return Decide(facts, q, now), nil
}

// Known returns a subscriber's facts as they are kept, a few seconds old at the most, or reads them.
func (b *Book) Known(ctx context.Context, subscriber uuid.UUID) (Facts, error) {
	if known, ok := b.recall(subscriber); ok {
		return known.facts, nil
	}
	return b.Facts(ctx, subscriber)
}

// Facts reads a subscriber's facts from the database. Contracts are read first: what an acceptance began is written with
// it, so a contract that is seen accepted comes with its licence.
func (b *Book) Facts(ctx context.Context, subscriber uuid.UUID) (Facts, error) {
	b.mu.Lock()
	before := b.drops
	b.mu.Unlock()
	facts := Facts{Subscriber: subscriber}
	contracts, err := b.deps.Contracts.Of(ctx, b.deps.DB, subscriber)
	if err != nil {
		return Facts{}, err
	}
	for _, c := range contracts {
		known := Contract{ID: c.ID, Number: c.Number}
		if c.Acceptance != nil {
			known.Accepted = c.Acceptance.Time
		}
		facts.Contracts = append(facts.Contracts, known)
	}
	if facts.Licences, err = b.deps.Licences.Of(ctx, b.deps.DB, subscriber); err != nil {
		return Facts{}, err
	}
	zone := b.deps.Catalogue.DefaultZone
	if n := len(contracts); n > 0 {
		zone = contracts[n-1].Zone
	}
	if facts.Zone, err = b.deps.Licences.Zone(zone); err != nil {
		return Facts{}, err
	}
	b.keep(facts, before)
	return facts, nil
}

func (b *Book) recall(subscriber uuid.UUID) (keptFacts, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	known, ok := b.kept[subscriber]
	return known, ok && b.deps.Real.Now().Before(known.until)
}

// decide answers from facts that are kept, and keeps what is allowed with them.
func (b *Book) decide(known keptFacts, q Question, now time.Time) Decision {
	b.mu.Lock()
	d, ok := known.decided[q]
	b.mu.Unlock()
	if ok && !now.Before(d.from) && (d.until.IsZero() || now.Before(d.until)) {
		return d.Decision
	}
	d = keptDecision{Decision: Decide(known.facts, q, now), from: now, until: known.facts.nextTurn(now)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if d.Allowed && len(known.decided) < maxDecided {
		known.decided[q] = d
	}
	return d.Decision
}

func (b *Book) keep(facts Facts, before uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.drops != before {
		return
	}
	if len(b.kept) >= maxBooks {
		clear(b.kept)
	}
	b.kept[facts.Subscriber] = keptFacts{facts: facts, until: b.deps.Real.Now().Add(factsFor), decided: map[Question]keptDecision{}}
}

// Drop forgets a subscriber's facts. Whoever changes one calls it after the commit.
func (b *Book) Drop(subscriber uuid.UUID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drops++
	delete(b.kept, subscriber)
}

// Watcher drops the facts that another copy of the service changed.
func (b *Book) Watcher() events.Watcher {
	return events.Watcher{
		Filters: []string{"kontor.licensing.contract.>", "kontor.licensing.licence.>"},
		Handle: func(_ context.Context, e events.Received) {
			if subscriber, err := licence.ParseSubscriber(e.Envelope.GetSubscriber()); err == nil {
				b.Drop(subscriber)
			}
		},
	}
}
