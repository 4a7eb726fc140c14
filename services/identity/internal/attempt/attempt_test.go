package attempt_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"kontor.internal/services/identity/internal/attempt"
)

func at(seconds int) time.Time {
	return time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC).Add(time.Duration(seconds) * time.Second)
}

// limit is small enough to reckon by hand.
func limit() attempt.Limit {
	return attempt.Limit{Free: 3, First: 2 * time.Second, Most: 10 * time.Second, Forget: time.Minute}
}

func TestWaitsGrowWithFailuresAndEndAtALimit(t *testing.T) {
	var c attempt.Count
	now := at(0)
	for _, want := range []time.Duration{0, 0, 2, 4, 8, 10, 10} {
		var wait time.Duration
		c, wait = limit().Try(c, now)
		require.Zero(t, wait)
		require.Equal(t, want*time.Second, c.Next.Sub(now))
		now = c.Next
	}
}

func TestAnAttemptThatComesTooEarlyIsToldTheWaitAndCountsForNothing(t *testing.T) {
	c := attempt.Count{Failures: 4, Last: at(0), Next: at(4)}
	after, wait := limit().Try(c, at(1))
	require.Equal(t, 3*time.Second, wait)
	require.Equal(t, c, after)
}

func TestFailuresAreForgottenAfterAPause(t *testing.T) {
	c, wait := limit().Try(attempt.Count{Failures: 9, Last: at(0), Next: at(10)}, at(61))
	require.Zero(t, wait)
	require.Equal(t, attempt.Count{Failures: 1, Last: at(61), Next: at(61)}, c)
}

func TestARightAttemptLeavesTheCountAsItWasBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := attempt.Count{Failures: rapid.IntRange(0, 40).Draw(t, "failures"), Last: at(0)}
		before.Next = before.Last
		tried, wait := limit().Try(before, at(30))
		require.Zero(t, wait)
		after := limit().Forgive(tried)
		require.Equal(t, before.Failures, after.Failures)
		require.False(t, after.Next.After(tried.Next))
	})
}

func TestNobodyWaitsLongerThanTheMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c attempt.Count
		now := at(0)
		for range rapid.IntRange(1, 100).Draw(t, "tries") {
			now = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "pause")) * time.Second)
			next, wait := limit().Try(c, now)
			require.LessOrEqual(t, wait, limit().Most)
			require.False(t, wait > 0 && next != c, "a refused attempt changes nothing")
			c = next
			require.LessOrEqual(t, c.Next.Sub(c.Last), limit().Most)
		}
	})
}

func TestAnAddressIsCountedByItsLine(t *testing.T) {
	for _, c := range []struct{ name, address, want string }{
		{"an IPv4 address whole", "192.0.2.7", "192.0.2.7"},
		{"an IPv4 address in IPv6 form as itself", "::ffff:192.0.2.7", "192.0.2.7"},
		{"an IPv6 address by its /64", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"its neighbour alike", "2001:db8:1:2::1", "2001:db8:1:2::/64"},
		{"a zone does not matter", "fe80::1%eth0", "fe80::/64"},
		{"what is no address together", "somewhere", "unknown"},
		{"none together too", "", "unknown"},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, attempt.Network(c.address)) })
	}
}
