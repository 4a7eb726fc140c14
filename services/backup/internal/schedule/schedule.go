// Package schedule is when snapshots are made: the rules, without any I/O.
package schedule

import (
	"encoding/binary"
	"hash/fnv"
	"time"

	"github.com/google/uuid"
)

// Rules are how often.
type Rules struct {
	// Interval between two snapshots of a company.
	Interval time.Duration
}

// firstRetry is how long after a first failure it is tried again.
const firstRetry = time.Minute

// phase is a company's own place in each interval, so that companies come one
// after another and not all at once.
func (r Rules) phase(company uuid.UUID) time.Duration {
	sum := fnv.New64a()
	_, _ = sum.Write(company[:])
	return time.Duration(binary.BigEndian.Uint64(sum.Sum(nil)) % uint64(r.Interval))
}

// Next is a company's first turn after an instant.
func (r Rules) Next(company uuid.UUID, after time.Time) time.Time {
	phase := r.phase(company)
	begin := after.Add(-phase).Truncate(r.Interval).Add(phase)
	for !begin.After(after) {
		begin = begin.Add(r.Interval)
	}
	return begin
}

// first is how soon after a company's books are ready they are copied: what was brought in is safe then.
const first = 5 * time.Minute

// First is the first turn of a company whose books have just become ready.
func (r Rules) First(company uuid.UUID, ready time.Time) time.Time {
	soon := ready.Add(first)
	if next := r.Next(company, ready); next.Before(soon) {
		return next
	}
	return soon
}

// Retry is when a company comes again after its nth failure in a row: soon at
// first, then ever later, and no later than an interval on.
func (r Rules) Retry(now time.Time, failures int) time.Time {
	wait := firstRetry
	for range min(max(failures-1, 0), 16) {
		wait *= 2
	}
	return now.Add(min(wait, r.Interval))
}

// LateBefore is the instant that the last good snapshot must not be older than.
func (r Rules) LateBefore(now time.Time) time.Time { return now.Add(-2 * r.Interval) }
