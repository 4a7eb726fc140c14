// Package repository keeps each company's snapshots in a repository of its own: its keys, its ledger of collections, and
// what is committed to it.
package repository

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/postgres"
	"kontor.internal/services/backup/internal/keys"
	"kontor.internal/services/backup/internal/names"
	"kontor.internal/services/backup/internal/region"
	"kontor.internal/services/backup/internal/repository/repositorydb"
	"kontor.internal/snapshot"
)

// Repositories are those of all companies.
type Repositories struct {
	DB     *pgxpool.Pool
	Clock  clock.Clock
	Stores *region.Stores
	Keys   *keys.Keys
	// Cache is a folder of this machine for what next snapshots need of the last; it may be lost. Empty: none.
	Cache string
	// WholeEvery is how often every row is read, whatever surely did not change.
	WholeEvery time.Duration
}

// Of says whose, and where.
type Of struct {
	names.Company
	Region string
}

// ErrOutlived says that collections have overtaken an attempt, which took too long: what it counted on may be gone.
var ErrOutlived = errors.New("repository: collections have overtaken the snapshot")

// folder is where a repository lies in its region's store.
func folder(of Of) string {
	return "repositories/" + of.Region + "/" + of.Subscriber.String() + "/" + of.ID.String()
}

// Place is where a repository lies, for those who need no keys.
func (r *Repositories) Place(of Of) snapshot.Place {
	return snapshot.Place{Store: snapshot.In(r.Stores.Of(of.Region)), Folder: folder(of)}
}

// SecondPlace is where its second copy lies in another region; ok is false when there is to be none.
func (r *Repositories) SecondPlace(of Of) (_ snapshot.Place, second string, ok bool) {
	if second = r.Stores.Second(of.Region); second == "" {
		return snapshot.Place{}, "", false
	}
	return snapshot.Place{Store: snapshot.In(r.Stores.Of(second)), Folder: "second/" + second + "/" + folder(of)}, second, true
}

// Open is a repository to read.
func (r *Repositories) Open(ctx context.Context, of Of) (snapshot.Repository, error) {
	k, err := r.Keys.Get(ctx, of.Region, of.ID)
	return r.with(of, k), err
}

// OpenToWrite is a repository to write to; its keys are made when there are none.
func (r *Repositories) OpenToWrite(ctx context.Context, of Of) (snapshot.Repository, error) {
	k, err := r.Keys.GetOrMake(ctx, of.Region, of.ID)
	return r.with(of, k), err
}

func (r *Repositories) with(of Of, k snapshot.Keys) snapshot.Repository {
	place := r.Place(of)
	return snapshot.Repository{Store: place.Store, Folder: place.Folder, Keys: k}
}

// OpenSecond is its second copy, to read.
func (r *Repositories) OpenSecond(ctx context.Context, of Of) (snapshot.Repository, error) {
	place, _, ok := r.SecondPlace(of)
	if !ok {
		return snapshot.Repository{}, snapshot.ErrMissing
	}
	k, err := r.Keys.Get(ctx, of.Region, of.ID)
	return snapshot.Repository{Store: place.Store, Folder: place.Folder, Keys: k}, err
}

// CacheOf is where the next snapshot finds what it needs of the last; empty without a cache.
func (r *Repositories) CacheOf(of Of) string {
	if r.Cache == "" {
		return ""
	}
	return filepath.Join(r.Cache, of.ID.String(), of.Region)
}

// Begun is an attempt to make a snapshot.
type Begun struct {
	// Ref is the attempt's own.
	Ref snapshot.Ref
	// Generation of the repository that it begins in.
	Generation snapshot.Generation
	// Previous is what it is compared with; nil without any.
	Previous *snapshot.Known
	// Whole says that it is time to read every row.
	Whole bool
}

// Begin begins an attempt at a snapshot of this id. It goes with the claim of the company. When damage has been found since the last one
// was begun, which may hang on the same packs, the next one is compared with none, and stands by itself.
func (r *Repositories) Begin(ctx context.Context, tx pgx.Tx, of Of, id uuid.UUID) (*Begun, error) {
	q, now := repositorydb.New(tx), r.Clock.Now()
	next, err := q.NextSequence(ctx, repositorydb.NextSequenceParams{
		Company: of.ID, Region: of.Region, Subscriber: of.Subscriber,
	})
	if err != nil {
		return nil, err
	}
	b := &Begun{Ref: snapshot.Ref{Sequence: uint64(next.Sequence), Snapshot: id}, Generation: snapshot.Generation(next.Generation)}
	last, err := q.LastCommitted(ctx, repositorydb.LastCommittedParams{Company: of.ID, Region: of.Region})
	if errors.Is(err, pgx.ErrNoRows) {
		b.Whole = true
		return b, nil
	}
	if err != nil {
		return nil, err
	}
	damaged, err := q.DamagedSince(ctx, repositorydb.DamagedSinceParams{Company: of.ID, Region: of.Region, Since: last.CreateTime})
	if err != nil {
		return nil, err
	}
	if damaged {
		b.Whole = true
		return b, nil
	}
	known := Known(last.ID, last.Sequence, last.Head)
	b.Previous = &known
	whole, err := q.LastWhole(ctx, repositorydb.LastWholeParams{Company: of.ID, Region: of.Region})
	if errors.Is(err, pgx.ErrNoRows) {
		b.Whole, err = true, nil
	} else {
		b.Whole = !whole.Add(r.WholeEvery).After(now)
	}
	return b, err
}

// Known is a committed snapshot by its row.
func Known(id uuid.UUID, sequence int64, head []byte) snapshot.Known {
	return snapshot.Known{Ref: snapshot.Ref{Sequence: uint64(sequence), Snapshot: id}, Head: snapshot.Head(head)}
}

// Commit makes sure that what a snapshot needs stays. It goes with writing down that the snapshot is there. ErrOutlived.
func (r *Repositories) Commit(ctx context.Context, tx pgx.Tx, of Of, b *Begun, needs []string) error {
	err := r.ledger(ctx, tx, of, func(l *snapshot.Ledger) error {
		if !l.Commit(b.Generation, needs) {
			return ErrOutlived
		}
		return nil
	})
	if err != nil {
		return err
	}
	return repositorydb.New(tx).NoteCommitted(ctx, repositorydb.NoteCommittedParams{Company: of.ID, Region: of.Region, Committed: int64(b.Ref.Sequence)})
}

// ledger changes a repository's ledger in a transaction.
func (r *Repositories) ledger(ctx context.Context, tx pgx.Tx, of Of, change func(l *snapshot.Ledger) error) error {
	q := repositorydb.New(tx)
	row, err := q.LockLedger(ctx, repositorydb.LockLedgerParams{Company: of.ID, Region: of.Region})
	if err != nil {
		return err
	}
	l := &snapshot.Ledger{
		Generation: snapshot.Generation(row.Generation), Collecting: row.Collecting, Suspects: row.Suspects, Cleared: row.Cleared,
	}
	if err := change(l); err != nil {
		return err
	}
	return q.SaveLedger(ctx, repositorydb.SaveLedgerParams{
		Company: of.ID, Region: of.Region, Generation: int64(l.Generation), Collecting: l.Collecting,
		Suspects: notNil(l.Suspects), Cleared: notNil(l.Cleared),
	})
}

func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// Collect takes away what no snapshot of a repository needs any more. It may be stopped anywhere and repeated; while
// another collects in it, nothing is done.
func (r *Repositories) Collect(ctx context.Context, of Of) (*snapshot.Collected, error) {
	var done *snapshot.Collected
	err := r.Alone(ctx, folder(of), func() error {
		repo, err := r.Open(ctx, of)
		if err != nil {
			return err
		}
		if done, err = snapshot.Collect(ctx, repo, func(ctx context.Context) (snapshot.Raised, error) { return r.raise(ctx, of) }); err != nil {
			return err
		}
		return postgres.InTx(ctx, r.DB, func(tx pgx.Tx) error {
			return r.ledger(ctx, tx, of, func(l *snapshot.Ledger) error {
				l.Settle(done.Suspects)
				return nil
			})
		})
	})
	return done, err
}

// raise begins a generation.
func (r *Repositories) raise(ctx context.Context, of Of) (raised snapshot.Raised, err error) {
	err = postgres.InTx(ctx, r.DB, func(tx pgx.Tx) error {
		err := r.ledger(ctx, tx, of, func(l *snapshot.Ledger) error {
			raised.Suspects = l.Raise()
			return nil
		})
		if err != nil {
			return err
		}
		rows, err := repositorydb.New(tx).Committed(ctx, repositorydb.CommittedParams{Company: of.ID, Region: of.Region})
		for _, row := range rows {
			raised.Committed = append(raised.Committed, Known(row.ID, row.Sequence, row.Head))
		}
		return err
	})
	return raised, err
}

// Alone runs one tidying or copying of a name at a time, over all copies of the service. While another does, nothing is done.
func (r *Repositories) Alone(ctx context.Context, name string, run func() error) error {
	conn, err := r.DB.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	q := repositorydb.New(conn)
	if mine, err := q.TryLock(ctx, name); err != nil || !mine {
		return err
	}
	err = run()
	if unlock := q.Unlock(context.WithoutCancel(ctx), name); unlock != nil {
		_ = conn.Conn().Close(context.WithoutCancel(ctx)) // The lock ends with the connection.
	}
	return err
}
