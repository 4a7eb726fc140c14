package seat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/postgres/pgtest"
	"kontor.internal/libs/servers"
	"kontor.internal/libs/servers/servertest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/licensing/internal/licence"
	"kontor.internal/services/licensing/migrations"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, servertest.IgnoreShared()) }

// bundle is one pool on real stores.
type bundle struct {
	*Pools
	t      *testing.T
	db     *pgxpool.Pool
	server *servers.Redis
	client *redis.Client
	diary  *Diary
	of     Pool
}

func setup(t *testing.T) *bundle {
	t.Helper()
	server := servertest.StartRedis(t)
	client := redis.NewClient(&redis.Options{Addr: server.Address(), ContextTimeoutEnabled: true})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	b := &bundle{t: t, db: pgtest.New(t, migrations.FS), server: server, client: client}
	// Leases of a second, so that tests can wait for a recovery's end.
	_, err := b.db.Exec(t.Context(), `ALTER TABLE licence DROP CONSTRAINT licence_lease_bounded`)
	require.NoError(t, err)
	b.of, b.Pools = b.licence(), b.copy()
	b.diary = NewDiary(DiaryDeps{Redis: client, Pools: b.Pools, DB: b.db, Clock: clock.System{}, Real: clock.System{}, Log: slog.New(slog.DiscardHandler)})
	return b
}

// copy is another copy of the service on the same stores.
func (b *bundle) copy() *Pools {
	return NewPools(PoolDeps{Redis: b.client, DB: b.db, Licences: licence.NewStore(), Clock: clock.System{}, Real: clock.System{}, IDs: id.New})
}

// licence writes down a licence with leases of a second.
func (b *bundle) licence() Pool {
	b.t.Helper()
	of := Pool{Subscriber: id.New(), Licence: id.New()}
	_, err := b.db.Exec(b.t.Context(), `
		INSERT INTO licence (id, subscriber, kind, plan, products, add_ons, seats, companies, seats_per_company, accounts, lease_seconds,
			terms_since, start_date, time_zone, starts, author, created)
		VALUES ($1, $2, 'paid', 'books-prof', '[]', '{}', 5, 5, 5, 0, 1, now(), '2026-01-01', 'UTC', now(), $2, now())`, of.Licence, of.Subscriber)
	require.NoError(b.t, err)
	return of
}

// person is the n-th person, at the one company.
func person(n int) Request {
	return Request{
		Account: uuid.NewSHA1(uuid.Nil, fmt.Append(nil, n)), Company: uuid.NewSHA1(uuid.Nil, []byte("company")), Product: "books",
		Device: "d", Title: "Desk",
	}
}

func limits(n int32, lease time.Duration) Limits {
	return Limits{Seats: n, PerCompany: 10_000, Lease: lease}
}

func (b *bundle) claim(n int, l Limits) Seat {
	b.t.Helper()
	s, err := b.Claim(b.t.Context(), b.of, person(n), l)
	require.NoError(b.t, err)
	return s
}

func isFull(err error) bool {
	var f *Full
	return errors.As(err, &f)
}

func (b *bundle) refused(n int, l Limits) {
	b.t.Helper()
	_, err := b.Claim(b.t.Context(), b.of, person(n), l)
	require.True(b.t, isFull(err), "%v", err)
}

// boss takes seats away.
var boss = By{Account: uuid.NewString()}

func (b *bundle) take(s Seat) error {
	_, err := b.Take(b.t.Context(), b.of, s.ID, 0, "", boss)
	return err
}

func (b *bundle) renew(s Seat) (Seat, error) {
	return b.Renew(b.t.Context(), b.of, Renewal{Seat: s}, By{})
}

func held(s State) bool { return !s.Ends.IsZero() }

func (b *bundle) lost(s Seat) {
	b.t.Helper()
	_, err := b.renew(s)
	require.Equal(b.t, commonv1.Reason_REASON_SEAT_LOST, failure.Reason(err))
}

// until waits for a moment of Redis's clock.
func until(t *testing.T, end time.Time) {
	t.Helper()
	timer := time.NewTimer(time.Until(end) + 20*time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

func TestOfSixHundredAtOnceFiveHundredGetASeat(t *testing.T) {
	b := setup(t)
	copies := []*Pools{b.Pools, b.copy()}
	var granted, refused atomic.Int64
	slots := sync.Map{}
	var work sync.WaitGroup
	for n := range 600 {
		work.Go(func() {
			s, err := copies[n%2].Claim(t.Context(), b.of, person(n), limits(500, time.Minute))
			switch {
			case err == nil:
				granted.Add(1)
				if _, twice := slots.LoadOrStore(s.Slot, n); twice || s.Slot < 1 || s.Slot > 500 {
					t.Errorf("slot %d", s.Slot)
				}
			case isFull(err):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	work.Wait()
	require.EqualValues(t, 500, granted.Load())
	require.EqualValues(t, 100, refused.Load())
}

func TestTheSameHolderGetsTheSameSeat(t *testing.T) {
	b := setup(t)
	first := b.claim(1, limits(1, time.Minute))
	again := b.claim(1, limits(1, time.Minute))
	require.Equal(t, first.ID, again.ID)
	require.Equal(t, first.Slot, again.Slot)
	other := person(1)
	other.Device = "another"
	_, err := b.Claim(t.Context(), b.of, other, limits(1, time.Minute))
	require.True(t, isFull(err))
}

func TestASeatGivenBackIsFreeAtOnce(t *testing.T) {
	b := setup(t)
	first := b.claim(1, limits(1, time.Minute))
	for range 2 {
		require.NoError(t, b.Release(t.Context(), b.of, first, By{}))
	}
	second := b.claim(2, limits(1, time.Minute))
	require.Equal(t, first.Slot, second.Slot)
	require.Greater(t, second.Generation, first.Generation)
	require.NoError(t, b.Release(t.Context(), b.of, first, By{}))
	board, err := b.List(t.Context(), b.of.Licence, 10, "")
	require.NoError(t, err)
	require.Len(t, board.Seats, 1, "who was there before can't give back what is another's")
}

func TestASeatIsAnothersAtItsLeasesEndAndNeverRevived(t *testing.T) {
	b := setup(t)
	l := limits(1, 200*time.Millisecond)
	dead := b.claim(1, l)
	b.refused(2, l)
	until(t, dead.Ends)
	b.claim(2, limits(1, time.Minute))
	b.lost(dead)
	b.lost(dead)
}

func TestALeaseThatRanOutIsNotRenewedEvenIfNobodyElseCame(t *testing.T) {
	b := setup(t)
	dead := b.claim(1, limits(1, 200*time.Millisecond))
	until(t, dead.Ends)
	b.lost(dead)
}

func TestARenewedSeatLivesOn(t *testing.T) {
	b := setup(t)
	mine := b.claim(1, limits(1, 400*time.Millisecond))
	for range 3 {
		until(t, mine.Ends.Add(-250*time.Millisecond))
		renewed, err := b.renew(mine)
		require.NoError(t, err)
		require.True(t, renewed.Ends.After(mine.Ends))
		mine = renewed
	}
	b.refused(2, limits(1, time.Minute))
}

func TestALoweredLimitThrowsNobodyOutAndARaisedOneLetsInAtOnce(t *testing.T) {
	b := setup(t)
	for n := range 3 {
		b.claim(n, limits(3, time.Minute))
	}
	one := b.claim(2, limits(1, time.Minute))
	_, err := b.renew(one)
	require.NoError(t, err)
	b.refused(9, limits(1, time.Minute))
	require.EqualValues(t, 4, b.claim(9, limits(4, time.Minute)).Slot)
}

func TestOneCompanyIsFullBeforeTheLicenceIs(t *testing.T) {
	b := setup(t)
	l := Limits{Seats: 3, PerCompany: 1, Lease: time.Minute}
	b.claim(1, l)
	_, err := b.Claim(t.Context(), b.of, person(2), l)
	var f *Full
	require.ErrorAs(t, err, &f)
	require.Equal(t, commonv1.Reason_REASON_SEATS_EXHAUSTED_IN_COMPANY, f.Why)
	require.Equal(t, person(1).Account, f.Holders[0].Account)
	require.InDelta(t, time.Minute, f.Frees, float64(time.Second))
	elsewhere := person(2)
	elsewhere.Company = id.New()
	_, err = b.Claim(t.Context(), b.of, elsewhere, l)
	require.NoError(t, err)
}

func TestATakenSeatIsFreeAtOnce(t *testing.T) {
	b := setup(t)
	mine := b.claim(1, limits(1, time.Minute))
	for range 2 {
		require.NoError(t, b.take(mine))
	}
	b.lost(mine)
	b.claim(2, limits(1, time.Minute))
}

// lose makes Redis forget everything, or start anew with nothing.
func (b *bundle) lose(how string) {
	b.t.Helper()
	if how == "flushed" {
		require.NoError(b.t, b.client.FlushAll(b.t.Context()).Err())
		return
	}
	require.NoError(b.t, b.server.Restart(b.t.Context()))
}

func TestAfterALossHoldersComeBackAndNobodyElseGetsTheirSeats(t *testing.T) {
	for _, how := range []string{"flushed", "restarted"} {
		t.Run(how, func(t *testing.T) {
			b := setup(t)
			l := limits(4, time.Minute)
			dead, back, given, away := b.claim(0, l), b.claim(1, l), b.claim(2, l), b.claim(3, l)
			require.NoError(t, b.Release(t.Context(), b.of, given, By{}))
			require.NoError(t, b.take(away))
			require.NoError(t, b.diary.WriteDown(t.Context(), b.of.Licence))
			b.lose(how)

			_, err := b.Claim(t.Context(), b.of, person(4), l)
			require.Equal(t, commonv1.Reason_REASON_SEATS_RECOVERING, failure.Reason(err))
			renewed, err := b.renew(back)
			require.NoError(t, err, "a holder comes back")
			require.Equal(t, []any{back.ID, back.Slot, back.Generation, "Desk"}, []any{renewed.ID, renewed.Slot, renewed.Generation, renewed.Title})
			b.lost(given)
			b.lost(away)
			require.Equal(t, back.ID, b.claim(1, l).ID, "a holder who is back may also claim")

			states, err := b.States(t.Context(), b.of.Licence, []uuid.UUID{back.ID, away.ID, given.ID, dead.ID})
			require.NoError(t, err)
			require.Equal(t, []bool{true, false, false, false}, []bool{held(states[0]), held(states[1]), held(states[2]), held(states[3])})
			require.Equal(t, []bool{false, false, false, true}, []bool{states[0].Unknown, states[1].Unknown, states[2].Unknown, states[3].Unknown},
				"only of who may come back is nothing known")
		})
	}
}

func TestOfTwoHoldersOfASlotTheLaterComesBack(t *testing.T) {
	b := setup(t)
	first := b.claim(1, limits(1, time.Minute))
	require.NoError(t, b.Release(t.Context(), b.of, first, By{})) // Nothing of it reaches the database.
	second := b.claim(2, limits(1, time.Minute))
	b.lose("flushed")
	_, err := b.renew(first)
	require.NoError(t, err)
	_, err = b.renew(second)
	require.NoError(t, err)
	b.lost(first)
	board, err := b.List(t.Context(), b.of.Licence, 10, "")
	require.NoError(t, err)
	require.Len(t, board.Seats, 1)
}

func TestAfterALossNewClaimsWaitForTheLongestLeaseAndNoLonger(t *testing.T) {
	b := setup(t)
	l := limits(1, time.Second)
	dead := b.claim(1, l)
	b.lose("flushed")
	began := time.Now()
	_, err := b.Claim(t.Context(), b.of, person(2), l)
	require.Equal(t, commonv1.Reason_REASON_SEATS_RECOVERING, failure.Reason(err))
	until(t, dead.Ends)
	b.lost(dead)
	until(t, began.Add(time.Second+margin-200*time.Millisecond))
	_, err = b.Claim(t.Context(), b.of, person(2), l)
	require.Equal(t, commonv1.Reason_REASON_SEATS_RECOVERING, failure.Reason(err))
	until(t, began.Add(time.Second+margin+500*time.Millisecond))
	require.Greater(t, b.claim(2, l).Generation, dead.Generation)
}

// A program gave back its seat, lost the way there, and claimed again: what it sent first may come last.
func TestAReleaseThatComesLateDoesNotEndWhatWasClaimedAnew(t *testing.T) {
	b := setup(t)
	l := limits(2, time.Minute)
	first := b.claim(1, l)
	again := b.claim(1, l)
	require.Equal(t, first.ID, again.ID)
	require.Greater(t, again.Generation, first.Generation)
	require.NoError(t, b.Release(t.Context(), b.of, first, By{}))
	_, err := b.Transfer(t.Context(), b.of, first, person(2).Account, By{})
	require.Equal(t, commonv1.Reason_REASON_SEAT_LOST, failure.Reason(err))
	_, err = b.Renew(t.Context(), b.of, Renewal{Seat: first}, By{})
	require.NoError(t, err, "another program on the same device works on")
	renewed, err := b.Renew(t.Context(), b.of, Renewal{Seat: again}, By{})
	require.NoError(t, err)
	require.NoError(t, b.Release(t.Context(), b.of, renewed, By{}))
	b.lost(again)
}

func TestAPoolThatNobodyIsInRestsAndNeedsNoRecovery(t *testing.T) {
	b := setup(t)
	l := limits(1, time.Minute)
	mine := b.claim(1, l)
	require.NoError(t, b.tidy(t.Context(), b.of.Licence))
	require.NoError(t, b.Release(t.Context(), b.of, mine, By{}))
	// As if it had been empty for a while.
	const script = `local pool = cmsgpack.unpack(redis.call('GET', KEYS[1]))
		pool.emptied = 1
		redis.call('SET', KEYS[1], cmsgpack.pack(pool)) return 1`
	require.NoError(t, b.client.Eval(t.Context(), script, poolKeys(b.of.Licence)[:1]).Err())
	require.NoError(t, b.tidy(t.Context(), b.of.Licence))
	require.Zero(t, b.client.Exists(t.Context(), poolKeys(b.of.Licence)[:5]...).Val())
	b.lose("flushed")
	states, err := b.States(t.Context(), b.of.Licence, []uuid.UUID{mine.ID})
	require.NoError(t, err)
	require.Equal(t, State{}, states[0])
	next := b.claim(2, l)
	require.Greater(t, next.Generation, mine.Generation)
}

func TestALongerLeaseIsWrittenDownBeforeItIsGiven(t *testing.T) {
	b := setup(t)
	b.claim(1, limits(2, time.Second))
	b.claim(2, limits(2, time.Hour))
	var longest int
	require.NoError(t, b.db.QueryRow(t.Context(), `SELECT longest_lease FROM seat_pool`).Scan(&longest))
	require.Equal(t, 3600, longest)
}

func TestTheSweeperEndsALeaseWithinHalfASecond(t *testing.T) {
	b := setup(t)
	ctx, stop := context.WithCancel(t.Context())
	sweeper := &Sweeper{Pools: b.Pools, Log: slog.New(slog.DiscardHandler)}
	var running sync.WaitGroup
	running.Go(func() { _ = sweeper.Run(ctx) })
	running.Go(func() { _ = b.diary.Run(ctx) })
	defer func() { stop(); running.Wait() }()
	dead := b.claim(1, limits(1, 300*time.Millisecond))
	require.Eventually(t, func() bool {
		var ended int
		require.NoError(t, b.db.QueryRow(t.Context(), `SELECT count(*) FROM seat_event WHERE kind = 'expired'`).Scan(&ended))
		return ended == 1
	}, 5*time.Second, 10*time.Millisecond)
	require.Less(t, time.Since(dead.Ends), time.Second) // Half a second, and as much for a busy machine.
}
