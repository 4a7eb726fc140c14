// Package seatreport is what the evidence of seats says: use by hour, the signed statement of a day, what to advise at the
// renewal, and what was used beyond the limit.
package seatreport

import (
	"cmp"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Entry is one thing that happened to a licence's seats, as the evidence has it.
type Entry struct {
	At      time.Time
	Kind    string
	Mode    string
	Seat    uuid.UUID
	Account uuid.UUID
	Actor   uuid.UUID
	Limit   int32     // with a claim
	Since   time.Time // of a gap
}

// Held is a seat that is used.
type Held struct {
	Account uuid.UUID `json:"account"`
	Mode    string    `json:"mode"`
	// Unsure is set by a gap: its end may be missing. It ends with the recovery unless its holder came back.
	Unsure bool `json:"unsure,omitempty"`
}

// Span is a time, its end exclusive.
type Span struct{ Start, End time.Time }

// overlaps says whether two spans have an instant in common.
func (s Span) overlaps(other Span) bool {
	return s.Start.Before(other.End) && other.Start.Before(s.End)
}

// Usage is what happened within a span.
type Usage struct {
	Span
	Peak          int32
	PeakTime      time.Time // zero if no seat was used
	Limit         int32     // as last known; 0 before the first claim
	Used          time.Duration
	Claims        int32
	Refusals      int32
	RefusedPeople int32
	OverdraftPeak int32
	GuestPeak     int32
	Gap           bool

	refused map[uuid.UUID]bool
}

// Ledger walks through the evidence, in its order, and knows who uses seats. The zero Ledger knows of nobody.
type Ledger struct {
	Held  map[uuid.UUID]Held
	Limit int32

	at    time.Time
	count counts
	// ahead are the spans that are reported of, in their order; the first is under way if the ledger has come so far.
	ahead []*Usage
}

// counts are how many use seats just now.
type counts struct{ seats, overdraft, guests int32 }

// NewLedger begins at an instant with who used seats then. It reports of spans that do not overlap, in their order.
func NewLedger(at time.Time, held map[uuid.UUID]Held, limit int32, spans ...*Usage) *Ledger {
	l := &Ledger{Held: map[uuid.UUID]Held{}, Limit: limit, at: at, ahead: spans}
	for seat, h := range held {
		l.Held[seat] = h
		l.count.add(h.Mode, 1)
	}
	l.open()
	return l
}

func (c *counts) add(mode string, by int32) {
	switch mode {
	case "guest", "reading":
		c.guests += by
	case "overdraft":
		c.overdraft += by
		c.seats += by
	default:
		c.seats += by
	}
}

// Add takes the next entry.
func (l *Ledger) Add(e Entry) {
	l.Advance(e.At)
	u := l.current()
	switch e.Kind {
	case "claimed":
		if counting(e.Mode) && e.Limit > 0 {
			l.Limit = e.Limit
		}
		if u != nil && counting(e.Mode) {
			u.Claims++
		}
		l.take(e)
	case "returned", "joined", "left":
		l.take(e)
	case "released", "expired", "taken", "transferred":
		l.drop(e.Seat)
	case "refused":
		u.refuse(e.Account)
	case "gap":
		l.doubt()
	case "recovering":
		l.settle()
	}
	if e.Kind == "claimed" { // However short it is held.
		l.note()
	}
}

func counting(mode string) bool { return mode != "guest" && mode != "reading" }

// take notes that a seat is surely held.
func (l *Ledger) take(e Entry) {
	if _, ok := l.Held[e.Seat]; !ok {
		l.count.add(e.Mode, 1)
	}
	l.Held[e.Seat] = Held{Account: e.Account, Mode: e.Mode}
}

func (l *Ledger) drop(seat uuid.UUID) {
	if h, ok := l.Held[seat]; ok {
		l.count.add(h.Mode, -1)
		delete(l.Held, seat)
	}
}

// doubt notes that seats may have ended unseen. Those that are out are not: the database has them.
func (l *Ledger) doubt() {
	for seat, h := range l.Held {
		h.Unsure = h.Mode != "travel"
		l.Held[seat] = h
	}
}

// settle ends the seats whose holders did not come back.
func (l *Ledger) settle() {
	for seat, h := range l.Held {
		if h.Unsure {
			l.drop(seat)
		}
	}
}

func (u *Usage) refuse(account uuid.UUID) {
	if u == nil {
		return
	}
	if u.refused == nil {
		u.refused = map[uuid.UUID]bool{}
	}
	u.refused[account] = true
	u.Refusals++
	u.RefusedPeople = int32(len(u.refused))
}

// Advance lets time pass until an instant.
func (l *Ledger) Advance(to time.Time) {
	for l.at.Before(to) {
		u := l.current()
		end := to
		switch {
		case u != nil && u.End.Before(end):
			end = u.End
		case u == nil && len(l.ahead) > 0 && l.ahead[0].Start.Before(end):
			end = l.ahead[0].Start
		}
		l.note()
		if u != nil {
			u.Used += time.Duration(l.count.seats) * end.Sub(l.at)
		}
		l.at = end
		l.open()
	}
}

// current is the span that is under way.
func (l *Ledger) current() *Usage {
	if len(l.ahead) > 0 && !l.at.Before(l.ahead[0].Start) {
		return l.ahead[0]
	}
	return nil
}

// open goes on to the span that begins, if one does.
func (l *Ledger) open() {
	for len(l.ahead) > 0 && !l.at.Before(l.ahead[0].End) {
		l.ahead = l.ahead[1:]
	}
}

// note keeps what is most in the span that is under way: what lasts, not what ends as the span begins.
func (l *Ledger) note() {
	u := l.current()
	if u == nil {
		return
	}
	if l.count.seats > u.Peak {
		u.Peak, u.PeakTime = l.count.seats, l.at
	}
	u.Limit = l.Limit
	u.OverdraftPeak, u.GuestPeak = max(u.OverdraftPeak, l.count.overdraft), max(u.GuestPeak, l.count.guests)
}

// Mark notes in which of some spans something may be missing.
func Mark(spans []*Usage, gaps []Span) {
	for _, u := range spans {
		for _, gap := range gaps {
			u.Gap = u.Gap || u.overlaps(gap)
		}
	}
}

// Sum is all spans of a day, or any others that follow each other, as one.
func Sum(spans []*Usage) Usage {
	sum := Usage{Span: Span{spans[0].Start, spans[len(spans)-1].End}, refused: map[uuid.UUID]bool{}}
	for _, u := range spans {
		if u.Peak > sum.Peak {
			sum.Peak, sum.PeakTime = u.Peak, u.PeakTime
		}
		if u.Limit > 0 {
			sum.Limit = u.Limit
		}
		sum.Used, sum.Claims, sum.Refusals = sum.Used+u.Used, sum.Claims+u.Claims, sum.Refusals+u.Refusals
		sum.OverdraftPeak, sum.GuestPeak = max(sum.OverdraftPeak, u.OverdraftPeak), max(sum.GuestPeak, u.GuestPeak)
		sum.Gap = sum.Gap || u.Gap
		for account := range u.refused {
			sum.refused[account] = true
		}
	}
	sum.RefusedPeople = int32(len(sum.refused))
	return sum
}

// Hours are the spans of an hour each between two instants.
func Hours(start, end time.Time) []*Usage {
	var hours []*Usage
	for at := start; at.Before(end); at = at.Add(time.Hour) {
		next := at.Add(time.Hour)
		if end.Before(next) {
			next = end
		}
		hours = append(hours, &Usage{Span: Span{at, next}})
	}
	return hours
}

// atOnce is how many of some spans have an instant in common at the most.
func atOnce(spans []Span) int32 {
	type turn struct {
		at time.Time
		by int32
	}
	turns := make([]turn, 0, 2*len(spans))
	for _, s := range spans {
		turns = append(turns, turn{s.Start, 1}, turn{s.End, -1})
	}
	slices.SortFunc(turns, func(a, b turn) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.by, b.by)) })
	var now, most int32
	for _, t := range turns {
		now += t.by
		most = max(most, now)
	}
	return most
}
