package snapshot

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/backup/internal/names"
	"kontor.internal/services/backup/internal/snapshot/snapshotdb"
	"kontor.internal/snapshot/pgtool"
)

// scratch is a database to restore a snapshot into for a while.
type scratch struct{ snapshotdb.ScratchesOfRow }

func (s scratch) ask() *tenancyv1.CreateRestoreTargetRequest {
	of := names.Company{Subscriber: s.Subscriber, ID: s.Company}
	return &tenancyv1.CreateRestoreTargetRequest{
		Company: of.Name(), Mode: tenancyv1.RestoreMode_RESTORE_MODE_BESIDE, Key: fmt.Sprintf("%s-%d", s.Owner, s.Attempt),
	}
}

// ScratchOrder says what to restore, and for whom.
type ScratchOrder struct {
	From Stored
	// Owner is the operation, or whatever else wants it. What an attempt of its before has left is dropped first.
	Owner uuid.UUID
	// Progress hears how many bytes of rows are restored.
	Progress func(done int64)
}

// InScratch restores a snapshot into a database of its own, lets use work in it by its owner's login, and drops it, whatever
// came of it.
func (e *Engine) InScratch(ctx context.Context, o ScratchOrder, use func(ctx context.Context, login *pgtool.Login) error) error {
	return e.inEmpty(ctx, companyOf(o.From), o.Owner, func(ctx context.Context, made *tenancyv1.DatabaseLogin) error {
		if err := e.fill(ctx, o.From, made, false, o.Progress); err != nil {
			return err
		}
		return use(ctx, loginOf(made))
	})
}

// inEmpty lets use work in an empty database on a company's cluster, and drops it, whatever came of it. A row names the database
// before there is one, so that what a killed attempt leaves is dropped by its owner's next or by the sweeper.
func (e *Engine) inEmpty(ctx context.Context, of names.Company, owner uuid.UUID, use func(ctx context.Context, made *tenancyv1.DatabaseLogin) error) error {
	left, err := e.db().ScratchesOf(ctx, owner)
	if err != nil {
		return constraints.Translate(err)
	}
	for _, l := range left {
		if err := e.dropScratch(ctx, scratch{l}); err != nil {
			return err
		}
	}
	s := scratch{snapshotdb.ScratchesOfRow{Owner: owner, Company: of.ID, Subscriber: of.Subscriber}}
	if s.Attempt, err = e.db().InsertScratch(ctx, snapshotdb.InsertScratchParams{Owner: s.Owner, Company: s.Company, Subscriber: s.Subscriber}); err != nil {
		return constraints.Translate(err)
	}
	alive, stop := KeepAlive(ctx, func(ctx context.Context) (int64, error) { return e.db().KeepScratch(ctx, s.Attempt) })
	defer stop()
	err = e.useScratch(alive, &s, use)
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleaning)
	defer cancel()
	if dropped := e.endScratch(clean, s, err); dropped != nil {
		e.Log.WarnContext(ctx, "a scratch database stays until it is swept", "owner", s.Owner, "err", dropped)
	}
	return err
}

func (e *Engine) useScratch(ctx context.Context, s *scratch, use func(ctx context.Context, made *tenancyv1.DatabaseLogin) error) error {
	made, err := e.Databases.CreateRestoreTarget(ctx, s.ask())
	if err != nil {
		return &notMadeError{err}
	}
	s.Target = made.GetTarget()
	rows, err := e.db().SetScratchTarget(ctx, snapshotdb.SetScratchTargetParams{Attempt: s.Attempt, Target: s.Target})
	if err != nil {
		return constraints.Translate(err)
	}
	if rows == 0 {
		return errTaken
	}
	return use(ctx, made.GetLogin())
}

// notMadeError says that tenancy made no database, as far as is known.
type notMadeError struct{ error }

// Unwrap is tenancy's answer.
func (e *notMadeError) Unwrap() error { return e.error }

func (e *Engine) endScratch(ctx context.Context, s scratch, failed error) error {
	if refused, ok := failed.(*notMadeError); ok && !unanswered(refused.error) { //nolint:errorlint // It comes as it was made.
		return constraints.Translate(e.db().ForgetScratch(ctx, s.Attempt))
	}
	return e.dropScratch(ctx, s)
}

// dropScratch drops a database and forgets it.
func (e *Engine) dropScratch(ctx context.Context, s scratch) error {
	if s.Target == "" { // Its attempt died between asking and writing down.
		made, err := e.Databases.CreateRestoreTarget(ctx, s.ask())
		if has(err, commonv1.Reason_REASON_NOT_FOUND) || has(err, commonv1.Reason_REASON_RESTORE_TARGET_STATE) {
			return constraints.Translate(e.db().ForgetScratch(ctx, s.Attempt)) // The company is gone, or tenancy has dropped it by itself.
		}
		if err != nil {
			return err
		}
		s.Target = made.GetTarget()
	}
	_, err := e.Databases.DropRestoreTarget(ctx, &tenancyv1.DropRestoreTargetRequest{Target: s.Target})
	if err != nil && !has(err, commonv1.Reason_REASON_NOT_FOUND) {
		return err
	}
	return constraints.Translate(e.db().ForgetScratch(ctx, s.Attempt))
}

// sweepScratches drops databases that nobody uses any more.
func (e *Engine) sweepScratches(ctx context.Context) error {
	lost, err := e.db().LostScratches(ctx)
	if err != nil {
		return constraints.Translate(err)
	}
	for _, l := range lost {
		if err := e.dropScratch(ctx, scratch{snapshotdb.ScratchesOfRow(l)}); err != nil {
			e.Log.WarnContext(ctx, "a lost scratch database stays for the next time", "owner", l.Owner, "err", err)
		}
	}
	return nil
}
