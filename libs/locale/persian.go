package locale

import (
	"fmt"
	"time"

	"kontor.internal/libs/civil"
)

// The years of the solar Hijri calendar for which its leap years, an astronomical matter, follow a plain cycle of 33 years;
// 1502 is the first that does not.
const (
	minPersianYear = 1178
	maxPersianYear = 1501
)

// PersianDate is a day of the solar Hijri calendar, the official one of Iran. Months count from 1 (Farvardin).
type PersianDate struct {
	Year, Month, Day int
}

// IsPersianLeap reports whether the year (1178 to 1501) has a 30 Esfand.
func IsPersianLeap(year int) bool { return (25*year+11)%33 < 8 }

// DaysInPersianMonth returns the number of days of a month: 31 in the first six, 30 in the next five, 29 or 30 in the last.
func DaysInPersianMonth(year, month int) int {
	switch {
	case month <= 6:
		return 31
	case month <= 11 || IsPersianLeap(year):
		return 30
	default:
		return 29
	}
}

// nowruz returns the first day of a Persian year, counted from that of 1405.
func nowruz(year int) civil.Date {
	leapDays := func(before int) int { return (8*before + 21) / 33 }
	const known = 1405
	days := 365*(year-known) + leapDays(year) - leapDays(known)
	return civil.Date{Year: 2026, Month: time.March, Day: 21}.AddDays(days)
}

// ToPersian returns the day by the solar Hijri calendar; years outside 1178 to 1501 (1799 to 2123) are an error.
func ToPersian(date civil.Date) (PersianDate, error) {
	year := date.Year - 621 // the one that begins in the date's Gregorian year
	if date.Before(nowruz(year)) {
		year--
	}
	if !date.IsValid() || year < minPersianYear || year > maxPersianYear {
		return PersianDate{}, fmt.Errorf("locale: no Persian date for %s", date)
	}
	day, month := date.DaysSince(nowruz(year))+1, 1
	for day > DaysInPersianMonth(year, month) {
		day -= DaysInPersianMonth(year, month)
		month++
	}
	return PersianDate{Year: year, Month: month, Day: day}, nil
}

// Gregorian returns the day by the Gregorian calendar; a day that does not exist is an error.
func (p PersianDate) Gregorian() (civil.Date, error) {
	if p.Year < minPersianYear || p.Year > maxPersianYear || p.Month < 1 || p.Month > 12 || p.Day < 1 ||
		p.Day > DaysInPersianMonth(p.Year, p.Month) {
		return civil.Date{}, fmt.Errorf("locale: there is no Persian date %s", p)
	}
	days := p.Day - 1
	for month := 1; month < p.Month; month++ {
		days += DaysInPersianMonth(p.Year, month)
	}
	return nowruz(p.Year).AddDays(days), nil
}

// String returns year/month/day in Latin digits.
func (p PersianDate) String() string { return fmt.Sprintf("%d/%d/%d", p.Year, p.Month, p.Day) }
