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
		require.Equal(t, licence.Name(b.of.Subscriber, b.of.Licence)+"/seats", e.Envelope.GetAggregate())
		var changed licensingv1.SeatsChanged
		require.NoError(t, e.Decode(&changed))
		for _, c := range changed.GetChanges() {
			told = append(told, strings.TrimPrefix(c.GetKind().String(), "SEAT_CHANGE_KIND_"))
			if c.GetKind() == licensingv1.SeatChangeKind_SEAT_CHANGE_KIND_TAKEN {
				require.Equal(t, b.of.Name(second.ID), c.GetSeat())
				require.Equal(t, licence.AccountName(second.Account), c.GetAccount())
				require.Equal(t, licence.AccountName(owner), c.GetActor())
			}
		}
	}
	require.Equal(t, []string{"CLAIMED", "REFUSED", "EXPIRED", "CLAIMED", "TAKEN", "CLAIMED", "RELEASED"}, told)
	var rows int
	require.NoError(t, b.db.QueryRow(t.Context(), "SELECT count(*) FROM seat_event").Scan(&rows))
	require.Equal(t, 7, rows)
}
