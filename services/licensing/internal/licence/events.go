package licence

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/events"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// Subjects of what is told about licences.
const (
	SubjectStarted     = "kontor.licensing.licence.started"
	SubjectUpdated     = "kontor.licensing.licence.updated"
	SubjectEnded       = "kontor.licensing.licence.ended"
	SubjectTrialEnding = "kontor.licensing.trial.ending"
	SubjectTrialEnded  = "kontor.licensing.trial.ended"
)

func tell(ctx context.Context, tx pgx.Tx, l Licence, subject string, now time.Time, payload proto.Message) error {
	return events.Append(ctx, tx, events.Event{
		Subject: subject, Aggregate: Name(l.Subscriber, l.ID), Subscriber: SubscriberName(l.Subscriber), Time: now, Payload: payload,
	})
}

// TellBegun tells of a licence that was made: that it started, or that it will.
func TellBegun(ctx context.Context, tx pgx.Tx, l Licence, now time.Time) error {
	if !l.Started {
		return tell(ctx, tx, l, SubjectUpdated, now, &licensingv1.LicenceUpdated{Licence: l.Proto(now)})
	}
	return tell(ctx, tx, l, SubjectStarted, now, &licensingv1.LicenceStarted{Licence: l.Proto(now)})
}

// TellUpdated tells what changed.
func TellUpdated(ctx context.Context, tx pgx.Tx, l Licence, changes []Change, now time.Time) error {
	payload := &licensingv1.LicenceUpdated{Licence: l.Proto(now)}
	for _, c := range changes {
		payload.Changes = append(payload.Changes, c.proto())
	}
	return tell(ctx, tx, l, SubjectUpdated, now, payload)
}
