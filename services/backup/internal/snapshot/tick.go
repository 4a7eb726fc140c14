package snapshot

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/events"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/postgres"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/backup/internal/names"
	"kontor.internal/services/backup/internal/snapshot/snapshotdb"
)

// Queue is where scheduled snapshots wait; its limit is how many are made at once.
const Queue = "scheduled"

// orphanAge is how old an object without a row must be to be swept: no attempt lasts that long.
const orphanAge = 24 * time.Hour

// turn is one company's scheduled snapshot.
type turn struct {
	Subscriber uuid.UUID `json:"subscriber"`
	Company    uuid.UUID `json:"company"`
	Due        time.Time `json:"due"`
}

// Kind of the job.
func (turn) Kind() string { return "scheduled_snapshot" }

// InsertOpts: what failed comes again by the schedule, not by River.
func (turn) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: Queue, MaxAttempts: 1} }

type turnWorker struct {
	river.WorkerDefaults[turn]
	engine *Engine
}

// Timeout: a copy takes as long as it takes.
func (*turnWorker) Timeout(*river.Job[turn]) time.Duration { return -1 }

// Work makes one company's scheduled snapshot.
func (w *turnWorker) Work(ctx context.Context, job *river.Job[turn]) error {
	return w.engine.takeTurn(ctx, job.Args)
}

// AddWorkers adds the schedule's worker.
func (e *Engine) AddWorkers(workers *river.Workers) { river.AddWorker(workers, &turnWorker{engine: e}) }

// UseJobs gives the schedule the client that its turns are queued with; the
// client needs the workers first.
func (e *Engine) UseJobs(client *jobs.Client) { e.jobs = client }

// Periodic are the schedule's timers.
func (e *Engine) Periodic(check, scan time.Duration) []jobs.Periodic {
	return []jobs.Periodic{
		{Name: "queue-snapshots", Every: check, AtStart: true, Run: e.queueDue},
		{Name: "late-snapshots", Every: check, AtStart: true, Run: e.tellLate},
		{Name: "scan-companies", Every: scan, AtStart: true, Run: e.scan},
		{Name: "sweep-attempts", Every: time.Minute, Run: e.sweepAttempts},
		{Name: "sweep-restores", Every: time.Minute, Run: e.sweepRestores},
		{Name: "sweep-scratches", Every: check, Run: e.sweepScratches},
		{Name: "sweep-objects", Every: time.Hour, Run: e.sweepObjects},
	}
}

// Companies hears of companies as soon as they are ready.
func (e *Engine) Companies() events.Consumer {
	return events.Consumer{
		Name: "backup-companies", Filters: []string{"kontor.tenancy.company.>"}, AcceptAnyFirst: true,
		Handle: func(ctx context.Context, _ pgx.Tx, r events.Received) error {
			var ready tenancyv1.CompanyReady
			if !r.Is(&ready) {
				return nil
			}
			if err := r.Decode(&ready); err != nil {
				return err
			}
			return e.noteCompany(ctx, ready.GetCompany(), e.Rules.First)
		},
	}
}

func (e *Engine) noteCompany(ctx context.Context, c *tenancyv1.Company, turn func(company uuid.UUID, now time.Time) time.Time) error {
	of, err := names.ParseCompany(c.GetName())
	if err != nil {
		return err
	}
	return e.note(ctx, of, c.GetRegion(), turn)
}

// scan makes sure that no company is missed, whatever became of the events.
func (e *Engine) scan(ctx context.Context) error {
	for token := ""; ; {
		page, err := e.Directory.ScanCompanies(ctx, &tenancyv1.ScanCompaniesRequest{PageSize: 1000, PageToken: token})
		if err != nil {
			return err
		}
		for _, c := range page.GetCompanies() {
			if err := e.noteCompany(ctx, c, e.Rules.Next); err != nil {
				return err
			}
		}
		if token = page.GetNextPageToken(); token == "" {
			return nil
		}
	}
}

// queuedAtOnce bounds how many companies are queued in one go.
const queuedAtOnce = 500

// queueDue queues the companies whose turn has come, those without a copy and
// with the oldest first, but for those that nobody has been to since their last
// snapshot. A queued company comes again if its job is lost.
func (e *Engine) queueDue(ctx context.Context) error {
	now := e.Clock.Now()
	due, err := e.db().DueCompanies(ctx, snapshotdb.DueCompaniesParams{Now: now, Most: queuedAtOnce})
	if err != nil {
		return constraints.Translate(err)
	}
	quiet := e.quiet(ctx, due, now)
	for _, c := range due {
		if quiet[c.ID] {
			err = e.db().NoteUnchanged(ctx, snapshotdb.NoteUnchangedParams{ID: c.ID, UnchangedTime: &now, NextTime: e.Rules.Next(c.ID, now)})
		} else {
			err = e.queue(ctx, c, now)
		}
		if err != nil {
			return constraints.Translate(err)
		}
	}
	return nil
}

func (e *Engine) queue(ctx context.Context, c snapshotdb.Company, now time.Time) error {
	return postgres.InTx(ctx, e.DB, func(tx pgx.Tx) error {
		again := snapshotdb.PostponeParams{ID: c.ID, NextTime: e.Rules.Retry(now, 5)}
		if err := snapshotdb.New(tx).Postpone(ctx, again); err != nil {
			return err
		}
		return e.jobs.InsertTx(ctx, tx, turn{Subscriber: c.Subscriber, Company: c.ID, Due: c.NextTime}, nil)
	})
}

// takeTurn makes a scheduled snapshot, or notes why there is none.
func (e *Engine) takeTurn(ctx context.Context, t turn) error {
	of := names.Company{Subscriber: t.Subscriber, ID: t.Company}
	c, err := e.db().GetCompany(ctx, snapshotdb.GetCompanyParams{ID: of.ID, Subscriber: of.Subscriber})
	if err != nil {
		return constraints.Translate(err)
	}
	now := e.Clock.Now()
	if c.LastTime != nil && !c.LastTime.Before(t.Due) {
		return e.postpone(ctx, of, now) // Somebody made one meanwhile.
	}
	err = e.require(ctx, of, licensingv1.Action_ACTION_BACKUP)
	if has(err, commonv1.Reason_REASON_RIGHT_MISSING) {
		return constraints.Translate(e.db().Pause(ctx, snapshotdb.PauseParams{ID: of.ID, NextTime: e.Rules.Next(of.ID, now)}))
	}
	if err == nil {
		err = constraints.Translate(e.db().Unpause(ctx, snapshotdb.UnpauseParams{ID: of.ID, PausedUntil: &now}))
	}
	if err != nil {
		return e.noteFailed(ctx, of, err)
	}
	err = e.makeScheduled(ctx, of)
	if errors.Is(err, errBusy) {
		return constraints.Translate(e.db().Postpone(ctx, snapshotdb.PostponeParams{ID: of.ID, NextTime: e.Clock.Now().Add(busyPause)}))
	}
	if err != nil && ctx.Err() == nil {
		e.Log.WarnContext(ctx, "a scheduled snapshot was not made", "company", of.Name(), "err", err)
	}
	return nil // The schedule brings it again.
}

// makeScheduled makes a snapshot in the repository and, once a week, an archive beside it. Books that a repository can't
// take are archived each time.
func (e *Engine) makeScheduled(ctx context.Context, of names.Company) error {
	o := order{of: of, origin: backupv1.SnapshotOrigin_SNAPSHOT_ORIGIN_SCHEDULED, progress: func(context.Context, int64, int64) {}}
	o.id, o.form = e.IDs(), inRepository
	made, err := e.make(ctx, o)
	if err == nil {
		due, err := e.archiveDue(ctx, of, made.GetRegion())
		if err != nil || !due {
			return err
		}
	} else if !has(err, commonv1.Reason_REASON_SNAPSHOT_REFUSED) {
		return err
	}
	o.id, o.form, o.beside = e.IDs(), archived, err == nil
	_, archiving := e.make(ctx, o)
	return errors.Join(err, archiving)
}

// archiveDue says whether it is time for another archive of a company.
func (e *Engine) archiveDue(ctx context.Context, of names.Company, region string) (bool, error) {
	last, err := e.db().NewestArchive(ctx, snapshotdb.NewestArchiveParams{Company: of.ID, Region: region})
	if errors.Is(err, pgx.ErrNoRows) {
		return true, nil
	}
	return !last.Add(e.ArchiveEvery).After(e.Clock.Now()), constraints.Translate(err)
}

func (e *Engine) postpone(ctx context.Context, of names.Company, now time.Time) error {
	return constraints.Translate(e.db().Postpone(ctx, snapshotdb.PostponeParams{ID: of.ID, NextTime: e.Rules.Next(of.ID, now)}))
}

func (e *Engine) noteFailed(ctx context.Context, of names.Company, why error) error {
	return constraints.Translate(postgres.InTx(ctx, e.DB, func(tx pgx.Tx) error {
		return e.failed(ctx, tx, of, backupv1.SnapshotOrigin_SNAPSHOT_ORIGIN_SCHEDULED, why)
	}))
}

// lateSince is what a company's lateness is counted from.
func lateSince(c snapshotdb.Company) time.Time {
	since := c.SeenTime
	for _, t := range []*time.Time{c.LastTime, c.PausedUntil, c.UnchangedTime} {
		if t != nil && t.After(since) {
			since = *t
		}
	}
	return since
}

// tellLate raises the alarm for companies whose last good snapshot is too old, once each.
func (e *Engine) tellLate(ctx context.Context) error {
	late, err := e.db().LatestBefore(ctx, e.Rules.LateBefore(e.Clock.Now()))
	if err != nil {
		return constraints.Translate(err)
	}
	for _, c := range late {
		if err := e.markLate(ctx, c); err != nil {
			return constraints.Translate(err)
		}
	}
	return nil
}

func (e *Engine) markLate(ctx context.Context, c snapshotdb.Company) error {
	of := names.Company{Subscriber: c.Subscriber, ID: c.ID}
	var marked int64
	err := postgres.InTx(ctx, e.DB, func(tx pgx.Tx) (err error) {
		if marked, err = snapshotdb.New(tx).MarkLate(ctx, c.ID); err != nil || marked == 0 {
			return err
		}
		told := &backupv1.CompanyLate{Company: of.Name(), Reason: c.FailureReason}
		if c.LastTime != nil {
			told.LastSnapshotTime = timestamppb.New(*c.LastTime)
		}
		return e.tell(ctx, tx, of, "company.late", told)
	})
	if err == nil && marked > 0 {
		e.late.Add(ctx, 1)
		e.Log.ErrorContext(ctx, "a company's last good snapshot is older than two intervals", "company", of.Name(), "reason", c.FailureReason)
	}
	return err
}

// sweepAttempts clears away what killed attempts have left.
func (e *Engine) sweepAttempts(ctx context.Context) error {
	left, err := e.db().DropDead(ctx)
	if err != nil {
		return constraints.Translate(err)
	}
	for _, key := range left {
		if err := e.remove(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// sweepObjects deletes objects that no row names.
func (e *Engine) sweepObjects(ctx context.Context) error {
	return e.Vault().Sweep(ctx, folder, OrphansBefore(), func(ctx context.Context, key string) (bool, error) {
		named, err := e.db().HasObject(ctx, &key)
		return named, constraints.Translate(err)
	})
}

// OrphansBefore is how old, by real time as objects carry it, an object without a row must be to be swept.
func OrphansBefore() time.Time { return clock.System{}.Now().Add(-orphanAge) }
