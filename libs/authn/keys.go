package authn

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
)

const (
	// keysFresh is how long fetched keys are used without asking again.
	keysFresh = 5 * time.Minute
	// keysPause bounds how often unknown key ids can make us ask.
	keysPause = 5 * time.Second
)

// RemoteKeys are the keys that another service publishes.
type RemoteKeys struct {
	fetch func(ctx context.Context) ([]byte, error)

	mu      sync.Mutex
	set     jwk.Set
	fetched time.Time
}

// NewRemoteKeys returns keys that fetch brings as a JSON Web Key Set.
func NewRemoteKeys(fetch func(ctx context.Context) ([]byte, error)) *RemoteKeys {
	return &RemoteKeys{fetch: fetch}
}

// Keys answers the keys as fetched within the last five minutes. When the
// publisher does not answer, keys fetched earlier stay in use.
func (r *RemoteKeys) Keys(ctx context.Context) (jwk.Set, error) {
	return r.get(ctx, keysFresh)
}

// Refresh fetches the keys anew, unless that was done a moment ago.
func (r *RemoteKeys) Refresh(ctx context.Context) (jwk.Set, error) {
	return r.get(ctx, keysPause)
}

func (r *RemoteKeys) get(ctx context.Context, fresh time.Duration) (jwk.Set, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.set != nil && time.Since(r.fetched) < fresh {
		return r.set, nil
	}
	raw, err := r.fetch(ctx)
	if err == nil {
		var set jwk.Set
		if set, err = jwk.Parse(raw); err == nil {
			r.set, r.fetched = set, time.Now()
			return set, nil
		}
	}
	if r.set != nil {
		r.fetched = time.Now() // Ask again in a while, not at every request.
		return r.set, nil
	}
	return nil, fmt.Errorf("authn: fetch keys: %w", err)
}
