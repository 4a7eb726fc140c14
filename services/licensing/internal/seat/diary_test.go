package seat

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kontor.internal/libs/events/eventstest"
	"kontor.internal/libs/id"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/licence"
)

func TestWhatHappensIsWrittenDownOnceInOrder(t *testing.T) {
	b := setup(t)
	first := b.claim(1, limits(1, 200*time.Millisecond))
	b.refused(2, limits(1, time.Minute))
	until(t, first.Ends)
	second := b.claim(2, limits(1, time.Minute))
	owner := id.New()
	_, err := b.Take(t.Context(), b.of, second.ID, 0, "", By{Account: owner.String(), Address: "192.0.2.1"})
	require.NoError(t, err)
	third := b.claim(3, limits(1, time.Minute))
	require.NoError(t, b.Release(t.Context(), b.of, third, By{}))
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			if err := NewDiary(b.diary.deps).WriteDown(t.Context(), b.of.Licence); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	require.NoError(t, b.diary.WriteDown(t.Context(), b.of.Licence))
	var told []string
	for _, e := range eventstest.Outbox(t, b.db) {
		told = append(told, e.Envelope.GetType())
		require.True(t, strings.HasPrefix(e.Envelope.GetAggregate(), licence.Name(b.of.Subscriber, b.of.Licence)+"/seats"))
		var ended licensingv1.SeatEnded
		if e.Is(&ended) {
			require.NoError(t, e.Decode(&ended))
			told = append(told, ended.GetEnd().String())
		}
		if ended.GetEnd() == licensingv1.SeatEnd_SEAT_END_TAKEN {
			require.Equal(t, b.of.Name(second.ID), ended.GetSeat())
			require.Equal(t, licence.AccountName(second.Account), ended.GetAccount())
			require.Equal(t, licence.AccountName(owner), e.Envelope.GetActor())
		}
	}
	require.Equal(t, []string{
		"kontor.licensing.seat.claimed", "kontor.licensing.seat.refused", "kontor.licensing.seat.ended", "SEAT_END_EXPIRED",
		"kontor.licensing.seat.claimed", "kontor.licensing.seat.ended", "SEAT_END_TAKEN",
		"kontor.licensing.seat.claimed", "kontor.licensing.seat.ended", "SEAT_END_RELEASED",
	}, told)
	var rows int
	require.NoError(t, b.db.QueryRow(t.Context(), "SELECT count(*) FROM seat_event").Scan(&rows))
	require.Equal(t, 7, rows)
}
