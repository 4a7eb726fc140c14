package catalogue_test

import (
	"testing"
	"time"

	"kontor.internal/services/licensing/internal/catalogue"
)

func TestSeatsBeyondTheLimitAreThereWhileAMonthIsClosed(t *testing.T) {
	riga, err := time.LoadLocation("Europe/Riga")
	if err != nil {
		t.Fatal(err)
	}
	monthly := catalogue.Overdraft{Seats: 2, DaysBefore: 3, DaysAfter: 5}
	yearly := catalogue.Overdraft{Seats: 4, DaysBefore: 1, DaysAfter: 10, Months: []int{12}}
	for name, c := range map[string]struct {
		rule   catalogue.Overdraft
		at     string
		seats  int32
		period string
	}{
		"none where the plan has none":                {catalogue.Overdraft{}, "2026-11-30T12:00:00+02:00", 0, ""},
		"not four days before the end":                {monthly, "2026-11-27T23:59:59+02:00", 0, ""},
		"from the third last day on":                  {monthly, "2026-11-28T00:00:00+02:00", 2, "2026-11"},
		"days are counted in the customer's zone":     {monthly, "2026-11-27T22:00:00Z", 2, "2026-11"},
		"on the last day":                             {monthly, "2026-11-30T12:00:00+02:00", 2, "2026-11"},
		"into the next month":                         {monthly, "2026-12-05T23:59:59+02:00", 2, "2026-11"},
		"and no longer":                               {monthly, "2026-12-06T00:00:00+02:00", 0, ""},
		"February has its own last day":               {monthly, "2028-02-27T08:00:00+02:00", 2, "2028-02"},
		"over the turn of the year":                   {monthly, "2027-01-03T08:00:00+02:00", 2, "2026-12"},
		"only the year's end, where the plan says so": {yearly, "2026-11-30T12:00:00+02:00", 0, ""},
		"the year's end":                              {yearly, "2027-01-10T12:00:00+02:00", 4, "2026-12"},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if seats, period := c.rule.On(at, riga); seats != c.seats || period != c.period {
			t.Errorf("%s: %d for %q", name, seats, period)
		}
	}
}
