package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/operation"
	"kontor.internal/libs/postgres"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/backup/internal/names"
	"kontor.internal/services/backup/internal/snapshot/snapshotdb"
	engine "kontor.internal/snapshot"
	"kontor.internal/snapshot/pgtool"
)

// States of a restore.
const (
	filling    = "filling"    // The target is being filled; on failure it is dropped.
	committing = "committing" // Tenancy was asked to take it into use; asked again until it answers.
	done       = "done"
	dropped    = "dropped"
)

// restoring is a restore under way.
type restoring struct {
	snapshotdb.GetRestoreRow
	from     row
	progress func(ctx context.Context, done, total int64, stepKey, step string)
}

func (r *restoring) of() names.Company {
	return names.Company{Subscriber: r.Subscriber, ID: r.Company}
}

func (r *restoring) beside() bool { return r.Mode == int32(backupv1.RestoreMode_RESTORE_MODE_BESIDE) }

// restore fills a fresh database and has tenancy take it into use. It can be
// begun again wherever an attempt before it died.
func (e *Engine) restore(ctx context.Context, r *restoring) (proto.Message, error) {
	if err := e.beginRestore(ctx, r); err != nil {
		return nil, err
	}
	if r.State == done {
		return e.restored(ctx, r)
	}
	alive, stop := keepAlive(ctx, func(ctx context.Context) error { return e.db().KeepRestore(ctx, r.ID) })
	defer stop()
	if r.State == filling {
		if err := e.prepare(alive, r); err != nil {
			return nil, e.abandon(alive, r, err)
		}
	}
	if err := e.commit(alive, r); err != nil {
		return nil, e.abandon(alive, r, err)
	}
	return e.restored(alive, r)
}

// beginRestore writes the row, or finds the one of an attempt before.
func (e *Engine) beginRestore(ctx context.Context, r *restoring) error {
	err := postgres.InTx(ctx, e.DB, func(tx pgx.Tx) error {
		q := snapshotdb.New(tx)
		found, err := q.GetRestore(ctx, r.ID)
		if errors.Is(err, pgx.ErrNoRows) {
			r.State, r.CreateTime = filling, e.Clock.Now()
			return q.InsertRestore(ctx, snapshotdb.InsertRestoreParams{
				ID: r.ID, Company: r.Company, Subscriber: r.Subscriber, Snapshot: r.Snapshot, SnapshotTime: r.from.CreateTime, Mode: r.Mode, Creator: r.Creator, CreateTime: r.CreateTime,
			})
		}
		if err != nil {
			return err
		}
		r.GetRestoreRow = found
		if r.State == dropped {
			r.State = filling
			return q.ReviveRestore(ctx, r.ID)
		}
		return q.KeepRestore(ctx, r.ID)
	})
	return constraints.Translate(err, "company", r.of().Name())
}

// prepare fills the target and, before the live books are replaced, makes a snapshot of them.
func (e *Engine) prepare(ctx context.Context, r *restoring) error {
	if err := e.fillTarget(ctx, r); err != nil {
		return err
	}
	if !r.beside() {
		if err := e.snapshotBefore(ctx, r); err != nil {
			return err
		}
	}
	r.State = committing
	return constraints.Translate(e.db().SetRestoreState(ctx, snapshotdb.SetRestoreStateParams{ID: r.ID, State: r.State}))
}

// fillTarget goes on with what an attempt before has left, where that is possible, or begins anew.
func (e *Engine) fillTarget(ctx context.Context, r *restoring) error {
	if r.Attempt > 0 && backupv1.SnapshotForm(r.from.Form) == inRepository {
		err := e.goOn(ctx, r)
		if err == nil || ctx.Err() != nil || has(err, commonv1.Reason_REASON_SNAPSHOT_DAMAGED) {
			return err
		}
		e.Log.InfoContext(ctx, "a restore that was cut off begins anew", "restore", r.ID, "err", err)
	}
	login, err := e.freshTarget(ctx, r)
	if err != nil {
		return err
	}
	return e.fill(ctx, r.from, login, false, r.filling(ctx))
}

// goOn fills what the attempt before has not. Tenancy gives its target again, with another login: the one before ends.
func (e *Engine) goOn(ctx context.Context, r *restoring) error {
	made, err := e.createTarget(ctx, r)
	if err != nil {
		return err
	}
	r.Target = made.GetTarget()
	if err := e.db().SetTarget(ctx, snapshotdb.SetTargetParams{ID: r.ID, Target: r.Target}); err != nil {
		return constraints.Translate(err)
	}
	return e.fill(ctx, r.from, made.GetLogin(), true, r.filling(ctx))
}

// filling tells how much is filled.
func (r *restoring) filling(ctx context.Context) func(done int64) {
	return func(done int64) { r.progress(ctx, done, r.from.SizeBytes, "fill", "Filling the database") }
}

func (r *restoring) key() string { return fmt.Sprintf("%s-%d", r.ID, r.Attempt) }

func (r *restoring) mode() tenancyv1.RestoreMode {
	if r.beside() {
		return tenancyv1.RestoreMode_RESTORE_MODE_BESIDE
	}
	return tenancyv1.RestoreMode_RESTORE_MODE_IN_PLACE
}

// freshTarget drops what an attempt before has half filled, and makes an empty
// database. The attempt's number is written first, so that its target can be
// asked for by its key however early the attempt dies.
func (e *Engine) freshTarget(ctx context.Context, r *restoring) (_ *tenancyv1.DatabaseLogin, err error) {
	if err := e.dropTarget(ctx, r); err != nil {
		return nil, err
	}
	if r.Attempt, err = e.db().NextAttempt(ctx, r.ID); err != nil {
		return nil, constraints.Translate(err)
	}
	made, err := e.createTarget(ctx, r)
	if err != nil {
		if !unanswered(err) {
			r.Attempt = 0 // Refused: there is no target to drop.
		}
		return nil, err
	}
	r.Target = made.GetTarget()
	err = e.db().SetTarget(ctx, snapshotdb.SetTargetParams{ID: r.ID, Target: r.Target})
	return made.GetLogin(), constraints.Translate(err)
}

func (e *Engine) createTarget(ctx context.Context, r *restoring) (*tenancyv1.CreateRestoreTargetResponse, error) {
	return e.Databases.CreateRestoreTarget(ctx, &tenancyv1.CreateRestoreTargetRequest{Company: r.of().Name(), Mode: r.mode(), Key: r.key()})
}

// dropTarget drops the present attempt's target, if there is one.
func (e *Engine) dropTarget(ctx context.Context, r *restoring) error {
	if r.Attempt == 0 {
		return nil
	}
	if r.Target == "" { // It died between asking and writing down.
		made, err := e.createTarget(ctx, r)
		if err != nil {
			return err
		}
		r.Target = made.GetTarget()
	}
	_, err := e.Databases.DropRestoreTarget(ctx, &tenancyv1.DropRestoreTargetRequest{Target: r.Target})
	if has(err, commonv1.Reason_REASON_NOT_FOUND) {
		return nil
	}
	return err
}

// fill restores a snapshot. What can't be read is noted on it.
func (e *Engine) fill(ctx context.Context, from row, target *tenancyv1.DatabaseLogin, resume bool, say func(done int64)) error {
	login := loginOf(target)
	if err := pgtool.Reach(ctx, login); err != nil {
		return err
	}
	if IsArchive(from) {
		return e.fillFromArchive(ctx, from, login, say)
	}
	repo, err := e.Repositories.OpenToRestore(ctx, whereOf(from))
	if err != nil {
		return e.NoteDamage(ctx, from, err)
	}
	known := knownOf(from)
	_, err = engine.Restore(ctx, repo, engine.RestoreOrder{
		Tools: e.Tools, Login: login, Ref: known.Ref, Head: &known.Head, Resume: resume,
		Progress: func(done, _ int64) { say(done) },
	})
	if err == nil || ctx.Err() != nil || damage(err) != "" {
		return e.NoteDamage(ctx, from, err)
	}
	detail := "copy"
	if failed := (*pgtool.Error)(nil); errors.As(err, &failed) {
		detail = failed.Program
	}
	return failure.New(commonv1.Reason_REASON_SNAPSHOT_NOT_RESTORED, "detail", detail).Wrap(err)
}

func (e *Engine) fillFromArchive(ctx context.Context, s row, login *pgtool.Login, progress func(done int64)) (err error) {
	from, err := e.open(ctx, s, 0)
	if err != nil {
		return e.NoteDamage(ctx, s, err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	say := &reporting{to: io.Discard, say: progress}
	err = e.Tools.Restore(ctx, login, io.TeeReader(from, say))
	var failed *pgtool.Error
	switch {
	case errors.As(err, &failed):
		return failure.New(commonv1.Reason_REASON_SNAPSHOT_NOT_RESTORED, "detail", failed.Program).Wrap(err)
	case err != nil:
		return e.NoteDamage(ctx, s, err)
	case say.done != s.SizeBytes: // pg_restore stops behind the last table.
		return e.readRest(ctx, s, from)
	}
	return nil
}

// readRest reads what pg_restore had no need of, so that all of the archive is known to be authentic.
func (e *Engine) readRest(ctx context.Context, s row, from io.Reader) error {
	_, err := io.Copy(io.Discard, from)
	return e.NoteDamage(ctx, s, err)
}

// patience is how long is waited between two tries at what somebody else holds for a moment.
const patience = 500 * time.Millisecond

// snapshotBefore keeps the books as they are now. It waits for a snapshot that is under way.
func (e *Engine) snapshotBefore(ctx context.Context, r *restoring) error {
	if r.Before == nil {
		own := e.IDs()
		if err := e.db().SetBefore(ctx, snapshotdb.SetBeforeParams{ID: r.ID, Before: own}); err != nil {
			return constraints.Translate(err)
		}
		r.Before = &own
	}
	return e.makeInTurn(ctx, order{
		of: r.of(), id: *r.Before, origin: backupv1.SnapshotOrigin_SNAPSHOT_ORIGIN_BEFORE_RESTORE, form: inRepository, creator: r.Creator,
		progress: func(ctx context.Context, n, total int64) {
			r.progress(ctx, n, total, "snapshot_before", "Copying the books as they are now")
		},
	})
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// unanswered says that another service gave no answer, or that nobody waited for it, so that it is unknown what it did.
func unanswered(err error) bool {
	return has(err, commonv1.Reason_REASON_DEADLINE_EXCEEDED) || has(err, commonv1.Reason_REASON_UNAVAILABLE) ||
		has(err, commonv1.Reason_REASON_CANCELLED) || errors.Is(err, context.Canceled)
}

// commitTries bounds how often tenancy is asked while it does not answer in time: it goes on with what it began.
const commitTries = 40

// commit has tenancy take the target into use.
func (e *Engine) commit(ctx context.Context, r *restoring) (err error) {
	r.progress(ctx, r.from.SizeBytes, r.from.SizeBytes, "take_into_use", "Taking the restored books into use")
	for range commitTries {
		_, err = e.Databases.CommitRestoreTarget(ctx, &tenancyv1.CommitRestoreTargetRequest{Target: r.Target})
		if !unanswered(err) {
			break
		}
		if err := wait(ctx, patience); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	return constraints.Translate(postgres.InTx(ctx, e.DB, func(tx pgx.Tx) error {
		r.State = done
		if err := snapshotdb.New(tx).SetRestoreState(ctx, snapshotdb.SetRestoreStateParams{ID: r.ID, State: done}); err != nil {
			return err
		}
		told, err := e.restoredEvent(ctx, tx, r)
		if err != nil {
			return err
		}
		return e.tell(ctx, tx, r.of(), "snapshot.restored", told)
	}))
}

func (e *Engine) restoredEvent(ctx context.Context, tx pgx.Tx, r *restoring) (*backupv1.SnapshotRestored, error) {
	s, err := toProto(r.from)
	if err != nil {
		return nil, err
	}
	told := &backupv1.SnapshotRestored{Snapshot: s}
	if r.beside() {
		told.RestoredCopy = r.copy()
		return told, nil
	}
	before, err := snapshotdb.New(tx).GetSnapshot(ctx, snapshotdb.GetSnapshotParams{ID: *r.Before, Company: r.Company, Subscriber: r.Subscriber})
	if err != nil {
		return nil, err
	}
	told.Before, err = toProto(before)
	return told, err
}

// copy is the restored copy, once beside.
func (r *restoring) copy() *backupv1.RestoredCopy {
	return &backupv1.RestoredCopy{
		Name: r.of().RestoredCopy(r.ID), Snapshot: r.of().Snapshot(r.Snapshot), SnapshotTime: timestamppb.New(r.from.CreateTime),
		Target: r.Target, CreateTime: timestamppb.New(r.CreateTime), Creator: r.Creator,
	}
}

// restored is the operation's result.
func (e *Engine) restored(ctx context.Context, r *restoring) (proto.Message, error) {
	if r.beside() {
		return r.copy(), nil
	}
	before, err := e.find(ctx, r.of(), *r.Before)
	if err != nil {
		return nil, err
	}
	return toProto(before)
}

// abandon drops the target of a restore that failed or was cancelled. One that
// stops with the service is begun again. A target that tenancy may have taken
// into use is dropped only when tenancy said that it did not.
func (e *Engine) abandon(ctx context.Context, r *restoring, failed error) error {
	stopped := ctx.Err() != nil && !errors.Is(context.Cause(ctx), operation.ErrCancelled)
	unsure := r.State == committing && (unanswered(failed) || ctx.Err() != nil)
	if stopped || unsure {
		return failed
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleaning)
	defer cancel()
	if err := e.drop(clean, r); err != nil {
		e.Log.WarnContext(ctx, "a restore's target stays until it is swept", "restore", r.ID, "err", err)
	}
	return failed
}

func (e *Engine) drop(ctx context.Context, r *restoring) error {
	if err := e.dropTarget(ctx, r); err != nil {
		return err
	}
	return constraints.Translate(e.db().SetRestoreState(ctx, snapshotdb.SetRestoreStateParams{ID: r.ID, State: dropped}))
}

// sweepRestores ends restores that nobody works on any more.
func (e *Engine) sweepRestores(ctx context.Context) error {
	lost, err := e.db().LostRestores(ctx)
	if err != nil {
		return constraints.Translate(err)
	}
	for _, l := range lost {
		r := &restoring{GetRestoreRow: snapshotdb.GetRestoreRow(l), progress: func(context.Context, int64, int64, string, string) {}}
		if err := e.sweepRestore(ctx, r); err != nil {
			e.Log.WarnContext(ctx, "a lost restore stays for the next time", "restore", r.ID, "err", err)
		}
	}
	return nil
}

func (e *Engine) sweepRestore(ctx context.Context, r *restoring) (err error) {
	if r.State == filling {
		return e.drop(ctx, r)
	}
	if r.from, err = e.find(ctx, r.of(), r.Snapshot); err != nil {
		return err
	}
	if err := e.commit(ctx, r); has(err, commonv1.Reason_REASON_RESTORE_TARGET_STATE) || has(err, commonv1.Reason_REASON_RESTORE_TARGET_UNFIT) {
		return e.drop(ctx, r)
	} else if err != nil {
		return err
	}
	return nil
}

// newRestoring is a restore as it is asked for.
func newRestoring(id uuid.UUID, from row, mode backupv1.RestoreMode, creator string) *restoring {
	return &restoring{
		GetRestoreRow: snapshotdb.GetRestoreRow{
			ID: id, Company: from.Company, Subscriber: from.Subscriber, Snapshot: from.ID, Mode: int32(mode), Creator: creator,
		},
		from: from,
	}
}
