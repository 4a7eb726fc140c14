package catalogue

import (
	"fmt"
	"slices"
	"time"

	"kontor.internal/libs/civil"
)

// SeatRules are how a plan's seats count, beside their number.
type SeatRules struct {
	// PerPerson says that all devices of a person have one seat; otherwise each device has its own.
	PerPerson bool `yaml:"per_person"`
	// PerProduct is how many seats one product may have of all; a product that is not named may have all.
	PerProduct map[string]int32 `yaml:"per_product"`
	// ReadWithoutSeat says whether one may read without taking a seat.
	ReadWithoutSeat bool      `yaml:"read_without_seat"`
	Overdraft       Overdraft `yaml:"overdraft"`
	Travel          Travel    `yaml:"travel"`
	Guests          Guests    `yaml:"guests"`
}

// Overdraft is how many seats there are beyond the limit while the books of a month are closed.
type Overdraft struct {
	Seats int32 `yaml:"seats"`
	// DaysBefore the month's end, its last day included, and DaysAfter it.
	DaysBefore int `yaml:"days_before"`
	DaysAfter  int `yaml:"days_after"`
	// Months that are closed so, 1 to 12; none means every month.
	Months []int `yaml:"months"`
}

// Travel is for how many days seats may go out, and how many of a hundred at a time.
type Travel struct {
	Days  int   `yaml:"days"`
	Share int32 `yaml:"share"`
}

// Guests is how many may read beside the seats at a time, and for how many days each.
type Guests struct {
	Count int `yaml:"count"`
	Days  int `yaml:"days"`
}

// Most bounds of what a plan may say.
const (
	maxOverdraftDays = 15
	maxTravelDays    = 90
	maxGuestDays     = 366
)

// On is how many seats there are beyond the limit at an instant, and which month is being closed, e.g. `2026-11`. Of two
// months whose times overlap it is the earlier one.
func (o Overdraft) On(at time.Time, zone *time.Location) (seats int32, period string) {
	if o.Seats == 0 {
		return 0, ""
	}
	today := civil.DateOf(at, zone)
	for _, back := range []int{-1, 0} {
		first := time.Date(today.Year, today.Month, 1, 0, 0, 0, 0, time.UTC).AddDate(0, back, 0)
		last := civil.DateOf(first.AddDate(0, 1, -1), time.UTC)
		begins, ends := last.AddDays(1-o.DaysBefore), last.AddDays(o.DaysAfter)
		closed := len(o.Months) == 0 || slices.Contains(o.Months, int(last.Month))
		if closed && !today.Before(begins) && !today.After(ends) {
			return o.Seats, fmt.Sprintf("%04d-%02d", last.Year, last.Month)
		}
	}
	return 0, ""
}

// Out is how many of so many seats may be out at a time.
func (t Travel) Out(seats int32) int32 { return seats * t.Share / 100 }

func (k *checker) seats(where string, p Plan) {
	r := p.Seats
	for product, most := range r.PerProduct {
		k.require(p.Holds(product), "%s.per_product: %q is not in the plan", where, product)
		k.require(most > 0 && most <= p.Limits.Seats, "%s.per_product.%s: %d of %d seats", where, product, most, p.Limits.Seats)
	}
	o := r.Overdraft
	k.require(o.Seats >= 0 && o.Seats <= p.Limits.Seats, "%s.overdraft: %d seats", where, o.Seats)
	k.require((o.Seats > 0) == (o.DaysBefore+o.DaysAfter > 0), "%s.overdraft: seats and days belong together", where)
	for _, days := range []int{o.DaysBefore, o.DaysAfter} {
		k.require(days >= 0 && days <= maxOverdraftDays, "%s.overdraft: %d days", where, days)
	}
	for _, month := range o.Months {
		k.require(month >= 1 && month <= 12, "%s.overdraft: month %d", where, month)
	}
	k.require(r.Travel.Days >= 0 && r.Travel.Days <= maxTravelDays && r.Travel.Share >= 0 && r.Travel.Share <= 100,
		"%s.travel: %d days, %d of a hundred", where, r.Travel.Days, r.Travel.Share)
	k.require(r.Guests.Days >= 0 && r.Guests.Days <= maxGuestDays && r.Guests.Count >= 0 && (r.Guests.Days > 0) == (r.Guests.Count > 0),
		"%s.guests: %d for %d days", where, r.Guests.Count, r.Guests.Days)
}
