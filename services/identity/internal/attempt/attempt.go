// Package attempt slows the guessing of passwords. Attempts are counted before
// they are tried, so that many at once are not more than many in turn, and given
// back when they prove right.
//
// Each attempt counts against its account at its network address. From an
// address where the account has signed in before nothing else counts, so that
// what strangers do elsewhere can't keep its holder out. Anywhere else it counts
// against the account, whoever tries, and against the address, whatever it tries.
// No wait grows without end, and a reset link always leads in: it makes the
// address it was followed from a known one.
package attempt

import (
	"net/netip"
	"time"
)

// Limit is how failures slow what comes after them.
type Limit struct {
	// Free is how many failures cost nothing.
	Free int
	// First is the wait after the next one; each further one doubles it.
	First time.Duration
	// Most is the longest wait.
	Most time.Duration
	// Forget is after how long without an attempt all are forgotten.
	Forget time.Duration
}

// The limits.
var ( //nolint:gochecknoglobals // Constants.
	// AtAddress limits one account at one address.
	AtAddress = Limit{Free: 5, First: 2 * time.Second, Most: 5 * time.Minute, Forget: time.Hour}
	// ByStrangers limits one account at all addresses where it never signed in.
	ByStrangers = Limit{Free: 10, First: time.Second, Most: 30 * time.Second, Forget: time.Hour}
	// FromAddress limits one address over all accounts.
	FromAddress = Limit{Free: 100, First: time.Second, Most: time.Minute, Forget: time.Hour}
)

// Count is what is known of one subject.
type Count struct {
	// Failures that were not forgotten.
	Failures int
	// Last is when the last attempt was let through.
	Last time.Time
	// Next is when the next one is.
	Next time.Time
}

// Try asks to let an attempt through. A wait above zero refuses it and changes
// nothing: trying too early costs nobody anything. Otherwise the count answered
// has it as failed.
func (l Limit) Try(c Count, now time.Time) (_ Count, wait time.Duration) {
	if now.Before(c.Next) {
		return c, c.Next.Sub(now)
	}
	if now.Sub(c.Last) > l.Forget {
		c.Failures = 0
	}
	return Count{Failures: c.Failures + 1, Last: now, Next: now.Add(l.wait(c.Failures + 1))}, 0
}

// Forgive takes an attempt back that did not fail.
func (l Limit) Forgive(c Count) Count {
	c.Failures = max(c.Failures-1, 0)
	c.Next = c.Last.Add(l.wait(c.Failures))
	return c
}

func (l Limit) wait(failures int) time.Duration {
	if failures < l.Free {
		return 0
	}
	wait := l.First
	for range failures - l.Free {
		if wait *= 2; wait >= l.Most {
			return l.Most
		}
	}
	return min(wait, l.Most)
}

// Network is what of an address is counted: all of an IPv4 address, the /64 of
// an IPv6 one, which one subscriber line has whole.
func Network(address string) string {
	parsed, err := netip.ParseAddr(address)
	if err != nil {
		return "unknown"
	}
	parsed = parsed.Unmap().WithZone("")
	if parsed.Is4() {
		return parsed.String()
	}
	prefix, err := parsed.Prefix(64)
	if err != nil {
		return "unknown"
	}
	return prefix.Masked().String()
}
