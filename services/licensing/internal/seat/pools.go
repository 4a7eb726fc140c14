package seat

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/licensing/internal/licence"
	"kontor.internal/services/licensing/internal/seat/seatdb"
)

// opening bounds the opening of a pool.
const opening = 10 * time.Second

// Pools are the live seats of all licences. Safe for concurrent use, in any number of copies.
type Pools struct {
	deps PoolDeps
	f    functions

	mu      sync.Mutex
	opening map[uuid.UUID]*attempt
}

// PoolDeps are what Pools need.
type PoolDeps struct {
	Redis    redis.UniversalClient
	DB       *pgxpool.Pool
	Licences *licence.Store
	// Clock is the suite's; it tells which limits hold.
	Clock clock.Clock
	IDs   id.Source
}

// attempt is one opening under way, which all who want it wait for.
type attempt struct {
	done chan struct{}
	open bool
	err  error
}

// NewPools returns pools.
func NewPools(deps PoolDeps) *Pools {
	return &Pools{deps: deps, f: functions{redis: deps.Redis}, opening: map[uuid.UUID]*attempt{}}
}

// LimitsOf are the limits of a licence at an instant.
func LimitsOf(l licence.Licence, now time.Time) Limits {
	limits := l.TermsAt(now).Limits
	return Limits{Seats: limits.Seats, PerCompany: limits.SeatsPerCompany, Lease: time.Duration(limits.LeaseSeconds) * time.Second}
}

// Full says that nobody else may work now.
type Full struct {
	InCompany bool
	Limit     int32
	// After this long the next lease ends, if its holder is gone.
	Frees   time.Duration
	Holders []Seat // some of them
}

// Error names the limit.
func (f *Full) Error() string { return "seat: all are held" }

// Claim takes a seat, or gives the same holder its seat with a fresh lease. It refuses with *Full.
func (p *Pools) Claim(ctx context.Context, of Pool, r Request, l Limits) (Seat, error) {
	a, err := p.opened(ctx, of, func() (answer, error) {
		return p.f.call(ctx, "claim", of.Licence, p.deps.IDs().String(), r.Account.String(), r.Company.String(), r.Product, r.Device,
			r.Title, l.Seats, l.PerCompany, l.Lease.Milliseconds(), r.By.Account, r.By.Address)
	})
	if err != nil {
		return Seat{}, err
	}
	switch a.word() {
	case wordHeld:
		return a.seat(1)
	case wordLonger:
		if err := p.lengthen(ctx, of, l.Lease); err != nil {
			return Seat{}, err
		}
		return p.Claim(ctx, of, r, l)
	case wordRecovering:
		return Seat{}, recovering(a.duration(1))
	default:
		return Seat{}, fullness(a, l)
	}
}

func fullness(a answer, l Limits) error {
	holders, err := a.seats(2)
	if err != nil {
		return err
	}
	full := &Full{Limit: l.Seats, Frees: a.duration(1), Holders: holders}
	if a.word() == wordCompany {
		full.InCompany, full.Limit = true, l.PerCompany
	}
	return full
}

// lengthen lets a pool give longer leases, once its row says so: by it a recovery knows how long to wait.
func (p *Pools) lengthen(ctx context.Context, of Pool, lease time.Duration) error {
	longest, err := seatdb.New(p.deps.DB).LengthenPool(ctx, seatdb.LengthenPoolParams{Licence: of.Licence, Lease: seconds(lease)})
	if err != nil {
		return translate(err)
	}
	_, err = p.opened(ctx, of, func() (answer, error) {
		return p.f.call(ctx, "lengthen", of.Licence, int64(longest)*1000)
	})
	return err
}

// Renew lets the lease of a seat run anew. A holder whose seat Redis lost comes back to it. SEAT_LOST otherwise.
func (p *Pools) Renew(ctx context.Context, of Pool, held Seat, by By) (Seat, error) {
	a, err := p.opened(ctx, of, func() (answer, error) {
		return p.f.call(ctx, "renew", of.Licence, held.ID.String(), held.Slot, held.Ends.UnixMilli())
	})
	if err == nil && a.word() == wordEnter {
		a, err = p.enter(ctx, of, held, by)
	}
	if err != nil {
		return Seat{}, err
	}
	if a.word() != wordHeld {
		return Seat{}, failure.New(commonv1.Reason_REASON_SEAT_LOST)
	}
	return a.seat(1)
}

// enter brings a holder back, unless the holding is known to have ended.
func (p *Pools) enter(ctx context.Context, of Pool, held Seat, by By) (answer, error) {
	past, err := seatdb.New(p.deps.DB).EventsOfSeat(ctx, &held.ID)
	if err != nil {
		return nil, translate(err)
	}
	held.Title, held.Since = held.Device, p.deps.Clock.Now()
	for _, e := range past {
		switch kind(e.Kind) {
		case claimed:
			held.Title, held.Since = e.DeviceTitle, e.Happened
		case released, taken:
			return answer{wordLost}, nil
		}
	}
	return p.opened(ctx, of, func() (answer, error) { return p.f.call(ctx, "enter", of.Licence, holding(held, by)...) })
}

// holding is a held seat as `enter` and `release` in seats.lua want it.
func holding(s Seat, by By) []any {
	return []any{
		s.ID.String(), s.Account.String(), s.Company.String(), s.Product, s.Device, s.Title, s.Slot, s.Generation,
		s.Since.UnixMilli(), s.Ends.UnixMilli(), by.Account, by.Address,
	}
}

// Release gives a seat back. Repeating it changes nothing.
func (p *Pools) Release(ctx context.Context, of Pool, held Seat, by By) error {
	if over, err := p.resting(ctx, of); over || err != nil {
		return err
	}
	_, err := p.opened(ctx, of, func() (answer, error) { return p.f.call(ctx, "release", of.Licence, holding(held, by)...) })
	return err
}

// Take takes a seat away from its holder. Repeating it changes nothing.
func (p *Pools) Take(ctx context.Context, of Pool, seat uuid.UUID, by By) error {
	if over, err := p.resting(ctx, of); over || err != nil {
		return err
	}
	a, err := p.opened(ctx, of, func() (answer, error) {
		return p.f.call(ctx, "take", of.Licence, seat.String(), by.Account, by.Address)
	})
	if err == nil && a.word() == wordRecovering {
		return recovering(a.duration(1))
	}
	return err
}

// resting says that surely nobody holds a seat. It asks Redis first.
func (p *Pools) resting(ctx context.Context, of Pool) (bool, error) {
	a, err := p.f.read(ctx, "list", of.Licence, 0)
	if err != nil || a.word() == wordOpen {
		return false, err
	}
	open, err := p.settle(ctx, of.Licence, false)
	return !open, err
}

// Board is who holds the seats of a pool.
type Board struct {
	// Version differs from board to board.
	Version string
	Seats   []Seat
}

// List shows who holds seats, count of them at the most.
func (p *Pools) List(ctx context.Context, of uuid.UUID, count int) (Board, error) {
	a, err := p.told(ctx, of, func() (answer, error) { return p.f.read(ctx, "list", of, count) })
	if err != nil || a.word() == wordClosed {
		return Board{}, err
	}
	seats, err := a.seats(2)
	return Board{Version: a.text(1), Seats: seats}, err
}

// States are the ends of some seats' leases, the zero time for those that are not held. While the pool recovers, what is
// not held is not known.
func (p *Pools) States(ctx context.Context, of uuid.UUID, seats []uuid.UUID) (ends []time.Time, recovers bool, err error) {
	args := make([]any, len(seats))
	for i, s := range seats {
		args[i] = s.String()
	}
	a, err := p.told(ctx, of, func() (answer, error) { return p.f.read(ctx, "states", of, args...) })
	if err != nil {
		return nil, false, err
	}
	if a.word() == wordClosed {
		return make([]time.Time, len(seats)), false, nil
	}
	ends, err = a.states()
	return ends, a.word() == wordRecovering, err
}

// told asks a pool; one that is closed is opened unless it rests, when the answer stays `closed`.
func (p *Pools) told(ctx context.Context, of uuid.UUID, call func() (answer, error)) (answer, error) {
	for {
		a, err := call()
		if err != nil || a.word() != wordClosed {
			return a, err
		}
		if open, err := p.settle(ctx, of, false); err != nil || !open {
			return a, err
		}
	}
}

// opened asks a pool, which is opened when it is closed.
func (p *Pools) opened(ctx context.Context, of Pool, call func() (answer, error)) (answer, error) {
	for {
		a, err := call()
		if err != nil || a.word() != wordClosed {
			return a, err
		}
		if _, err := p.settle(ctx, of.Licence, true); err != nil {
			return nil, err
		}
	}
}

// settle opens a pool that is closed in Redis; one that rests only to wake it. It says whether the pool is open. All of
// this copy who want the same wait for one.
func (p *Pools) settle(ctx context.Context, of uuid.UUID, wake bool) (open bool, err error) {
	p.mu.Lock()
	going, found := p.opening[of]
	if !found {
		going = &attempt{done: make(chan struct{})}
		p.opening[of] = going
		p.mu.Unlock()
		going.open, going.err = p.settleAlone(ctx, of, wake)
		p.mu.Lock()
		delete(p.opening, of)
		close(going.done)
	}
	p.mu.Unlock()
	select {
	case <-going.done:
		if going.err == nil && !going.open && wake { // It was only looked at.
			return p.settle(ctx, of, wake)
		}
		return going.open, going.err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// settleAlone goes on when its caller goes away: others wait for it too.
func (p *Pools) settleAlone(ctx context.Context, of uuid.UUID, wake bool) (open bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), opening)
	defer cancel()
	err = p.locked(ctx, of, func(db *seatdb.Queries) error {
		a, err := p.f.read(ctx, "list", of, 0)
		if err != nil || a.word() == wordOpen {
			open = err == nil
			return err
		}
		open, err = p.openFromRow(ctx, db, of, wake)
		return err
	})
	return open, err
}

// openFromRow opens a pool in Redis under the lock. What the row says is committed first: of a pool whose opening was cut
// short nobody knows that it rests.
func (p *Pools) openFromRow(ctx context.Context, db *seatdb.Queries, of uuid.UUID, wake bool) (open bool, err error) {
	row, err := db.GetPool(ctx, of)
	if errors.Is(err, pgx.ErrNoRows) {
		row, err = seatdb.SeatPool{Licence: of, Resting: true}, nil
	}
	if err != nil || row.Resting && !wake {
		return false, err
	}
	subscriber, err := db.OwnerOfPool(ctx, of)
	if err != nil {
		return false, err
	}
	l, err := p.deps.Licences.Get(ctx, p.deps.DB, subscriber, of)
	if err != nil {
		return false, err
	}
	lease := LimitsOf(l, p.deps.Clock.Now()).Lease
	if err := db.AddPool(ctx, seatdb.AddPoolParams{Licence: of, Lease: seconds(lease)}); err != nil {
		return false, err
	}
	woken, err := db.WakePool(ctx, seatdb.WakePoolParams{Licence: of, Lease: seconds(lease)})
	if err != nil {
		return false, err
	}
	wait := time.Duration(0)
	if !row.Resting {
		wait = time.Duration(woken.LongestLease)*time.Second + margin
	}
	_, err = p.f.call(ctx, "open", of, woken.Recovery, wait.Milliseconds(), lease.Milliseconds(), int64(woken.LongestLease)*1000,
		subscriber.String(), of.String())
	return err == nil, err
}

// rest closes a pool that nobody holds a seat of.
func (p *Pools) rest(ctx context.Context, of uuid.UUID, recovery string) error {
	return p.locked(ctx, of, func(db *seatdb.Queries) error {
		a, err := p.f.call(ctx, "rest", of, recovery)
		if err != nil || a.word() != wordResting {
			return err
		}
		var r reader
		number := r.number(recovery)
		return errors.Join(r.err, db.RestPool(ctx, seatdb.RestPoolParams{Licence: of, Recovery: number}))
	})
}

// locked runs one opening or closing of a pool at a time, over all copies. Each statement within is committed at once.
func (p *Pools) locked(ctx context.Context, of uuid.UUID, run func(db *seatdb.Queries) error) error {
	conn, err := p.deps.DB.Acquire(ctx)
	if err != nil {
		return translate(err)
	}
	defer conn.Release()
	db, key := seatdb.New(conn), int64(binary.BigEndian.Uint64(of[8:]))
	if err := db.LockPool(ctx, key); err != nil {
		return translate(err)
	}
	err = run(db)
	if unlock := db.UnlockPool(context.WithoutCancel(ctx), key); unlock != nil {
		_ = conn.Conn().Close(context.WithoutCancel(ctx)) // The lock ends with the connection.
	}
	return translate(err)
}

func translate(err error) error { return postgres.Constraints{}.Translate(err) }

func seconds(d time.Duration) int32 { return int32(d / time.Second) }

func recovering(wait time.Duration) error {
	whole := (wait + time.Second - 1).Truncate(time.Second)
	return failure.New(commonv1.Reason_REASON_SEATS_RECOVERING, "seconds", wholeSeconds(whole)).WithRetry(whole)
}
