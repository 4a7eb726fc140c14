package letter

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/postgres"
	notificationv1 "kontor.internal/proto/gen/go/kontor/notification/v1"
	"kontor.internal/services/notification/internal/letter/letterdb"
)

// Worker sends letters.
type Worker struct {
	river.WorkerDefaults[Job]

	DB       *pgxpool.Pool
	Clock    clock.Clock
	Real     clock.Clock
	Composer *Composer
	Gatherer *Gatherer
	Mailer   *Mailer
}

// Timeout of one try.
func (w *Worker) Timeout(*river.Job[Job]) time.Duration { return time.Minute }

// NextRetry is when a letter that could not be sent is tried again.
// It follows the real time: a mail server knows nothing of the suite's clock.
func (w *Worker) NextRetry(job *river.Job[Job]) time.Time {
	return w.Real.Now().Add(Pause(job.Attempt))
}

// Work tries one letter: gather, compose, send, note. When we die between
// sending and noting, it is sent once more under the same Message-ID.
func (w *Worker) Work(ctx context.Context, job *river.Job[Job]) error {
	row, err := letterdb.New(w.DB).GetLetter(ctx, job.Args.Letter)
	if err != nil {
		return postgres.NotFound(err, name(job.Args.Letter))
	}
	if notificationv1.LetterState(row.State) != notificationv1.LetterState_LETTER_STATE_QUEUED {
		return nil
	}
	err = w.send(ctx, row)
	var gone pointless
	var no refused
	switch {
	case err == nil:
		return w.end(ctx, row, notificationv1.LetterState_LETTER_STATE_SENT, "sent")
	case errors.As(err, &gone):
		return w.end(ctx, row, notificationv1.LetterState_LETTER_STATE_DROPPED, gone.why)
	case errors.As(err, &no):
		return w.end(ctx, row, notificationv1.LetterState_LETTER_STATE_FAILED, no.reply)
	case job.Attempt >= job.MaxAttempts:
		return w.end(ctx, row, notificationv1.LetterState_LETTER_STATE_FAILED, outcomeOf(err))
	}
	return errors.Join(err, w.note(ctx, row, outcomeOf(err)))
}

func (w *Worker) send(ctx context.Context, row letterdb.Letter) error {
	g, err := w.Gatherer.Gather(ctx, row)
	if err != nil {
		return err
	}
	mail, err := w.Composer.Compose(key(notificationv1.LetterKind(row.Kind)), g.language, g.facts)
	if err != nil {
		return err
	}
	err = letterdb.New(w.DB).BeginTry(ctx, letterdb.BeginTryParams{
		ID: row.ID, Recipient: g.facts.Recipient, Language: string(g.language), Subject: mail.Subject,
	})
	if err != nil {
		return postgres.Constraints{}.Translate(err)
	}
	return w.Mailer.Send(ctx, row.ID, string(g.language), g.facts.Recipient, mail, g.attachment)
}

func (w *Worker) end(ctx context.Context, row letterdb.Letter, state notificationv1.LetterState, outcome string) error {
	return postgres.InTx(ctx, w.DB, func(tx pgx.Tx) error { return end(ctx, tx, row, state, outcome, w.Clock.Now()) })
}

func (w *Worker) note(ctx context.Context, row letterdb.Letter, outcome string) error {
	err := letterdb.New(w.DB).NoteOutcome(ctx, letterdb.NoteOutcomeParams{ID: row.ID, Outcome: outcome})
	return postgres.Constraints{}.Translate(err)
}

// outcomeOf says why a try failed, without what may hold a secret: a typed
// failure by its reason, a mail server's by its words.
func outcomeOf(err error) string {
	var typed *failure.Error
	if errors.As(err, &typed) {
		return failure.Name(typed.Reason())
	}
	const longest = 300
	text := err.Error()
	return text[:min(len(text), longest)]
}
