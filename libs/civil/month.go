package civil

import (
	"cmp"
	"fmt"
	"time"
)

const monthLayout = "2006-01"

// Month is one whole calendar month. The zero value is no month: IsZero is true and it is stored as NULL. Months
// compare with ==.
type Month struct {
	Year  int
	Month time.Month
}

// NewMonth returns the month if it exists, in the years 1 to 9999.
func NewMonth(year int, month time.Month) (Month, error) {
	made := Month{Year: year, Month: month}
	if !made.IsValid() {
		return Month{}, fmt.Errorf("civil: there is no month %s", made)
	}
	return made, nil
}

// MonthOf returns the month that it is at the instant t for somebody in loc.
func MonthOf(t time.Time, loc *time.Location) Month { return DateOf(t, loc).MonthOf() }

// ParseMonth reads the ISO 8601 form YYYY-MM and nothing else.
func ParseMonth(text string) (Month, error) {
	t, err := time.Parse(monthLayout, text)
	if err != nil || t.Year() < 1 {
		return Month{}, fmt.Errorf("civil: %q is not a month written YYYY-MM", text)
	}
	return Month{Year: t.Year(), Month: t.Month()}, nil
}

// String returns the form YYYY-MM.
func (m Month) String() string { return fmt.Sprintf("%04d-%02d", m.Year, int(m.Month)) }

// IsZero reports whether m is the zero value, which is no month.
func (m Month) IsZero() bool { return m == Month{} }

// IsValid reports whether m exists, in the years 1 to 9999.
func (m Month) IsValid() bool {
	return m.Year >= 1 && m.Year <= 9999 && m.Month >= time.January && m.Month <= time.December
}

// First returns the month's first day.
func (m Month) First() Date { return Date{Year: m.Year, Month: m.Month, Day: 1} }

// Last returns the month's last day.
func (m Month) Last() Date { return Date{Year: m.Year, Month: m.Month, Day: DaysIn(m.Year, m.Month)} }

// Contains reports whether the day lies in the month.
func (m Month) Contains(d Date) bool { return d.MonthOf() == m }

// AddMonths returns the month n months later; n may be negative.
func (m Month) AddMonths(n int) Month {
	// Counted by the calendar's own normalisation from a day that every month has.
	t := time.Date(m.Year, m.Month+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	return Month{Year: t.Year(), Month: t.Month()}
}

// MonthsSince returns how many months m lies after other; negative when it lies before.
func (m Month) MonthsSince(other Month) int {
	return 12*(m.Year-other.Year) + int(m.Month-other.Month)
}

// Compare returns -1 when m is before other, 0 when they are the same month, +1 when it is after.
func (m Month) Compare(other Month) int {
	return cmp.Or(cmp.Compare(m.Year, other.Year), cmp.Compare(m.Month, other.Month))
}

// Before reports whether m is earlier than other.
func (m Month) Before(other Month) bool { return m.Compare(other) < 0 }

// After reports whether m is later than other.
func (m Month) After(other Month) bool { return m.Compare(other) > 0 }

// MarshalText writes the form YYYY-MM; the zero value is written as empty text.
func (m Month) MarshalText() ([]byte, error) {
	if m.IsZero() {
		return []byte{}, nil
	}
	if !m.IsValid() {
		return nil, fmt.Errorf("civil: there is no month %s", m)
	}
	return []byte(m.String()), nil
}

// UnmarshalText reads the form YYYY-MM, or empty text as the zero value.
func (m *Month) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*m = Month{}
		return nil
	}
	parsed, err := ParseMonth(string(text))
	if err != nil {
		return err
	}
	*m = parsed
	return nil
}
