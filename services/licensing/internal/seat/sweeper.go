package seat

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

const (
	// sweeping is how often leases that ran out are looked for. Nobody waits for it to get a seat: claims look themselves.
	sweeping = 200 * time.Millisecond
	// atOnce is how many pools of a partition are looked at together.
	atOnce = 100
)

// Sweeper ends leases that ran out soon after, so that the holders' connections end too, and lets pools rest that nobody
// is in. Every copy of the service runs one; doing it twice changes nothing.
type Sweeper struct {
	Pools *Pools
	Log   *slog.Logger
}

// Run sweeps until ctx ends.
func (w *Sweeper) Run(ctx context.Context) error {
	tick := time.NewTicker(sweeping)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := w.sweep(ctx); err != nil && ctx.Err() == nil {
			w.Log.WarnContext(ctx, "seats can't be swept just now", "error", err)
			pause(ctx, pausing)
		}
	}
}

func (w *Sweeper) sweep(ctx context.Context) error {
	due, err := w.due(ctx)
	if err != nil {
		return err
	}
	for _, of := range due {
		if err := w.Pools.tidy(ctx, of); err != nil {
			return err
		}
	}
	return nil
}

// due are the pools that have something to look at.
func (w *Sweeper) due(ctx context.Context) ([]uuid.UUID, error) {
	now, err := w.Pools.now(ctx)
	if err != nil {
		return nil, err
	}
	until := strconv.FormatInt(now.UnixMilli(), 10)
	results, err := w.Pools.deps.Redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for partition := range partitions {
			p.ZRangeByScore(ctx, dueKey(partition), &redis.ZRangeBy{Min: "-inf", Max: until, Count: atOnce})
		}
		return nil
	})
	if err != nil {
		return nil, unavailable(err)
	}
	var due []uuid.UUID
	for _, result := range results {
		names, _ := result.(*redis.StringSliceCmd)
		for _, name := range names.Val() {
			if of, err := uuid.Parse(name); err == nil {
				due = append(due, of)
			}
		}
	}
	return due, nil
}

// tidy looks after one pool. One that another server wrote last begins its recovery.
func (p *Pools) tidy(ctx context.Context, of uuid.UUID) error {
	a, err := p.f.call(ctx, "tidy", of, of.String())
	if err != nil {
		return err
	}
	switch a.word() {
	case wordClosed:
		_, err = p.settle(ctx, of, false)
	case wordEmpty:
		err = p.rest(ctx, of, a.text(1))
	}
	return err
}
