// Package retention is how long snapshots are kept: the rules, without any I/O.
package retention

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// Rules keep the newest snapshot of each of so many hours, days, weeks, months and years that have one, by UTC, weeks from
// Monday; and every one of the last 24 hours.
type Rules struct {
	Hourly, Daily, Weekly, Monthly, Yearly int
}

// Why says what a snapshot was made for.
type Why int

// What snapshots are made for, as the contract numbers it.
const (
	Scheduled     Why = 1
	OnDemand      Why = 2
	BeforeRestore Why = 3
)

const (
	// young is kept whatever the rules say.
	young = 24 * time.Hour
	// asked is how long one is kept that somebody asked for, and undo one that was made before a restore.
	asked = 30 * 24 * time.Hour
	undo  = 7 * 24 * time.Hour
)

// Snapshot is what the rules look at. Each form of snapshots is judged by itself.
type Snapshot struct {
	ID     uuid.UUID
	Moment time.Time
	Why    Why
}

// Over are the snapshots whose time is over, oldest first. The newest never is.
func (r Rules) Over(all []Snapshot, now time.Time) []Snapshot {
	sorted := slices.SortedFunc(slices.Values(all), func(a, b Snapshot) int { return b.Moment.Compare(a.Moment) })
	keep := make([]bool, len(sorted))
	for i, s := range sorted {
		keep[i] = i == 0 || now.Sub(s.Moment) < longest(s.Why)
	}
	for _, rule := range []struct {
		many   int
		period func(time.Time) time.Time
	}{{r.Hourly, hour}, {r.Daily, day}, {r.Weekly, week}, {r.Monthly, month}, {r.Yearly, year}} {
		newestOfEach(sorted, rule.many, rule.period, keep)
	}
	var over []Snapshot
	for i, s := range slices.Backward(sorted) {
		if !keep[i] {
			over = append(over, s)
		}
	}
	return over
}

// longest is how long a snapshot is kept for what it was made for.
func longest(why Why) time.Duration {
	switch why {
	case OnDemand:
		return asked
	case BeforeRestore:
		return undo
	default:
		return young
	}
}

// newestOfEach marks the newest of each of so many periods; the newest of all comes first.
func newestOfEach(sorted []Snapshot, many int, period func(time.Time) time.Time, keep []bool) {
	var last time.Time
	for i, s := range sorted {
		if begin := period(s.Moment.UTC()); i == 0 || !begin.Equal(last) {
			if many == 0 {
				return
			}
			many--
			keep[i], last = true, begin
		}
	}
}

func hour(t time.Time) time.Time { return t.Truncate(time.Hour) }

func day(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC) }

func week(t time.Time) time.Time {
	return day(t).AddDate(0, 0, -(int(t.Weekday())+6)%7)
}

func month(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC) }

func year(t time.Time) time.Time { return time.Date(t.Year(), 1, 1, 0, 0, 0, 0, time.UTC) }
