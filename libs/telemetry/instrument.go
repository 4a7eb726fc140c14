package telemetry

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/extra/redisotel/v9"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc/filters"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"google.golang.org/grpc/stats"
)

// GRPCServerHandler makes a span and metrics for every call that a gRPC server answers, health checks apart.
func (t *Telemetry) GRPCServerHandler() stats.Handler { return t.server }

// GRPCClientHandler makes a span and metrics for every gRPC call made, and passes the trace on.
func (t *Telemetry) GRPCClientHandler() stats.Handler { return otelgrpc.NewClientHandler(t.grpc()...) }

func (t *Telemetry) grpc() []otelgrpc.Option {
	return []otelgrpc.Option{
		otelgrpc.WithTracerProvider(t.TracerProvider), otelgrpc.WithMeterProvider(t.MeterProvider),
		otelgrpc.WithPropagators(t.Propagator), otelgrpc.WithFilter(filters.Not(filters.HealthCheck())),
	}
}

// HTTPMiddleware makes a span and metrics for every HTTP request answered, named by the route's pattern. For a door that
// strangers reach (public) a trace that comes with the request is only linked to, never continued.
func (t *Telemetry) HTTPMiddleware(operation string, public bool) func(http.Handler) http.Handler {
	options := t.http()
	if public {
		options = append(options, otelhttp.WithPublicEndpointFn(func(*http.Request) bool { return true }))
	}
	return otelhttp.NewMiddleware(operation, options...)
}

// HTTPTransport makes a span and metrics for every HTTP request made through base (nil: http.DefaultTransport).
func (t *Telemetry) HTTPTransport(base http.RoundTripper) http.RoundTripper {
	return otelhttp.NewTransport(base, t.http()...)
}

func (t *Telemetry) http() []otelhttp.Option {
	return []otelhttp.Option{
		otelhttp.WithTracerProvider(t.TracerProvider), otelhttp.WithMeterProvider(t.MeterProvider),
		otelhttp.WithPropagators(t.Propagator),
	}
}

// PGXTracer makes a span for every statement whose context is being traced, named as the query is in queries/*.sql, and
// metrics for all. Parameters are never recorded.
func (t *Telemetry) PGXTracer() *otelpgx.Tracer {
	return otelpgx.NewTracer(
		otelpgx.WithTracerProvider(t.TracerProvider), otelpgx.WithMeterProvider(t.MeterProvider),
		otelpgx.WithSpanNameFunc(queryName),
	)
}

// queryName reads sqlc's "-- name: GetSeat :one"; other statements are named by their first word.
func queryName(statement string) string {
	words := strings.Fields(statement)
	switch {
	case len(words) > 2 && words[0] == "--" && words[1] == "name:":
		return words[2]
	case len(words) > 0:
		return strings.ToUpper(words[0])
	default:
		return "empty"
	}
}

// InstrumentPool reports how busy a connection pool is.
func (t *Telemetry) InstrumentPool(pool *pgxpool.Pool) error {
	if err := otelpgx.RecordStats(pool, otelpgx.WithStatsMeterProvider(t.MeterProvider)); err != nil {
		return fmt.Errorf("telemetry: pool: %w", err)
	}
	return nil
}

// InstrumentRedis makes a span for every command whose context is traced, and metrics of the commands and of the
// connection pool. Commands' arguments are never recorded.
func (t *Telemetry) InstrumentRedis(client redis.UniversalClient) error {
	err := errors.Join(
		redisotel.InstrumentTracing(client, redisotel.WithTracerProvider(t.TracerProvider), redisotel.WithDBStatement(false),
			redisotel.WithCallerEnabled(false)),
		redisotel.InstrumentMetrics(client, redisotel.WithMeterProvider(t.MeterProvider)),
	)
	if err != nil {
		return fmt.Errorf("telemetry: redis: %w", err)
	}
	return nil
}
