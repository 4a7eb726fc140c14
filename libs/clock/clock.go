// Package clock is where business code gets the time from. Rules, handlers and jobs receive a Clock and never read the
// machine's clock themselves, so that tests and a demonstration can move the business date. Leases, tokens and TLS use
// real time and do not take a Clock.
package clock

import (
	"sync"
	"time"
)

// Clock tells the current instant, always in UTC.
type Clock interface {
	Now() time.Time
}

// System is the machine's clock. Its zero value is ready.
type System struct{}

// Now returns the machine's time in UTC, without a monotonic reading, so that values compare equal after they have been
// stored and read back.
func (System) Now() time.Time { return time.Now().UTC().Round(0) }

// Fake is a clock that stands still until it is moved. Safe for use by several goroutines.
type Fake struct {
	mu  sync.Mutex
	now time.Time
}

// NewFake returns a clock that stands at t.
func NewFake(t time.Time) *Fake { return &Fake{now: t.UTC().Round(0)} }

// Now returns the instant at which the clock stands.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Set moves the clock to t, forwards or backwards.
func (f *Fake) Set(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = t.UTC().Round(0)
}

// Advance moves the clock by d, which may be negative.
func (f *Fake) Advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}
