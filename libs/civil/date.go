// Package civil holds calendar dates and calendar months without a time of day or a zone: the days of contracts,
// licences, invoices and maintenance terms. A term in months is always whole calendar months.
package civil

import (
	"cmp"
	"fmt"
	"time"
)

// Date is one day of the proleptic Gregorian calendar. The zero value is no date: IsZero is true and it is stored as
// NULL. Dates compare with ==.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// NewDate returns the date if it exists in the calendar, in the years 1 to 9999.
func NewDate(year int, month time.Month, day int) (Date, error) {
	date := Date{Year: year, Month: month, Day: day}
	if !date.IsValid() {
		return Date{}, fmt.Errorf("civil: there is no date %s", date)
	}
	return date, nil
}

// DateOf returns the day that it is at the instant t for somebody in loc.
func DateOf(t time.Time, loc *time.Location) Date {
	year, month, day := t.In(loc).Date()
	return Date{Year: year, Month: month, Day: day}
}

// ParseDate reads the ISO 8601 form YYYY-MM-DD and nothing else.
func ParseDate(text string) (Date, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil || t.Year() < 1 {
		return Date{}, fmt.Errorf("civil: %q is not a date written YYYY-MM-DD", text)
	}
	return DateOf(t, time.UTC), nil
}

// String returns the form YYYY-MM-DD.
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, int(d.Month), d.Day) }

// IsZero reports whether d is the zero value, which is no date.
func (d Date) IsZero() bool { return d == Date{} }

// IsValid reports whether d exists in the calendar, in the years 1 to 9999.
func (d Date) IsValid() bool {
	return d.Year >= 1 && d.Year <= 9999 && d.Month >= time.January && d.Month <= time.December &&
		d.Day >= 1 && d.Day <= DaysIn(d.Year, d.Month)
}

// In returns the instant at which the day begins in loc.
func (d Date) In(loc *time.Location) time.Time {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, loc)
}

// Compare returns -1 when d is before other, 0 when they are the same day, +1 when it is after.
func (d Date) Compare(other Date) int {
	return cmp.Or(cmp.Compare(d.Year, other.Year), cmp.Compare(d.Month, other.Month), cmp.Compare(d.Day, other.Day))
}

// Before reports whether d is earlier than other.
func (d Date) Before(other Date) bool { return d.Compare(other) < 0 }

// After reports whether d is later than other.
func (d Date) After(other Date) bool { return d.Compare(other) > 0 }

// AddDays returns the date n days later; n may be negative.
func (d Date) AddDays(n int) Date { return DateOf(d.In(time.UTC).AddDate(0, 0, n), time.UTC) }

// AddMonths returns the same day n months later, or that month's last day where the month is shorter: one month after
// 31 January is 28 or 29 February. n may be negative.
func (d Date) AddMonths(n int) Date {
	month := d.MonthOf().AddMonths(n)
	return Date{Year: month.Year, Month: month.Month, Day: min(d.Day, DaysIn(month.Year, month.Month))}
}

// AddYears returns the same day n years later; 29 February becomes 28 February in a year that is not a leap year.
func (d Date) AddYears(n int) Date { return d.AddMonths(12 * n) }

// DaysSince returns how many days d lies after other; negative when it lies before.
func (d Date) DaysSince(other Date) int {
	return int(d.In(time.UTC).Sub(other.In(time.UTC)) / (24 * time.Hour))
}

// Weekday returns the day of the week.
func (d Date) Weekday() time.Weekday { return d.In(time.UTC).Weekday() }

// MonthOf returns the calendar month in which d lies.
func (d Date) MonthOf() Month { return Month{Year: d.Year, Month: d.Month} }

// DaysIn returns the number of days of a month.
func DaysIn(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// IsLeap reports whether the year has a 29 February.
func IsLeap(year int) bool { return DaysIn(year, time.February) == 29 }

// MarshalText writes the form YYYY-MM-DD; the zero value is written as empty text.
func (d Date) MarshalText() ([]byte, error) {
	if d.IsZero() {
		return []byte{}, nil
	}
	if !d.IsValid() {
		return nil, fmt.Errorf("civil: there is no date %s", d)
	}
	return []byte(d.String()), nil
}

// UnmarshalText reads the form YYYY-MM-DD, or empty text as the zero value.
func (d *Date) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = Date{}
		return nil
	}
	parsed, err := ParseDate(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}
