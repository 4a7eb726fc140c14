package civil_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"kontor.internal/libs/civil"
)

func date(t require.TestingT, text string) civil.Date {
	d, err := civil.ParseDate(text)
	require.NoError(t, err)
	return d
}

func TestParseDate(t *testing.T) {
	for _, bad := range []string{
		"", "2026-02-29", "2026-2-3", "0000-01-01", "2026-13-01", "2026-00-10", "2026-01-01T00:00:00Z", " 2026-01-01", "20260101",
	} {
		_, err := civil.ParseDate(bad)
		require.Error(t, err, bad)
	}
	require.Equal(t, civil.Date{Year: 2024, Month: time.February, Day: 29}, date(t, "2024-02-29"))
}

func TestAddMonthsStaysInTheMonth(t *testing.T) {
	for _, c := range []struct {
		from string
		n    int
		want string
	}{
		{"2026-01-31", 1, "2026-02-28"},
		{"2024-01-31", 1, "2024-02-29"},
		{"2026-01-31", 3, "2026-04-30"},
		{"2026-03-31", -1, "2026-02-28"},
		{"2026-12-15", 1, "2027-01-15"},
		{"2026-01-15", -1, "2025-12-15"},
		{"2024-02-29", 12, "2025-02-28"},
		{"2024-02-29", 48, "2028-02-29"},
		{"2026-05-31", 0, "2026-05-31"},
		{"2026-01-31", -23, "2024-02-29"},
	} {
		require.Equal(t, c.want, date(t, c.from).AddMonths(c.n).String(), "%s %+d months", c.from, c.n)
	}
	require.Equal(t, "2027-02-28", date(t, "2024-02-29").AddYears(3).String())
}

func TestLeapYears(t *testing.T) {
	for year, leap := range map[int]bool{1900: false, 2000: true, 2023: false, 2024: true, 2026: false, 2100: false} {
		require.Equal(t, leap, civil.IsLeap(year), year)
	}
}

func TestAddDaysCrossesClockChanges(t *testing.T) {
	require.Equal(t, "2026-03-30", date(t, "2026-03-28").AddDays(2).String())
	require.Equal(t, "2024-02-29", date(t, "2024-03-01").AddDays(-1).String())
}

func TestDateOfDependsOnThePlace(t *testing.T) {
	late := time.Date(2026, 3, 20, 22, 30, 0, 0, time.UTC)
	require.Equal(t, "2026-03-20", civil.DateOf(late, time.UTC).String())
	require.Equal(t, "2026-03-21", civil.DateOf(late, time.FixedZone("Riga", 2*3600)).String())
	require.Equal(t, "2026-03", civil.MonthOf(late, time.UTC).String())
}

func TestMonth(t *testing.T) {
	february, err := civil.ParseMonth("2024-02")
	require.NoError(t, err)
	require.Equal(t, "2024-02-01", february.First().String())
	require.Equal(t, "2024-02-29", february.Last().String())
	require.True(t, february.Contains(date(t, "2024-02-29")))
	require.False(t, february.Contains(date(t, "2024-03-01")))
	require.False(t, february.Contains(date(t, "2023-02-01")))
	require.Equal(t, "2023-12", february.AddMonths(-2).String())
	require.Equal(t, 25, civil.Month{Year: 2026, Month: time.March}.MonthsSince(february))
	require.True(t, february.Before(february.AddMonths(1)))
	require.True(t, february.After(february.AddMonths(-1)))
	for _, bad := range []string{"", "2024", "2024-13", "2024-2", "2024-02-01", "0000-01"} {
		_, err := civil.ParseMonth(bad)
		require.Error(t, err, bad)
	}
	_, err = civil.NewMonth(2026, 0)
	require.Error(t, err)
	_, err = civil.NewDate(2026, time.February, 29)
	require.Error(t, err)
}

func TestJSON(t *testing.T) {
	type term struct {
		From  civil.Date  `json:"from"`
		Month civil.Month `json:"month"`
		Until *civil.Date `json:"until"`
	}
	var got term
	require.NoError(t, json.Unmarshal([]byte(`{"from":"2026-01-31","month":"2026-02","until":null}`), &got))
	require.Nil(t, got.Until)
	text, err := json.Marshal(got)
	require.NoError(t, err)
	require.JSONEq(t, `{"from":"2026-01-31","month":"2026-02","until":null}`, string(text))
	require.Error(t, json.Unmarshal([]byte(`{"from":"2026-02-31"}`), &got))
	_, err = json.Marshal(civil.Date{Year: 2026, Month: 2, Day: 31})
	require.Error(t, err)
}

// The codec is the one that pgx uses against a server.
func TestPGXCodec(t *testing.T) {
	types := pgtype.NewMap()
	for _, format := range []int16{pgtype.BinaryFormatCode, pgtype.TextFormatCode} {
		rapid.Check(t, func(t *rapid.T) {
			d := anyDate(t)
			wire, err := types.Encode(pgtype.DateOID, format, d, nil)
			require.NoError(t, err)
			var gotDate civil.Date
			require.NoError(t, types.Scan(pgtype.DateOID, format, wire, &gotDate))
			require.Equal(t, d, gotDate)

			wire, err = types.Encode(pgtype.DateOID, format, d.MonthOf(), nil)
			require.NoError(t, err)
			var gotMonth civil.Month
			require.NoError(t, types.Scan(pgtype.DateOID, format, wire, &gotMonth))
			require.Equal(t, d.MonthOf(), gotMonth)
			require.NoError(t, types.Scan(pgtype.DateOID, format, wire, &gotDate))
			require.Equal(t, d.MonthOf().First(), gotDate)
		})
		wire, err := types.Encode(pgtype.DateOID, format, civil.Date{}, nil)
		require.NoError(t, err)
		require.Nil(t, wire, "the zero date is NULL")
		null := date(t, "2026-01-01")
		require.NoError(t, types.Scan(pgtype.DateOID, format, nil, &null))
		require.True(t, null.IsZero())
		pointer := &null
		require.NoError(t, types.Scan(pgtype.DateOID, format, nil, &pointer))
		require.Nil(t, pointer)
	}
	var month civil.Month
	wire, err := types.Encode(pgtype.DateOID, pgtype.BinaryFormatCode, date(t, "2026-01-02"), nil)
	require.NoError(t, err)
	require.ErrorContains(t, types.Scan(pgtype.DateOID, pgtype.BinaryFormatCode, wire, &month), "first day")
	infinite := pgtype.Date{InfinityModifier: pgtype.Infinity, Valid: true}
	require.Error(t, month.ScanDate(infinite))
}

func TestDatabaseSQL(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := anyDate(t)
		value, err := d.Value()
		require.NoError(t, err)
		var gotDate civil.Date
		require.NoError(t, gotDate.Scan(value))
		require.Equal(t, d, gotDate)
		require.NoError(t, gotDate.Scan([]byte(d.String())))
		require.Equal(t, d, gotDate)

		value, err = d.MonthOf().Value()
		require.NoError(t, err)
		var gotMonth civil.Month
		require.NoError(t, gotMonth.Scan(value))
		require.Equal(t, d.MonthOf(), gotMonth)
	})
	value, err := civil.Month{}.Value()
	require.NoError(t, err)
	require.Nil(t, value)
	var d civil.Date
	require.Error(t, d.Scan(7))
}

func anyDate(t *rapid.T) civil.Date {
	year := rapid.IntRange(1, 9999).Draw(t, "year")
	month := time.Month(rapid.IntRange(1, 12).Draw(t, "month"))
	return civil.Date{Year: year, Month: month, Day: rapid.IntRange(1, civil.DaysIn(year, month)).Draw(t, "day")}
}

func TestCalendarProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := anyDate(t)
		parsed, err := civil.ParseDate(d.String())
		require.NoError(t, err)
		require.Equal(t, d, parsed)

		days := rapid.IntRange(-4000, 4000).Draw(t, "days")
		moved := d.AddDays(days)
		require.Equal(t, days, moved.DaysSince(d))
		require.Equal(t, d, moved.AddDays(-days))
		require.Equal(t, days > 0, moved.After(d))
		require.Equal(t, days < 0, moved.Before(d))

		months := rapid.IntRange(-500, 500).Draw(t, "months")
		later := d.AddMonths(months)
		require.Equal(t, months, later.MonthOf().MonthsSince(d.MonthOf()))
		require.LessOrEqual(t, later.Day, d.Day)
		require.True(t, later.Day == d.Day || later == later.MonthOf().Last())
		require.Equal(t, later.MonthOf().Last().AddDays(1), later.MonthOf().AddMonths(1).First())
	})
}

func FuzzParseDate(f *testing.F) {
	f.Add("2024-02-29")
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := civil.ParseDate(text); err == nil && (d.String() != text || !d.IsValid()) {
			t.Fatalf("%q was read as %s", text, d)
		}
	})
}
