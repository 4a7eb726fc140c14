package catalogue_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kontor.internal/libs/civil"
	"kontor.internal/services/licensing/internal/catalogue"
)

func builtIn(t *testing.T) *catalogue.Catalogue {
	t.Helper()
	c, err := catalogue.Load("")
	require.NoError(t, err)
	return c
}

func date(t *testing.T, text string) civil.Date {
	t.Helper()
	d, err := civil.ParseDate(text)
	require.NoError(t, err)
	return d
}

func TestTheBuiltInCatalogueHasTheThreePlans(t *testing.T) {
	c := builtIn(t)
	trial, ok := c.Plan("books-trial")
	require.True(t, ok)
	require.Equal(t, catalogue.Trial, trial.Kind)
	require.Equal(t, 30, trial.TrialDays)
	require.Empty(t, trial.Prices)
	require.True(t, trial.Holds("payroll"))
	require.Contains(t, trial.AddOns, "document_exchange")
	for _, id := range []string{"books-base", "books-prof"} {
		plan, ok := c.Plan(id)
		require.True(t, ok)
		require.Equal(t, catalogue.Paid, plan.Kind)
		require.NotEmpty(t, catalogue.PricesOn(plan.Prices, date(t, "2026-06-01")))
	}
	prof, _ := c.Plan("books-prof")
	require.Equal(t, int32(3), prof.Limits.Companies, "three companies by default")
	require.Equal(t, int32(10), prof.Limits.SeatsPerCompany, "ten at once in each by default")
	_, ok = c.Plan("books-gold")
	require.False(t, ok)
}

func TestLoadReadsAnotherFile(t *testing.T) {
	content, err := os.ReadFile("data/catalogue.yaml")
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "own.yaml")
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(content), "seats: 30", "seats: 7", 1)), 0o600))
	c, err := catalogue.Load(path)
	require.NoError(t, err)
	trial, _ := c.Plan("books-trial")
	require.Equal(t, int32(7), trial.Limits.Seats)
	_, err = catalogue.Load(filepath.Join(t.TempDir(), "absent"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestACatalogueThatContradictsItselfIsRefused(t *testing.T) {
	content, err := os.ReadFile("data/catalogue.yaml")
	require.NoError(t, err)
	for _, wrong := range []struct{ name, old, new, says string }{
		{"an unknown key", "version:", "versoin: x\nversion:", "versoin"},
		{"a time zone that does not exist", "Asia/Tehran", "Asia/Atlantis", "Asia/Atlantis"},
		{"a country that is none", "  EE:", "  Estonia:", "Estonia"},
		{"a missing translation", "{en: Payroll, lv: Algas}", "{en: Payroll}", "no text in lv"},
		{"a plan with an unknown edition", "{product: books, edition: base}", "{product: books, edition: ultra}", "ultra"},
		{"a plan with an unknown add-on", "add_ons: [document_exchange]", "add_ons: [telepathy]", "telepathy"},
		{"an edition with an unknown module", "modules: [payroll]", "modules: [horoscope]", "horoscope"},
		{"a trial without days", "trial_days: 30", "trial_days: 0", "0 days of trial"},
		{"two plans of one id", "id: books-prof", "id: books-base", "stands twice"},
		{"a lease that is too short", "lease_seconds: 60", "lease_seconds: 9", "9 seconds"},
		{"no seats", "seats: 3,", "seats: 0,", "limits"},
		{"a negative price", "minor: 1900", "minor: -1", "negative"},
		{"a currency that is none", "currency: EUR", "currency: Euro", "Euro"},
		{"a date that is none", "from: 2020-01-01", "from: 2020-02-30", "2020-02-30"},
		{"a kind that is none", "kind: paid", "kind: gift", "gift"},
	} {
		t.Run(wrong.name, func(t *testing.T) {
			changed := strings.Replace(string(content), wrong.old, wrong.new, 1)
			require.NotEqual(t, string(content), changed)
			_, err := catalogue.Parse([]byte(changed))
			require.ErrorContains(t, err, wrong.says)
		})
	}
}

func TestThePriceOfADateIsTheLatestBeforeIt(t *testing.T) {
	prices := []catalogue.Price{
		{Currency: "EUR", From: date(t, "2026-01-01"), Minor: 1900},
		{Currency: "EUR", From: date(t, "2026-07-01"), Minor: 2100},
		{Currency: "SEK", From: date(t, "2026-03-01"), Minor: 21900},
	}
	for _, c := range []struct {
		on   string
		want []int64
	}{
		{"2025-12-31", nil},
		{"2026-01-01", []int64{1900}},
		{"2026-06-30", []int64{1900, 21900}},
		{"2026-07-01", []int64{2100, 21900}},
	} {
		var got []int64
		for _, p := range catalogue.PricesOn(prices, date(t, c.on)) {
			got = append(got, p.Minor)
		}
		require.Equal(t, c.want, got, c.on)
	}
}

func TestAPlanIsSoldFromItsFirstToItsLastDay(t *testing.T) {
	plan := catalogue.Plan{From: date(t, "2026-02-28"), Until: date(t, "2026-03-01")}
	for on, want := range map[string]bool{
		"2026-02-27": false, "2026-02-28": true, "2026-03-01": true, "2026-03-02": false,
	} {
		require.Equal(t, want, plan.Sold(date(t, on)), on)
	}
	require.True(t, catalogue.Plan{From: date(t, "2026-02-28")}.Sold(date(t, "2099-01-01")))
}

func TestTextsComeInTheWantedLanguageOrEnglish(t *testing.T) {
	title := catalogue.Title{"en": "Payroll", "lv": "Algas"}
	for locale, want := range map[string]string{
		"lv": "Algas", "lv-LV,en;q=0.5": "Algas", "en-GB": "Payroll", "fa": "Payroll", "": "Payroll", "???": "Payroll",
	} {
		require.Equal(t, want, title.In(locale), locale)
	}
}

func TestTodayIsTheCountrysDay(t *testing.T) {
	c := builtIn(t)
	now := time.Date(2026, 3, 20, 21, 0, 0, 0, time.UTC) // 23:00 in Riga, half past midnight in Tehran.
	require.Equal(t, date(t, "2026-03-20"), c.Today(now, "LV"))
	require.Equal(t, date(t, "2026-03-21"), c.Today(now, "IR"))
	require.Equal(t, "Europe/Riga", c.Zone("ZZ"), "a country that nobody named")
}

func FuzzParse(f *testing.F) {
	content, err := os.ReadFile("data/catalogue.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Add([]byte("version: x\nplans: [{id: a}]"))
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := catalogue.Parse(content)
		if err == nil && len(c.Plans) == 0 {
			t.Error("a catalogue without plans passed")
		}
	})
}
