package opening

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"kontor.internal/libs/rights"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/tenancy/internal/names"
)

// mode is what a subscriber's licence allows in a product's data areas.
type mode struct {
	// Write says whether one may write; without it, nil Refused says that one may read.
	Write bool
	// WhyNot is why not to write, in the caller's language.
	WhyNot string
	// Refused is RIGHT_MISSING when one may not even read.
	Refused error
	// Changes is when the answer becomes another by itself (suite's clock); zero when it does not.
	Changes time.Time
}

// ask asks licensing: for writing and, where that is refused, for reading.
func ask(ctx context.Context, r *rights.Rights, subscriber uuid.UUID, product string) (mode, error) {
	decide := func(action licensingv1.Action) (*licensingv1.Decision, error) {
		return r.Decide(ctx, rights.Question{Subscriber: names.Subscriber(subscriber), Action: action, Product: product})
	}
	write, err := decide(licensingv1.Action_ACTION_WRITE)
	if err != nil {
		return mode{}, err
	}
	if write.GetAllowed() {
		return mode{Write: true, Changes: changeTime(write)}, nil
	}
	read, err := decide(licensingv1.Action_ACTION_READ)
	if err != nil {
		return mode{}, err
	}
	changes := changeTime(write)
	if at := changeTime(read); changes.IsZero() || !at.IsZero() && at.Before(changes) {
		changes = at
	}
	return mode{WhyNot: rights.Why(write), Refused: rights.Refusal(read), Changes: changes}, nil
}

func changeTime(d *licensingv1.Decision) time.Time {
	if d.GetChangeTime() == nil {
		return time.Time{}
	}
	return d.GetChangeTime().AsTime()
}

// pair is what a mode is of.
type pair struct {
	subscriber uuid.UUID
	product    string
}

const (
	// keptFor is how long a mode is believed that nobody said has changed.
	keptFor = 2 * time.Minute
	// freshFor is how long a mode is believed that would end a session: what it was opened by may be newer.
	freshFor = time.Second
)

// modes remembers what licensing said of the pairs that have sessions.
type modes struct {
	rights *rights.Rights

	mu    sync.Mutex
	known map[pair]remembered
}

type remembered struct {
	mode
	asked time.Time
}

func newModes(r *rights.Rights) modes { return modes{rights: r, known: map[pair]remembered{}} }

// of returns the mode of a pair: remembered, if it is no older than that and can't be another one by the suite's time now,
// else asked for.
func (m *modes) of(ctx context.Context, p pair, suite time.Time, oldest time.Duration) (mode, error) {
	m.mu.Lock()
	known, ok := m.known[p]
	m.mu.Unlock()
	if ok && now().Sub(known.asked) < oldest && (known.Changes.IsZero() || suite.Before(known.Changes)) {
		return known.mode, nil
	}
	asked := now()
	fresh, err := ask(ctx, m.rights, p.subscriber, p.product)
	if err != nil {
		return mode{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known[p] = remembered{mode: fresh, asked: asked}
	return fresh, nil
}

// forget drops what is remembered of a subscriber.
func (m *modes) forget(subscriber uuid.UUID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for p := range m.known {
		if p.subscriber == subscriber {
			delete(m.known, p)
		}
	}
}

// keep drops all but some pairs.
func (m *modes) keep(pairs []pair) {
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := make(map[pair]remembered, len(pairs))
	for _, p := range pairs {
		if known, ok := m.known[p]; ok {
			kept[p] = known
		}
	}
	m.known = kept
}
