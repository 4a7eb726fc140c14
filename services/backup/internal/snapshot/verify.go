package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/postgres"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/backup/internal/archive"
	"kontor.internal/services/backup/internal/keys"
	"kontor.internal/services/backup/internal/snapshot/snapshotdb"
	"kontor.internal/services/backup/internal/vault"
	engine "kontor.internal/snapshot"
	"kontor.internal/snapshot/pgtool"
)

// reasonName is a reason without its prefix, as events and schedules tell it.
func reasonName(err error) string {
	return strings.TrimPrefix(failure.From(err).Reason().String(), "REASON_")
}

// open reads an archive from an offset on.
func (e *Engine) open(ctx context.Context, r row, offset int64) (*archive.Reader, error) {
	if r.ObjectKey == nil {
		return nil, keys.ErrGone
	}
	object := vault.Object{
		Key: *r.ObjectKey, ID: archive.ID{Company: r.Company, Snapshot: r.ID}, Region: r.Region, Resource: companyOf(r).Snapshot(r.ID),
	}
	return e.Vault().Open(ctx, object, r.StoredBytes, uint32(r.KeyVersion), offset)
}

var errUnreadable = errors.New("snapshot: pg_restore can't read the archive")

// damage says what is wrong with a snapshot; empty when the error is no fault of the snapshot's.
func damage(err error) string {
	switch {
	case errors.Is(err, archive.ErrTruncated):
		return "truncated"
	case errors.Is(err, keys.ErrGone), errors.Is(err, engine.ErrNoKey), errors.Is(err, engine.ErrMissing), has(err, commonv1.Reason_REASON_NOT_FOUND):
		return "missing"
	case errors.Is(err, archive.ErrAltered), errors.Is(err, engine.ErrDamaged):
		return "altered"
	case errors.Is(err, errDiffers):
		return differs
	case errors.Is(err, errUnreadable):
		return "unreadable"
	}
	return ""
}

// damaged turns what is wrong with a snapshot into its typed error.
func damaged(err error) error {
	if detail := damage(err); detail != "" {
		return failure.New(commonv1.Reason_REASON_SNAPSHOT_DAMAGED, "detail", detail).Wrap(err)
	}
	return err
}

// check reads a snapshot whole.
func (e *Engine) check(ctx context.Context, r row, progress func(done int64)) error {
	if backupv1.SnapshotForm(r.Form) == archived {
		return e.checkArchive(ctx, r, progress)
	}
	repo, err := e.Repositories.Open(ctx, whereOf(r))
	if err != nil {
		return err
	}
	known := knownOf(r)
	return engine.Verify(ctx, repo, engine.VerifyOrder{Ref: known.Ref, Head: &known.Head, Progress: func(done, _ int64) { progress(done) }})
}

func (e *Engine) checkArchive(ctx context.Context, r row, progress func(done int64)) (err error) {
	from, err := e.open(ctx, r, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	sum := sha256.New()
	count := &reporting{to: sum, say: progress}
	var failed *pgtool.Error
	if err := e.Tools.Contents(ctx, io.TeeReader(from, count)); errors.As(err, &failed) {
		return errors.Join(errUnreadable, err)
	} else if err != nil {
		return err
	}
	if count.done != r.SizeBytes || !bytes.Equal(sum.Sum(nil), r.Sha256) {
		return archive.ErrAltered
	}
	return nil
}

// verify notes on a snapshot whether it can be read.
func (e *Engine) verify(ctx context.Context, r row, progress func(done int64)) (*backupv1.Snapshot, error) {
	err := e.check(ctx, r, progress)
	found := damage(err)
	if err != nil && (found == "" || ctx.Err() != nil) {
		return nil, err
	}
	return e.noteVerified(ctx, r, found)
}

// differs is what a drill finds: a snapshot that can be read, from which other rows come than are in it.
const differs = "differs"

// noteVerified notes what a reading found; nothing when all was well. That other rows are restored than are in it can't be seen by reading
// it, and stays. NOT_FOUND when the snapshot is gone: that nothing is there then is no damage.
func (e *Engine) noteVerified(ctx context.Context, was row, found string) (s *backupv1.Snapshot, err error) {
	r, err := e.find(ctx, companyOf(was), was.ID)
	if err != nil {
		return nil, err
	}
	if found == "" && r.VerifyFailure == differs {
		found = differs
	}
	now := e.Clock.Now()
	r.VerifyState, r.VerifyTime, r.VerifyFailure = int32(backupv1.VerifyState_VERIFY_STATE_GOOD), &now, found
	if found != "" {
		r.VerifyState = int32(backupv1.VerifyState_VERIFY_STATE_DAMAGED)
	}
	if s, err = toProto(r); err != nil {
		return nil, err
	}
	err = postgres.InTx(ctx, e.DB, func(tx pgx.Tx) error {
		there, err := snapshotdb.New(tx).NoteVerified(ctx, snapshotdb.NoteVerifiedParams{
			ID: r.ID, VerifyState: r.VerifyState, VerifyTime: r.VerifyTime, VerifyFailure: found,
		})
		if err == nil && there == 0 {
			err = failure.NotFound(s.GetName())
		}
		if err != nil {
			return err
		}
		return e.tell(ctx, tx, companyOf(r), "snapshot.verified", &backupv1.SnapshotVerified{Snapshot: s})
	})
	if err == nil && found != "" {
		e.damaged.Add(ctx, 1)
		e.Log.ErrorContext(ctx, "a snapshot is damaged", "snapshot", s.GetName(), "failure", found)
	}
	return s, constraints.Translate(err)
}

// suspect marks the snapshot that an attempt was compared with when it can't be read any more: the next attempt stands by itself.
func (e *Engine) suspect(ctx context.Context, a attempt, failed error) {
	found := damage(failed)
	if a.begun.Previous == nil || found == "" || ctx.Err() != nil {
		return
	}
	previous, err := e.find(ctx, a.of, a.begun.Previous.Snapshot)
	if err == nil {
		_, err = e.noteVerified(ctx, previous, found)
	}
	if err != nil {
		e.Log.WarnContext(ctx, "a damaged snapshot could not be marked", "err", err)
	}
}
