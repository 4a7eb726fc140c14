package seat

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// model is what a pool should be, kept in the simplest way there is.
type model struct {
	b       *bundle
	of      Pool
	holders map[uuid.UUID]Seat // by account
	gone    []Seat
	limits  Limits
	last    int64
}

func (m *model) someone(rt *rapid.T) Request {
	r := person(rapid.IntRange(1, 7).Draw(rt, "who"))
	r.Company = uuid.NewSHA1(uuid.Nil, []byte(r.Account.String()[:1])) // Everybody works for one of some companies.
	return r
}

func (m *model) company(c uuid.UUID) (held int32) {
	for _, s := range m.holders {
		if s.Company == c {
			held++
		}
	}
	return held
}

func (m *model) claim(rt *rapid.T) {
	r := m.someone(rt)
	s, err := m.b.Claim(rt.Context(), m.of, r, m.limits)
	had, holds := m.holders[r.Account]
	room := int32(len(m.holders)) < m.limits.Seats && m.company(r.Company) < m.limits.PerCompany
	switch {
	case holds && (err != nil || s.ID != had.ID):
		rt.Fatalf("%v, %v; it holds %v", s, err, had)
	case !holds && !room && !isFull(err):
		rt.Fatalf("%v, %v; it is full", s, err)
	case !holds && room && (err != nil || s.Generation <= m.last || s.Slot > m.limits.Seats):
		rt.Fatalf("%v, %v after %v", s, err, m.last)
	}
	if err == nil {
		m.holders[r.Account], m.last = s, max(m.last, s.Generation)
	}
}

func (m *model) leave(rt *rapid.T) {
	r := m.someone(rt)
	s, holds := m.holders[r.Account]
	if !holds {
		return
	}
	if rapid.Bool().Draw(rt, "taken") {
		_, err := m.b.Take(rt.Context(), m.of, s.ID, 0, "", boss)
		require.NoError(rt, err)
	} else {
		require.NoError(rt, m.b.Release(rt.Context(), m.of, s, By{}))
	}
	delete(m.holders, r.Account)
	m.gone = append(m.gone, s)
}

func (m *model) renew(rt *rapid.T) {
	r := m.someone(rt)
	if s, holds := m.holders[r.Account]; holds {
		renewed, err := m.b.Renew(rt.Context(), m.of, Renewal{Seat: s}, By{})
		require.NoError(rt, err)
		m.holders[r.Account] = renewed
	}
	if len(m.gone) == 0 {
		return
	}
	gone := rapid.SampledFrom(m.gone).Draw(rt, "gone")
	_, err := m.b.Renew(rt.Context(), m.of, Renewal{Seat: gone}, By{})
	require.Equal(rt, commonv1.Reason_REASON_SEAT_LOST, failure.Reason(err))
	require.NoError(rt, m.b.Release(rt.Context(), m.of, gone, By{}))
}

func (m *model) check(rt *rapid.T) {
	board, err := m.b.List(rt.Context(), m.of.Licence, 100, "")
	require.NoError(rt, err)
	slots := map[int32]bool{}
	for _, s := range board.Seats {
		slots[s.Slot] = true
		if m.holders[s.Account].ID != s.ID {
			rt.Fatalf("%v holds %v, not %v", s.Account, s.ID, m.holders[s.Account])
		}
	}
	if len(board.Seats) != len(m.holders) || len(slots) != len(board.Seats) {
		rt.Fatalf("%v, want %v", board.Seats, m.holders)
	}
}

func TestThePoolDoesWhatTheModelDoes(t *testing.T) {
	b := setup(t)
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{b: b, of: b.licence(), holders: map[uuid.UUID]Seat{}}
		change := func(rt *rapid.T) {
			m.limits = Limits{
				Seats: rapid.Int32Range(1, 5).Draw(rt, "seats"), PerCompany: rapid.Int32Range(1, 3).Draw(rt, "in a company"), Lease: time.Minute,
			}
		}
		change(rt)
		rt.Repeat(map[string]func(*rapid.T){"claim": m.claim, "leave": m.leave, "renew": m.renew, "change": change, "": m.check})
	})
}

// interval is the time in which a token proved that somebody held a slot.
type interval struct {
	slot        int32
	seat        uuid.UUID
	began, ends time.Time
}

// ledger collects what tokens proved.
type ledger struct {
	mu   sync.Mutex
	list []interval
	kept int // renewals by holders
	lost int // holders that were thrown out
}

func (l *ledger) note(s Seat) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, interval{s.Slot, s.ID, s.Renewed, s.Ends})
}

// work holds a seat until ctx ends, as a program does, and leaves what others do to the pool.
func (l *ledger) work(ctx context.Context, b *bundle, pools *Pools, n int, limits Limits) {
	held, err := pools.Claim(ctx, b.of, person(n), limits)
	if err != nil {
		return
	}
	l.note(held)
	for {
		pause(ctx, limits.Lease/6)
		if ctx.Err() != nil {
			return
		}
		renewed, err := pools.Renew(ctx, b.of, Renewal{Seat: held}, By{})
		switch {
		case err == nil:
			held = renewed
			l.note(held)
			l.count(&l.kept)
		case failure.Reason(err) == commonv1.Reason_REASON_SEAT_LOST:
			l.count(&l.lost)
			return
		}
	}
}

func (l *ledger) count(what *int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*what++
}

// check fails when two held one slot at one time.
func (l *ledger) check(t *testing.T, limit int32) {
	for i, a := range l.list {
		if a.slot < 1 || a.slot > limit {
			t.Errorf("slot %d of %d", a.slot, limit)
		}
		for _, b := range l.list[i+1:] {
			if a.slot == b.slot && a.seat != b.seat && a.began.Before(b.ends) && b.began.Before(a.ends) {
				t.Fatalf("%v and %v", a, b)
			}
		}
	}
}

func TestRedisLostUnderLoadGivesNobodyTwoAndThrowsNobodyOut(t *testing.T) {
	b := setup(t)
	const limit = 8
	l := limits(limit, 3*time.Second)
	_, err := b.db.Exec(t.Context(), `UPDATE licence SET lease_seconds = 3`)
	require.NoError(t, err)
	copies := []*Pools{b.Pools, b.copy()}
	ctx, stop := context.WithCancel(t.Context())
	var (
		holders ledger
		working sync.WaitGroup
	)
	working.Go(func() { _ = b.diary.Run(ctx) })
	sweeper := &Sweeper{Pools: b.Pools, Log: b.diary.deps.Log}
	working.Go(func() { _ = sweeper.Run(ctx) })
	for n := range limit {
		working.Go(func() { holders.work(ctx, b, copies[n%2], n, l) })
	}
	for n := range 6 { // These come again and again, and find no seat.
		working.Go(func() {
			for ctx.Err() == nil {
				if s, err := copies[n%2].Claim(ctx, b.of, person(100+n), l); err == nil {
					holders.note(s)
				}
				pause(ctx, 20*time.Millisecond)
			}
		})
	}
	for _, how := range []string{"flushed", "restarted", "flushed"} {
		pause(ctx, 1500*time.Millisecond)
		b.lose(how)
	}
	pause(ctx, 1500*time.Millisecond)
	stop()
	working.Wait()
	holders.check(t, limit)
	require.Zero(t, holders.lost)
	require.Greater(t, holders.kept, 40)
}
