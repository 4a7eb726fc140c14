package authn

import (
	"context"
	"sync"
	"time"
)

const (
	// Replay is how far back a starting service reads the events of ended
	// sessions: twice a token's life.
	Replay = 2 * Lifetime
	// remembered is how long an ended session is kept in memory.
	remembered = Replay
	// askedFor is how long identity's answer is kept while cut off from events.
	askedFor = 5 * time.Second
)

// Revocations are the sessions that ended before their tokens did. Its
// service feeds it identity's events; while cut off from them it asks identity.
type Revocations struct {
	connected func() bool
	ask       func(ctx context.Context, session string) (active bool, err error)

	mu       sync.Mutex
	ended    map[string]time.Time
	asked    map[string]answer
	onRevoke []func(session string)
}

type answer struct {
	active bool
	at     time.Time
}

// NewRevocations returns an empty set. Connected says whether events arrive
// now; ask is identity's CheckSession.
func NewRevocations(connected func() bool, ask func(ctx context.Context, session string) (bool, error)) *Revocations {
	return &Revocations{connected: connected, ask: ask, ended: map[string]time.Time{}, asked: map[string]answer{}}
}

// OnRevoke registers what is told of each ended session at once.
// Call it before the first event.
func (r *Revocations) OnRevoke(tell func(session string)) { r.onRevoke = append(r.onRevoke, tell) }

// Ended notes that a session ended, and tells who registered.
func (r *Revocations) Ended(session string) {
	now := time.Now()
	r.mu.Lock()
	r.ended[session] = now
	r.forget(now.Add(-remembered))
	tell := r.onRevoke
	r.mu.Unlock()
	for _, f := range tell {
		f(session)
	}
}

// forget drops what no living token can name any more. The lock is held.
func (r *Revocations) forget(before time.Time) {
	for session, at := range r.ended {
		if at.Before(before) {
			delete(r.ended, session)
		}
	}
	for session, a := range r.asked {
		if a.at.Before(before) {
			delete(r.asked, session)
		}
	}
}

// Revoked says whether a session has ended. It errs only when cut off from
// events and identity both: then nobody can say, and the answer must be no.
func (r *Revocations) Revoked(ctx context.Context, session string) (bool, error) {
	r.mu.Lock()
	_, ended := r.ended[session]
	known, asked := r.asked[session]
	r.mu.Unlock()
	if ended {
		return true, nil
	}
	if r.connected() {
		return false, nil
	}
	if asked && time.Since(known.at) < askedFor {
		return !known.active, nil
	}
	active, err := r.ask(ctx, session)
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	r.asked[session] = answer{active: active, at: time.Now()}
	r.mu.Unlock()
	return !active, nil
}
