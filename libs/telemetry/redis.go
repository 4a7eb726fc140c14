package telemetry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"
	"go.opentelemetry.io/otel/trace"
)

// pipeline is what several commands in one are called.
const pipeline = "pipeline"

// InstrumentRedis makes a span for every command whose context is traced, and metrics of the commands and of the
// connection pool. Commands' arguments are never recorded. Call it once a client.
func (t *Telemetry) InstrumentRedis(client redis.UniversalClient) error {
	const scope = "kontor/redis"
	meter := t.Meter(scope)
	duration, err := dbconv.NewClientOperationDuration(meter, metric.WithExplicitBucketBoundaries(
		0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5))
	if err != nil {
		return fmt.Errorf("telemetry: redis: %w", err)
	}
	client.AddHook(&redisHook{tracer: t.Tracer(scope), duration: duration.Inst(), known: map[operation][]metric.RecordOption{}})
	connections, err := meter.Int64ObservableUpDownCounter("db.client.connection.count", metric.WithUnit("{connection}"),
		metric.WithDescription("Connections of the pool to Redis, by state."))
	if err != nil {
		return fmt.Errorf("telemetry: redis: %w", err)
	}
	idle := metric.WithAttributes(semconv.DBSystemNameRedis, semconv.DBClientConnectionStateIdle)
	used := metric.WithAttributes(semconv.DBSystemNameRedis, semconv.DBClientConnectionStateUsed)
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		pool := client.PoolStats()
		o.ObserveInt64(connections, int64(pool.IdleConns), idle)
		o.ObserveInt64(connections, int64(pool.TotalConns)-int64(pool.IdleConns), used)
		return nil
	}, connections)
	if err != nil {
		return fmt.Errorf("telemetry: redis: %w", err)
	}
	return nil
}

// redisHook lies around commands. What is the same for all calls of a command is made once.
type redisHook struct {
	tracer   trace.Tracer
	duration metric.Float64Histogram

	mu    sync.RWMutex
	known map[operation][]metric.RecordOption
}

// operation is a command with its outcome. There are as many as the program has commands.
type operation struct {
	name   string
	failed bool
}

// DialHook leaves connecting alone.
func (h *redisHook) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook measures one command.
func (h *redisHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		return h.measure(ctx, command.Name(), func(ctx context.Context) error { return next(ctx, command) })
	}
}

// ProcessPipelineHook measures several commands in one.
func (h *redisHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		return h.measure(ctx, pipeline, func(ctx context.Context) error { return next(ctx, commands) })
	}
}

func (h *redisHook) measure(ctx context.Context, name string, run func(ctx context.Context) error) error {
	begun := time.Now()
	if !trace.SpanFromContext(ctx).IsRecording() {
		err := run(ctx)
		h.note(ctx, name, begun, err)
		return err
	}
	ctx, span := h.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(semconv.DBSystemNameRedis, semconv.DBOperationName(name)))
	err := run(ctx)
	EndSpan(span, failureOf(err))
	h.note(ctx, name, begun, err)
	return err
}

// failureOf is nil when Redis merely has nothing.
func failureOf(err error) error {
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

func (h *redisHook) note(ctx context.Context, name string, begun time.Time, err error) {
	what := operation{name: name, failed: failureOf(err) != nil}
	h.mu.RLock()
	options, ok := h.known[what]
	h.mu.RUnlock()
	if !ok {
		about := []attribute.KeyValue{semconv.DBSystemNameRedis, semconv.DBOperationName(name)}
		if what.failed {
			about = append(about, semconv.ErrorTypeOther)
		}
		options = []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(about...))}
		h.mu.Lock()
		h.known[what] = options
		h.mu.Unlock()
	}
	h.duration.Record(ctx, time.Since(begun).Seconds(), options...)
}
