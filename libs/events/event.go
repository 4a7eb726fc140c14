// Package events tells other services what happened. A service appends an event in the transaction of the change it
// tells of (Append); its relay publishes it to JetStream (Relay); other services apply it once, in order and in one
// transaction with its effect (Consume), or just hear of it (Watch).
package events

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/id"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// Event is something that happened to one aggregate.
type Event struct {
	// Subject it is published on: `kontor.<service>.<concept>.<verb past>`.
	Subject string
	// Aggregate is the resource that changed, `accounts/A`. Versions count per service, concept and aggregate.
	Aggregate string
	// Subscriber is `subscribers/S`, where it concerns one.
	Subscriber string
	// Company is `subscribers/S/companies/C`, where it concerns one.
	Company string
	// Time it happened, by the suite's clock.
	Time time.Time
	// Payload is a message of the service's events.proto; at most 512 KiB.
	Payload proto.Message
	// By is who did it; nil for the context's caller.
	By *caller.Caller
}

const maxPayload = 512 << 10

// partitions split the outbox, so that the copies of a service share the publishing. All events of an aggregate are in
// one. Changing the number needs an empty outbox.
const partitions = 4

// channel is what Append notifies and relays listen to.
const channel = "kontor_outbox"

var subjects = regexp.MustCompile(`^kontor\.[a-z][a-z0-9]*\.[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$`)

// Append writes an event into the caller's transaction; it is published after the commit. Who did it, from where and by
// which request is taken from the context's caller. The aggregate's row stays locked until the transaction ends, so
// that versions have no gaps and follow the order of commits.
func Append(ctx context.Context, tx pgx.Tx, e Event) error {
	if err := AppendAll(ctx, tx, e); err != nil {
		return fmt.Errorf("append event %s of %s: %w", e.Subject, e.Aggregate, err)
	}
	return nil
}

// AppendAll writes events as Append does, in their order, in as few round trips for many as for one.
func AppendAll(ctx context.Context, tx pgx.Tx, list ...Event) error {
	if len(list) == 0 {
		return nil
	}
	made := make([]appended, len(list))
	for i, e := range list {
		var err error
		if made[i], err = prepare(ctx, e); err != nil {
			return err
		}
	}
	if err := number(ctx, tx, made); err != nil {
		return err
	}
	return write(ctx, tx, made)
}

func (e Event) check() error {
	switch {
	case !subjects.MatchString(e.Subject):
		return errors.New("the subject is not kontor.<service>.<concept>.<verb>")
	case e.Aggregate == "":
		return errors.New("it has no aggregate")
	case e.Time.IsZero():
		return errors.New("it has no time")
	case e.Payload == nil:
		return errors.New("it has no payload")
	}
	return nil
}

func envelopeOf(ctx context.Context, e Event) *commonv1.Envelope {
	who := caller.From(ctx)
	if e.By != nil {
		who = *e.By
	}
	return &commonv1.Envelope{
		Id: id.NewString(), Type: e.Subject, Aggregate: e.Aggregate, Time: timestamppb.New(e.Time),
		Actor: who.Actor(), OnBehalfOf: who.OnBehalfOf, Address: who.Address, RequestId: who.RequestID,
		Subscriber: e.Subscriber, Company: e.Company,
	}
}

// conceptOf gives the part of a subject that consumers filter by: kontor.<service>.<concept>.
func conceptOf(subject string) string {
	if cut := strings.LastIndexByte(subject, '.'); cut > 0 {
		return subject[:cut]
	}
	return subject
}

func partition(concept, aggregate string) int {
	return int(hash(concept, aggregate) % partitions)
}

func hash(concept, aggregate string) uint32 {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(concept + "\x00" + aggregate)) // Never fails.
	return sum.Sum32()
}

func traceOf(ctx context.Context) map[string]string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier
}

// Received is an event as a consumer gets it.
type Received struct {
	// Envelope says what happened to which aggregate, when, by whom.
	Envelope *commonv1.Envelope
	// Message is the full name of the payload's protobuf message.
	Message string
	// Payload is that message, encoded.
	Payload []byte

	trace map[string]string
}

// Is says whether the payload is such a message.
func (r Received) Is(message proto.Message) bool {
	return string(message.ProtoReflect().Descriptor().FullName()) == r.Message
}

// Decode reads the payload, which must be such a message.
func (r Received) Decode(into proto.Message) error {
	if !r.Is(into) {
		return fmt.Errorf("event %s carries %s, not %s", r.Envelope.GetId(), r.Message, into.ProtoReflect().Descriptor().FullName())
	}
	return proto.Unmarshal(r.Payload, into)
}
