package events

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/postgres"
)

// Consumer applies events.
type Consumer struct {
	// Name of the durable consumer, shared by all copies of the service: lower-case letters, digits and hyphens, the
	// service's name first. Another name begins from the stream's beginning.
	Name string
	// Filters name whole concepts, `kontor.identity.account.>`: versions have no gaps only where all of an aggregate's
	// events come.
	Filters []string
	// Handle applies one event in the transaction that notes it as applied. Events of types it does not know it leaves
	// alone and returns nil. It may run again when the transaction fails.
	Handle func(ctx context.Context, tx pgx.Tx, e Received) error
	// AcceptAnyFirst takes an aggregate's first event whatever its version, for a consumer that begins when the
	// stream no longer holds the beginnings. Without it an aggregate begins with version 1.
	AcceptAnyFirst bool
	// Concurrency is how many aggregates are worked on at once; 0 means 4.
	Concurrency int
	// Timeout of one event; 0 means 20 s.
	Timeout time.Duration
}

const (
	// ackWait is after how long a silent copy's events go to another.
	ackWait = time.Minute
	// givingBack bounds the giving back of events that wait in memory when the service stops.
	givingBack = 2 * time.Second
	// gapPause is how long an event waits for the one before it; it doubles each time up to longestGapPause, since
	// thousands may wait behind one that fails.
	gapPause        = 100 * time.Millisecond
	longestGapPause = 10 * time.Second
	// failedPause doubles with each failure up to longestFailedPause.
	failedPause        = 200 * time.Millisecond
	longestFailedPause = time.Minute
	// queued is how many events wait in memory for each worker.
	queued = 32
)

// errGap says that an earlier event of the aggregate has not been applied.
var errGap = errors.New("an earlier event of the aggregate is missing")

// Consume applies events until ctx ends, each once and in order within its aggregate. An event that fails comes again,
// later and later, and holds up only its own aggregate; it is never dropped.
func Consume(ctx context.Context, d Deps, c Consumer) error {
	d = d.complete()
	applied, err := d.Meter.Int64Counter("kontor.events.consumed", metric.WithUnit("{event}"),
		metric.WithDescription("Events that a consumer took, by outcome: applied, repeated, waiting, failed, unreadable."))
	if err != nil {
		return fmt.Errorf("consumer %s: %w", c.Name, err)
	}
	w := worker{Deps: d, Consumer: c, applied: applied}
	again(ctx, d.Log, "consumer "+c.Name, w.session)
	return nil
}

type worker struct {
	Deps
	Consumer
	applied metric.Int64Counter
}

// session pulls events and hands them to workers, an aggregate always to the same one.
func (w worker) session(ctx context.Context) error {
	if err := EnsureStream(ctx, w.JetStream, w.Stream); err != nil {
		return err
	}
	consumer, err := w.JetStream.CreateOrUpdateConsumer(ctx, Stream, jetstream.ConsumerConfig{
		Durable: w.Name, FilterSubjects: w.Filters, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait,
		DeliverPolicy: jetstream.DeliverAllPolicy,
		MaxAckPending: -1, // With a limit, events that wait behind one that fails would keep those of other aggregates out.
	})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(queued))
	if err != nil {
		return err
	}
	work, workCtx := errgroup.WithContext(ctx)
	queues := make([]chan jetstream.Msg, cmp.Or(w.Concurrency, 4))
	for i := range queues {
		queues[i] = make(chan jetstream.Msg, queued)
		work.Go(func() error {
			for msg := range queues[i] {
				w.take(workCtx, msg)
			}
			return nil
		})
	}
	// When the service stops, what was delivered already is given back, so that another copy need not wait for ackWait.
	last, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	stop := context.AfterFunc(workCtx, func() {
		messages.Drain()
		time.AfterFunc(givingBack, end)
	})
	defer stop()
	failed := pull(last, messages, queues)
	for _, queue := range queues {
		close(queue)
	}
	return errors.Join(failed, work.Wait())
}

// pull ends when the messages are drained, or can't be had any more.
func pull(ctx context.Context, messages jetstream.MessagesContext, queues []chan jetstream.Msg) error {
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			messages.Stop()
			return err
		}
		place := hash(conceptOf(msg.Subject()), msg.Headers().Get(headerSubject)) % uint32(len(queues))
		queues[place] <- msg
	}
}

// take applies one message and tells the stream.
func (w worker) take(ctx context.Context, msg jetstream.Msg) {
	if ctx.Err() != nil {
		_ = msg.Nak() // The service stops; without an answer the event comes again, too, but later.
		return
	}
	e, err := fromMessage(msg.Subject(), msg.Headers(), msg.Data())
	if err != nil {
		w.Log.ErrorContext(ctx, "event can't be read", "consumer", w.Name, "subject", msg.Subject(), "error", err)
		w.settle(ctx, "unreadable", msg.Term())
		return
	}
	ctx, span := w.Tracer.Start(propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier(e.trace)), "process "+msg.Subject(),
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(attribute.String("messaging.consumer.group.name", w.Name)))
	defer span.End()
	tries := uint64(1)
	if about, noMeta := msg.Metadata(); noMeta == nil {
		tries = about.NumDelivered
	}
	outcome, err := w.apply(ctx, e)
	switch {
	case err == nil:
		w.settle(ctx, outcome, msg.DoubleAck(ctx))
	case errors.Is(err, errGap):
		w.settle(ctx, "waiting", msg.NakWithDelay(pauseAfter(tries, gapPause, longestGapPause)))
	case ctx.Err() != nil:
		_ = msg.Nak() // The service stops; the event is not to blame.
	default:
		span.RecordError(err)
		w.Log.ErrorContext(ctx, "event failed", "consumer", w.Name, "subject", msg.Subject(), "event", e.Envelope.GetId(),
			"aggregate", e.Envelope.GetAggregate(), "tries", tries, "error", err)
		w.settle(ctx, "failed", msg.NakWithDelay(pauseAfter(tries, failedPause, longestFailedPause)))
	}
}

// settle counts the outcome. An acknowledgement that did not arrive means that the event comes again, and is then
// known as applied.
func (w worker) settle(ctx context.Context, outcome string, err error) {
	w.applied.Add(ctx, 1, metric.WithAttributes(attribute.String("consumer", w.Name), attribute.String("outcome", outcome)))
	if err != nil && ctx.Err() == nil {
		w.Log.WarnContext(ctx, "event's outcome did not reach the stream", "consumer", w.Name, "outcome", outcome, "error", err)
	}
}

// pauseAfter doubles the first pause with each try.
func pauseAfter(tries uint64, first, longest time.Duration) time.Duration {
	return min(first<<min(max(tries, 1)-1, 16), longest)
}

// apply runs the handler in one transaction with the inbox row and the aggregate's version. A handler that panics has
// failed, like one that returns an error: an event must not be able to end the process, again and again.
func (w worker) apply(ctx context.Context, e Received) (outcome string, err error) {
	defer func() {
		if panicked := recover(); panicked != nil { // The transaction has been rolled back.
			err = fmt.Errorf("panic: %v\n%s", panicked, debug.Stack())
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(w.Timeout, 20*time.Second))
	defer cancel()
	ctx = caller.With(ctx, caller.Caller{
		Service: w.Service, OnBehalfOf: cmp.Or(e.Envelope.GetOnBehalfOf(), e.Envelope.GetActor()),
		Address: e.Envelope.GetAddress(), RequestID: e.Envelope.GetRequestId(),
	})
	err = postgres.InTx(ctx, w.Pool, func(tx pgx.Tx) error {
		outcome = "applied"
		fresh, err := w.next(ctx, tx, e)
		if err != nil {
			return err
		}
		if !fresh {
			outcome = "repeated"
			return nil
		}
		return w.Handle(ctx, tx, e)
	})
	return outcome, err
}

// next notes an event as applied, unless it was before or is not its turn.
func (c Consumer) next(ctx context.Context, tx pgx.Tx, e Received) (bool, error) {
	concept, aggregate := conceptOf(e.Envelope.GetType()), e.Envelope.GetAggregate()
	if _, err := tx.Exec(ctx, `
		INSERT INTO kontor.inbox_version (consumer, concept, aggregate, version) VALUES ($1, $2, $3, 0)
		ON CONFLICT DO NOTHING`, c.Name, concept, aggregate); err != nil {
		return false, err
	}
	var version int64
	if err := tx.QueryRow(ctx, `
		SELECT version FROM kontor.inbox_version WHERE consumer = $1 AND concept = $2 AND aggregate = $3 FOR UPDATE`,
		c.Name, concept, aggregate).Scan(&version); err != nil {
		return false, err
	}
	switch {
	case e.Envelope.GetVersion() <= version:
		return false, nil
	case e.Envelope.GetVersion() > version+1 && (version > 0 || !c.AcceptAnyFirst):
		return false, errGap
	}
	tag, err := tx.Exec(ctx, `INSERT INTO kontor.inbox (consumer, event_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
		c.Name, e.Envelope.GetId())
	if err != nil {
		return false, err
	}
	_, err = tx.Exec(ctx, `UPDATE kontor.inbox_version SET version = $4 WHERE consumer = $1 AND concept = $2 AND aggregate = $3`,
		c.Name, concept, aggregate, e.Envelope.GetVersion())
	return tag.RowsAffected() == 1, err
}
