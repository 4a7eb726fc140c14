package locale

import (
	"fmt"
	"strings"
	"time"

	"kontor.internal/libs/civil"
)

// Date writes a day in full: "21 March 2026", "2026. gada 21. marts", "۱ فروردین ۱۴۰۵".
func (l Language) Date(date civil.Date) string {
	switch l {
	case Persian:
		persian, err := ToPersian(date)
		if err != nil {
			return l.Digits(date.String())
		}
		return l.Digits(fmt.Sprintf("%d %s %d", persian.Day, persianMonth(persian.Month), persian.Year))
	case Latvian:
		return fmt.Sprintf("%d. gada %d. %s", date.Year, date.Day, l.month(date.Month))
	case Hungarian:
		return fmt.Sprintf("%d. %s %d.", date.Year, l.month(date.Month), date.Day)
	case Polish:
		return fmt.Sprintf("%d %s %d", date.Day, polishGenitive(date.Month), date.Year)
	default:
		return fmt.Sprintf("%d %s %d", date.Day, l.month(date.Month), date.Year)
	}
}

// ShortDate writes a day in figures: "21/03/2026", "21.03.2026.", "۱۴۰۵/۱/۱".
func (l Language) ShortDate(date civil.Date) string {
	year, month, day := date.Year, int(date.Month), date.Day
	switch l {
	case Persian:
		persian, err := ToPersian(date)
		if err != nil {
			return l.Digits(date.String())
		}
		return l.Digits(persian.String())
	case Latvian:
		return fmt.Sprintf("%02d.%02d.%d.", day, month, year)
	case Polish:
		return fmt.Sprintf("%02d.%02d.%d", day, month, year)
	case Hungarian:
		return fmt.Sprintf("%d. %02d. %02d.", year, month, day)
	case Swedish:
		return date.String()
	default:
		return fmt.Sprintf("%02d/%02d/%d", day, month, year)
	}
}

// Month writes a whole calendar month: "March 2026", "2026. gada marts". Terms of contracts are months of the Gregorian
// calendar, so in Persian too it is that calendar's month, by its Persian name.
func (l Language) Month(month civil.Month) string {
	switch l {
	case Latvian:
		return fmt.Sprintf("%d. gada %s", month.Year, l.month(month.Month))
	case Hungarian:
		return fmt.Sprintf("%d. %s", month.Year, l.month(month.Month))
	default:
		return l.Digits(fmt.Sprintf("%s %d", l.month(month.Month), month.Year))
	}
}

// Clock writes the time of day that it is in loc, by 24 hours: "09:05".
func (l Language) Clock(t time.Time, loc *time.Location) string {
	return l.Digits(t.In(loc).Format("15:04"))
}

// DateTime writes the day and the time of day that it is in loc.
func (l Language) DateTime(t time.Time, loc *time.Location) string {
	separator := ", "
	if l == Swedish || l == Hungarian {
		separator = " "
	}
	if l == Persian {
		separator = "، "
	}
	return l.Date(civil.DateOf(t, loc)) + separator + l.Clock(t, loc)
}

// month returns the name of a Gregorian month as it stands alone; except in Polish it is also the form within a date.
func (l Language) month(month time.Month) string {
	var names string
	switch l {
	case Latvian:
		names = "janvāris februāris marts aprīlis maijs jūnijs jūlijs augusts septembris oktobris novembris decembris"
	case Persian:
		names = "ژانویهٔ فوریهٔ مارس آوریل مهٔ ژوئن ژوئیهٔ اوت سپتامبر اکتبر نوامبر دسامبر"
	case Polish:
		names = "styczeń luty marzec kwiecień maj czerwiec lipiec sierpień wrzesień październik listopad grudzień"
	case Swedish:
		names = "januari februari mars april maj juni juli augusti september oktober november december"
	case Hungarian:
		names = "január február március április május június július augusztus szeptember október november december"
	default:
		return month.String()
	}
	return nth(names, int(month))
}

func polishGenitive(month time.Month) string {
	return nth("stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia", int(month))
}

func persianMonth(month int) string {
	return nth("فروردین اردیبهشت خرداد تیر مرداد شهریور مهر آبان آذر دی بهمن اسفند", month)
}

// nth returns the n-th word, counted from 1; a number without a name, of a date that does not exist, stays a number.
func nth(names string, n int) string {
	words := strings.Fields(names)
	if n < 1 || n > len(words) {
		return fmt.Sprint(n)
	}
	return words[n-1]
}
