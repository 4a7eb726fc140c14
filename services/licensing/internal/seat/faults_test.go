package seat

import (
	"context"
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
