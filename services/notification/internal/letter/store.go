package letter

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/events"
	"kontor.internal/libs/id"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/postgres"
	notificationv1 "kontor.internal/proto/gen/go/kontor/notification/v1"
	"kontor.internal/services/notification/internal/letter/letterdb"
)

// Job sends one letter.
type Job struct {
	Letter uuid.UUID `json:"letter"`
}

// Kind of the job.
func (Job) Kind() string { return "letter" }

// InsertOpts bounds how often a letter is tried.
func (Job) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: giveUpAfter} }

// Desk takes orders: an order and its job are written in the event's transaction.
type Desk struct {
	Jobs  *jobs.Client
	Clock clock.Clock
}

// Take is the consumer's handler.
func (d Desk) Take(ctx context.Context, tx pgx.Tx, e events.Received) error {
	order, ok, err := OrderOf(e)
	if err != nil || !ok {
		return err
	}
	about, err := json.Marshal(order.About)
	if err != nil {
		return fmt.Errorf("letter: %w", err)
	}
	event, err := uuid.Parse(e.Envelope.GetId())
	if err != nil {
		return fmt.Errorf("letter: event id: %w", err)
	}
	letter := id.New()
	added, err := letterdb.New(tx).InsertLetter(ctx, letterdb.InsertLetterParams{
		ID: letter, EventID: event, Kind: int32(order.Kind), About: about, CreateTime: d.Clock.Now(),
	})
	if err != nil {
		return postgres.Constraints{}.Translate(err)
	}
	if added == 0 {
		return nil // Ordered before.
	}
	return d.Jobs.InsertTx(ctx, tx, Job{Letter: letter}, nil)
}

// name of a letter.
func name(letter uuid.UUID) string { return "letters/" + letter.String() }

// toProto shows a letter.
func toProto(row letterdb.Letter, domain string) *notificationv1.Letter {
	l := &notificationv1.Letter{
		Name: name(row.ID), Kind: notificationv1.LetterKind(row.Kind), State: notificationv1.LetterState(row.State),
		Recipient: row.Recipient, Language: row.Language, Subject: row.Subject, MessageId: MessageID(row.ID, domain),
		Tries: row.Tries, Outcome: row.Outcome, CreateTime: timestamppb.New(row.CreateTime),
	}
	if row.EndTime != nil {
		l.EndTime = timestamppb.New(*row.EndTime)
	}
	return l
}

// end closes a letter and tells it, once.
func end(ctx context.Context, tx pgx.Tx, row letterdb.Letter, state notificationv1.LetterState, outcome string, now time.Time) error {
	ended, err := letterdb.New(tx).EndLetter(ctx, letterdb.EndLetterParams{
		ID: row.ID, State: int32(state), Outcome: outcome, EndTime: &now,
	})
	if err != nil {
		return postgres.Constraints{}.Translate(err)
	}
	if ended == 0 {
		return nil
	}
	event := events.Event{Aggregate: name(row.ID), Time: now}
	switch state {
	case notificationv1.LetterState_LETTER_STATE_SENT:
		event.Subject = "kontor.notification.letter.sent"
		event.Payload = &notificationv1.LetterSent{Letter: name(row.ID), Kind: notificationv1.LetterKind(row.Kind)}
	case notificationv1.LetterState_LETTER_STATE_FAILED:
		event.Subject = "kontor.notification.letter.failed"
		event.Payload = &notificationv1.LetterFailed{Letter: name(row.ID), Kind: notificationv1.LetterKind(row.Kind)}
	default:
		return nil
	}
	return events.Append(ctx, tx, event)
}
