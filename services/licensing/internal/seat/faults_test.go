package seat

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

func file(Traveller) ([]byte, error) { return []byte("file"), nil }

// travelling are limits by which all seats may be out.
func travelling(n int32) Limits {
	l := limits(n, time.Minute)
	l.Travel.Days, l.Travel.Share = 7, 100
	return l
}

// The answer to a renewal by a shorter lease is lost: what was answered before still proves the seat.
func TestALeaseIsNeverMadeShorterThanWasAnswered(t *testing.T) {
	b := setup(t)
	told := b.claim(1, limits(2, time.Minute))
	b.claim(2, limits(2, time.Second)) // From now on leases are shorter.
	renewed, err := b.Renew(t.Context(), b.of, Renewal{Seat: told}, By{})
	require.NoError(t, err)
	require.False(t, renewed.Ends.Before(told.Ends))
}

// While a pool recovers nobody knows who works in a company already.
func TestNobodyJoinsAnotherCompanyWhileThePoolRecovers(t *testing.T) {
	b := setup(t)
	l := Limits{Seats: 5, PerCompany: 1, Lease: time.Minute}
	here, there := b.claims(at(1, "here", "d"), l), b.claims(at(2, "there", "d"), l)
	b.lose("flushed")
	_, err := b.Renew(t.Context(), b.of, Renewal{Seat: there}, By{})
	require.NoError(t, err)
	_, err = b.Claim(t.Context(), b.of, at(2, "here", "d"), l)
	require.Equal(t, commonv1.Reason_REASON_SEATS_RECOVERING, failure.Reason(err))
	_, err = b.Renew(t.Context(), b.of, Renewal{Seat: here}, By{})
	require.NoError(t, err)
}

// One seat is brought back while another goes out.
func TestASeatBroughtBackStaysBack(t *testing.T) {
	b := setup(t)
	l := travelling(3)
	first, err := b.SendOut(t.Context(), b.of, id.New(), person(1), l, 3, file)
	require.NoError(t, err)
	row, err := b.db.Begin(t.Context())
	require.NoError(t, err)
	_, err = row.Exec(t.Context(), `SELECT FROM travel_seat WHERE id = $1 FOR UPDATE`, first.ID)
	require.NoError(t, err)
	back := make(chan error, 1)
	go func() {
		_, err := b.BringBack(context.WithoutCancel(t.Context()), b.of, first, boss)
		back <- err
	}()
	require.Eventually(t, func() bool {
		var waiting int
		err := b.db.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE NOT granted`).Scan(&waiting)
		return err == nil && waiting > 0
	}, 10*time.Second, 10*time.Millisecond)
	second, err := b.SendOut(t.Context(), b.of, id.New(), person(2), l, 3, file)
	require.NoError(t, err)
	require.NoError(t, row.Rollback(t.Context()))
	require.NoError(t, <-back)
	board, err := b.List(t.Context(), b.of.Licence, 10, "")
	require.NoError(t, err)
	require.EqualValues(t, 1, board.Held)
	require.Equal(t, second.ID, board.Seats[0].ID)
}

// A seat that was free again before it was in the database is not out.
func TestASeatThatGoesOutTooSlowlyIsNotGivenTwice(t *testing.T) {
	b := setup(t)
	l := travelling(1)
	_, err := b.SendOut(t.Context(), b.of, id.New(), person(1), l, 3, func(out Traveller) ([]byte, error) {
		require.NoError(t, b.take(Seat{ID: out.ID})) // As if its minute were over.
		b.claim(2, l)
		return file(out)
	})
	require.Equal(t, commonv1.Reason_REASON_SEAT_LOST, failure.Reason(err))
	board, err := b.List(t.Context(), b.of.Licence, 10, "")
	require.NoError(t, err)
	require.EqualValues(t, 1, board.Held)
	var out int
	require.NoError(t, b.db.QueryRow(t.Context(), `SELECT count(*) FROM travel_seat WHERE returned IS NULL`).Scan(&out))
	require.Zero(t, out)
}

// A place is given back, which is written down, and taken again, which is lost with Redis: the holder's answer stands.
func TestAPlaceThatIsTakenAgainComesBackAfterALoss(t *testing.T) {
	b := setup(t)
	l := limits(2, time.Minute)
	here := b.claims(at(1, "here", "d"), l)
	b.claims(at(1, "there", "d"), l)
	require.NoError(t, b.Release(t.Context(), b.of, here, By{}))
	require.NoError(t, b.diary.WriteDown(t.Context(), b.of.Licence))
	again := b.claims(at(1, "here", "d"), l)
	require.Equal(t, here.ID, again.ID)
	b.lose("flushed")
	_, err := b.Renew(t.Context(), b.of, Renewal{Seat: again}, By{})
	require.NoError(t, err)
}

// A place that was given back, and that is written, does not come back by its old token.
func TestAPlaceThatWasGivenBackDoesNotComeBackAfterALoss(t *testing.T) {
	b := setup(t)
	l := limits(2, time.Minute)
	here := b.claims(at(1, "here", "d"), l)
	there := b.claims(at(1, "there", "d"), l)
	require.NoError(t, b.Release(t.Context(), b.of, here, By{}))
	require.NoError(t, b.diary.WriteDown(t.Context(), b.of.Licence))
	b.lose("flushed")
	_, err := b.Renew(t.Context(), b.of, Renewal{Seat: there}, By{})
	require.NoError(t, err)
	_, err = b.Renew(t.Context(), b.of, Renewal{Seat: here}, By{})
	require.Equal(t, commonv1.Reason_REASON_SEAT_LOST, failure.Reason(err))
}

// busy makes what is called of the pool wait for carryOn, as if it were being called just now.
func (b *bundle) busy() {
	b.f.mu.Lock()
	defer b.f.mu.Unlock()
	b.f.waiting[b.of.Licence] = nil
}

// waitFor waits until so many calls wait.
func (b *bundle) waitFor(calls int) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		b.f.mu.Lock()
		defer b.f.mu.Unlock()
		return len(b.f.waiting[b.of.Licence]) == calls
	}, 10*time.Second, time.Millisecond)
}

// together makes calls one after the other, so that they go to Redis in one turn.
func (b *bundle) together(calls ...func()) {
	b.t.Helper()
	b.busy()
	var work sync.WaitGroup
	for i, call := range calls {
		work.Go(call)
		b.waitFor(i + 1)
	}
	b.f.carryOn(b.of.Licence, b.f.next(b.of.Licence))
	work.Wait()
}

// Who a seat is kept for is refused for another reason; in the same turn it is still kept.
func TestAKeptSeatStaysKeptForTheRestOfATurn(t *testing.T) {
	b := setup(t)
	l := Limits{Seats: 2, PerCompany: 1, Lease: time.Minute}
	b.claims(at(1, "one", "d"), l)
	require.False(t, b.wait(at(2, "two", "d"), l).Offered.IsZero())
	var mine, others error
	b.together(
		func() { _, mine = b.Claim(t.Context(), b.of, at(2, "one", "d"), l) },
		func() { _, others = b.Claim(t.Context(), b.of, at(3, "three", "d"), l) },
	)
	require.Equal(t, commonv1.Reason_REASON_SEATS_EXHAUSTED_IN_COMPANY, why(mine))
	require.Equal(t, commonv1.Reason_REASON_SEATS_EXHAUSTED, why(others))
}

// One seat and two who want it in the same turn; one who gives it back in it.
func TestCallsOfATurnSeeEachOther(t *testing.T) {
	b := setup(t)
	l := limits(1, time.Minute)
	held := b.claim(1, l)
	errs := make([]error, 5)
	claim := func(i, n int) func() {
		return func() { _, errs[i] = b.Claim(t.Context(), b.of, person(n), l) }
	}
	b.together(claim(0, 2), func() { errs[1] = b.Release(t.Context(), b.of, held, By{}) },
		func() { _, errs[4] = b.Renew(t.Context(), b.of, Renewal{Seat: held}, By{}) }, claim(2, 2), claim(3, 3))
	require.True(t, isFull(errs[0]))
	require.NoError(t, errs[1])
	require.NoError(t, errs[2])
	require.True(t, isFull(errs[3]))
	require.Equal(t, commonv1.Reason_REASON_SEAT_LOST, failure.Reason(errs[4]))
	board, err := b.List(t.Context(), b.of.Licence, 10, "")
	require.NoError(t, err)
	require.Len(t, board.Seats, 1)
	require.Equal(t, person(2).Account, board.Seats[0].Account)
}

// A call that nobody waits for any more is not made.
func TestACallThatIsGivenUpInTimeIsNotMade(t *testing.T) {
	b := setup(t)
	l := limits(2, time.Minute)
	b.claim(1, l)
	b.busy()
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { _, err := b.Claim(ctx, b.of, person(2), l); gone <- err }()
	b.waitFor(1)
	cancel()
	require.ErrorIs(t, <-gone, context.Canceled)
	b.f.carryOn(b.of.Licence, b.f.next(b.of.Licence))
	board, err := b.List(t.Context(), b.of.Licence, 10, "")
	require.NoError(t, err)
	require.EqualValues(t, 1, board.Held)
}

// why is what had no room.
func why(err error) commonv1.Reason {
	if full := asFull(err); full != nil {
		return full.Why
	}
	return failure.Reason(err)
}
