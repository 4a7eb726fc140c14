package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	logcollector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	metriccollector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracecollector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"kontor.internal/libs/servers/servertest"
	"kontor.internal/libs/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, servertest.IgnoreShared()) }

// collector is an OTLP receiver that remembers what it was sent.
type collector struct {
	tracecollector.UnimplementedTraceServiceServer

	mu      sync.Mutex
	spans   []*tracev1.Span
	metrics []string
	logs    []string
	service string
}

func (c *collector) Export(_ context.Context, req *tracecollector.ExportTraceServiceRequest) (*tracecollector.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, group := range req.GetResourceSpans() {
		for _, attribute := range group.GetResource().GetAttributes() {
			if attribute.GetKey() == "service.name" {
				c.service = attribute.GetValue().GetStringValue()
			}
		}
		for _, scope := range group.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	return &tracecollector.ExportTraceServiceResponse{}, nil
}

type metricsSide struct {
	metriccollector.UnimplementedMetricsServiceServer
	*collector
}

func (c metricsSide) Export(_ context.Context, req *metriccollector.ExportMetricsServiceRequest) (*metriccollector.ExportMetricsServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, group := range req.GetResourceMetrics() {
		for _, scope := range group.GetScopeMetrics() {
			for _, metric := range scope.GetMetrics() {
				c.metrics = append(c.metrics, metric.GetName())
			}
		}
	}
	return &metriccollector.ExportMetricsServiceResponse{}, nil
}

type logsSide struct {
	logcollector.UnimplementedLogsServiceServer
	*collector
}

func (c logsSide) Export(_ context.Context, req *logcollector.ExportLogsServiceRequest) (*logcollector.ExportLogsServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, group := range req.GetResourceLogs() {
		for _, scope := range group.GetScopeLogs() {
			for _, record := range scope.GetLogRecords() {
				c.logs = append(c.logs, record.String())
			}
		}
	}
	return &logcollector.ExportLogsServiceResponse{}, nil
}

// span returns the one span with a name.
func (c *collector) span(t *testing.T, name string) *tracev1.Span {
	t.Helper()
	var found *tracev1.Span
	var names []string
	for _, span := range c.spans {
		names = append(names, span.GetName())
		if span.GetName() == name {
			require.Nil(t, found, "two spans %s", name)
			found = span
		}
	}
	require.NotNil(t, found, "no span %s among %v", name, names)
	return found
}

func serve(t *testing.T, register func(*grpc.Server), options ...grpc.ServerOption) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer(options...)
	register(server)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		require.NoError(t, <-ended)
	})
	return listener.Addr().String()
}

func startCollector(t *testing.T) (*collector, string) {
	t.Helper()
	received := &collector{}
	return received, serve(t, func(server *grpc.Server) {
		tracecollector.RegisterTraceServiceServer(server, received)
		metriccollector.RegisterMetricsServiceServer(server, metricsSide{collector: received})
		logcollector.RegisterLogsServiceServer(server, logsSide{collector: received})
	})
}

func start(t *testing.T, cfg telemetry.Config) *telemetry.Telemetry {
	t.Helper()
	started, err := telemetry.Start(t.Context(), cfg)
	require.NoError(t, err)
	return started
}

func metrics(t *testing.T, from *telemetry.Telemetry) string {
	t.Helper()
	recorder := httptest.NewRecorder()
	from.MetricsHandler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
	return recorder.Body.String()
}

func TestTheCollectorSeesASpanAMetricAndALog(t *testing.T) {
	received, endpoint := startCollector(t)
	var log bytes.Buffer
	sent := start(t, telemetry.Config{
		Service: "licensing", Version: "1", Instance: "a", OTLPEndpoint: endpoint, OTLPInsecure: true, LogOutput: &log,
	})
	ctx, span := sent.Tracer("test").Start(t.Context(), "work")
	counter, err := sent.Meter("test").Int64Counter("kontor.test.work")
	require.NoError(t, err)
	counter.Add(ctx, 1)
	sent.Logger().InfoContext(ctx, "worked", "seat", "s1", "token", "s3cret-value")
	sent.Logger().DebugContext(ctx, "too quiet")
	telemetry.EndSpan(span, errors.New("s3cret-value"))
	require.Contains(t, metrics(t, sent), "kontor_test_work_total")
	require.NoError(t, sent.Shutdown(t.Context()))

	got := received.span(t, "work")
	require.Equal(t, tracev1.Status_STATUS_CODE_ERROR, got.GetStatus().GetCode())
	require.Equal(t, "licensing", received.service)
	require.Contains(t, received.metrics, "kontor.test.work")
	require.Len(t, received.logs, 1)
	for _, line := range []string{received.logs[0], log.String()} {
		require.Contains(t, line, "worked")
		require.Contains(t, line, "s1")
		require.NotContains(t, line, "s3cret-value")
	}
	require.NotContains(t, got.String(), "s3cret-value")
	require.Contains(t, log.String(), `"trace_id":"`+span.SpanContext().TraceID().String()+`"`)
	require.Contains(t, log.String(), `"service":"licensing","instance":"a"`)
}

func TestWithoutACollectorTracesAreStillIdentified(t *testing.T) {
	var log bytes.Buffer
	alone := start(t, telemetry.Config{Service: "backup", LogOutput: &log, LogFormat: "text", LogLevel: "DEBUG"})
	ctx, span := alone.Tracer("test").Start(t.Context(), "work")
	require.False(t, span.IsRecording())
	alone.Logger().DebugContext(ctx, "quiet")
	require.Contains(t, log.String(), "trace_id="+span.SpanContext().TraceID().String())
	require.Contains(t, metrics(t, alone), "go_goroutines")
	require.NoError(t, alone.Shutdown(t.Context()))
}

func TestTwoServicesInOneProcessDoNotMix(t *testing.T) {
	first, second := start(t, telemetry.Config{Service: "first"}), start(t, telemetry.Config{Service: "second"})
	counter, err := first.Meter("test").Int64Counter("only.first")
	require.NoError(t, err)
	counter.Add(t.Context(), 1)
	require.Contains(t, metrics(t, first), "only_first_total")
	require.NotContains(t, metrics(t, second), "only_first_total")
	require.NoError(t, errors.Join(first.Shutdown(t.Context()), second.Shutdown(t.Context())))
}

func TestMistakenSettingsAreRefused(t *testing.T) {
	for _, cfg := range []telemetry.Config{{LogLevel: "loud"}, {LogFormat: "xml"}, {SampleRatio: 2}} {
		_, err := telemetry.Start(t.Context(), cfg)
		require.Error(t, err)
	}
}

func TestShutdownEndsWithoutACollector(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close() // accepts nothing: a collector that hangs
	sent := start(t, telemetry.Config{Service: "x", OTLPEndpoint: listener.Addr().String(), OTLPInsecure: true, LogOutput: &bytes.Buffer{}})
	_, span := sent.Tracer("test").Start(t.Context(), "work")
	span.End()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	require.Error(t, sent.Shutdown(ctx))
	require.Less(t, time.Since(begun), 4*time.Second)
}

func TestCallsAreCountedByMethodAndOutcomeAndStrangersCannotMakeUpMethods(t *testing.T) {
	here := start(t, telemetry.Config{Service: "here", LogOutput: &bytes.Buffer{}})
	handler, begun := here.GRPCServerHandler(), time.Now()
	call := func(method string, err error) {
		ctx := handler.TagRPC(t.Context(), &stats.RPCTagInfo{FullMethodName: method})
		handler.HandleRPC(ctx, &stats.End{BeginTime: begun, EndTime: begun.Add(time.Millisecond), Error: err})
	}
	call("/a.B/Good", nil)
	call("/a.B/Good", status.Error(codes.NotFound, "x"))
	call("/a.B/Good", status.Error(codes.Internal, "x"))
	call("/a.B/Good", status.Error(codes.Code(99), "x"))
	call("/grpc.health.v1.Health/Check", nil)
	for n := range 1100 {
		call(fmt.Sprintf("/a.B/Made%d", n), status.Error(codes.Unimplemented, "x"))
	}
	text := metrics(t, here)
	counted := map[string]bool{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "rpc_server_call_duration_seconds_count") {
			counted[line] = true
		}
	}
	require.Len(t, counted, 4+999+1)
	require.Contains(t, text, `rpc_method="_OTHER"`)
	require.NotContains(t, text, "Health")
	require.Regexp(t, `count\{error_type="INTERNAL",[^}]*rpc_method="a.B/Good"`, text)
	require.NotRegexp(t, `error_type="NOT_FOUND"`, text)
	require.NoError(t, here.Shutdown(t.Context()))
}

// The path of a real request: HTTP → gRPC → PostgreSQL and Redis → NATS, one trace all the way.
func TestOneTraceAcrossEverything(t *testing.T) {
	received, endpoint := startCollector(t)
	here := start(t, telemetry.Config{Service: "here", OTLPEndpoint: endpoint, OTLPInsecure: true, LogOutput: &bytes.Buffer{}})

	poolConfig, err := pgxpool.ParseConfig(servertest.Postgres(t))
	require.NoError(t, err)
	poolConfig.ConnConfig.Tracer = here.PGXTracer()
	pool, err := pgxpool.NewWithConfig(t.Context(), poolConfig)
	require.NoError(t, err)
	defer pool.Close()
	require.NoError(t, here.InstrumentPool(pool))
	cache := redis.NewClient(&redis.Options{Addr: servertest.Redis(t)})
	defer cache.Close()
	require.NoError(t, here.InstrumentRedis(cache))

	header := nats.Header{}
	address := serve(t, func(server *grpc.Server) {
		tracecollector.RegisterTraceServiceServer(server, &work{do: func(ctx context.Context) error {
			var one int
			err := pool.QueryRow(ctx, "-- name: GetOne :one\nSELECT $1::int", 41).Scan(&one)
			err = errors.Join(err, cache.Set(ctx, "seat", "s3cret-value", 0).Err())
			_, span := here.StartPublish(ctx, "kontor.test.thing.made", header)
			telemetry.EndSpan(span, nil)
			return err
		}})
		healthv1.RegisterHealthServer(server, healthv1.UnimplementedHealthServer{})
	}, grpc.StatsHandler(here.GRPCServerHandler()))
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithStatsHandler(here.GRPCClientHandler()))
	require.NoError(t, err)
	defer conn.Close()

	mux := http.NewServeMux()
	mux.HandleFunc("GET /things/{id}", func(w http.ResponseWriter, r *http.Request) {
		_, err := tracecollector.NewTraceServiceClient(conn).Export(r.Context(), &tracecollector.ExportTraceServiceRequest{})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
		_, _ = healthv1.NewHealthClient(conn).Check(r.Context(), &healthv1.HealthCheckRequest{}) // only to see that no span is made
	})
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/things/1", nil)
	const stranger = "4bf92f3577b34da6a3ce929d0e0e4736"
	request.Header.Set("Traceparent", "00-"+stranger+"-00f067aa0ba902b7-01")
	recorder := httptest.NewRecorder()
	here.HTTPMiddleware("gateway", true)(mux).ServeHTTP(recorder, request)
	require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())

	ctx, consumed := here.StartConsume(context.Background(), "backup", "kontor.test.thing.made", header)
	require.Equal(t, consumed, trace.SpanFromContext(ctx))
	telemetry.EndSpan(consumed, nil)
	require.Contains(t, header, "traceparent")

	text := metrics(t, here)
	for _, name := range []string{"http_server_request_duration", "rpc_server_call_duration", "rpc_client_call_duration", "db_client", "pgxpool"} {
		require.Contains(t, text, name)
	}
	require.NoError(t, here.Shutdown(t.Context()))

	const method = "opentelemetry.proto.collector.trace.v1.TraceService/Export"
	var root *tracev1.Span
	kinds := map[string]bool{}
	for _, span := range received.spans {
		if strings.HasPrefix(span.GetName(), "GET") {
			root = span
		}
		require.NotContains(t, span.String(), "s3cret-value")
		require.NotContains(t, strings.ToLower(span.GetName()), "health")
	}
	require.NotNil(t, root)
	require.Empty(t, root.GetParentSpanId(), "a stranger's trace is not continued")
	require.Len(t, root.GetLinks(), 1)
	for _, span := range received.spans {
		if bytes.Equal(span.GetTraceId(), root.GetTraceId()) {
			kinds[span.GetKind().String()+" "+span.GetName()] = true
		}
	}
	for _, want := range []string{
		"SPAN_KIND_SERVER GET /things/{id}", "SPAN_KIND_CLIENT " + method, "SPAN_KIND_SERVER " + method, "SPAN_KIND_CLIENT GetOne",
		"SPAN_KIND_CLIENT set", "SPAN_KIND_PRODUCER send kontor.test.thing.made", "SPAN_KIND_CONSUMER process kontor.test.thing.made",
	} {
		require.Contains(t, kinds, want)
	}
}

// work is a gRPC service that does what a test asks.
type work struct {
	tracecollector.UnimplementedTraceServiceServer
	do func(context.Context) error
}

func (w *work) Export(ctx context.Context, _ *tracecollector.ExportTraceServiceRequest) (*tracecollector.ExportTraceServiceResponse, error) {
	return &tracecollector.ExportTraceServiceResponse{}, w.do(ctx)
}
