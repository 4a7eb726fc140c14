package seat

import (
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

const (
	soakSeats   = 7
	soakWorkers = 12
	soakLease   = time.Second
	// surely is how long before its end a lease must still be renewable, however busy the machine is.
	surely = 300 * time.Millisecond
)

// validity is how long somebody surely held a seat: from the first answer that said so, by Redis's clock, until the lease's
// end that was answered last, or until the holder began to give it back.
type validity struct {
	seat       uuid.UUID
	company    uuid.UUID
	from, till time.Time
	place      bool // a second place of a seat: it counts in the company alone
	out        bool // with a device
}

// soak is many holders who do what holders do, on two copies of the service, while the store is lost again and again.
type soak struct {
	*bundle
	copies []*Pools
	limits Limits
	ops    atomic.Int64
	left   atomic.Int64
	// ahead is by how much Redis's clock is before this machine's, in nanoseconds; jumps counts the beginnings and the ends of
	// its changes.
	ahead, jumps atomic.Int64
	// back is by how much it goes back at the most: a pool's own time does not.
	back time.Duration

	mu    sync.Mutex
	held  []validity
	wrong []string
}

// now is Redis's time, about.
func (s *soak) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

func (s *soak) complain(format string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wrong) < 20 {
		s.wrong = append(s.wrong, format)
	}
}

func (s *soak) note(v validity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = append(s.held, v)
}

// holder is one account with one device, driven by one goroutine.
type holder struct {
	*soak
	dice *rand.Rand
	who  Request
	held *validity
	seat Seat
	// doomed is a seat that was to be taken, and nobody knows whether it was: it may end at any time.
	doomed uuid.UUID
	rest   time.Time // until then nothing is done: what is on a broken way may come yet
}

// doubt ends the holding of a seat that may be taken.
func (h *holder) doubt(at time.Time) {
	h.doomed, h.rest = h.seat.ID, time.Now().Add(time.Second)
	h.over(at)
}

// step does one thing. Some answers are lost on the way.
func (h *holder) step(ctx context.Context) {
	if time.Now().Before(h.rest) {
		pause(ctx, time.Millisecond)
		return
	}
	pools := h.copies[h.dice.IntN(len(h.copies))]
	if h.dice.IntN(50) == 0 { // Nobody hears the answer.
		short, cancel := context.WithTimeout(ctx, time.Duration(h.dice.IntN(400))*time.Microsecond)
		defer cancel()
		ctx = short
	}
	switch n := h.dice.IntN(10); {
	case h.held == nil && n < 7:
		h.claim(ctx, pools)
	case h.held == nil:
		_, _ = pools.Wait(ctx, h.of, h.who, h.limits)
	case n < 7:
		h.renew(ctx, pools)
	case n == 7:
		h.end(func() error {
			_, err := pools.Take(ctx, h.of, h.seat.ID, 0, "", boss)
			if err != nil {
				h.doomed = h.seat.ID
			}
			return err
		})
	default:
		h.end(func() error { return pools.Release(ctx, h.of, h.seat, By{}) })
	}
}

func (h *holder) claim(ctx context.Context, pools *Pools) {
	s, err := pools.Claim(ctx, h.of, h.who, h.limits)
	if err != nil {
		return
	}
	if s.Generation == 0 || s.Slot < 1 {
		h.complain("a seat without a slot: " + s.ID.String())
	}
	if s.ID == h.doomed { // Nobody may count on it.
		_ = pools.Release(ctx, h.of, s, By{})
		return
	}
	h.seat, h.held = s, &validity{seat: s.ID, company: s.Company, from: s.Renewed, till: s.Ends}
}

func (h *holder) renew(ctx context.Context, pools *Pools) {
	jumps := h.jumps.Load()
	s, err := pools.Renew(ctx, h.of, Renewal{Seat: h.seat}, By{})
	left := h.seat.Ends.Sub(h.now()) // A broken way may have taken its time.
	switch {
	case err == nil:
		h.seat, h.held.till = s, s.Ends
	case failure.Reason(err) == commonv1.Reason_REASON_SEAT_LOST:
		if left > surely && jumps%2 == 0 && h.jumps.Load() == jumps {
			h.complain("a seat was lost " + left.String() + " before the end of its lease")
		}
		h.over(h.held.till)
	case left <= 0:
		h.over(h.held.till)
	}
}

// end gives the seat back, or has it taken: from the call's beginning it is not surely held.
func (h *holder) end(do func() error) {
	began := h.now().Add(-time.Millisecond)
	_ = do()
	h.over(began) // Whether it ended may not be known. Whoever claims again may get it back as it was.
}

func (h *holder) over(at time.Time) {
	if at.Before(h.held.till) {
		h.held.till = at
	}
	h.note(*h.held)
	h.held = nil
}

// check walks through all that was held: never more at a time than the limits say.
func (s *soak) check() {
	type instant struct {
		at      time.Time
		by      int
		seat    int
		company uuid.UUID
	}
	var instants []instant
	for _, v := range s.held {
		seat := 1
		if v.place {
			seat = 0
		}
		if v.till.After(v.from) {
			instants = append(instants, instant{v.from, 1, seat, v.company}, instant{v.till, -1, -seat, v.company})
		}
	}
	slices.SortFunc(instants, func(a, b instant) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return a.by - b.by
	})
	held, in := 0, map[uuid.UUID]int{}
	for _, i := range instants {
		held += i.seat
		in[i.company] += i.by
		if held > int(s.limits.Seats) || in[i.company] > int(s.limits.PerCompany) {
			s.complain("at " + i.at.String() + " " + strconv.Itoa(held) + " were held, in one company " + strconv.Itoa(in[i.company]))
		}
	}
}

// written checks that what was held is in the evidence once, but for what lies in a declared gap.
func (s *soak) written() {
	require.NoError(s.t, s.diary.WriteDown(s.t.Context(), s.of.Licence))
	first := map[uuid.UUID]validity{} // A seat that was claimed in a gap may be claimed again after it.
	for _, v := range s.held {
		if known, ok := first[v.seat]; !v.place && (!ok || v.from.Before(known.from)) {
			first[v.seat] = v
		}
	}
	for _, v := range first {
		var claims int
		var gap bool
		require.NoError(s.t, s.db.QueryRow(s.t.Context(), `SELECT count(*) FILTER (WHERE kind = 'claimed'),
			EXISTS (SELECT FROM seat_event WHERE kind = 'gap' AND licence = $3 AND $2 BETWEEN since - interval '1 s' AND happened + $4)
			FROM seat_event WHERE seat = $1`, v.seat, v.from, s.of.Licence, s.back).Scan(&claims, &gap))
		if claims > 1 || claims == 0 && !gap {
			s.complain("a seat was claimed, and that is written " + strconv.Itoa(claims) + " times")
		}
	}
}

// Many holders, two copies of the service, lost answers, and a store that is flushed and restarted: never more seats at a
// time than the licence says, nobody loses a seat before its lease ends, and all is written once. KONTOR_SOAK is how many
// steps are taken (make soak: a million).
func TestSeatsUnderFireAreNeverOversoldAndNeverLost(t *testing.T) {
	b := setup(t)
	s := &soak{bundle: b, copies: []*Pools{b.Pools, b.copy()}, limits: Limits{Seats: soakSeats, PerCompany: 5, Lease: soakLease}}
	steps := soakSteps(t, 50_000)
	s.left.Store(steps)
	ctx, stop := context.WithCancel(t.Context())
	var beside, work sync.WaitGroup
	beside.Go(func() { _ = b.diary.Run(ctx) })
	beside.Go(func() { s.shoot(ctx) })
	for _, h := range s.holders() {
		work.Go(func() {
			h.until(func() bool { return s.left.Add(-1) < 0 }, func() { h.step(t.Context()) })
		})
	}
	work.Wait()
	stop()
	beside.Wait()
	s.judge(steps)
}

// holders are everybody, of three companies.
func (s *soak) holders() []*holder {
	all := make([]*holder, soakWorkers)
	for n := range all {
		all[n] = &holder{soak: s, dice: rand.New(rand.NewPCG(uint64(n), 1)), who: person(n)}
		all[n].who.Company = uuid.NewSHA1(uuid.Nil, []byte{byte(n % 3)})
	}
	return all
}

// until takes steps until it is over.
func (h *holder) until(over func() bool, step func()) {
	for !over() {
		step()
		h.ops.Add(1)
	}
	if h.held != nil {
		h.over(h.held.till)
	}
}

// judge looks at all that was answered and written.
func (s *soak) judge(steps int64) {
	s.check()
	s.written()
	require.Empty(s.t, s.wrong)
	require.Greater(s.t, len(s.held), int(steps/200), "hardly anybody held a seat")
	s.t.Logf("%d steps, %d times a seat was held, the clock was turned %d times", s.ops.Load(), len(s.held), s.jumps.Load()/2)
}

// soakSteps is how many steps are taken.
func soakSteps(t *testing.T, usual int64) int64 {
	t.Helper()
	text := os.Getenv("KONTOR_SOAK")
	if text == "" {
		return usual
	}
	steps, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err)
	return steps
}

// shoot loses the store again and again, at moments between which a recovery ends.
func (s *soak) shoot(ctx context.Context) {
	dice := rand.New(rand.NewPCG(7, 7))
	for n := 0; ; n++ {
		pause(ctx, time.Second+time.Duration(dice.IntN(2000))*time.Millisecond)
		if ctx.Err() != nil {
			return
		}
		switch n % 3 {
		case 0:
			_ = s.client.FlushAll(ctx).Err()
		case 1:
			_ = s.server.Restart(context.WithoutCancel(ctx))
		case 2:
			_ = s.server.Kill()
			_ = s.server.Restart(context.WithoutCancel(ctx))
		}
		pause(ctx, soakLease+margin+time.Second)
	}
}
