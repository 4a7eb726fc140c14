package events_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/events"
	"kontor.internal/libs/events/eventstest"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/postgres/pgtest"
	"kontor.internal/libs/servers/servertest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
)

const patience = 30 * time.Second

// bundle is a publisher's and a consumer's world.
type bundle struct {
	pool *pgxpool.Pool
	deps events.Deps
}

func setup(t *testing.T, url string) bundle {
	t.Helper()
	conn, js, err := events.Connect(events.Config{URL: url}, nil, "tried", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	pool := pgtest.New(t, nil)
	return bundle{pool: pool, deps: events.Deps{Service: "tried", Pool: pool, JetStream: js}}
}

// background runs something until the test ends, or until the function it gives is called.
func background(t *testing.T, run func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func (b bundle) relay(t *testing.T) (stop func()) {
	t.Helper()
	relay, err := events.NewRelay(b.deps)
	if err != nil {
		t.Fatal(err)
	}
	return background(t, relay.Run)
}

func event(aggregate, session string) events.Event {
	return events.Event{
		Subject: "kontor.identity.session.revoked", Aggregate: aggregate, Time: time.Now(),
		Payload: &identityv1.SessionRevoked{Session: session},
	}
}

func (b bundle) happen(t *testing.T, list ...events.Event) {
	t.Helper()
	for _, e := range list {
		err := postgres.InTx(t.Context(), b.pool, func(tx pgx.Tx) error { return events.Append(t.Context(), tx, e) })
		if err != nil {
			t.Fatal(err)
		}
	}
}

// heard collects what a consumer applied, by aggregate.
type heard struct {
	mu       sync.Mutex
	sessions map[string][]string
	count    int
	changed  chan struct{}
}

func newHeard() *heard {
	return &heard{sessions: map[string][]string{}, changed: make(chan struct{}, 1)}
}

func (h *heard) note(e events.Received) error {
	var revoked identityv1.SessionRevoked
	if err := e.Decode(&revoked); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sessions[e.Envelope.GetAggregate()] = append(h.sessions[e.Envelope.GetAggregate()], revoked.GetSession())
	h.count++
	select {
	case h.changed <- struct{}{}:
	default:
	}
	return nil
}

func (h *heard) wait(t *testing.T, count int) {
	t.Helper()
	deadline := time.After(patience)
	for {
		h.mu.Lock()
		got := h.count
		h.mu.Unlock()
		if got >= count {
			return
		}
		select {
		case <-h.changed:
		case <-deadline:
			t.Fatalf("%d of %d events came", got, count)
		}
	}
}

func consumer(name string, h *heard) events.Consumer {
	return events.Consumer{
		Name: name, Filters: []string{"kontor.identity.session.>"},
		Handle: func(_ context.Context, _ pgx.Tx, e events.Received) error { return h.note(e) },
	}
}

// inOrder fails unless each aggregate's events came once each, in order.
func (h *heard) inOrder(t *testing.T, aggregates, each int) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for a := range aggregates {
		name := fmt.Sprintf("accounts/%d", a)
		if len(h.sessions[name]) != each {
			t.Fatalf("%s: %d events, want %d", name, len(h.sessions[name]), each)
		}
		for i, session := range h.sessions[name] {
			if session != fmt.Sprint(i) {
				t.Fatalf("%s: event %d is %s", name, i, session)
			}
		}
	}
}

func TestEventsArriveOnceAndInOrderThroughTwoRelaysAndTwoConsumers(t *testing.T) {
	b, h := setup(t, servertest.NATS(t)), newHeard()
	b.relay(t)
	b.relay(t)
	for range 2 {
		background(t, func(ctx context.Context) error { return events.Consume(ctx, b.deps, consumer("tried-sessions", h)) })
	}
	const aggregates, each = 20, 10
	for i := range each {
		for a := range aggregates {
			b.happen(t, event(fmt.Sprintf("accounts/%d", a), fmt.Sprint(i)))
		}
	}
	h.wait(t, aggregates*each)
	h.inOrder(t, aggregates, each)
}

func TestEventsOutliveANATSRestartAndADeadRelay(t *testing.T) {
	server := servertest.StartNATS(t)
	b, h := setup(t, server.URL()), newHeard()
	stop := b.relay(t)
	background(t, func(ctx context.Context) error { return events.Consume(ctx, b.deps, consumer("tried-sessions", h)) })
	b.happen(t, event("accounts/0", "0"))
	h.wait(t, 1)

	stop()
	b.happen(t, event("accounts/0", "1"))
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.relay(t)
	b.happen(t, event("accounts/0", "2"))
	h.wait(t, 3)
	h.inOrder(t, 1, 3)
}

func TestAFailingEventHoldsUpItsOwnAggregateOnly(t *testing.T) {
	b, h := setup(t, servertest.NATS(t)), newHeard()
	b.relay(t)
	var mu sync.Mutex
	failures := 0
	c := consumer("tried-sessions", h)
	c.Handle = func(ctx context.Context, tx pgx.Tx, e events.Received) error {
		mu.Lock()
		defer mu.Unlock()
		if e.Envelope.GetAggregate() == "accounts/0" && failures < 3 {
			failures++
			return errors.New("not now")
		}
		return h.note(e)
	}
	b.happen(t, event("accounts/0", "0"), event("accounts/0", "1"), event("accounts/1", "0"), event("accounts/1", "1"))
	background(t, func(ctx context.Context) error { return events.Consume(ctx, b.deps, c) })
	h.wait(t, 4)
	h.inOrder(t, 2, 2)
}

func TestARolledBackChangeTellsNobodyAndLeavesNoHole(t *testing.T) {
	b := setup(t, servertest.NATS(t))
	undone := errors.New("undone")
	for range 3 {
		err := postgres.InTx(t.Context(), b.pool, func(tx pgx.Tx) error {
			if err := events.Append(t.Context(), tx, event("accounts/0", "x")); err != nil {
				return err
			}
			return undone
		})
		if !errors.Is(err, undone) {
			t.Fatal(err)
		}
	}
	b.happen(t, event("accounts/0", "0"))
	out := eventstest.Outbox(t, b.pool)
	if len(out) != 1 || out[0].Envelope.GetVersion() != 1 {
		t.Fatalf("outbox %v", out)
	}
}

func TestConcurrentChangesGetVersionsWithoutGaps(t *testing.T) {
	b := setup(t, servertest.NATS(t))
	ctx := caller.With(t.Context(), caller.Caller{Account: "accounts/a", Address: "192.0.2.1", RequestID: "r"})
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			err := postgres.InTx(ctx, b.pool, func(tx pgx.Tx) error { return events.Append(ctx, tx, event("accounts/0", "x")) })
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	out := eventstest.Outbox(t, b.pool)
	for i, e := range out {
		if e.Envelope.GetVersion() != int64(i+1) || e.Envelope.GetActor() != "accounts/a" || e.Envelope.GetAddress() != "192.0.2.1" || e.Envelope.GetRequestId() != "r" {
			t.Fatalf("event %d: %v", i, e.Envelope)
		}
	}
	if len(out) != 16 {
		t.Fatalf("%d events", len(out))
	}
}

func TestARepeatedAndAnEarlyEventChangeNothing(t *testing.T) {
	b, h := setup(t, servertest.NATS(t)), newHeard()
	stop := b.relay(t)
	b.happen(t, event("accounts/0", "0"), event("accounts/0", "1"))
	published(t, b.pool, 2)
	stop()
	// Version 2 is held back, and then both come again under other message ids.
	first := rawMessages(t, b.deps.JetStream, 2)
	if err := b.deps.JetStream.DeleteStream(t.Context(), events.Stream); err != nil {
		t.Fatal(err)
	}
	background(t, func(ctx context.Context) error { return events.Consume(ctx, b.deps, consumer("tried-sessions", h)) })
	if err := events.EnsureStream(t.Context(), b.deps.JetStream, events.Config{}); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{1, 0, 0, 1, 1} {
		send(t, b.deps.JetStream, first[i])
	}
	h.wait(t, 2)
	b.happen(t, event("accounts/0", "2"))
	b.relay(t)
	h.wait(t, 3)
	h.inOrder(t, 1, 3)
}

func TestReplayPublishesAgainAndConsumersIgnoreIt(t *testing.T) {
	b, h := setup(t, servertest.NATS(t)), newHeard()
	b.relay(t)
	background(t, func(ctx context.Context) error { return events.Consume(ctx, b.deps, consumer("tried-sessions", h)) })
	b.happen(t, event("accounts/0", "0"), event("accounts/0", "1"))
	h.wait(t, 2)
	published(t, b.pool, 2)
	n, err := events.Replay(t.Context(), b.pool, time.Now().Add(-time.Hour))
	if err != nil || n != 2 {
		t.Fatalf("%d, %v", n, err)
	}
	published(t, b.pool, 2)
	b.happen(t, event("accounts/0", "2"))
	h.wait(t, 3)
	h.inOrder(t, 1, 3)
}

func TestWatchersHearThePastThenBecomeReadyThenHearWhatComes(t *testing.T) {
	b := setup(t, servertest.NATS(t))
	b.relay(t)
	b.happen(t, event("accounts/0", "0"), event("accounts/0", "1"))
	published(t, b.pool, 2)
	h, ready := newHeard(), make(chan int, 1)
	background(t, func(ctx context.Context) error {
		return events.Watch(ctx, b.deps, events.Watcher{
			Filters: []string{"kontor.identity.session.revoked"}, Since: time.Hour,
			Ready:  func() { h.mu.Lock(); defer h.mu.Unlock(); ready <- h.count },
			Handle: func(_ context.Context, e events.Received) { _ = h.note(e) },
		})
	})
	select {
	case n := <-ready:
		if n != 2 {
			t.Fatalf("ready after %d events", n)
		}
	case <-time.After(patience):
		t.Fatal("never ready")
	}
	b.happen(t, event("accounts/0", "2"))
	h.wait(t, 3)
	h.inOrder(t, 1, 3)
}

func TestPurgeForgetsOnlyWhatIsOld(t *testing.T) {
	b := setup(t, servertest.NATS(t))
	b.relay(t)
	b.happen(t, event("accounts/0", "0"), event("accounts/0", "1"))
	published(t, b.pool, 2)
	if _, err := b.pool.Exec(t.Context(), `UPDATE kontor.outbox SET published = published - $1::interval WHERE version = 1`,
		events.KeptPublished+time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := events.Purge(t.Context(), b.pool); err != nil {
		t.Fatal(err)
	}
	out := eventstest.Outbox(t, b.pool)
	if len(out) != 1 || out[0].Envelope.GetVersion() != 2 {
		t.Fatalf("left: %v", out)
	}
}

func TestEventsThatSayTooLittleAreRefused(t *testing.T) {
	b := setup(t, servertest.NATS(t))
	for name, e := range map[string]events.Event{
		"no subject":   {Aggregate: "accounts/0", Time: time.Now(), Payload: &commonv1.Money{}},
		"no aggregate": {Subject: "kontor.identity.session.revoked", Time: time.Now(), Payload: &commonv1.Money{}},
		"no time":      {Subject: "kontor.identity.session.revoked", Aggregate: "accounts/0", Payload: &commonv1.Money{}},
		"no payload":   {Subject: "kontor.identity.session.revoked", Aggregate: "accounts/0", Time: time.Now()},
	} {
		err := postgres.InTx(t.Context(), b.pool, func(tx pgx.Tx) error { return events.Append(t.Context(), tx, e) })
		if err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}

// published waits until so many events are marked as published.
func published(t *testing.T, pool *pgxpool.Pool, want int) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for got := -1; got != want; <-tick.C {
		if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM kontor.outbox WHERE published IS NOT NULL`).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d published", got, want)
		}
	}
}

func rawMessages(t *testing.T, js jetstream.JetStream, count uint64) []*jetstream.RawStreamMsg {
	t.Helper()
	stream, err := js.Stream(t.Context(), events.Stream)
	if err != nil {
		t.Fatal(err)
	}
	var found []*jetstream.RawStreamMsg
	for seq := uint64(1); seq <= count; seq++ {
		msg, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, msg)
	}
	return found
}

// send publishes a message again, past JetStream's own memory of repetitions.
func send(t *testing.T, js jetstream.JetStream, raw *jetstream.RawStreamMsg) {
	t.Helper()
	msg := nats.NewMsg(raw.Subject)
	msg.Data, msg.Header = raw.Data, nats.Header{}
	for key, values := range raw.Header {
		if key != nats.MsgIdHdr {
			msg.Header[key] = values
		}
	}
	if _, err := js.PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
}

func TestManyAppendedEventsKeepTheirOrderAndTellWhoDidThem(t *testing.T) {
	b := setup(t, servertest.NATS(t))
	var list []events.Event
	for n := range 300 {
		e := event(fmt.Sprintf("accounts/%d", n%3), strconv.Itoa(n))
		e.By = &caller.Caller{Account: fmt.Sprintf("accounts/by%d", n)}
		list = append(list, e)
	}
	if err := postgres.InTx(t.Context(), b.pool, func(tx pgx.Tx) error { return events.AppendAll(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
	for _, part := range [][]events.Event{list[:150], list[150:151], list[151:]} {
		err := postgres.InTx(t.Context(), b.pool, func(tx pgx.Tx) error { return events.AppendAll(t.Context(), tx, part...) })
		if err != nil {
			t.Fatal(err)
		}
	}
	rows, err := b.pool.Query(t.Context(), "SELECT aggregate, version, envelope FROM kontor.outbox ORDER BY seq")
	if err != nil {
		t.Fatal(err)
	}
	var aggregate string
	var version int64
	var raw []byte
	n := 0
	if _, err := pgx.ForEachRow(rows, []any{&aggregate, &version, &raw}, func() error {
		var e commonv1.Envelope
		if err := proto.Unmarshal(raw, &e); err != nil {
			return err
		}
		if aggregate != fmt.Sprintf("accounts/%d", n%3) || version != int64(n/3+1) || e.GetVersion() != version || e.GetActor() != fmt.Sprintf("accounts/by%d", n) {
			t.Errorf("event %d: %s, version %d, %v", n, aggregate, version, &e)
		}
		n++
		return nil
	}); err != nil || n != len(list) {
		t.Fatalf("%d events, %v", n, err)
	}
}
