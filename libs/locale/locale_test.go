package locale_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"kontor.internal/libs/civil"
	"kontor.internal/libs/locale"
	"kontor.internal/libs/money"
)

func TestMatch(t *testing.T) {
	for want, preferences := range map[locale.Language][][]string{
		locale.Latvian:   {{"lv"}, {"lv-LV,lv;q=0.9,en;q=0.8"}, {"", "lv"}, {"de", "lv"}, {"de;q=0.9, lv;q=0.5"}, {"lv", "en"}},
		locale.Persian:   {{"fa-IR"}, {"fa,en;q=0.5"}, {"en;q=0.5, fa"}},
		locale.Polish:    {{"pl-PL"}},
		locale.Swedish:   {{"sv-FI,sv"}},
		locale.Hungarian: {{"hu"}},
		locale.English:   {{}, {""}, {"en-US"}, {"de"}, {"*"}, {"§§"}, {"ja,zh;q=0.5"}, {"ru"}},
	} {
		for _, p := range preferences {
			require.Equal(t, want, locale.Match(p...), "%q", p)
		}
	}
}

func TestParseAndDirection(t *testing.T) {
	require.Len(t, locale.All(), 6)
	for _, l := range locale.All() {
		parsed, ok := locale.Parse(string(l))
		require.True(t, ok)
		require.Equal(t, l, parsed)
		require.Equal(t, l == locale.Persian, l.Direction() == locale.RightToLeft)
		require.NotEmpty(t, l.Name())
	}
	_, ok := locale.Parse("de")
	require.False(t, ok)
}

// Days on which the two calendars' correspondence is published: the Nowruz of many years, ends of leap years, and days
// of history.
func TestKnownPersianDates(t *testing.T) {
	for gregorian, persian := range map[string]locale.PersianDate{
		"2026-03-20": {Year: 1404, Month: 12, Day: 29},
		"2026-03-21": {Year: 1405, Month: 1, Day: 1},
		"2025-03-20": {Year: 1403, Month: 12, Day: 30},
		"2025-03-21": {Year: 1404, Month: 1, Day: 1},
		"2024-03-19": {Year: 1402, Month: 12, Day: 29},
		"2024-03-20": {Year: 1403, Month: 1, Day: 1},
		"2021-03-20": {Year: 1399, Month: 12, Day: 30},
		"2021-03-21": {Year: 1400, Month: 1, Day: 1},
		"2020-03-20": {Year: 1399, Month: 1, Day: 1},
		"1997-03-20": {Year: 1375, Month: 12, Day: 30},
		"1979-02-11": {Year: 1357, Month: 11, Day: 22},
		"2030-03-20": {Year: 1408, Month: 12, Day: 30},
		"2026-09-22": {Year: 1405, Month: 6, Day: 31},
		"2026-09-23": {Year: 1405, Month: 7, Day: 1},
		"2026-12-31": {Year: 1405, Month: 10, Day: 10},
	} {
		date, err := civil.ParseDate(gregorian)
		require.NoError(t, err)
		got, err := locale.ToPersian(date)
		require.NoError(t, err)
		require.Equal(t, persian, got, gregorian)
		back, err := persian.Gregorian()
		require.NoError(t, err)
		require.Equal(t, gregorian, back.String())
	}
	for _, none := range []locale.PersianDate{{}, {1404, 12, 30}, {1405, 0, 1}, {1405, 13, 1}, {1405, 7, 31}, {1405, 1, 0}, {1100, 1, 1}, {1502, 1, 1}} {
		_, err := none.Gregorian()
		require.Error(t, err, none)
	}
	for _, none := range []civil.Date{{}, {Year: 622, Month: 3, Day: 22}, {Year: 9999, Month: 12, Day: 31}} {
		_, err := locale.ToPersian(none)
		require.Error(t, err, none)
	}
}

func TestPersianDaysFollowOneAnother(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		date := civil.Date{Year: 1900, Month: time.January, Day: 1}.AddDays(rapid.IntRange(0, 81000).Draw(t, "day"))
		today, err := locale.ToPersian(date)
		require.NoError(t, err)
		back, err := today.Gregorian()
		require.NoError(t, err)
		require.Equal(t, date, back)
		tomorrow, err := locale.ToPersian(date.AddDays(1))
		require.NoError(t, err)
		switch {
		case tomorrow.Day > 1:
			require.Equal(t, locale.PersianDate{Year: today.Year, Month: today.Month, Day: today.Day + 1}, tomorrow)
		case tomorrow.Month > 1:
			require.Equal(t, locale.PersianDate{Year: today.Year, Month: today.Month + 1, Day: 1}, tomorrow)
		default:
			require.Equal(t, locale.PersianDate{Year: today.Year + 1, Month: 1, Day: 1}, tomorrow)
		}
	})
}

func TestDates(t *testing.T) {
	date := civil.Date{Year: 2026, Month: time.March, Day: 5}
	at := time.Date(2026, 3, 5, 23, 4, 0, 0, time.UTC)
	riga := time.FixedZone("Riga", 2*3600)
	for l, want := range map[locale.Language][4]string{
		locale.English:   {"5 March 2026", "05/03/2026", "March 2026", "6 March 2026, 01:04"},
		locale.Latvian:   {"2026. gada 5. marts", "05.03.2026.", "2026. gada marts", "2026. gada 6. marts, 01:04"},
		locale.Persian:   {"۱۴ اسفند ۱۴۰۴", "۱۴۰۴/۱۲/۱۴", "مارس ۲۰۲۶", "۱۵ اسفند ۱۴۰۴، ۰۱:۰۴"},
		locale.Polish:    {"5 marca 2026", "05.03.2026", "marzec 2026", "6 marca 2026, 01:04"},
		locale.Swedish:   {"5 mars 2026", "2026-03-05", "mars 2026", "6 mars 2026 01:04"},
		locale.Hungarian: {"2026. március 5.", "2026. 03. 05.", "2026. március", "2026. március 6. 01:04"},
	} {
		got := [4]string{l.Date(date), l.ShortDate(date), l.Month(date.MonthOf()), l.DateTime(at, riga)}
		require.Equal(t, want, got, l)
	}
	require.Equal(t, "۱ فروردین ۱۴۰۵", locale.Persian.Date(civil.Date{Year: 2026, Month: time.March, Day: 21}))
	require.Equal(t, "۱۴۰۵/۱/۱", locale.Persian.ShortDate(civil.Date{Year: 2026, Month: time.March, Day: 21}))
	require.Equal(t, "۰۶۲۲-۰۳-۲۲", locale.Persian.Date(civil.Date{Year: 622, Month: time.March, Day: 22}), "before the calendar's cycle")
}

func TestNumbersAndMoney(t *testing.T) {
	eur := money.Amount{Minor: -123456750, Currency: "EUR"}
	for l, want := range map[locale.Language][3]string{
		locale.English:   {"-€1,234,567.50", "-1,234,567", "21%"},
		locale.Latvian:   {"-1 234 567,50 €", "-1 234 567", "21%"},
		locale.Persian:   {"\u200e−۱٬۲۳۴٬۵۶۷٫۵۰ €", "\u200e−۱٬۲۳۴٬۵۶۷", "۲۱٪"},
		locale.Polish:    {"-1 234 567,50 €", "-1 234 567", "21%"},
		locale.Swedish:   {"−1 234 567,50 €", "−1 234 567", "21 %"},
		locale.Hungarian: {"-1 234 567,50 EUR", "-1 234 567", "21%"},
	} {
		got := [3]string{l.Money(eur), l.Integer(-1234567), l.Percent(21)}
		for i := range got {
			got[i] = strings.ReplaceAll(got[i], "\u00a0", " ")
		}
		require.Equal(t, want, got, l)
	}
	for _, c := range []struct {
		l        locale.Language
		minor    int64
		currency string
		want     string
	}{
		{locale.Persian, 123400, "IRR", "۱٬۲۳۴ ریال"},
		{locale.Persian, 123450, "IRR", "۱٬۲۳۴٫۵۰ ریال"},
		{locale.Polish, 50, "PLN", "0,50 zł"},
		{locale.Polish, -5, "PLN", "-0,05 zł"},
		{locale.Swedish, 100, "SEK", "1,00 kr"},
		{locale.Hungarian, 100000, "HUF", "1 000,00 Ft"},
		{locale.English, 100, "PLN", "PLN 1.00"},
		{locale.English, 7, "JPY", "JP¥7"},
		{locale.English, 150, "MRU", "MRU 1.50"},
		{locale.Latvian, math.MinInt64, "EUR", "-92 233 720 368 547 758,08 €"},
		{locale.English, 0, "EUR", "€0.00"},
	} {
		got := strings.ReplaceAll(c.l.Money(money.Amount{Minor: c.minor, Currency: c.currency}), "\u00a0", " ")
		require.Equal(t, c.want, got)
	}
	require.Equal(t, "۱۲ a", locale.Persian.Digits("12 a"))
	require.Equal(t, "-0,5", locale.Polish.Decimal("-0.5"))
	require.Equal(t, "0,00", locale.Polish.Decimal("-0.00"))
	for _, other := range []string{"", "x", "1.", ".5", "1e5", strings.Repeat("9", 30)} {
		require.Equal(t, other, locale.Latvian.Decimal(other))
	}
}

// What is written in Latin digits reads back as the same amount: nothing is rounded on the way to a person.
func TestMoneyIsWrittenExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := money.Amount{Minor: rapid.Int64().Draw(t, "minor"), Currency: rapid.SampledFrom([]string{"EUR", "KWD", "JPY"}).Draw(t, "currency")}
		shown := locale.English.Decimal(amount.Decimal())
		read, err := money.Parse(strings.ReplaceAll(shown, ",", ""), amount.Currency)
		require.NoError(t, err)
		require.Equal(t, amount, read)
	})
}

func FuzzMatch(f *testing.F) {
	f.Add("lv-LV,lv;q=0.9,en;q=0.8")
	f.Fuzz(func(t *testing.T, header string) {
		if _, ok := locale.Parse(string(locale.Match(header))); !ok {
			t.Fatal(header)
		}
	})
}
