package telemetry

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/rpcconv"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

const (
	// maxMethods bounds the methods that are told apart: at an open door strangers may call any name.
	maxMethods = 1000
	// otherMethod stands for all that are not (OpenTelemetry's name for it).
	otherMethod = "_OTHER"
	healthCheck = "/grpc.health.v1.Health/"
)

// serverStats makes a span and a duration for every call that a server answers, as OpenTelemetry's conventions for RPC
// want them. What is the same for all calls of a method is made once: it stands in the way of every request.
type serverStats struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	duration   metric.Float64Histogram

	mu      sync.RWMutex
	methods map[string]*method
}

// method is what is known of a method before it is called.
type method struct {
	name  string
	start []trace.SpanStartOption
	// ends are the attributes of its calls' durations by status code, made when first needed.
	ends [codes.Unauthenticated + 1]atomic.Pointer[[]metric.RecordOption]
}

func newServerStats(t *Telemetry) (*serverStats, error) {
	const scope = "kontor/grpc"
	duration, err := rpcconv.NewServerCallDuration(t.Meter(scope), metric.WithExplicitBucketBoundaries(
		0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10))
	if err != nil {
		return nil, fmt.Errorf("telemetry: gRPC: %w", err)
	}
	return &serverStats{
		tracer: t.Tracer(scope), propagator: t.Propagator, duration: duration.Inst(), methods: map[string]*method{},
	}, nil
}

type callKey struct{}

// TagRPC begins the span.
func (s *serverStats) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	if strings.HasPrefix(info.FullMethodName, healthCheck) {
		return ctx
	}
	m := s.method(info.FullMethodName)
	ctx, _ = s.tracer.Start(s.propagator.Extract(ctx, incoming{ctx}), m.name, m.start...)
	return context.WithValue(ctx, callKey{}, m)
}

// HandleRPC ends the span and notes how long the call took.
func (s *serverStats) HandleRPC(ctx context.Context, event stats.RPCStats) {
	switch event := event.(type) {
	case *stats.InHeader:
		if span := trace.SpanFromContext(ctx); span.IsRecording() && event.LocalAddr != nil {
			span.SetAttributes(addressOf(event.LocalAddr)...)
		}
	case *stats.End:
		m, ok := ctx.Value(callKey{}).(*method)
		if !ok {
			return
		}
		answered := status.Convert(event.Error)
		code := min(answered.Code(), codes.Unauthenticated)
		if span := trace.SpanFromContext(ctx); span.IsRecording() {
			span.SetAttributes(semconv.RPCResponseStatusCode(codeName(code)))
			if isFault(code) {
				span.SetStatus(otelcodes.Error, answered.Message())
			}
			span.End()
		}
		s.duration.Record(ctx, event.EndTime.Sub(event.BeginTime).Seconds(), m.end(code)...)
	}
}

// TagConn adds nothing.
func (s *serverStats) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn notes nothing.
func (s *serverStats) HandleConn(context.Context, stats.ConnStats) {}

func (s *serverStats) method(full string) *method {
	s.mu.RLock()
	m, ok := s.methods[full]
	s.mu.RUnlock()
	if ok {
		return m
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := strings.TrimPrefix(full, "/")
	if len(s.methods) >= maxMethods {
		full, name = otherMethod, otherMethod
	}
	if m, ok = s.methods[full]; !ok {
		m = &method{name: strings.Clone(name)}
		m.start = []trace.SpanStartOption{
			trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(semconv.RPCMethod(m.name), semconv.RPCSystemNameGRPC),
		}
		s.methods[strings.Clone(full)] = m
	}
	return m
}

func (m *method) end(code codes.Code) []metric.RecordOption {
	if made := m.ends[code].Load(); made != nil {
		return *made
	}
	about := []attribute.KeyValue{semconv.RPCMethod(m.name), semconv.RPCSystemNameGRPC, semconv.RPCResponseStatusCode(codeName(code))}
	if isFault(code) {
		about = append(about, semconv.ErrorTypeKey.String(codeName(code)))
	}
	made := []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(about...))}
	m.ends[code].Store(&made)
	return made
}

func addressOf(address net.Addr) []attribute.KeyValue {
	if tcp, ok := address.(*net.TCPAddr); ok {
		return []attribute.KeyValue{semconv.ServerAddress(tcp.IP.String()), semconv.ServerPort(tcp.Port)}
	}
	return []attribute.KeyValue{semconv.ServerAddress(address.String())}
}

// isFault says that the server, not its caller, is to blame.
func isFault(code codes.Code) bool {
	switch code {
	case codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss:
		return true
	default:
		return false
	}
}

// codeName is a code as gRPC's specification writes it.
func codeName(code codes.Code) string {
	return [...]string{
		"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
		"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
		"UNAUTHENTICATED",
	}[code]
}

// incoming reads single headers of a request, without copying them all.
type incoming struct{ ctx context.Context } //nolint:containedctx // it lives as long as one call.

// Get reads a header.
func (c incoming) Get(key string) string {
	if values := metadata.ValueFromIncomingContext(c.ctx, key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Set does nothing: what came in stays as it is.
func (c incoming) Set(string, string) {}

// Keys lists nothing: no propagator of Kontor's asks.
func (c incoming) Keys() []string { return nil }
