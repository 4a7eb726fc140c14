package seatreport

import (
	"testing"

	"github.com/stretchr/testify/require"

	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// days are n equal days.
func days(n int, d Day) []Day {
	list := make([]Day, n)
	for i := range list {
		list[i] = d
	}
	return list
}

func TestAdviceFollowsFromUse(t *testing.T) {
	for name, c := range map[string]struct {
		days  []Day
		limit int32
		code  licensingv1.SeatAdviceCode
		seats int32
	}{
		"nothing is known":             {nil, 5, licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_UNKNOWN, 5},
		"nine days are too few":        {days(9, Day{Peak: 5, Refusals: 3}), 5, licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_UNKNOWN, 5},
		"idle days do not count":       {append(days(9, Day{Peak: 5}), days(100, Day{})...), 5, licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_UNKNOWN, 5},
		"seven of ten":                 {days(20, Day{Peak: 7}), 10, licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_ENOUGH, 10},
		"six of ten are too many":      {days(20, Day{Peak: 6}), 10, licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_FEWER, 7},
		"two of two":                   {days(20, Day{Peak: 2}), 2, licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_ENOUGH, 2},
		"one of one":                   {days(20, Day{Peak: 1}), 1, licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_ENOUGH, 1},
		"refused on one day":           {append(days(20, Day{Peak: 5}), Day{Peak: 5, Refusals: 9, RefusedPeople: 1}), 5, licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_ENOUGH, 5},
		"refused on two days":          {append(days(20, Day{Peak: 5}), days(2, Day{Peak: 5, Refusals: 9, RefusedPeople: 3})...), 5, licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_MORE, 8},
		"beyond the limit":             {days(20, Day{Peak: 12, OverdraftPeak: 2}), 10, licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_MORE, 12},
		"refused once, and many spare": {append(days(20, Day{Peak: 2}), Day{Peak: 2, Refusals: 1, RefusedPeople: 1}), 10, licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_ENOUGH, 10},
	} {
		t.Run(name, func(t *testing.T) {
			a := Advise(c.days, c.limit)
			require.Equal(t, c.code, a.Code)
			require.Equal(t, c.seats, a.Seats)
		})
	}
}

func TestTheUsualPeakLeavesOutOneHourInTwenty(t *testing.T) {
	hours := make([]int32, 40)
	for i := range 20 {
		hours[i] = 4
	}
	hours[19] = 9
	a := Advise([]Day{{Peak: 9, HourPeaks: hours}}, 10)
	require.EqualValues(t, 4, a.UsualPeak, "19 of the 20 hours in which any seat was used")
	require.Zero(t, Advise(nil, 10).UsualPeak)
}
