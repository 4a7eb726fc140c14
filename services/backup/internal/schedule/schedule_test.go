package schedule

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var (
	rules = Rules{Interval: 2 * time.Hour}
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func TestTurns(t *testing.T) {
	company := uuid.MustParse("01920000-0000-7000-8000-000000000001")
	first := rules.Next(company, noon)
	for name, c := range map[string]struct {
		at   time.Time
		want time.Time
	}{
		"a new company's turn comes within one interval":       {noon, first},
		"just before its turn it is still to come":             {first.Add(-time.Nanosecond), first},
		"at its turn the next one is an interval on":           {first, first.Add(2 * time.Hour)},
		"a turn made late does not move the next":              {first.Add(70 * time.Minute), first.Add(2 * time.Hour)},
		"turns missed in an outage are not made up one by one": {first.Add(24 * time.Hour), first.Add(26 * time.Hour)},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, rules.Next(company, c.at)) })
	}
}

func TestATurnIsAlwaysAheadAndWithinAnInterval(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var company uuid.UUID
		copy(company[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "company"))
		at := noon.Add(time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "at")))
		wait := rules.Next(company, at).Sub(at)
		if wait <= 0 || wait > rules.Interval {
			t.Fatalf("waits %v", wait)
		}
	})
}

func TestCompaniesSpreadOverTheInterval(t *testing.T) {
	var quarters [4]int
	for range 400 {
		wait := rules.Next(uuid.New(), noon).Sub(noon)
		quarters[min(int(wait/(30*time.Minute)), 3)]++
	}
	for _, n := range quarters {
		require.InDelta(t, 100, n, 60)
	}
}

func TestRetries(t *testing.T) {
	for name, c := range map[string]struct {
		failures int
		want     time.Duration
	}{
		"after the first failure soon":        {1, time.Minute},
		"after the third four times as late":  {3, 4 * time.Minute},
		"never later than the usual interval": {9, 2 * time.Hour},
		"however often it failed":             {100_000, 2 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, noon.Add(c.want), rules.Retry(noon, c.failures)) })
	}
}

func TestTwoIntervalsWithoutASnapshotAreLate(t *testing.T) {
	require.Equal(t, noon.Add(-4*time.Hour), rules.LateBefore(noon))
}

func TestBooksThatHaveJustBecomeReadyAreCopiedSoon(t *testing.T) {
	rules := Rules{Interval: 2 * time.Hour}
	ready := time.Date(2026, 3, 29, 10, 0, 0, 0, time.UTC)
	for range 100 {
		company := uuid.New()
		first := rules.First(company, ready)
		require.True(t, first.After(ready) && !first.After(ready.Add(5*time.Minute)), first)
		require.False(t, first.After(rules.Next(company, ready)), "its own place in the interval is not left out")
	}
}
