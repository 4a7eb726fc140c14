package seat

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/id"
	"kontor.internal/libs/postgres/pgtest"
	"kontor.internal/libs/servers"
	"kontor.internal/services/licensing/internal/catalogue"
	"kontor.internal/services/licensing/internal/licence"
	"kontor.internal/services/licensing/migrations"
)

// disturbances is how many there must be, however quick the steps are.
const disturbances = 16

// turned is a pool on a Redis whose clock the test turns, and that each copy of the service reaches over a way of its own.
type turned struct {
	*soak
	clockFile string
	ways      []*toxiproxy.Proxy
	disturbed atomic.Int64
}

// setupTurned starts Redis with libfaketime before it, which reads from a file by how much its clock goes before the machine's.
func setupTurned(t *testing.T) *turned {
	t.Helper()
	// Redis's own allocator asks for the time before libfaketime can tell it.
	preload := sharedLibrary(t, "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4") + " " + sharedLibrary(t, "faketime/libfaketime.so.1", "libfaketime")
	folder := t.TempDir()
	s := &turned{soak: &soak{}, clockFile: filepath.Join(folder, "clock")}
	s.turn(t, 0)
	program := filepath.Join(folder, "redis")
	script := fmt.Sprintf("#!/bin/sh\nexport LD_PRELOAD='%s' FAKETIME_TIMESTAMP_FILE=%s FAKETIME_NO_CACHE=1 DONT_FAKE_MONOTONIC=1\nexec redis-server \"$@\"\n",
		preload, s.clockFile)
	require.NoError(t, os.WriteFile(program, []byte(script), 0o700))
	server, err := servers.StartRedis(t.Context(), servers.RedisConfig{Dir: filepath.Join(folder, "data"), NoPassword: true, Program: program})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop(context.WithoutCancel(t.Context()))) })
	client := redis.NewClient(&redis.Options{Addr: server.Address(), ContextTimeoutEnabled: true})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	b := &bundle{t: t, db: pgtest.New(t, migrations.FS), server: server, client: client}
	_, err = b.db.Exec(t.Context(), `ALTER TABLE licence DROP CONSTRAINT licence_lease_bounded`)
	require.NoError(t, err)
	b.of, b.Pools = b.licence(), b.copy()
	b.diary = NewDiary(DiaryDeps{Redis: client, Pools: b.Pools, DB: b.db, Clock: clock.System{}, Real: clock.System{}, Log: slog.New(slog.DiscardHandler)})
	s.bundle = b
	for range 2 {
		s.copies = append(s.copies, s.beyond(t))
	}
	return s
}

// sharedLibrary finds a shared library, which `make setup` installs.
func sharedLibrary(t *testing.T, name, pack string) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/*/" + name)
	require.NoError(t, err)
	require.NotEmptyf(t, found, "%s is not on this machine; install it: apt-get install -y %s", name, pack)
	return found[0]
}

// beyond is another copy of the service, at the other end of a way that can be made bad.
func (s *turned) beyond(t *testing.T) *Pools {
	t.Helper()
	hub := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	way := toxiproxy.NewProxy(hub, "way", "127.0.0.1:0", s.server.Address())
	require.NoError(t, way.Start())
	t.Cleanup(way.Stop)
	client := redis.NewClient(&redis.Options{
		Addr: way.Listen, ContextTimeoutEnabled: true, DialTimeout: 300 * time.Millisecond, ReadTimeout: 300 * time.Millisecond,
	})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	s.ways = append(s.ways, way)
	return NewPools(PoolDeps{Redis: client, DB: s.db, Licences: licence.NewStore(), Clock: clock.System{}, Real: clock.System{}, IDs: id.New})
}

// turn sets Redis's clock so much before the machine's.
func (s *turned) turn(t *testing.T, ahead time.Duration) {
	t.Helper()
	beside := s.clockFile + ".new"
	require.NoError(t, os.WriteFile(beside, fmt.Appendf(nil, "%+.3f\n", ahead.Seconds()), 0o600))
	s.jumps.Add(1)
	if int64(ahead) < s.ahead.Load() { // What the test takes for Redis's time is never later than that.
		s.ahead.Store(int64(ahead))
	}
	require.NoError(t, os.Rename(beside, s.clockFile))
	s.ahead.Store(int64(ahead))
	s.jumps.Add(1)
}

// disturb breaks ways, turns the clock there and back, and loses the store, one after the other until ctx ends.
func (s *turned) disturb(ctx context.Context, t *testing.T) {
	dice := rand.New(rand.NewPCG(3, 3))
	var ahead time.Duration
	for n := 0; ctx.Err() == nil; n++ {
		s.disturbed.Store(int64(n))
		way := s.ways[dice.IntN(len(s.ways))]
		switch n % 6 {
		case 0, 3: // The way is cut, with whatever is on it.
			way.Stop()
			pause(ctx, time.Duration(dice.IntN(600))*time.Millisecond)
			require.NoError(t, way.Start())
		case 1: // All ways are.
			for _, one := range s.ways {
				one.Stop()
			}
			pause(ctx, time.Duration(dice.IntN(300))*time.Millisecond)
			for _, one := range s.ways {
				require.NoError(t, one.Start())
			}
		case 2: // Forward, by less or by more than a lease.
			ahead += time.Duration(dice.IntN(5000)) * time.Millisecond
			s.turn(t, ahead)
		case 4: // Back.
			ahead -= time.Duration(dice.Int64N(int64(s.back)))
			s.turn(t, ahead)
		case 5:
			if n%12 == 5 {
				require.NoError(t, s.client.FlushAll(context.WithoutCancel(ctx)).Err())
				pause(ctx, 2*soakLease+margin)
			}
		}
		pause(ctx, time.Duration(100+dice.IntN(300))*time.Millisecond)
	}
}

// wild does what holders do rarely: work in a second company, hand over, be thrown out with grace.
func (h *holder) wild(ctx context.Context, others []*holder) {
	pools := h.copies[h.dice.IntN(len(h.copies))]
	if h.held == nil || time.Now().Before(h.rest) {
		h.step(ctx)
		return
	}
	switch h.dice.IntN(12) {
	case 0:
		h.secondPlace(ctx, pools)
	case 1:
		other := others[h.dice.IntN(len(others))]
		h.end(func() error { _, err := pools.Transfer(ctx, h.of, h.seat, other.who.Account, By{}); return err })
	case 2:
		began := h.now().Add(-time.Millisecond)
		at, err := pools.Take(ctx, h.of, h.seat.ID, 100*time.Millisecond, "", boss)
		if err != nil { // Whether it will be taken is not known: nobody may count on it.
			h.doubt(began)
		} else if at.Before(h.held.till) { // It may work until then.
			h.held.till, h.seat.Ends = at, at
		}
	case 3:
		guest := h.who
		guest.Mode, guest.Cap = Guest, h.now().Add(time.Second)
		_, _ = pools.Claim(ctx, h.of, guest, h.limits)
	default:
		h.step(ctx)
	}
}

// secondPlace works in another company for a moment, with the same seat, which counts there too.
func (h *holder) secondPlace(ctx context.Context, pools *Pools) {
	second := h.who
	if second.Company = uuid.NewSHA1(uuid.Nil, []byte("second")); second.Company == h.seat.Company {
		second.Company = h.who.Company // It began anew there: giving that place back would give back the seat.
	}
	s, err := pools.Claim(ctx, h.of, second, h.limits)
	if err != nil {
		return
	}
	if s.ID != h.seat.ID { // Its own was over, by the clock or by a transfer that is not known of.
		h.over(h.held.till)
		h.seat, h.held = s, &validity{seat: s.ID, company: s.Company, from: s.Renewed, till: s.Ends}
		return
	}
	began := h.now().Add(-time.Millisecond)
	h.note(validity{seat: s.ID, company: s.Company, from: s.Renewed, till: began, place: true})
	_ = pools.Release(ctx, h.of, s, By{})
}

// seen is a seat as its pool shows it.
func (s *turned) seen(ctx context.Context, pools *Pools, seat uuid.UUID) (Seat, bool) {
	seen, _, err := pools.See(ctx, s.of.Licence, []uuid.UUID{seat})
	if err != nil || seen[0].ID != seat {
		return Seat{}, false
	}
	return seen[0], true
}

// travels takes a seat out with a device and brings it back, again and again.
func (s *turned) travels(ctx context.Context) {
	dice := rand.New(rand.NewPCG(9, 9))
	limits := s.limits
	limits.Travel = catalogue.Travel{Days: 3, Share: 100}
	who := person(1000)
	for n := 0; ctx.Err() == nil; n++ {
		who.Device = fmt.Sprintf("laptop-%d", n)
		pools := s.copies[dice.IntN(len(s.copies))]
		t, err := pools.SendOut(ctx, s.of, id.New(), who, limits, 1, func(Traveller) ([]byte, error) { return []byte("file"), nil })
		if err != nil {
			pause(ctx, 50*time.Millisecond)
			continue
		}
		// Since when, by the pool's own time; if nobody can say so, nobody counts it.
		held, known := s.seen(ctx, pools, t.ID)
		pause(ctx, time.Duration(100+dice.IntN(900))*time.Millisecond)
		// A loss of the store begins the pool's time anew, maybe earlier: what was before it can't be held against what is after it.
		if now, same := s.seen(ctx, pools, t.ID); known && same && now.Generation == held.Generation {
			s.note(validity{seat: t.ID, company: t.Company, from: held.Renewed, till: s.now().Add(-time.Millisecond), out: true})
		}
		for back := context.WithoutCancel(ctx); ; {
			if _, err := pools.BringBack(back, s.of, t, By{}); err == nil {
				break
			}
			pause(back, 20*time.Millisecond)
		}
	}
}

// The network is cut, Redis's clock is turned forward and back, the store is lost, and people hand over seats, work in two
// companies, travel, and are thrown out: never more seats at an instant of Redis's time than the licence says.
func TestSeatsAreNeverOversoldWhileTheNetworkBreaksAndTheClockIsTurned(t *testing.T) {
	s := setupTurned(t)
	s.limits, s.back = Limits{Seats: soakSeats, PerCompany: 5, Lease: soakLease}, 2*time.Second
	steps := soakSteps(t, 50_000)
	s.left.Store(steps)
	ctx, stop := context.WithCancel(t.Context())
	var beside, work sync.WaitGroup
	beside.Go(func() { _ = s.diary.Run(ctx) })
	beside.Go(func() { s.disturb(ctx, t) })
	beside.Go(func() { s.travels(ctx) })
	holders := s.holders()
	for _, h := range holders {
		work.Go(func() {
			h.until(func() bool { return s.left.Add(-1) < 0 && s.disturbed.Load() >= disturbances }, func() { h.wild(t.Context(), holders) })
		})
	}
	work.Wait()
	stop()
	beside.Wait()
	s.judge(steps)
}
