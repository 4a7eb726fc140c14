package events_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"kontor.internal/libs/events"
	"kontor.internal/libs/servers/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, servertest.IgnoreShared()) }

// dying is a stream whose publisher dies after the stream has taken an event, before it learns of it: the database never
// hears that the event was published.
type dying struct {
	jetstream.JetStream
	kill func()
}

// unheard is an acknowledgement that nobody hears.
type unheard struct{ jetstream.PubAckFuture }

func (unheard) Ok() <-chan *jetstream.PubAck { return nil }
func (unheard) Err() <-chan error            { return nil }

func (d dying) PublishMsgAsync(msg *nats.Msg, options ...jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	future, err := d.JetStream.PublishMsgAsync(msg, options...)
	if err == nil {
		<-future.Ok()
		d.kill()
	}
	return unheard{future}, err
}

func TestARelayKilledBetweenPublishAndMarkLosesAndDoublesNothing(t *testing.T) {
	b, h := setup(t, servertest.NATS(t)), newHeard()
	b.happen(t, event("accounts/0", "0"), event("accounts/0", "1"))

	ctx, kill := context.WithCancel(t.Context())
	deps := b.deps
	deps.JetStream = dying{JetStream: b.deps.JetStream, kill: kill}
	relay, err := events.NewRelay(deps)
	if err != nil {
		t.Fatal(err)
	}
	if err := relay.Run(ctx); err != nil {
		t.Fatal(err)
	}
	published(t, b.pool, 0)
	if n := stored(t, b.deps.JetStream); n != 1 {
		t.Fatalf("the stream has %d events, want the one that nobody marked", n)
	}

	b.relay(t)
	background(t, func(ctx context.Context) error { return events.Consume(ctx, b.deps, consumer("tried-sessions", h)) })
	h.wait(t, 2)
	published(t, b.pool, 2)
	h.inOrder(t, 1, 2)
	if n := stored(t, b.deps.JetStream); n != 2 {
		t.Errorf("the stream has %d events, want 2", n)
	}
}

func stored(t *testing.T, js jetstream.JetStream) uint64 {
	t.Helper()
	stream, err := js.Stream(t.Context(), events.Stream)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().State.Msgs
}

// More events than any limit of unanswered ones wait behind one that panics each time.
func TestAnEventThatPanicsEndsNeitherTheProcessNorOtherAggregates(t *testing.T) {
	b, h := setup(t, servertest.NATS(t)), newHeard()
	const behind = 1500
	var broken atomic.Bool
	broken.Store(true)
	c := consumer("tried-sessions", h)
	c.Handle = func(_ context.Context, _ pgx.Tx, e events.Received) error {
		if e.Envelope.GetAggregate() == "accounts/0" && broken.Load() {
			panic("a poisoned event")
		}
		return h.note(e)
	}
	for i := range behind {
		b.happen(t, event("accounts/0", fmt.Sprint(i)))
	}
	b.happen(t, event("accounts/1", "0"))
	b.relay(t)
	background(t, func(ctx context.Context) error { return events.Consume(ctx, b.deps, c) })
	h.wait(t, 1)
	if h.sessions["accounts/1"] == nil {
		t.Fatalf("heard %v", h.sessions)
	}
	broken.Store(false)
	h.wait(t, 3) // It is applied once it can be, and what waited behind it follows.
}

func TestACopyThatStopsGivesBackWhatItHasNotBegun(t *testing.T) {
	b, h := setup(t, servertest.NATS(t)), newHeard()
	b.relay(t)
	const aggregates, inMemory = 80, 40 // More than wait for the worker, so that some have not even been looked at.
	begun := make(chan struct{})
	c := consumer("tried-sessions", h)
	c.Concurrency = 1
	slow, once := c, sync.Once{}
	slow.Handle = func(ctx context.Context, _ pgx.Tx, _ events.Received) error {
		once.Do(func() { close(begun) })
		<-ctx.Done()
		return ctx.Err()
	}
	for a := range aggregates {
		b.happen(t, event(fmt.Sprintf("accounts/%d", a), "0"))
	}
	published(t, b.pool, aggregates)
	stop := background(t, func(ctx context.Context) error { return events.Consume(ctx, b.deps, slow) })
	<-begun
	delivered(t, b.deps.JetStream, c.Name, inMemory)
	stop()
	background(t, func(ctx context.Context) error { return events.Consume(ctx, b.deps, c) })
	h.wait(t, aggregates) // Sooner than events of a dead copy come again, which takes a minute.
	h.inOrder(t, aggregates, 1)
}

// delivered returns when a consumer has so many events that it has not answered.
func delivered(t *testing.T, js jetstream.JetStream, consumer string, count int) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		durable, err := js.Consumer(t.Context(), events.Stream, consumer)
		if err != nil {
			t.Fatal(err)
		}
		got := durable.CachedInfo().NumAckPending
		if got >= count {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%d events were delivered, want %d", got, count)
		case <-tick.C:
		}
	}
}
