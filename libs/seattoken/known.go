package seattoken

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
)

// Known remembers, until their leases end, tokens that it signed or found good: their signatures need no second check. It
// keeps a hash a token, of a bounded number of them. Safe for concurrent use.
type Known struct {
	most int
	now  func() time.Time

	mu sync.RWMutex
	// fresh is filled until it holds half of what may be kept, then it becomes old and what was old is forgotten.
	fresh, old map[[sha256.Size]byte]int64 // milliseconds at which the lease ends
}

// NewKnown keeps at most so many tokens, about 60 bytes each. Now is real time.
func NewKnown(most int, now func() time.Time) *Known {
	return &Known{most: most, now: now, fresh: map[[sha256.Size]byte]int64{}}
}

// Sign signs a token, as Sign does, and remembers it.
func (k *Known) Sign(key jwk.Key, c Claims, now time.Time) (string, error) {
	token, err := Sign(key, c, now)
	if err == nil {
		k.remember(token, c)
	}
	return token, err
}

// Verify reads a token, as Verify does.
func (k *Known) Verify(ctx context.Context, keys Keys, token string) (Claims, error) {
	if k.knows(token) {
		t, err := open(token)
		if err != nil {
			return Claims{}, err
		}
		return read(t.payload)
	}
	c, err := Verify(ctx, keys, token)
	if err == nil {
		k.remember(token, c)
	}
	return c, err
}

func (k *Known) knows(token string) bool {
	if len(token) > maxBytes {
		return false
	}
	sum := sha256.Sum256([]byte(token))
	k.mu.RLock()
	ends, ok := k.fresh[sum]
	if !ok {
		ends, ok = k.old[sum]
	}
	k.mu.RUnlock()
	return ok && k.now().UnixMilli() < ends
}

func (k *Known) remember(token string, c Claims) {
	if c.Over(k.now()) {
		return
	}
	sum := sha256.Sum256([]byte(token))
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.fresh) >= k.most/2 {
		k.old, k.fresh = k.fresh, make(map[[sha256.Size]byte]int64, len(k.fresh))
	}
	k.fresh[sum] = c.Expires.UnixMilli()
}
