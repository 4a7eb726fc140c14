package licence_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"kontor.internal/libs/civil"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/catalogue"
	"kontor.internal/services/licensing/internal/licence"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loaded, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func date(t testing.TB, text string) civil.Date {
	t.Helper()
	var d civil.Date
	if err := d.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return d
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	instant, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return instant.UTC()
}

func TestATrialEndsWithItsThirtiethDayAfterAcceptance(t *testing.T) {
	for _, c := range []struct{ name, zone, accepted, start, end, ends string }{
		{"in Riga in winter", "Europe/Riga", "2026-01-10T08:00:00Z", "2026-01-10", "2026-02-09", "2026-02-09T22:00:00Z"},
		{"over a month's end", "Europe/Riga", "2026-01-31T08:00:00Z", "2026-01-31", "2026-03-02", "2026-03-02T22:00:00Z"},
		{"over a leap day", "Europe/Riga", "2028-01-31T08:00:00Z", "2028-01-31", "2028-03-01", "2028-03-01T22:00:00Z"},
		{"over the change to summer time", "Europe/Riga", "2026-03-20T08:00:00Z", "2026-03-20", "2026-04-19", "2026-04-19T21:00:00Z"},
		{"over the change to winter time", "Europe/Riga", "2026-10-01T08:00:00Z", "2026-10-01", "2026-10-31", "2026-10-31T22:00:00Z"},
		{"a minute before midnight in Riga", "Europe/Riga", "2026-06-30T20:59:00Z", "2026-06-30", "2026-07-30", "2026-07-30T21:00:00Z"},
		{"at midnight in Riga", "Europe/Riga", "2026-06-30T21:00:00Z", "2026-07-01", "2026-07-31", "2026-07-31T21:00:00Z"},
		{"the same instant in Tehran is the next day", "Asia/Tehran", "2026-06-30T20:59:00Z", "2026-07-01", "2026-07-31", "2026-07-31T20:30:00Z"},
		{"over the year's end in Tehran", "Asia/Tehran", "2026-12-15T08:00:00Z", "2026-12-15", "2027-01-14", "2027-01-14T20:30:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := licence.Licence{Kind: catalogue.Trial, Zone: zone(t, c.zone)}
			l.Start, l.End = licence.TrialTerm(catalogue.Plan{TrialDays: 30}, at(t, c.accepted), l.Zone)
			require.Equal(t, c.start, l.Start.String())
			require.Equal(t, c.end, l.End.String())
			ends, ok := l.Ends()
			require.True(t, ok)
			require.Equal(t, at(t, c.ends), ends)
			require.Equal(t, licence.Active, l.State(at(t, c.accepted)))
			require.Equal(t, 30, l.DaysLeft(at(t, c.accepted)))
			require.Equal(t, licence.Active, l.State(ends.Add(-time.Nanosecond)))
			require.Equal(t, 0, l.DaysLeft(ends.Add(-time.Nanosecond)))
			require.Equal(t, licence.Ended, l.State(ends))
		})
	}
}

func TestADayThatHasNoMidnightBeginsLater(t *testing.T) {
	// Clocks in Tehran went from 00:00 to 01:00 on 22 March 2021.
	l := licence.Licence{Zone: zone(t, "Asia/Tehran"), Start: date(t, "2021-03-22"), End: date(t, "2021-03-22")}
	require.Equal(t, at(t, "2021-03-21T20:30:00Z"), l.Starts())
	l = licence.Licence{Zone: zone(t, "Asia/Tehran"), Start: date(t, "2021-03-01"), End: date(t, "2021-03-21")}
	ends, _ := l.Ends()
	require.Equal(t, at(t, "2021-03-21T20:30:00Z"), ends)
}

func TestStatesFollowFromTheDates(t *testing.T) {
	l := licence.Licence{Zone: zone(t, "Europe/Riga"), Start: date(t, "2026-02-01"), End: date(t, "2026-02-28")}
	for _, c := range []struct {
		at     string
		state  licence.State
		left   int
		ending bool
	}{
		{"2026-01-31T21:59:59Z", licence.Upcoming, 28, false},
		{"2026-01-31T22:00:00Z", licence.Active, 27, false},
		{"2026-02-20T12:00:00Z", licence.Active, 8, false},
		{"2026-02-21T12:00:00Z", licence.Active, 7, true},
		{"2026-02-28T21:59:59Z", licence.Active, 0, true},
		{"2026-02-28T22:00:00Z", licence.Ended, 0, false},
	} {
		require.Equal(t, c.state, l.State(at(t, c.at)), c.at)
		require.Equal(t, c.left, l.DaysLeft(at(t, c.at)), c.at)
		require.Equal(t, c.ending, l.Ending(at(t, c.at)), c.at)
	}
	require.Equal(t, "2026-05-28", l.KeptUntil().String())
	l.End = civil.Date{}
	require.Equal(t, licence.Active, l.State(at(t, "2099-01-01T00:00:00Z")))
	require.False(t, l.Ending(at(t, "2099-01-01T00:00:00Z")))
	require.True(t, l.KeptUntil().IsZero())
}

func TestDataIsKeptThreeMonthsEvenWhereTheMonthIsShorter(t *testing.T) {
	for end, kept := range map[string]string{
		"2026-11-30": "2027-02-28", "2027-11-30": "2028-02-29", "2026-01-31": "2026-04-30", "2026-02-28": "2026-05-28",
	} {
		require.Equal(t, kept, licence.Licence{End: date(t, end)}.KeptUntil().String(), end)
	}
}

func trial(t *testing.T) licence.Licence {
	t.Helper()
	return licence.Licence{
		Kind: catalogue.Trial, Zone: zone(t, "Europe/Riga"), Start: date(t, "2026-03-10"), End: date(t, "2026-04-09"),
		Created: at(t, "2026-03-10T10:00:00Z"),
	}
}

func TestRemindersAreDueOnTheMorningsSevenThreeAndOneDayBefore(t *testing.T) {
	for _, c := range []struct {
		name, at string
		told     int
		days     int
	}{
		{"not on the evening before", "2026-04-01T21:59:00Z", 0, 0},
		{"not at night", "2026-04-02T05:59:59Z", 0, 0},
		{"at nine in Riga, summer time", "2026-04-02T06:00:00Z", 0, 7},
		{"not a second time", "2026-04-02T06:00:01Z", 7, 0},
		{"late, as long as no other is due", "2026-04-05T06:00:00Z", 0, 7},
		{"three days before", "2026-04-06T06:00:00Z", 7, 3},
		{"three days before, and the first one is left out", "2026-04-06T06:00:00Z", 0, 3},
		{"one day before", "2026-04-08T06:00:00Z", 3, 1},
		{"on the last day, if nobody could before", "2026-04-09T20:00:00Z", 7, 1},
		{"never after the end", "2026-04-09T21:00:00Z", 3, 0},
		{"nothing after the last one", "2026-04-09T12:00:00Z", 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := trial(t)
			l.Reminded = c.told
			days, due := l.DueReminder(at(t, c.at))
			require.Equal(t, c.days > 0, due)
			require.Equal(t, c.days, days)
		})
	}
	l := trial(t)
	for _, want := range []struct {
		told int
		next string
	}{{0, "2026-04-02T06:00:00Z"}, {7, "2026-04-06T06:00:00Z"}, {3, "2026-04-08T06:00:00Z"}} {
		l.Reminded = want.told
		next, ok := l.NextReminder()
		require.True(t, ok)
		require.Equal(t, at(t, want.next), next)
	}
	l.Reminded = 1
	_, more := l.NextReminder()
	require.False(t, more)
	paid := trial(t)
	paid.Kind = catalogue.Paid
	_, more = paid.NextReminder()
	require.False(t, more, "only trials")
}

// Whatever the moments at which somebody looks, each reminder is sent at most once, more urgent ones later.
func TestRemindersComeOnceHoweverOftenOneLooks(t *testing.T) {
	riga := zone(t, "Europe/Riga")
	rapid.Check(t, func(rt *rapid.T) {
		start := civil.Date{Year: 2026, Month: time.January, Day: 1}.AddDays(rapid.IntRange(0, 900).Draw(rt, "start"))
		l := licence.Licence{
			Kind: catalogue.Trial, Zone: riga, Start: start, End: start.AddDays(rapid.IntRange(0, 60).Draw(rt, "days")),
			Created: start.In(riga).Add(time.Duration(rapid.IntRange(0, 23).Draw(rt, "hour")) * time.Hour),
		}
		now, last := l.Created, 100
		for range rapid.IntRange(1, 200).Draw(rt, "looks") {
			now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(rt, "pause")) * time.Hour)
			days, due := l.DueReminder(now)
			if !due {
				continue
			}
			if days >= last || l.State(now) != licence.Active || l.DaysLeft(now) > days {
				rt.Fatalf("reminder %d after %d with %d days left", days, last, l.DaysLeft(now))
			}
			last, l.Reminded = days, days
		}
	})
}

func edit(t *testing.T, now string, want *licensingv1.Licence, paths ...string) licence.Edit {
	t.Helper()
	return licence.Edit{Paths: paths, Want: want, Reason: "agreed", At: at(t, now), IDs: id.New}
}

func builtIn(t *testing.T) *catalogue.Catalogue {
	t.Helper()
	c, err := catalogue.Load("")
	require.NoError(t, err)
	return c
}

func TestAChangeOfLimitsHoldsFromItsInstantToItsLastDay(t *testing.T) {
	c := builtIn(t)
	plan, _ := c.Plan("books-prof")
	l := licence.Licence{
		Kind: catalogue.Paid, Plan: plan.ID, Terms: licence.TermsOf(c, plan), TermsSince: at(t, "2026-01-01T00:00:00Z"),
		Zone: zone(t, "Europe/Riga"), Start: date(t, "2026-01-01"),
	}
	e := edit(t, "2026-02-10T09:00:00Z", &licensingv1.Licence{Limits: &licensingv1.Limits{Seats: 25}}, "limits.seats")
	e.Until = date(t, "2026-02-28")
	changes, err := l.Apply(c, e)
	require.NoError(t, err)
	require.Len(t, changes, 1)
	require.Equal(t, "30", changes[0].Old)
	require.Equal(t, "25", changes[0].New)
	for now, want := range map[string]int32{
		"2026-02-10T08:59:59Z": 30, "2026-02-10T09:00:00Z": 25, "2026-02-28T21:59:59Z": 25, "2026-02-28T22:00:00Z": 30,
	} {
		require.Equal(t, want, l.TermsAt(at(t, now)).Limits.Seats, now)
	}
	require.Contains(t, l.Turns(), at(t, "2026-02-28T22:00:00Z"))

	// A later one without an end holds on after the first has run out.
	_, err = l.Apply(c, edit(t, "2026-02-11T09:00:00Z", &licensingv1.Licence{Limits: &licensingv1.Limits{Seats: 2, Companies: 5}},
		"limits.seats", "limits.companies"))
	require.NoError(t, err)
	terms := l.TermsAt(at(t, "2026-03-01T00:00:00Z"))
	require.Equal(t, int32(2), terms.Limits.Seats)
	require.Equal(t, int32(5), terms.Limits.Companies)

	// Another plan's terms take the place of all of it.
	_, err = l.Apply(c, edit(t, "2026-03-02T09:00:00Z", &licensingv1.Licence{Plan: "plans/books-base"}, "plan"))
	require.NoError(t, err)
	require.Equal(t, int32(3), l.TermsAt(at(t, "2026-03-02T09:00:00Z")).Limits.Seats)
	require.False(t, l.TermsAt(at(t, "2026-03-02T09:00:00Z")).Holds("payroll"))
}

func TestAddOnsAreReplacedWhole(t *testing.T) {
	c := builtIn(t)
	plan, _ := c.Plan("books-trial")
	l := licence.Licence{Kind: catalogue.Trial, Plan: plan.ID, Terms: licence.TermsOf(c, plan), Zone: time.UTC, Start: date(t, "2026-01-01"), End: date(t, "2026-01-31")}
	_, err := l.Apply(c, edit(t, "2026-01-02T00:00:00Z", &licensingv1.Licence{}, "add_ons"))
	require.NoError(t, err)
	require.Empty(t, l.TermsAt(at(t, "2026-01-02T00:00:00Z")).AddOns)
	require.Equal(t, []string{"document_exchange"}, l.TermsAt(at(t, "2026-01-01T00:00:00Z")).AddOns)
	_, err = l.Apply(c, edit(t, "2026-01-03T00:00:00Z", &licensingv1.Licence{AddOns: []string{"document_exchange"}}, "add_ons"))
	require.NoError(t, err)
	require.Equal(t, []string{"document_exchange"}, l.TermsAt(at(t, "2026-01-03T00:00:00Z")).AddOns)
	again, err := l.Apply(c, edit(t, "2026-01-04T00:00:00Z", &licensingv1.Licence{AddOns: []string{"document_exchange"}}, "add_ons"))
	require.NoError(t, err)
	require.Empty(t, again, "nothing changed")
	require.Equal(t, []string{"document_exchange"}, plan.AddOns, "the catalogue stays as it is")
}

func TestALaterEndWakesALicenceAndStartsItsRemindersAnew(t *testing.T) {
	l := trial(t)
	l.Ended, l.Reminded = true, 1
	changes, err := l.Apply(builtIn(t), edit(t, "2026-04-12T00:00:00Z", &licensingv1.Licence{EndDate: "2026-05-31"}, "end_date"))
	require.NoError(t, err)
	require.Equal(t, "2026-04-09", changes[0].Old)
	require.False(t, l.Ended)
	require.Zero(t, l.Reminded)
	next, ok := l.NextReminder()
	require.True(t, ok)
	require.Equal(t, at(t, "2026-05-24T06:00:00Z"), next)
}

func TestWhatStaffCannotChangeIsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		want   *licensingv1.Licence
		path   string
		until  string
		reason commonv1.Reason
		field  string
	}{
		{"no seats at all", &licensingv1.Licence{}, "limits.seats", "", commonv1.Reason_REASON_INVALID_ARGUMENT, "licence.limits.seats"},
		{"a lease of nine seconds", &licensingv1.Licence{Limits: &licensingv1.Limits{LeaseSeconds: 9}}, "limits.lease_seconds", "", commonv1.Reason_REASON_INVALID_ARGUMENT, "licence.limits.lease_seconds"},
		{"more seats than anybody has", &licensingv1.Licence{Limits: &licensingv1.Limits{Seats: 100_001}}, "limits.seats", "", commonv1.Reason_REASON_INVALID_ARGUMENT, "licence.limits.seats"},
		{"a field that nobody changes", &licensingv1.Licence{}, "kind", "", commonv1.Reason_REASON_INVALID_ARGUMENT, "update_mask"},
		{"limits as a whole", &licensingv1.Licence{}, "limits", "", commonv1.Reason_REASON_INVALID_ARGUMENT, "update_mask"},
		{"an unknown add-on", &licensingv1.Licence{AddOns: []string{"x"}}, "add_ons", "", commonv1.Reason_REASON_INVALID_ARGUMENT, "licence.add_ons"},
		{"a trial without an end", &licensingv1.Licence{}, "end_date", "", commonv1.Reason_REASON_INVALID_ARGUMENT, "licence.end_date"},
		{"a date that does not exist", &licensingv1.Licence{EndDate: "2026-02-30"}, "end_date", "", commonv1.Reason_REASON_INVALID_ARGUMENT, "licence.end_date"},
		{"an end before the start", &licensingv1.Licence{EndDate: "2026-03-09"}, "end_date", "", commonv1.Reason_REASON_LICENCE_TERM_INVALID, ""},
		{"an unknown plan", &licensingv1.Licence{Plan: "plans/x"}, "plan", "", commonv1.Reason_REASON_PLAN_UNKNOWN, ""},
		{"a paid plan on a trial", &licensingv1.Licence{Plan: "plans/books-prof"}, "plan", "", commonv1.Reason_REASON_INVALID_ARGUMENT, "licence.plan"},
		{"a change that is over already", &licensingv1.Licence{Limits: &licensingv1.Limits{Seats: 2}}, "limits.seats", "2026-03-19", commonv1.Reason_REASON_INVALID_ARGUMENT, "until_date"},
		{"an end that ends", &licensingv1.Licence{EndDate: "2026-05-01"}, "end_date", "2026-04-01", commonv1.Reason_REASON_INVALID_ARGUMENT, "until_date"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := trial(t)
			e := edit(t, "2026-03-20T12:00:00Z", c.want, c.path)
			e.Until = date(t, c.until)
			_, err := l.Apply(builtIn(t), e)
			require.Equal(t, c.reason, failure.Reason(err), "%v", err)
			if c.field != "" {
				require.Equal(t, c.field, failure.From(err).Meta("field"))
			}
		})
	}
}

func TestNamesAreReadStrictly(t *testing.T) {
	s, l := id.New(), id.New()
	gotS, gotL, err := licence.ParseName(licence.Name(s, l))
	require.NoError(t, err)
	require.Equal(t, s, gotS)
	require.Equal(t, l, gotL)
	for _, name := range []string{
		"", "subscribers/", "subscribers/x/licences/y", "subscribers/" + s.String(), "licences/" + l.String(),
		"subscribers/" + s.String() + "/licences/" + l.String() + "/seats/1", "subscribers/" + s.String() + "/contracts/" + l.String(),
		"subscribers/" + s.String() + "/licences/{" + l.String() + "}",
	} {
		_, _, err := licence.ParseName(name)
		require.Equal(t, commonv1.Reason_REASON_NOT_FOUND, failure.Reason(err), name)
	}
}
