// Package signingkey keeps the Ed25519 keys that access tokens are signed with:
// each is published before it signs, and stays published until the last token
// it signed has ended.
package signingkey

import (
	"time"

	"kontor.internal/libs/authn"
)

// Policy is how keys follow each other, in real time.
type Policy struct {
	// Life is how long a key signs.
	Life time.Duration
	// Lead is how long before that it is published. Others keep what is
	// published for 5 minutes.
	Lead time.Duration
}

// keep is how long a key stays published after it signed its last token: the
// token's life, and room for clocks that differ and copies that are late.
const keep = 12 * authn.Lifetime

// Key is what decides about one key.
type Key struct {
	ID string
	// Start is from when it signs, until the next one starts.
	Start time.Time
}

// Plan says what must be done: when the key to be made starts (zero for none)
// and which keys have had their time. Keys are in order of their start.
func (p Policy) Plan(keys []Key, now time.Time) (start time.Time, over []string) {
	if len(keys) == 0 {
		return now, nil
	}
	for i, key := range keys[:len(keys)-1] {
		if now.After(keys[i+1].Start.Add(keep)) {
			over = append(over, key.ID)
		}
	}
	last := keys[len(keys)-1].Start
	if now.Before(last.Add(p.Life - p.Lead)) {
		return time.Time{}, over
	}
	// After a long stop the next key still waits until it is known.
	start = last.Add(p.Life)
	if soonest := now.Add(p.Lead); start.Before(soonest) {
		start = soonest
	}
	return start, over
}

// Signing is the index of the key that signs now: the last that has started.
// The first key signs when none has.
func Signing(keys []Key, now time.Time) int {
	signing := 0
	for i, key := range keys {
		if !key.Start.After(now) {
			signing = i
		}
	}
	return signing
}
