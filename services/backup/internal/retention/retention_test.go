package retention

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func at(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err)
	}
	return t
}

func scheduled(moments ...string) (all []Snapshot) {
	for _, m := range moments {
		all = append(all, Snapshot{ID: uuid.New(), Moment: at(m), Why: Scheduled})
	}
	return all
}

func moments(all []Snapshot) (list []string) {
	for _, s := range all {
		list = append(list, s.Moment.Format("2006-01-02 15:04"))
	}
	return list
}

func TestWhatIsOver(t *testing.T) {
	now := at("2026-11-24 12:00")
	for what, c := range map[string]struct {
		rules Rules
		all   []Snapshot
		over  []string
	}{
		"nothing is nothing":                   {Rules{}, nil, nil},
		"the newest is kept without any rule":  {Rules{}, scheduled("2020-01-01 10:00"), nil},
		"a day is kept whole":                  {Rules{}, scheduled("2026-11-23 12:01", "2026-11-23 11:59", "2026-11-24 10:00"), []string{"2026-11-23 11:59"}},
		"the newest of each hour":              {Rules{Hourly: 2}, scheduled("2026-11-20 10:10", "2026-11-20 10:50", "2026-11-20 12:00"), []string{"2026-11-20 10:10"}},
		"hours that have none do not count":    {Rules{Hourly: 2}, scheduled("2026-03-01 10:10", "2026-11-20 10:50"), nil},
		"the newest of each day":               {Rules{Daily: 2}, scheduled("2026-11-01 08:00", "2026-11-10 00:00", "2026-11-10 23:59", "2026-11-11 01:00"), []string{"2026-11-01 08:00", "2026-11-10 00:00"}},
		"a week begins on Monday":              {Rules{Weekly: 2}, scheduled("2026-11-15 23:59", "2026-11-16 00:00", "2026-11-22 23:00"), []string{"2026-11-16 00:00"}},
		"a week goes over the year's end":      {Rules{Weekly: 1}, scheduled("2025-12-30 10:00", "2026-01-01 10:00"), []string{"2025-12-30 10:00"}},
		"the newest of each month":             {Rules{Monthly: 2}, scheduled("2026-02-28 10:00", "2026-03-01 10:00", "2026-03-31 10:00"), []string{"2026-03-01 10:00"}},
		"a leap day is of February":            {Rules{Monthly: 1}, scheduled("2024-02-28 10:00", "2024-02-29 10:00"), []string{"2024-02-28 10:00"}},
		"the newest of each year":              {Rules{Yearly: 2}, scheduled("2023-12-31 23:00", "2024-01-01 00:00", "2025-06-01 00:00"), []string{"2023-12-31 23:00"}},
		"one may be kept by several rules":     {Rules{Daily: 1, Yearly: 1}, scheduled("2025-06-01 00:00", "2025-06-02 00:00"), []string{"2025-06-01 00:00"}},
		"what was asked for stays a month":     {Rules{}, []Snapshot{{Moment: at("2026-10-25 12:01"), Why: OnDemand}, {Moment: at("2026-10-25 11:59"), Why: OnDemand}, {Moment: at("2026-11-24 10:00"), Why: Scheduled}}, []string{"2026-10-25 11:59"}},
		"what a restore replaced stays a week": {Rules{}, []Snapshot{{Moment: at("2026-11-17 12:01"), Why: BeforeRestore}, {Moment: at("2026-11-17 11:59"), Why: BeforeRestore}, {Moment: at("2026-11-24 10:00"), Why: Scheduled}}, []string{"2026-11-17 11:59"}},
	} {
		t.Run(what, func(t *testing.T) {
			require.Equal(t, c.over, moments(c.rules.Over(c.all, now)))
		})
	}
}

// Three years of a snapshot every two hours, with what is over taken away each time: the newest of each of the last days, weeks,
// months and years is always there, since nothing is taken away that a rule would want later.
func TestNothingIsTakenAwayThatIsWantedLater(t *testing.T) {
	rules := Rules{Hourly: 24, Daily: 30, Weekly: 12, Monthly: 12, Yearly: 7}
	begin := at("2024-01-01 00:40")
	var kept, all []Snapshot
	for n := range 3 * 365 * 12 {
		now := begin.Add(time.Duration(n) * 2 * time.Hour)
		one := Snapshot{ID: uuid.New(), Moment: now, Why: Scheduled}
		kept, all = append(kept, one), append(all, one)
		over := rules.Over(kept, now)
		kept = slices.DeleteFunc(kept, func(s Snapshot) bool { return slices.Contains(over, s) })
		if n%997 != 0 {
			continue
		}
		atOnce := rules.Over(all, now)
		want := slices.DeleteFunc(slices.Clone(all), func(s Snapshot) bool { return slices.Contains(atOnce, s) })
		require.Subset(t, kept, want, now)
		require.Less(t, len(kept), 24+30+12+12+7+13)
	}
}
