package licence

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/postgres"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/catalogue"
	"kontor.internal/services/licensing/internal/licence/licencedb"
)

// Timers tell what comes with the date alone: starts, ends, reminders. Each is told once, by whichever copy of the
// service looks first. What one may do never waits for them: that follows from the dates.
type Timers struct {
	DB    *pgxpool.Pool
	Store *Store
	Clock clock.Clock
	// Changed hears of each licence that was told of.
	Changed func(subscriber uuid.UUID)
}

// batch is how many licences are looked up at a time.
const batch = 200

// Periodic is the timer that looks.
func (t *Timers) Periodic(every time.Duration) jobs.Periodic {
	return jobs.Periodic{Name: "licence_terms", Every: every, AtStart: true, Run: t.Run}
}

// due is a licence to look at.
type due struct{ subscriber, id uuid.UUID }

// Run tells everything that is due now. Ends come before reminders, so that nobody is reminded of an end that has come.
func (t *Timers) Run(ctx context.Context) error {
	now := t.Clock.Now()
	queries := licencedb.New(t.DB)
	for _, kind := range []struct {
		find   func() ([]due, error)
		handle func(ctx context.Context, tx pgx.Tx, l *Licence, now time.Time) (told bool, err error)
	}{
		{func() ([]due, error) {
			rows, err := queries.DueToStart(ctx, licencedb.DueToStartParams{Now: now, Count: batch})
			return collect(rows, err, func(r licencedb.DueToStartRow) due { return due{r.Subscriber, r.ID} })
		}, t.start},
		{func() ([]due, error) {
			rows, err := queries.DueToEnd(ctx, licencedb.DueToEndParams{Now: &now, Count: batch})
			return collect(rows, err, func(r licencedb.DueToEndRow) due { return due{r.Subscriber, r.ID} })
		}, t.end},
		{func() ([]due, error) {
			rows, err := queries.DueToRemind(ctx, licencedb.DueToRemindParams{Now: &now, Count: batch})
			return collect(rows, err, func(r licencedb.DueToRemindRow) due { return due{r.Subscriber, r.ID} })
		}, t.remind},
	} {
		if err := t.all(ctx, now, kind.find, kind.handle); err != nil {
			return err
		}
	}
	return nil
}

func collect[R any](rows []R, err error, of func(R) due) ([]due, error) {
	all := make([]due, 0, len(rows))
	for _, r := range rows {
		all = append(all, of(r))
	}
	return all, constraints().Translate(err)
}

// all handles one kind until nothing of it is due. One licence that fails does not keep the others waiting.
func (t *Timers) all(
	ctx context.Context, now time.Time, find func() ([]due, error),
	handle func(ctx context.Context, tx pgx.Tx, l *Licence, now time.Time) (bool, error),
) error {
	for {
		found, err := find()
		if err != nil {
			return err
		}
		told, failed := 0, error(nil)
		for _, d := range found {
			ok, err := t.one(ctx, now, d, handle)
			if ok {
				told++
			}
			failed = errors.Join(failed, err)
		}
		if failed != nil || told == 0 || len(found) < batch {
			return failed
		}
	}
}

func (t *Timers) one(
	ctx context.Context, now time.Time, d due,
	handle func(ctx context.Context, tx pgx.Tx, l *Licence, now time.Time) (bool, error),
) (told bool, err error) {
	err = postgres.InTx(ctx, t.DB, func(tx pgx.Tx) error {
		l, err := t.Store.Lock(ctx, tx, d.subscriber, d.id)
		if err != nil {
			return err
		}
		if told, err = handle(ctx, tx, &l, now); err != nil || !told {
			return err
		}
		return t.Store.Update(ctx, tx, &l, now)
	})
	if err == nil && told {
		t.Changed(d.subscriber)
	}
	return told && err == nil, err
}

func (t *Timers) start(ctx context.Context, tx pgx.Tx, l *Licence, now time.Time) (bool, error) {
	if l.Started || l.State(now) == Upcoming {
		return false, nil
	}
	l.Started = true
	return true, tell(ctx, tx, *l, SubjectStarted, now, &licensingv1.LicenceStarted{Licence: l.Proto(now)})
}

func (t *Timers) end(ctx context.Context, tx pgx.Tx, l *Licence, now time.Time) (bool, error) {
	if l.Ended || l.State(now) != Ended {
		return false, nil
	}
	l.Ended = true
	if err := tell(ctx, tx, *l, SubjectEnded, now, &licensingv1.LicenceEnded{Licence: l.Proto(now)}); err != nil {
		return false, err
	}
	others, err := t.othersRun(ctx, tx, *l, now)
	if err != nil || others || l.Kind != catalogue.Trial {
		return true, err
	}
	account, language, err := t.acceptedBy(ctx, tx, *l)
	if err != nil {
		return false, err
	}
	ends, _ := l.Ends()
	return true, tell(ctx, tx, *l, SubjectTrialEnded, now, &licensingv1.TrialEnded{
		Licence: l.Proto(now), EndTime: timestamppb.New(ends), KeptUntilDate: text(l.KeptUntil()), Account: account, Language: language,
	})
}

// remind tells of a trial's end, unless the subscriber has subscribed meanwhile.
func (t *Timers) remind(ctx context.Context, tx pgx.Tx, l *Licence, now time.Time) (bool, error) {
	days, is := l.DueReminder(now)
	if !is {
		return false, nil
	}
	l.Reminded = days
	others, err := t.othersRun(ctx, tx, *l, now)
	if err != nil || others {
		return true, err
	}
	account, language, err := t.acceptedBy(ctx, tx, *l)
	if err != nil {
		return false, err
	}
	return true, tell(ctx, tx, *l, SubjectTrialEnding, now, &licensingv1.TrialEnding{
		Licence: l.Proto(now), DaysLeft: int32(l.DaysLeft(now)), EndDate: text(l.End), Account: account, Language: language,
	})
}

func (t *Timers) othersRun(ctx context.Context, tx pgx.Tx, l Licence, now time.Time) (bool, error) {
	others, err := licencedb.New(tx).OthersRun(ctx, licencedb.OthersRunParams{Subscriber: l.Subscriber, ID: l.ID, Now: now})
	return others, constraints().Translate(err)
}

// acceptedBy is who accepted the contract of a licence, and in which language; nobody when staff gave it.
func (t *Timers) acceptedBy(ctx context.Context, tx pgx.Tx, l Licence) (account, language string, err error) {
	row, err := licencedb.New(tx).AcceptedBy(ctx, &l.ID)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", "", nil
	}
	if err != nil {
		return "", "", constraints().Translate(err)
	}
	return AccountName(row.Account), row.Language, nil
}
