package events

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Watcher hears of events.
type Watcher struct {
	// Filters are subjects, with wildcards where wanted.
	Filters []string
	// Since is how far back to begin; 0 means with what comes next.
	Since time.Duration
	// Ready is called once, when what had happened before has been handled. May be nil.
	Ready func()
	// Handle hears of one event.
	Handle func(ctx context.Context, e Received)
}

// Watch tells every copy of a service of every event, until ctx ends: for caches and open streams, which each copy has
// of its own. Nothing is noted as applied: an event can come twice, and after a lost connection some from before come
// again.
func Watch(ctx context.Context, d Deps, w Watcher) error {
	d = d.complete()
	ready, since := w.Ready, time.Now().Add(-w.Since)
	again(ctx, d.Log, "watcher", func(ctx context.Context) error {
		return d.watch(ctx, w, &since, func() {
			if ready != nil {
				ready()
				ready = nil
			}
		})
	})
	return nil
}

// watch begins at since, and moves it on with each event, so that after a loss nothing is missed.
func (d Deps) watch(ctx context.Context, w Watcher, since *time.Time, ready func()) error {
	if err := EnsureStream(ctx, d.JetStream, d.Stream); err != nil {
		return err
	}
	begin := *since
	consumer, err := d.JetStream.OrderedConsumer(ctx, Stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: w.Filters, DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &begin,
	})
	if err != nil {
		return err
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	before := info.NumPending
	if before == 0 {
		ready()
	}
	for {
		msg, err := messages.Next()
		if err != nil {
			if errors.Is(err, jetstream.ErrMsgIteratorClosed) && ctx.Err() != nil {
				return nil
			}
			messages.Stop()
			return err
		}
		e, err := fromMessage(msg.Subject(), msg.Headers(), msg.Data())
		if err != nil {
			d.Log.ErrorContext(ctx, "event can't be read", "subject", msg.Subject(), "error", err)
		} else {
			w.Handle(ctx, e)
		}
		if about, err := msg.Metadata(); err == nil {
			*since = about.Timestamp
		}
		if before > 0 {
			if before--; before == 0 {
				ready()
			}
		}
	}
}
