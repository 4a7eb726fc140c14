package seatreport

import (
	"slices"

	"kontor.internal/libs/civil"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// Day is what the statement of one day says, as far as advice needs it.
type Day struct {
	Date          civil.Date
	Peak          int32
	HourPeaks     []int32
	Refusals      int32
	RefusedPeople int32
	OverdraftPeak int32
	Gap           bool
}

// Advice is what use says about the number of seats.
type Advice struct {
	Code        licensingv1.SeatAdviceCode
	Seats       int32 // that would do
	Peak        int32
	UsualPeak   int32
	Refusals    int32
	RefusedDays int32
	Overdraft   int32
	UsedDays    int32
	GapDays     int32
}

const (
	// leastDays is on how many days seats must have been used for an advice.
	leastDays = 10
	// refusedOften is on how many days refusals are no accident.
	refusedOften = 2
)

// Advise looks at days of use of a licence that has so many seats now.
func Advise(days []Day, limit int32) Advice {
	var a Advice
	var hours []int32
	var lacked int32 // how many more would have worked on the worst day
	for _, d := range days {
		a.Peak, a.Overdraft = max(a.Peak, d.Peak), max(a.Overdraft, d.OverdraftPeak)
		a.Refusals += d.Refusals
		if d.Peak > 0 {
			a.UsedDays++
		}
		if d.Refusals > 0 {
			a.RefusedDays++
			lacked = max(lacked, d.RefusedPeople)
		}
		if d.Gap {
			a.GapDays++
		}
		for _, peak := range d.HourPeaks {
			if peak > 0 {
				hours = append(hours, peak)
			}
		}
	}
	a.UsualPeak = usual(hours)
	a.Code, a.Seats = a.code(limit, lacked)
	return a
}

func (a Advice) code(limit, lacked int32) (licensingv1.SeatAdviceCode, int32) {
	switch {
	case a.UsedDays < leastDays:
		return licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_UNKNOWN, limit
	case a.RefusedDays >= refusedOften || a.Overdraft > 0:
		return licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_MORE, max(limit+1, a.Peak+lacked)
	case a.Refusals == 0 && a.Peak*3 < limit*2:
		return licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_FEWER, a.Peak + max(1, a.Peak/10)
	default:
		return licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_ENOUGH, limit
	}
}

// usual is what 19 of 20 hours did not go beyond.
func usual(hours []int32) int32 {
	if len(hours) == 0 {
		return 0
	}
	slices.Sort(hours)
	return hours[(len(hours)*19+19)/20-1]
}
