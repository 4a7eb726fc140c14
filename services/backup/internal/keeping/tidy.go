package keeping

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/postgres"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	"kontor.internal/services/backup/internal/keeping/keepingdb"
	"kontor.internal/services/backup/internal/keys"
	"kontor.internal/services/backup/internal/names"
	"kontor.internal/services/backup/internal/repository"
	"kontor.internal/services/backup/internal/retention"
	"kontor.internal/snapshot"
)

const (
	// atOnce is how many companies one run of a timer looks at.
	atOnce = 50
	// damagedKept is how long a damaged snapshot is kept, for whoever wants to know why it is.
	damagedKept = 30 * 24 * time.Hour
	// again is how soon one comes again whose tidying failed, or asking about whom did.
	again = time.Hour
)

// tidyDue queues the companies whose turn it is. A queued one comes again if its job is lost.
func (k *Keeper) tidyDue(ctx context.Context) error {
	now := k.Clock.Now()
	due, err := k.db().Untidy(ctx, keepingdb.UntidyParams{Now: now, Most: atOnce})
	if err != nil {
		return constraints.Translate(err)
	}
	for _, c := range due {
		err := postgres.InTx(ctx, k.DB, func(tx pgx.Tx) error {
			next := keepingdb.PostponeParams{Company: c.ID, TidyTime: now.Add(min(again, k.TidyEvery))}
			if err := keepingdb.New(tx).Postpone(ctx, next); err != nil {
				return err
			}
			return k.jobs.InsertTx(ctx, tx, turn{Subscriber: c.Subscriber, Company: c.ID}, nil)
		})
		if err != nil {
			return constraints.Translate(err)
		}
	}
	return nil
}

// takeTurn tidies one company's copies.
func (k *Keeper) takeTurn(ctx context.Context, t turn) error {
	if err := k.tidy(ctx, names.Company{Subscriber: t.Subscriber, ID: t.Company}); err != nil {
		return err
	}
	now := k.Clock.Now()
	return constraints.Translate(k.db().NoteTidied(ctx, keepingdb.NoteTidiedParams{Company: t.Company, TidyTime: now.Add(k.TidyEvery), TidiedTime: &now}))
}

// tidy takes away the snapshots of a company whose time is over, then what nothing needs any more. It may be stopped anywhere
// and repeated; of two at once one does it.
func (k *Keeper) tidy(ctx context.Context, of names.Company) error {
	return k.Repositories.Alone(ctx, "tidy "+of.Name(), func() error {
		destroyed, err := k.clearDestroyed(ctx, of)
		if err != nil || destroyed {
			return err
		}
		if err := k.expire(ctx, of); err != nil {
			return err
		}
		regions, err := k.db().Repositories(ctx, of.ID)
		if err != nil {
			return constraints.Translate(err)
		}
		for _, region := range regions {
			_, err := k.Repositories.Collect(ctx, repository.Of{Company: of, Region: region})
			if err != nil && !errors.Is(err, keys.ErrGone) {
				return err
			}
		}
		return nil
	})
}

// expire takes the snapshots away whose time is over. Each form is judged by itself in each region. Damaged ones do not stand
// for their time.
func (k *Keeper) expire(ctx context.Context, of names.Company) error {
	rows, err := k.db().Kept(ctx, of.ID)
	if err != nil {
		return constraints.Translate(err)
	}
	type group struct {
		region string
		form   int32
	}
	now, good, over := k.Clock.Now(), map[group][]retention.Snapshot{}, []uuid.UUID{}
	for _, r := range rows {
		if backupv1.VerifyState(r.VerifyState) != backupv1.VerifyState_VERIFY_STATE_DAMAGED {
			g := group{r.Region, r.Form}
			good[g] = append(good[g], retention.Snapshot{ID: r.ID, Moment: r.CreateTime, Why: retention.Why(r.Origin)})
		} else if now.Sub(r.CreateTime) > damagedKept {
			over = append(over, r.ID)
		}
	}
	for _, some := range good {
		for _, s := range k.Rules.Over(some, now) {
			over = append(over, s.ID)
		}
	}
	for _, one := range over {
		if err := k.expireOne(ctx, of, one); err != nil {
			return err
		}
	}
	return nil
}

// expireOne takes one snapshot away, unless a hold stands or a restore needs it. The row goes first: what is left of a
// snapshot without a row is taken away by collections and sweepers.
func (k *Keeper) expireOne(ctx context.Context, of names.Company, one uuid.UUID) error {
	var gone keepingdb.ExpireRow
	err := postgres.InTx(ctx, k.DB, func(tx pgx.Tx) (err error) {
		if gone, err = keepingdb.New(tx).Expire(ctx, one); err != nil {
			return err
		}
		return k.tell(ctx, tx, of, "snapshot.expired", &backupv1.SnapshotExpired{Snapshot: of.Snapshot(one)})
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return constraints.Translate(err)
	}
	where := repository.Of{Company: of, Region: gone.Region}
	if gone.ObjectKey != nil {
		return k.Repositories.Stores.Remove(ctx, gone.Region, *gone.ObjectKey)
	}
	repo, err := k.Repositories.Open(ctx, where)
	if errors.Is(err, keys.ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	return snapshot.Drop(ctx, repo, snapshot.Ref{Sequence: uint64(gone.Sequence), Snapshot: one})
}
