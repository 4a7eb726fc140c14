package telemetry

import (
	"context"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

const scope = "kontor.internal/libs/telemetry"

// InjectNATS writes the context's trace into a message's header.
func (t *Telemetry) InjectNATS(ctx context.Context, header nats.Header) {
	t.Propagator.Inject(ctx, natsHeader(header))
}

// ExtractNATS returns a context that continues the trace in a message's header, if there is one.
func (t *Telemetry) ExtractNATS(ctx context.Context, header nats.Header) context.Context {
	return t.Propagator.Extract(ctx, natsHeader(header))
}

// StartPublish begins the span of publishing a message and writes its trace into the header, which must not be nil. End
// it with EndSpan.
func (t *Telemetry) StartPublish(ctx context.Context, subject string, header nats.Header) (context.Context, trace.Span) {
	ctx, span := t.Tracer(scope).Start(ctx, "send "+subject, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		semconv.MessagingSystemKey.String("nats"), semconv.MessagingDestinationName(subject),
		semconv.MessagingOperationName("send"), semconv.MessagingOperationTypeSend,
	))
	t.InjectNATS(ctx, header)
	return ctx, span
}

// StartConsume begins the span of handling a message, in the trace that the message carries. End it with EndSpan.
func (t *Telemetry) StartConsume(ctx context.Context, consumer, subject string, header nats.Header) (context.Context, trace.Span) {
	ctx = t.ExtractNATS(ctx, header)
	return t.Tracer(scope).Start(ctx, "process "+subject, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		semconv.MessagingSystemKey.String("nats"), semconv.MessagingDestinationName(subject),
		semconv.MessagingConsumerGroupName(consumer), semconv.MessagingOperationName("process"),
		semconv.MessagingOperationTypeProcess,
	))
}

// EndSpan ends a span; with an error it marks the span as failed. The error's text is not recorded: it may hold what the
// log would hide.
func EndSpan(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// natsHeader keeps names as they are written: NATS tells upper from lower case, and W3C's names are lower.
type natsHeader nats.Header

func (h natsHeader) Get(key string) string { return nats.Header(h).Get(key) }

func (h natsHeader) Set(key, value string) { nats.Header(h).Set(key, value) }

func (h natsHeader) Keys() []string {
	keys := make([]string, 0, len(h))
	for key := range h {
		keys = append(keys, key)
	}
	return keys
}
