package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/protobuf/proto"

	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// Relay publishes a service's outbox. Every copy of a service runs one; they share the partitions, each of which is
// published by one relay at a time: by the one whose database connection holds the partition's lock.
type Relay struct {
	deps      Deps
	published metric.Int64Counter
}

const (
	batchSize = 256
	// slowPoll finds what no notification told of, and partitions whose relay has gone.
	slowPoll = time.Second
	// ackLimit is how long an event's acknowledgement may take.
	ackLimit = 10 * time.Second
	// Advisory locks have two numbers; the first is the purpose ("outb", "outp" in ASCII).
	lockPartition = 0x6f757462
	lockPresence  = 0x6f757470
)

// NewRelay makes the relay of one copy of a service.
func NewRelay(d Deps) (*Relay, error) {
	d = d.complete()
	published, err := d.Meter.Int64Counter("kontor.events.published",
		metric.WithDescription("Events that the stream acknowledged."), metric.WithUnit("{event}"))
	if err != nil {
		return nil, err
	}
	return &Relay{deps: d, published: published}, nil
}

// Run publishes until ctx ends; it outlives losses of the database and of NATS. It returns nil.
func (r *Relay) Run(ctx context.Context) error {
	stop, err := r.watchLag()
	if err != nil {
		return err
	}
	defer stop()
	again(ctx, r.deps.Log, "the relay of events", r.session)
	return nil
}

// watchLag shows how long the oldest unpublished event has waited.
func (r *Relay) watchLag() (stop func(), err error) {
	gauge, err := r.deps.Meter.Float64ObservableGauge("kontor.events.outbox.lag",
		metric.WithDescription("Age of the oldest event that waits to be published."), metric.WithUnit("s"))
	if err != nil {
		return nil, err
	}
	registration, err := r.deps.Meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		var age float64
		err := r.deps.Pool.QueryRow(ctx, `
			SELECT coalesce(extract(epoch FROM clock_timestamp() - min(created)), 0)::float8
			FROM kontor.outbox WHERE published IS NULL`).Scan(&age)
		if err == nil {
			o.ObserveFloat64(gauge, age)
		}
		return err
	}, gauge)
	if err != nil {
		return nil, err
	}
	return func() { _ = registration.Unregister() }, nil
}

// session works on one database connection, whose end frees its partitions for other relays.
func (r *Relay) session(ctx context.Context) (err error) {
	cfg := r.deps.Pool.Config().ConnConfig.Copy()
	cfg.Tracer = nil // Its polls would fill every trace.
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock_shared($1, 0)", lockPresence); err != nil {
		return err
	}
	if err := EnsureStream(ctx, r.deps.JetStream, r.deps.Stream); err != nil {
		return err
	}
	for held := []int32(nil); ; {
		if held, err = share(ctx, conn, held); err != nil {
			return err
		}
		if err := r.drain(ctx, conn, held); err != nil {
			return err
		}
		if err := await(ctx, conn); err != nil {
			return err
		}
	}
}

// share takes this relay's part of the partitions, and gives up what is beyond it, for a copy that has come.
func share(ctx context.Context, conn *pgx.Conn, held []int32) ([]int32, error) {
	var relays int
	if err := conn.QueryRow(ctx, `
		SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = $1 AND objid = 0 AND granted
		  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`, lockPresence).Scan(&relays); err != nil {
		return nil, err
	}
	part := (partitions + relays - 1) / max(relays, 1)
	for len(held) > part {
		last := held[len(held)-1]
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_unlock($1, $2)", lockPartition, last); err != nil {
			return nil, err
		}
		held = held[:len(held)-1]
	}
	for p := int32(0); p < partitions && len(held) < part; p++ {
		if slices.Contains(held, p) {
			continue
		}
		var taken bool
		if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1, $2)", lockPartition, p).Scan(&taken); err != nil {
			return nil, err
		}
		if taken {
			held = append(held, p)
		}
	}
	return held, nil
}

// drain publishes what waits.
func (r *Relay) drain(ctx context.Context, conn *pgx.Conn, held []int32) error {
	for len(held) > 0 {
		waiting, err := read(ctx, conn, held)
		if err != nil {
			return err
		}
		acked, failure := r.publish(ctx, waiting)
		if err := mark(ctx, conn, acked); err != nil {
			return errors.Join(failure, err)
		}
		r.published.Add(ctx, int64(len(acked)))
		if failure != nil {
			return failure
		}
		if len(waiting) < batchSize {
			return nil
		}
	}
	return nil
}

// await returns when something was appended, or after a while.
func await(ctx context.Context, conn *pgx.Conn) error {
	wait, cancel := context.WithTimeout(ctx, slowPoll)
	defer cancel()
	_, err := conn.WaitForNotification(wait)
	if err != nil && ctx.Err() == nil && wait.Err() != nil && !conn.IsClosed() {
		return nil
	}
	return err
}

// row is an event in the outbox.
type row struct {
	Seq       int64
	EventID   string
	Concept   string
	Aggregate string
	Message   string
	Envelope  []byte
	Payload   []byte
	Headers   []byte
	Replays   int
}

func read(ctx context.Context, conn *pgx.Conn, held []int32) ([]row, error) {
	rows, err := conn.Query(ctx, `
		SELECT seq, event_id::text, concept, aggregate, message, envelope, payload, headers, replays
		FROM kontor.outbox WHERE published IS NULL AND partition = ANY ($1) ORDER BY seq LIMIT $2`, held, batchSize)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[row])
}

// publish sends events in waves, each of which has at most one event of an aggregate, so that none overtakes another. It
// returns the rows that were acknowledged; after a wave with a failure it stops.
func (r *Relay) publish(ctx context.Context, waiting []row) (acked []int64, err error) {
	for len(waiting) > 0 && err == nil {
		var wave, rest []row
		inWave := map[[2]string]bool{}
		for _, w := range waiting {
			if key := [2]string{w.Concept, w.Aggregate}; inWave[key] {
				rest = append(rest, w)
			} else {
				inWave[key] = true
				wave = append(wave, w)
			}
		}
		var done []int64
		done, err = r.wave(ctx, wave)
		acked = append(acked, done...)
		waiting = rest
	}
	return acked, err
}

func (r *Relay) wave(ctx context.Context, wave []row) (acked []int64, err error) {
	futures := make([]jetstream.PubAckFuture, len(wave))
	problems := make([]error, len(wave))
	for i, w := range wave {
		futures[i], problems[i] = r.send(w)
	}
	ctx, cancel := context.WithTimeout(ctx, ackLimit)
	defer cancel()
	for i, w := range wave {
		if problems[i] == nil {
			problems[i] = settled(ctx, futures[i])
		}
		if problems[i] == nil {
			acked = append(acked, w.Seq)
			continue
		}
		err = fmt.Errorf("publish event %s of %s: %w", w.EventID, w.Aggregate, problems[i])
	}
	return acked, err
}

func (r *Relay) send(w row) (jetstream.PubAckFuture, error) {
	e := Received{Envelope: &commonv1.Envelope{}, Message: w.Message, Payload: w.Payload}
	if err := proto.Unmarshal(w.Envelope, e.Envelope); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(w.Headers, &e.trace); err != nil {
		return nil, err
	}
	return r.deps.JetStream.PublishMsgAsync(toMessage(e, messageID(w)), jetstream.WithExpectStream(Stream))
}

// messageID is the event's id; a replay has another one, since JetStream would take it for a repetition.
func messageID(w row) string {
	if w.Replays == 0 {
		return w.EventID
	}
	return fmt.Sprintf("%s/%d", w.EventID, w.Replays)
}

func settled(ctx context.Context, future jetstream.PubAckFuture) error {
	select {
	case <-future.Ok():
		return nil
	case err := <-future.Err():
		return err
	case <-ctx.Done():
		return fmt.Errorf("no acknowledgement: %w", ctx.Err())
	}
}

// mark notes what the stream has; also when the relay is being stopped, to spare its successor the repetition.
func mark(ctx context.Context, conn *pgx.Conn, acked []int64) error {
	if len(acked) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, err := conn.Exec(ctx, "UPDATE kontor.outbox SET published = clock_timestamp() WHERE seq = ANY ($1)", acked)
	return err
}
