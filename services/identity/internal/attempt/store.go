package attempt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/identity/internal/attempt/attemptdb"
)

// knownFor is how long an address stays known after the last sign-in from it.
const knownFor = 90 * 24 * time.Hour

// DB is a database that transactions begin in.
type DB interface {
	attemptdb.DBTX
	postgres.TxStarter
}

// Store counts attempts in PostgreSQL.
type Store struct {
	db   DB
	real clock.Clock
}

// NewStore returns a store. Its clock is the real one: nobody's guesses wait for
// a business date.
func NewStore(db DB, real clock.Clock) *Store { return &Store{db: db, real: real} }

// Target is whose password is tried from where.
type Target struct {
	// Account is the account; the nil UUID when there is none.
	Account uuid.UUID
	// Key is the identifier that was given, in the form that is compared.
	Key string
	// Address is where the request came from.
	Address string
}

// subject is who is tried. Identifiers without an account are counted just as
// accounts are, so that counting does not tell them apart; hashed, because
// people type passwords into that field too.
func (t Target) subject() string {
	if t.Account != uuid.Nil {
		return "account " + t.Account.String()
	}
	sum := sha256.Sum256([]byte(t.Key))
	return "identifier " + hex.EncodeToString(sum[:])
}

// counter is one subject under one limit.
type counter struct {
	subject string
	limit   Limit
	count   Count
}

// Attempt is one that was let through.
type Attempt struct {
	store    *Store
	target   Target
	subjects []counter
}

// Begin lets an attempt through, counted as failed until Succeed or Withdraw
// says otherwise, or refuses it with TOO_MANY_ATTEMPTS.
func (s *Store) Begin(ctx context.Context, t Target) (*Attempt, error) {
	a := &Attempt{store: s, target: t}
	var wait time.Duration
	err := postgres.InTx(ctx, s.db, func(tx pgx.Tx) (err error) {
		wait, err = a.begin(ctx, tx)
		return err
	})
	if err != nil {
		return nil, postgres.Constraints(nil).Translate(err)
	}
	if wait > 0 {
		seconds := strconv.Itoa(int((wait + time.Second - 1) / time.Second))
		return nil, failure.New(commonv1.Reason_REASON_TOO_MANY_ATTEMPTS, "retry_seconds", seconds).WithRetry(wait)
	}
	return a, nil
}

func (a *Attempt) begin(ctx context.Context, tx pgx.Tx) (wait time.Duration, err error) {
	q, now := attemptdb.New(tx), a.store.real.Now()
	if a.subjects, err = a.store.counters(ctx, q, a.target, now); err != nil {
		return 0, err
	}
	for i := range a.subjects {
		c := &a.subjects[i]
		row, err := q.Lock(ctx, attemptdb.LockParams{Subject: c.subject, Now: now})
		if err != nil {
			return 0, err
		}
		var waits time.Duration
		c.count, waits = c.limit.Try(Count{Failures: int(row.Failures), Last: row.LastTime, Next: row.NextTime}, now)
		wait = max(wait, waits)
	}
	if wait > 0 {
		return wait, nil
	}
	return 0, put(ctx, q, a.subjects)
}

// counters lists what an attempt counts against, in the order of locking.
func (s *Store) counters(ctx context.Context, q *attemptdb.Queries, t Target, now time.Time) ([]counter, error) {
	network := Network(t.Address)
	list := []counter{{subject: t.subject() + " at " + network, limit: AtAddress}}
	known, err := q.IsKnown(ctx, attemptdb.IsKnownParams{AccountID: t.Account, Address: network, Since: now.Add(-knownFor)})
	if err != nil {
		return nil, err
	}
	if !known {
		list = append(list, counter{subject: t.subject(), limit: ByStrangers}, counter{subject: "address " + network, limit: FromAddress})
	}
	slices.SortFunc(list, func(a, b counter) int { return strings.Compare(a.subject, b.subject) })
	return list, nil
}

// Succeed gives an attempt back that proved right and forgets the failures
// before it at this address, which is a known one from now on.
func (a *Attempt) Succeed(ctx context.Context, tx pgx.Tx) error {
	if err := a.forgive(ctx, tx); err != nil {
		return err
	}
	return a.store.Know(ctx, tx, a.target.Account, a.target.Address)
}

// Withdraw gives an attempt back that could not be tried at all.
func (a *Attempt) Withdraw(ctx context.Context) error {
	return postgres.InTx(ctx, a.store.db, func(tx pgx.Tx) error { return a.forgive(ctx, tx) })
}

func (a *Attempt) forgive(ctx context.Context, tx pgx.Tx) error {
	q := attemptdb.New(tx)
	for i := range a.subjects {
		c := &a.subjects[i]
		row, err := q.Lock(ctx, attemptdb.LockParams{Subject: c.subject, Now: a.store.real.Now()})
		if err != nil {
			return err
		}
		c.count = c.limit.Forgive(Count{Failures: int(row.Failures), Last: row.LastTime, Next: row.NextTime})
	}
	return put(ctx, q, a.subjects)
}

func put(ctx context.Context, q *attemptdb.Queries, list []counter) error {
	for _, c := range list {
		err := q.Put(ctx, attemptdb.PutParams{
			Subject: c.subject, Failures: int32(c.count.Failures), LastTime: c.count.Last, NextTime: c.count.Next,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Know makes an address known for an account, and forgets its failures there.
func (s *Store) Know(ctx context.Context, tx pgx.Tx, account uuid.UUID, address string) error {
	q, network := attemptdb.New(tx), Network(address)
	if err := q.Drop(ctx, Target{Account: account}.subject()+" at "+network); err != nil {
		return err
	}
	return q.Know(ctx, attemptdb.KnowParams{AccountID: account, Address: network, LastTime: s.real.Now()})
}

// Purge forgets what no longer slows anybody.
func (s *Store) Purge(ctx context.Context) error {
	q, now := attemptdb.New(s.db), s.real.Now()
	if _, err := q.PurgeAttempts(ctx, now.Add(-2*time.Hour)); err != nil {
		return err
	}
	_, err := q.PurgeKnown(ctx, now.Add(-knownFor))
	return err
}
