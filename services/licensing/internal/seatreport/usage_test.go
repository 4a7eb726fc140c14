package seatreport

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func seat(n int) uuid.UUID { return uuid.NewSHA1(uuid.Nil, fmt.Append(nil, n)) }

// happens is one entry, some minutes after noon, in the pool of ten.
func happens(minute int, kind string, n int) Entry {
	return Entry{At: noon.Add(time.Duration(minute) * time.Minute), Kind: kind, Mode: "pool", Seat: seat(n), Account: seat(100 + n), Limit: 10}
}

func in(mode string, e Entry) Entry {
	e.Mode = mode
	return e
}

func TestSeatsAreCountedWhileTheyAreUsed(t *testing.T) {
	type want struct{ peak, claims, refusals, people, overdraft, guests, minutes int }
	for name, c := range map[string]struct {
		before  map[uuid.UUID]Held
		entries []Entry
		first   want
		second  want
	}{
		"nobody": {},
		"one who stays": {
			entries: []Entry{happens(10, "claimed", 1)},
			first:   want{peak: 1, claims: 1, minutes: 50}, second: want{peak: 1, minutes: 60},
		},
		"one who was there before": {
			before: map[uuid.UUID]Held{seat(1): {Mode: "pool"}}, entries: []Entry{happens(70, "released", 1)},
			first: want{peak: 1, minutes: 60}, second: want{peak: 1, minutes: 10},
		},
		"one after the other is never two": {
			entries: []Entry{happens(10, "claimed", 1), happens(20, "released", 1), happens(20, "claimed", 2), happens(30, "expired", 2)},
			first:   want{peak: 1, claims: 2, minutes: 20},
		},
		"two at once": {
			entries: []Entry{happens(10, "claimed", 1), happens(20, "claimed", 2), happens(30, "taken", 1), happens(40, "transferred", 2)},
			first:   want{peak: 2, claims: 2, minutes: 40},
		},
		"a second place is no second seat": {
			entries: []Entry{happens(10, "claimed", 1), happens(20, "joined", 1), happens(30, "left", 1), happens(40, "released", 1)},
			first:   want{peak: 1, claims: 1, minutes: 30},
		},
		"guests and readers are apart": {
			entries: []Entry{in("guest", happens(10, "claimed", 1)), in("reading", happens(20, "claimed", 2)), happens(50, "released", 1), happens(50, "released", 2)},
			first:   want{guests: 2},
		},
		"beyond the limit": {
			entries: []Entry{happens(0, "claimed", 1), in("overdraft", happens(30, "claimed", 2)), happens(60, "released", 2)},
			first:   want{peak: 2, claims: 2, overdraft: 1, minutes: 90}, second: want{peak: 1, minutes: 60},
		},
		"the same person refused twice": {
			entries: []Entry{happens(10, "refused", 1), happens(11, "refused", 1), happens(12, "refused", 2)},
			first:   want{refusals: 3, people: 2},
		},
		"an end without a beginning": {entries: []Entry{happens(10, "released", 7)}},
		"a loss that everybody outlives": {
			entries: []Entry{happens(0, "claimed", 1), happens(10, "gap", 0), happens(10, "returned", 1), happens(12, "recovering", 0)},
			first:   want{peak: 1, claims: 1, minutes: 60}, second: want{peak: 1, minutes: 60},
		},
		"a loss that one does not outlive counts until the recovery ends": {
			entries: []Entry{happens(0, "claimed", 1), happens(0, "claimed", 2), happens(10, "gap", 0), happens(11, "returned", 1), happens(12, "recovering", 0)},
			first:   want{peak: 2, claims: 2, minutes: 72}, second: want{peak: 1, minutes: 60},
		},
		"who came meanwhile stays": {
			entries: []Entry{happens(10, "gap", 0), happens(11, "claimed", 1), happens(12, "recovering", 0)},
			first:   want{peak: 1, claims: 1, minutes: 49}, second: want{peak: 1, minutes: 60},
		},
		"what is out with a device outlives any loss": {
			entries: []Entry{in("travel", happens(0, "claimed", 1)), happens(10, "gap", 0), happens(12, "recovering", 0)},
			first:   want{peak: 1, claims: 1, minutes: 60}, second: want{peak: 1, minutes: 60},
		},
	} {
		t.Run(name, func(t *testing.T) {
			hours := Hours(noon, noon.Add(2*time.Hour))
			l := NewLedger(noon, c.before, 0, hours...)
			for _, e := range c.entries {
				l.Add(e)
			}
			l.Advance(noon.Add(3 * time.Hour))
			for i, w := range []want{c.first, c.second} {
				u := hours[i]
				require.Equal(t, w, want{
					int(u.Peak), int(u.Claims), int(u.Refusals), int(u.RefusedPeople), int(u.OverdraftPeak), int(u.GuestPeak), int(u.Used.Minutes()),
				}, "hour %d", i)
			}
		})
	}
}

func TestTheLedgerStartsBeforeTheSpansAndKnowsTheLimit(t *testing.T) {
	hours := Hours(noon, noon.Add(time.Hour))
	l := NewLedger(noon.Add(-5*time.Hour), nil, 0, hours...)
	l.Add(happens(-200, "claimed", 1))
	l.Add(happens(-100, "claimed", 2))
	l.Add(happens(15, "released", 1))
	l.Advance(noon.Add(time.Hour))
	require.EqualValues(t, 2, hours[0].Peak)
	require.Equal(t, noon, hours[0].PeakTime)
	require.EqualValues(t, 10, hours[0].Limit)
	require.Zero(t, hours[0].Claims)
	require.Equal(t, 75*time.Minute, hours[0].Used)
	require.Len(t, l.Held, 1)
}

func TestADaysHoursAreThoseOfItsZone(t *testing.T) {
	riga, err := time.LoadLocation("Europe/Riga")
	require.NoError(t, err)
	for day, want := range map[string]int{"2026-11-20": 24, "2026-03-29": 23, "2026-10-25": 25} {
		start, err := time.ParseInLocation(time.DateOnly, day, riga)
		require.NoError(t, err)
		hours := Hours(start, start.AddDate(0, 0, 1))
		require.Len(t, hours, want, day)
		sum := Sum(hours)
		require.Equal(t, Span{start, start.AddDate(0, 0, 1)}, sum.Span)
	}
}

func TestAGapMarksTheHoursThatItTouches(t *testing.T) {
	hours := Hours(noon, noon.Add(3*time.Hour))
	Mark(hours, []Span{{noon.Add(30 * time.Minute), noon.Add(61 * time.Minute)}})
	require.Equal(t, []bool{true, true, false}, []bool{hours[0].Gap, hours[1].Gap, hours[2].Gap})
	require.True(t, func() bool { s := Sum(hours); return s.Gap }())
}

func TestTheSameRefusedPersonIsOneOfTheDay(t *testing.T) {
	hours := Hours(noon, noon.Add(2*time.Hour))
	l := NewLedger(noon, nil, 0, hours...)
	l.Add(happens(10, "refused", 1))
	l.Add(happens(70, "refused", 1))
	l.Advance(noon.Add(2 * time.Hour))
	sum := Sum(hours)
	require.EqualValues(t, 2, sum.Refusals)
	require.EqualValues(t, 1, sum.RefusedPeople)
}
