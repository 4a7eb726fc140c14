// Package keys keeps the Ed25519 keys that seat tokens are signed with: each is published before it signs, and stays
// published until the last token it signed has ended. Times are real: tokens do not follow the suite's clock.
package keys

import "time"

// Policy is how keys follow each other.
type Policy struct {
	// Life is how long a key signs.
	Life time.Duration
	// Lead is how long before that it is published. Others keep what is published for 5 minutes.
	Lead time.Duration
	// Keep is how long it stays published after it signed: the longest life of a token.
	Keep time.Duration
}

// DefaultPolicy changes keys every quarter. Tokens for travel without a network live up to a month.
func DefaultPolicy() Policy {
	return Policy{Life: 90 * 24 * time.Hour, Lead: 24 * time.Hour, Keep: 35 * 24 * time.Hour}
}

// Window is when a key signs and until when it is published.
type Window struct {
	From, Until, Published time.Time
}

// Next is the window of the key that has to be made now; false while none has. A key follows the one before it; the first
// one, and one after a long stop, signs at once, and whoever does not know it yet asks again.
func (p Policy) Next(windows []Window, now time.Time) (Window, bool) {
	from := now
	for _, w := range windows {
		if w.Until.After(now.Add(p.Lead)) {
			return Window{}, false
		}
		if w.Until.After(from) {
			from = w.Until
		}
	}
	until := from.Add(p.Life)
	return Window{From: from, Until: until, Published: until.Add(p.Keep)}, true
}

// Signing is the index of the key that signs at an instant: the latest that has begun; -1 when none has.
func Signing(windows []Window, now time.Time) int {
	signing := -1
	for i, w := range windows {
		if !w.From.After(now) && (signing < 0 || !w.From.Before(windows[signing].From)) {
			signing = i
		}
	}
	return signing
}
