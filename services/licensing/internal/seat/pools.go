package seat

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
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
	// Clock is the suite's; it tells which limits hold. Real is the machine's.
	Clock, Real clock.Clock
	IDs         id.Source
}

// attempt is one opening under way, which all who want it wait for.
type attempt struct {
	done chan struct{}
	open bool
	err  error
}

// NewPools returns pools.
func NewPools(deps PoolDeps) *Pools {
	return &Pools{deps: deps, f: functions{redis: deps.Redis, waiting: map[uuid.UUID][]*pending{}}, opening: map[uuid.UUID]*attempt{}}
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
		a, err := p.f.read(ctx, "list", of, 0, "")
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
	lease := time.Duration(l.TermsAt(p.deps.Clock.Now()).Limits.LeaseSeconds) * time.Second
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
	if !row.Resting {
		if err := p.noteGap(ctx, db, Pool{Subscriber: subscriber, Licence: of}, woken.Recovery); err != nil {
			return false, err
		}
	}
	read, err := p.lastRead(ctx, db, of)
	if err != nil {
		return false, err
	}
	args := []any{
		woken.Recovery, wait.Milliseconds(), lease.Milliseconds(), int64(woken.LongestLease) * 1000, subscriber.String(), of.String(), read,
	}
	out, err := db.TravelSeatsOut(ctx, seatdb.TravelSeatsOutParams{Licence: of, Now: p.deps.Real.Now()})
	if err != nil {
		return false, err
	}
	for _, row := range out {
		args = append(args, outside(row)...)
	}
	_, err = p.f.call(ctx, "open", of, args...)
	return err == nil, err
}

// lastRead is the entry of the log up to which it was taken over.
func (p *Pools) lastRead(ctx context.Context, db *seatdb.Queries, of uuid.UUID) (string, error) {
	entry, err := db.PositionEntry(ctx, int16(partitionOf(of)))
	if errors.Is(err, pgx.ErrNoRows) {
		return "0-0", nil
	}
	return entry, err
}

// noteGap writes down that what happened to a pool's seats since the log was read last may be missing.
func (p *Pools) noteGap(ctx context.Context, db *seatdb.Queries, of Pool, recovery int64) error {
	partition := int16(partitionOf(of.Licence))
	at, err := p.now(ctx)
	if err != nil {
		return err
	}
	since, err := db.PositionSeen(ctx, partition)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && since.After(at) {
		since, err = at, nil
	}
	if err != nil {
		return err
	}
	return postgres.InTx(ctx, p.deps.DB, func(tx pgx.Tx) error {
		return keepGap(ctx, tx, partition, of, fmt.Sprintf("gap-%s-%d", of.Licence, recovery), since, at, p.deps.Clock.Now())
	})
}

// watch looks whether a partition was lost since it was looked at last. Its pools are opened then, each with the gap in what
// is known of it: nobody may come back to them for long. Until that is done it is not noted that the log was read further.
func (p *Pools) watch(ctx context.Context, partition int) error {
	same, err := p.f.same(ctx, partition)
	if err != nil || same {
		return err
	}
	if err := p.f.mark(ctx, partition, "begin"); err != nil {
		return err
	}
	pools, err := seatdb.New(p.deps.DB).PoolsInUse(ctx)
	if err != nil {
		return translate(err)
	}
	for _, of := range pools {
		if partitionOf(of) != partition {
			continue
		}
		if _, err := p.settle(ctx, of, false); err != nil {
			return err
		}
	}
	return p.f.mark(ctx, partition, "end")
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

// translate says CONFLICT where the same request was first elsewhere at the same instant.
func translate(err error) error {
	return postgres.Constraints{
		"travel_seat_pk": commonv1.Reason_REASON_CONFLICT, "guest_seat_pk": commonv1.Reason_REASON_CONFLICT,
	}.Translate(err)
}

// idOf is the id that a request makes something under: repeating it meets what it made before.
func idOf(of Pool, account uuid.UUID, request string) uuid.UUID {
	return uuid.NewSHA1(of.Licence, []byte(account.String()+"\n"+request))
}

func seconds(d time.Duration) int32 { return int32(d / time.Second) }

func recovering(wait time.Duration) error {
	whole := (wait + time.Second - 1).Truncate(time.Second)
	return failure.New(commonv1.Reason_REASON_SEATS_RECOVERING, "seconds", wholeSeconds(whole)).WithRetry(whole)
}
