package seat

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/tinylib/msgp/msgp"
)

// answer is what a function answered: a word and what belongs to it.
type answer []any

// done is the answer, unless the function failed.
func (a answer) done() (answer, error) {
	if a.word() == wordFailed {
		return nil, unavailable(errors.New("seat: in Redis: " + a.text(1)))
	}
	return a, nil
}

func (a answer) word() string { return a.text(0) }

func (a answer) text(i int) string {
	if i >= len(a) {
		return ""
	}
	text, _ := a[i].(string)
	return text
}

// duration is a number of milliseconds.
func (a answer) duration(i int) time.Duration {
	ms, _ := strconv.ParseInt(a.text(i), 10, 64)
	return time.Duration(ms) * time.Millisecond
}

// seats are a list of seats, each as it is used in the first of its places.
func (a answer) seats(i int) ([]Seat, error) {
	list := a.list(i)
	seats := make([]Seat, 0, len(list))
	for j := range list {
		s, err := list.seat(j)
		if err != nil {
			return nil, err
		}
		seats = append(seats, s)
	}
	return seats, nil
}

// holders are the lists of holders that the answers of a turn refer to.
func (a answer) holders() (lists [][]Seat, err error) {
	for i := range a {
		list, err := a.seats(i)
		if err != nil {
			return nil, err
		}
		lists = append(lists, list)
	}
	return lists, nil
}

// with puts the list of holders that a refusal refers to in the place of its number.
func (a answer) with(lists [][]Seat) answer {
	switch a.word() {
	case wordFull, wordCompany, wordProduct:
		if n, ok := a[2].(int64); ok && int(n) <= len(lists) {
			a[2] = lists[n-1]
		}
	}
	return a
}

// shown are holders that `with` put in their place.
func (a answer) shown(i int) (holders []Seat, ok bool) {
	if i < len(a) {
		holders, ok = a[i].([]Seat)
	}
	return holders, ok
}

// seat is one seat, its slot and its record, as it is used in the first of its places.
func (a answer) seat(i int) (Seat, error) {
	f := a.list(i)
	s, err := readRecord([]byte(f.text(1)))
	if err != nil {
		return Seat{}, fmt.Errorf("seat: from Redis: %w", err)
	}
	var r reader
	s.Slot = int32(r.number(f.text(0)))
	return s.in(s.Places[0].Company, s.Places[0].Device), r.err
}

// in is a seat as it is used in one of its places, the one it is in now if it is not used there.
func (s Seat) in(company uuid.UUID, device string) Seat {
	for _, place := range s.Places {
		if place.Company == company && place.Device == device {
			s.Place, s.Generation = place, place.Grant
		}
	}
	s.Ends = earliest(s.Until, s.Cap, s.Taking)
	return s
}

// earliest is the first of some instants, without those that are none.
func earliest(first time.Time, others ...time.Time) time.Time {
	for _, at := range others {
		if !at.IsZero() && at.Before(first) {
			first = at
		}
	}
	return first
}

// list is what belongs to an answer as a list.
func (a answer) list(i int) answer {
	if i >= len(a) {
		return nil
	}
	list, _ := a[i].([]any)
	return list
}

// record reads the fields of a record, in their order, and keeps the first error.
type record struct {
	raw []byte
	err error
}

// readRecord reads a record as lua/ keeps it.
func readRecord(raw []byte) (Seat, error) {
	r := record{raw: raw}
	r.length()
	s := Seat{
		ID: r.id(), Account: r.id(), Product: r.text(), Generation: r.number(), Since: r.instant(), Renewed: r.instant(),
		Active: r.instant(), Mode: Mode(r.text()), Cap: r.instant(), Taking: r.instant(),
	}
	r.text() // Who takes it, which the log tells.
	s.PerPerson = r.text() == "1"
	for range r.length() {
		r.length()
		s.Places = append(s.Places, Place{Company: r.id(), Device: r.text(), Title: r.text(), Until: r.instant(), Grant: r.number()})
	}
	for range r.length() {
		r.length()
		s.Pleas = append(s.Pleas, Plea{ID: r.text(), Account: r.id(), Text: r.text(), Since: r.instant()})
	}
	if r.err == nil && len(s.Places) == 0 {
		r.err = errors.New("a seat without a place")
	}
	return s, r.err
}

// length begins a list.
func (r *record) length() int {
	n, rest, err := msgp.ReadArrayHeaderBytes(r.raw)
	r.next(rest, err)
	if r.err != nil {
		return 0
	}
	return int(n)
}

func (r *record) next(rest []byte, err error) {
	if r.err == nil {
		r.raw, r.err = rest, err
	}
}

func (r *record) text() string {
	text, rest, err := msgp.ReadStringBytes(r.raw)
	r.next(rest, err)
	return text
}

func (r *record) number() int64 {
	n, rest, err := msgp.ReadInt64Bytes(r.raw)
	r.next(rest, err)
	return n
}

// id is Nil for an empty text.
func (r *record) id() uuid.UUID {
	text, rest, err := msgp.ReadStringZC(r.raw)
	r.next(rest, err)
	if r.err != nil || len(text) == 0 {
		return uuid.Nil
	}
	id, err := uuid.ParseBytes(text)
	r.next(r.raw, err)
	return id
}

// instant is in milliseconds; the zero time for 0.
func (r *record) instant() time.Time {
	n := r.number()
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}

// reader reads texts and keeps the first error.
type reader struct{ err error }

func (r *reader) note(err error) {
	if r.err == nil && err != nil {
		r.err = fmt.Errorf("seat: from Redis: %w", err)
	}
}

func (r *reader) number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	r.note(err)
	return n
}

func (r *reader) id(text string) uuid.UUID {
	id, err := uuid.Parse(text)
	r.note(err)
	return id
}

func (r *reader) instant(text string) time.Time { return time.UnixMilli(r.number(text)).UTC() }

// states are ends of leases in a function's answer; the zero time for a seat that is not held.
func (a answer) states() ([]time.Time, error) {
	if len(a) < 2 {
		return nil, errors.New("seat: Redis answered no states")
	}
	list, _ := a[1].([]any)
	ends := make([]time.Time, len(list))
	var r reader
	for i := range list {
		if text := answer(list).text(i); text != "" {
			ends[i] = r.instant(text)
		}
	}
	return ends, r.err
}
