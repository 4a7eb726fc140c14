package export

import (
	"context"
	"time"

	"kontor.internal/libs/jobs"
	"kontor.internal/services/backup/internal/export/exportdb"
	"kontor.internal/services/backup/internal/snapshot"
)

// Periodic are the timers of exports.
func (e *Exports) Periodic(check time.Duration) []jobs.Periodic {
	return []jobs.Periodic{
		{Name: "end-exports", Every: check, AtStart: true, Run: e.sweepEnded},
		{Name: "sweep-export-objects", Every: time.Hour, Run: e.sweepObjects},
	}
}

// sweepEnded takes away the exports whose time is over, and what killed attempts have left.
func (e *Exports) sweepEnded(ctx context.Context) error {
	ended, err := e.db().EndedExports(ctx, e.Clock.Now())
	if err != nil {
		return constraints.Translate(err)
	}
	for _, one := range ended {
		if err := e.takeAway(ctx, one); err != nil {
			e.Log.WarnContext(ctx, "an export that has ended stays for the next time", "export", one.ID, "err", err)
		}
	}
	return nil
}

// takeAway deletes the object, then the row that says where it is.
func (e *Exports) takeAway(ctx context.Context, one exportdb.EndedExportsRow) error {
	if err := e.Vault().Remove(ctx, one.ObjectKey); err != nil {
		return err
	}
	return constraints.Translate(e.db().DropClaim(ctx, exportdb.DropClaimParams{ID: one.ID, Claim: one.Claim}))
}

// sweepObjects deletes objects that no row names.
func (e *Exports) sweepObjects(ctx context.Context) error {
	return e.Vault().Sweep(ctx, folder, snapshot.OrphansBefore(), func(ctx context.Context, key string) (bool, error) {
		named, err := e.db().HasObject(ctx, key)
		return named, constraints.Translate(err)
	})
}
