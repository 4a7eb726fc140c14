package client

import (
	"time"

	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// News is what others want of a held seat.
type News struct {
	// Pleas of those who ask for the seat, each told once.
	Pleas []Plea
	// TakeTime is when the seat will be taken away, by this machine's clock: save before. Zero unless somebody asked for that.
	TakeTime time.Time
}

// Plea is somebody who asks for the seat.
type Plea struct {
	// Account is `accounts/A`.
	Account string
	// Name is their full name, or the e-mail without one.
	Name string
	// Text is what they wrote; may be empty.
	Text string
}

// maxPleas bounds the pleas of news that nobody reads.
const maxPleas = 100

// tell tells what is new of what Kontor says about the seat.
func (s *Seat) tell(take time.Time, pleas []*licensingv1.SeatPlea) {
	n := News{TakeTime: take}
	told := make(map[string]bool, len(pleas))
	for _, p := range pleas {
		told[p.GetId()] = true
		if !s.pleas[p.GetId()] {
			n.Pleas = append(n.Pleas, Plea{Account: p.GetAccount(), Name: p.GetAccountTitle(), Text: p.GetText()})
		}
	}
	if len(told) > 0 { // Single calls tell none.
		s.pleas = told
	}
	if s.takenAt(take) || len(n.Pleas) > 0 {
		s.publish(n)
	}
}

// takenAt notes when the seat will be taken, and says whether that is new.
func (s *Seat) takenAt(take time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The clocks' difference is told anew with each renewal.
	changed := s.taking.IsZero() != take.IsZero() || s.taking.Sub(take).Abs() >= time.Second
	if changed {
		s.taking = take
	}
	return changed
}

// publish adds to the news that were not read yet. Only the seat's own goroutine publishes, so there is room then.
func (s *Seat) publish(n News) {
	select {
	case unread := <-s.news:
		n.Pleas = append(unread.Pleas, n.Pleas...)
		n.Pleas = n.Pleas[max(0, len(n.Pleas)-maxPleas):]
	default:
	}
	s.news <- n
}
