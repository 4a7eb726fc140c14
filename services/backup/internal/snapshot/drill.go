package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"kontor.internal/libs/postgres"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/backup/internal/names"
	"kontor.internal/services/backup/internal/snapshot/snapshotdb"
	engine "kontor.internal/snapshot"
	"kontor.internal/snapshot/pgtool"
)

// newest is a company's newest snapshot of a form that was not found damaged.
func (e *Engine) newest(ctx context.Context, of names.Company, form backupv1.SnapshotForm) (row, error) {
	r, err := e.db().NewestGood(ctx, snapshotdb.NewestGoodParams{Company: of.ID, Subscriber: of.Subscriber, Form: int32(form)})
	return row(r), postgres.NotFound(err, of.Name()+"/snapshots")
}

// VerifyNewest reads a company's newest good snapshot of a form back, and notes what it finds. NOT_FOUND when there is none.
func (e *Engine) VerifyNewest(ctx context.Context, of names.Company, form backupv1.SnapshotForm) error {
	r, err := e.newest(ctx, of, form)
	if err == nil {
		_, err = e.verify(ctx, r, func(int64) {})
	}
	return err
}

// ErrNotRestored says that a drill's restore failed, and that it may not have been the snapshot's fault.
var ErrNotRestored = errors.New("snapshot: the drill's restore failed")

// errDiffers says that something else was restored than is in the snapshot.
var errDiffers = errors.New("snapshot: what was restored differs")

// DrillNewest restores a company's newest good snapshot IN_REPOSITORY, holds what was restored against it, and notes what it finds. NOT_FOUND
// when there is none, ErrNotRestored when nothing is known. A restore that fails the last time is the snapshot's fault, unless the server says that it is its own.
func (e *Engine) DrillNewest(ctx context.Context, of names.Company, last bool) error {
	r, err := e.newest(ctx, of, inRepository)
	if err != nil {
		return err
	}
	// A company has one drill at a time, so its id owns the database.
	return e.inEmpty(ctx, of, of.ID, func(ctx context.Context, made *tenancyv1.DatabaseLogin) error {
		login := loginOf(made)
		err := e.rehearse(ctx, r, login)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			return constraints.Translate(e.db().NoteDrilled(ctx, snapshotdb.NoteDrilledParams{ID: r.ID, DrillTime: e.Clock.Now()}))
		}
		found := damage(err)
		if found == "" && (!last || serversFault(err) || pgtool.Reach(ctx, login) != nil) {
			return fmt.Errorf("%w: %w", ErrNotRestored, err)
		}
		e.Log.ErrorContext(ctx, "a drill failed", "snapshot", of.Snapshot(r.ID), "err", err)
		_, err = e.noteVerified(ctx, r, cmp.Or(found, "unreadable"))
		return err
	})
}

// rehearse restores and compares.
func (e *Engine) rehearse(ctx context.Context, r row, login *pgtool.Login) error {
	repo, err := e.Repositories.Open(ctx, whereOf(r))
	if err != nil {
		return err
	}
	known := knownOf(r)
	if _, err := engine.Restore(ctx, repo, engine.RestoreOrder{Tools: e.Tools, Login: login, Ref: known.Ref, Head: &known.Head}); err != nil {
		return err
	}
	unlike, err := engine.CompareAgainst(ctx, repo, engine.AgainstOrder{Login: login, Ref: known.Ref, Head: &known.Head})
	if err != nil || len(unlike) == 0 {
		return err
	}
	first := unlike[0]
	return fmt.Errorf("%w in %d places: %s of %s.%s", errDiffers, len(unlike), first.What, first.Schema, first.Name)
}

// serversFault says that the database server had no room, was stopped or broken, and not the snapshot.
func serversFault(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch refused.Code[:2] {
		case "08", "53", "57", "58", "XX": // PostgreSQL's classes of errors, appendix A.
			return true
		}
	}
	return has(err, commonv1.Reason_REASON_COMPANY_DATABASE_UNREACHABLE)
}
