package licence_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"kontor.internal/libs/civil"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/events/eventstest"
	"kontor.internal/libs/id"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/postgres/pgtest"
	"kontor.internal/services/licensing/internal/catalogue"
	"kontor.internal/services/licensing/internal/licence"
	"kontor.internal/services/licensing/migrations"
)

func TestCopiesThatLookAtOnceTellEachThingOnce(t *testing.T) {
	pool, store := pgtest.New(t, migrations.FS), licence.NewStore()
	riga, err := store.Zone("Europe/Riga")
	require.NoError(t, err)
	now := clock.NewFake(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	var changed sync.Map
	timers := &licence.Timers{DB: pool, Store: store, Clock: now, Changed: func(s uuid.UUID) { changed.Store(s, true) }}
	const many = 250 // More than one batch.
	require.NoError(t, postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		for range many {
			l := licence.Licence{
				ID: id.New(), Subscriber: id.New(), Kind: catalogue.Trial, Plan: "books-trial", Zone: riga, Created: now.Now(), TermsSince: now.Now(),
				Terms: licence.Terms{Limits: catalogue.Limits{Seats: 1, Companies: 1, SeatsPerCompany: 1, LeaseSeconds: 60}},
				Start: civil.Date{Year: 2026, Month: time.March, Day: 5}, End: civil.Date{Year: 2026, Month: time.April, Day: 4},
			}
			if err := store.Insert(t.Context(), tx, l, licence.Given{Author: id.New()}, now.Now()); err != nil {
				return err
			}
		}
		return nil
	}))
	count := func() map[string]int {
		told := map[string]int{}
		for _, e := range eventstest.Outbox(t, pool) {
			told[e.Envelope.GetType()]++
		}
		return told
	}
	look := func() {
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				if err := timers.Run(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
	}
	look()
	require.Empty(t, count(), "nothing is due")
	now.Set(time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC))
	look()
	require.Equal(t, map[string]int{licence.SubjectStarted: many}, count())
	now.Set(time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC))
	look()
	look()
	require.Equal(t, map[string]int{licence.SubjectStarted: many, licence.SubjectTrialEnding: many}, count())
	now.Set(time.Date(2026, 4, 4, 21, 0, 0, 0, time.UTC)) // The end, with two reminders that nobody could send.
	look()
	look()
	require.Equal(t, map[string]int{
		licence.SubjectStarted: many, licence.SubjectTrialEnding: many, licence.SubjectEnded: many, licence.SubjectTrialEnded: many,
	}, count())
	var subscribers int
	changed.Range(func(any, any) bool { subscribers++; return true })
	require.Equal(t, many, subscribers)
}
