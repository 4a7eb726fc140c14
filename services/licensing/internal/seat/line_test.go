package seat

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

func (b *bundle) wait(r Request, l Limits) Turn {
	b.t.Helper()
	turn, err := b.Wait(b.t.Context(), b.of, r, l)
	require.NoError(b.t, err)
	return turn
}

func TestWhoWaitsIsServedFirstComeFirstServed(t *testing.T) {
	b := setup(t)
	l := limits(1, time.Minute)
	held := b.claim(1, l)
	first, second := b.wait(person(2), l), b.wait(person(3), l)
	require.EqualValues(t, []int32{1, 2}, []int32{first.Position, second.Position})
	require.InDelta(t, time.Minute, first.Frees, float64(2*time.Second))
	require.NoError(t, b.Release(t.Context(), b.of, held, By{}))
	b.refused(9, l) // Who comes now does not overtake.
	b.refused(3, l)
	offer := b.wait(person(2), l)
	require.WithinDuration(t, time.Now().Add(30*time.Second), offer.Offered, 2*time.Second)
	require.EqualValues(t, 1, b.wait(person(3), l).Position)
	b.claim(2, l)
	require.True(t, b.wait(person(2), l).Held)
	require.EqualValues(t, 1, b.wait(person(3), l).Position)
}

func TestAnOfferThatIsNotTakenGoesToTheNext(t *testing.T) {
	b := setup(t)
	l := limits(1, time.Minute)
	held := b.claim(1, l)
	b.wait(person(2), l)
	b.wait(person(3), l)
	require.NoError(t, b.Release(t.Context(), b.of, held, By{}))
	require.False(t, b.wait(person(2), l).Offered.IsZero())
	b.age(-31 * time.Second)
	require.False(t, b.wait(person(3), l).Offered.IsZero())
	require.EqualValues(t, 1, b.wait(person(2), l).Position, "who let the offer pass waits anew")
}

func TestWhoGoesAwayLosesThePlaceAndWhoComesBackInTimeKeepsIt(t *testing.T) {
	b := setup(t)
	l := limits(1, time.Minute)
	b.claim(1, l)
	b.wait(person(2), l)
	b.wait(person(3), l)
	b.age(-10 * time.Second)
	require.EqualValues(t, 2, b.wait(person(3), l).Position)
	b.age(-10 * time.Second)
	require.EqualValues(t, 1, b.wait(person(3), l).Position)
}

// age makes the tickets of the line older, in Redis itself.
func (b *bundle) age(by time.Duration) {
	b.t.Helper()
	keys := poolKeys(b.of.Licence)
	const script = `for _, ticket in ipairs(redis.call('HKEYS', KEYS[1])) do
		local w = cmsgpack.unpack(redis.call('HGET', KEYS[1], ticket))
		w[4] = w[4] + tonumber(ARGV[1])
		if w[5] > 0 then w[5] = w[5] + tonumber(ARGV[1]) end
		redis.call('HSET', KEYS[1], ticket, cmsgpack.pack(w))
	end return 1`
	require.NoError(b.t, b.client.Eval(b.t.Context(), script, []string{keys[8]}, by.Milliseconds()).Err())
}

func TestWhoCanNotUseTheFreeSeatDoesNotHoldUpTheLine(t *testing.T) {
	b := setup(t)
	l := Limits{Seats: 2, PerCompany: 1, Lease: time.Minute}
	b.claims(at(1, "one", "d"), l)
	held := b.claims(at(2, "two", "d"), l)
	require.EqualValues(t, 1, b.wait(at(3, "one", "d"), l).Position)
	require.EqualValues(t, 2, b.wait(at(4, "two", "d"), l).Position)
	require.NoError(t, b.Release(t.Context(), b.of, held, By{}))
	require.False(t, b.wait(at(4, "two", "d"), l).Offered.IsZero(), "the first one's company is full")
	b.claims(at(4, "two", "d"), l)
}

func TestNobodyFillsTheLineAlone(t *testing.T) {
	b := setup(t)
	l := limits(1, time.Minute)
	b.claim(1, l)
	for n := range 5 {
		b.wait(at(2, "company", string(rune('a'+n))), l)
	}
	_, err := b.Wait(t.Context(), b.of, at(2, "company", "one more"), l)
	require.Equal(t, commonv1.Reason_REASON_SEATS_QUEUE_FULL, failure.Reason(err))
	require.EqualValues(t, 1, b.wait(at(2, "company", "a"), l).Position)
	require.EqualValues(t, 6, b.wait(person(3), l).Position)
}

func TestASeatIsHandedOverToAColleague(t *testing.T) {
	b := setup(t)
	l := limits(1, time.Minute)
	mine := b.claim(1, l)
	b.wait(person(3), l)
	kept, err := b.Transfer(t.Context(), b.of, mine, person(2).Account, By{})
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(2*time.Minute), kept, 2*time.Second)
	b.lost(mine)
	b.refused(1, l)
	b.refused(3, l)
	theirs := b.claims(at(2, "company", "any device"), l)
	require.Equal(t, mine.Slot, theirs.Slot)
	require.Greater(t, theirs.Generation, mine.Generation)
	_, err = b.Transfer(t.Context(), b.of, mine, person(2).Account, By{})
	require.Error(t, err)
}

func TestInAClosingPeriodThereAreMoreSeatsAndTheInvoiceKnows(t *testing.T) {
	b := setup(t)
	l := limits(1, time.Minute)
	l.Extra, l.Period = 1, "2026-11"
	b.claim(1, l)
	over := b.claim(2, l)
	require.Equal(t, Overdraft, over.Mode)
	require.Equal(t, commonv1.Reason_REASON_SEATS_EXHAUSTED, b.why(person(3), l))
	var used int
	require.NoError(t, b.diary.WriteDown(t.Context(), b.of.Licence))
	require.NoError(t, b.db.QueryRow(t.Context(), `SELECT count(*) FROM seat_overdraft o JOIN seat_event e ON e.seat = o.seat
		WHERE e.kind = 'claimed' AND e.mode = 'overdraft' AND o.period = '2026-11' AND o.account = $1`, person(2).Account).Scan(&used))
	require.Equal(t, 1, used)
}

func TestASeatThatIsOutIsCountedUntilItComesBackWhateverRedisLoses(t *testing.T) {
	b := setup(t)
	l := limits(1, time.Second)
	l.Travel.Days, l.Travel.Share = 7, 100
	r := person(1)
	signed := func(Traveller) ([]byte, error) { return []byte("file"), nil }
	out, err := b.SendOut(t.Context(), b.of, b.deps.IDs(), r, l, 3, signed)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().AddDate(0, 0, 3), out.Ends, time.Minute)
	b.refused(2, l)
	_, err = b.SendOut(t.Context(), b.of, b.deps.IDs(), person(2), l, 3, signed)
	require.Equal(t, commonv1.Reason_REASON_SEAT_TRAVEL_REFUSED, failure.Reason(err), "the plan's share is out")
	b.lose("flushed")
	_, err = b.Claim(t.Context(), b.of, person(2), l)
	require.Equal(t, commonv1.Reason_REASON_SEATS_RECOVERING, failure.Reason(err))
	require.EqualValues(t, 1, b.board().Held, "it is counted from the database at once")
	require.Equal(t, out.ID, b.board().Seats[0].ID)
	for range 2 {
		out, err = b.BringBack(t.Context(), b.of, out, boss)
		require.NoError(t, err)
	}
	require.Empty(t, b.board().Seats)
}
