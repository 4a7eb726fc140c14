// Package telemetry gives a program its traces, metrics and logs. Nothing is kept in OpenTelemetry's package-level
// variables, so that several services in one process don't mix: providers are handed on.
//
// Metrics are always readable at MetricsHandler. With an OTLP endpoint, traces, metrics and logs are also sent there;
// without one spans are not recorded, but trace ids are still made, passed on and logged.
package telemetry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/credentials"
)

// shutdownGrace bounds the last export where the caller's context does not.
const shutdownGrace = 5 * time.Second

// Config says what a program is and where its telemetry goes.
type Config struct {
	Service  string // name of the service, such as "licensing"
	Version  string // the program's version; may be empty
	Instance string // tells copies of a service apart; may be empty

	OTLPEndpoint string      // host:port of an OTLP gRPC collector; empty means that nothing is sent
	OTLPInsecure bool        // plain text to the collector, for one on the same machine
	OTLPTLS      *tls.Config // how to trust the collector; nil means the system's authorities
	SampleRatio  float64     // share of new traces that are recorded, above 0 up to 1; 0 counts as 1

	LogLevel  string    // debug, info (default), warn or error
	LogFormat string    // json (default) or text
	LogOutput io.Writer // nil means standard error
}

// Telemetry is a program's running telemetry. End it with Shutdown.
type Telemetry struct {
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	// Propagator carries trace contexts between processes (W3C Trace Context). Baggage is left out: nothing reads it,
	// and strangers could fill it.
	Propagator propagation.TextMapPropagator

	logger   *slog.Logger
	registry *prometheus.Registry
	server   *serverStats
	closers  []closer
}

// closer ends a part, at the latest when ctx ends.
type closer func(ctx context.Context) error

func nothing(context.Context) error { return nil }

// surely ends a provider, and where that runs out of time its exporter too: the provider would leave it trying.
func surely(provider, exporter closer) closer {
	return func(ctx context.Context) error {
		if err := provider(ctx); err != nil {
			return errors.Join(err, exporter(ctx))
		}
		return nil
	}
}

// Start begins telemetry. The collector need not be reachable.
func Start(ctx context.Context, cfg Config) (*Telemetry, error) {
	t := &Telemetry{Propagator: propagation.TraceContext{}, registry: prometheus.NewRegistry()}
	if err := t.start(ctx, cfg); err != nil {
		// Nothing has been recorded yet; closing only ends what runs.
		return nil, errors.Join(fmt.Errorf("telemetry: %w", err), t.Shutdown(ctx))
	}
	return t, nil
}

func (t *Telemetry) start(ctx context.Context, cfg Config) error {
	about := describe(cfg)
	if err := t.startTraces(ctx, cfg, about); err != nil {
		return err
	}
	if err := t.startMetrics(ctx, cfg, about); err != nil {
		return err
	}
	return t.startLogs(ctx, cfg, about)
}

func describe(cfg Config) *resource.Resource {
	attributes := []attribute.KeyValue{semconv.ServiceNamespace("kontor"), semconv.ServiceName(cfg.Service)}
	if cfg.Version != "" {
		attributes = append(attributes, semconv.ServiceVersion(cfg.Version))
	}
	if cfg.Instance != "" {
		attributes = append(attributes, semconv.ServiceInstanceID(cfg.Instance))
	}
	return resource.NewWithAttributes(semconv.SchemaURL, attributes...)
}

func (t *Telemetry) startTraces(ctx context.Context, cfg Config, about *resource.Resource) error {
	if cfg.SampleRatio < 0 || cfg.SampleRatio > 1 {
		return fmt.Errorf("sample ratio %v is not between 0 and 1", cfg.SampleRatio)
	}
	// Without a collector recording would be work for nobody; ids are made all the same.
	options := []sdktrace.TracerProviderOption{sdktrace.WithResource(about), sdktrace.WithSampler(sdktrace.NeverSample())}
	exporter := closer(nothing)
	if cfg.OTLPEndpoint != "" {
		security := otlptracegrpc.WithInsecure()
		if !cfg.OTLPInsecure {
			security = otlptracegrpc.WithTLSCredentials(credentials.NewTLS(cfg.OTLPTLS))
		}
		sender, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(cfg.OTLPEndpoint), security)
		if err != nil {
			return fmt.Errorf("traces: %w", err)
		}
		exporter = sender.Shutdown
		options = append(options, sdktrace.WithBatcher(sender), sdktrace.WithSampler(sampler(cfg.SampleRatio)))
	}
	provider := sdktrace.NewTracerProvider(options...)
	t.TracerProvider = provider
	t.closers = append(t.closers, surely(provider.Shutdown, exporter))
	return nil
}

func sampler(ratio float64) sdktrace.Sampler {
	if ratio == 0 {
		ratio = 1
	}
	return sdktrace.ParentBased(sdktrace.TraceIDRatioBased(ratio))
}

func (t *Telemetry) startMetrics(ctx context.Context, cfg Config, about *resource.Resource) error {
	process := collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})
	for _, collector := range []prometheus.Collector{collectors.NewGoCollector(), process} {
		if err := t.registry.Register(collector); err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
	}
	reader, err := otelprometheus.New(otelprometheus.WithRegisterer(t.registry))
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	options := []sdkmetric.Option{sdkmetric.WithResource(about), sdkmetric.WithReader(reader)}
	exporter := closer(nothing)
	if cfg.OTLPEndpoint != "" {
		security := otlpmetricgrpc.WithInsecure()
		if !cfg.OTLPInsecure {
			security = otlpmetricgrpc.WithTLSCredentials(credentials.NewTLS(cfg.OTLPTLS))
		}
		sender, err := otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpoint(cfg.OTLPEndpoint), security)
		if err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
		exporter = sender.Shutdown
		options = append(options, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(sender)))
	}
	provider := sdkmetric.NewMeterProvider(options...)
	t.MeterProvider = provider
	t.closers = append(t.closers, surely(provider.Shutdown, exporter))
	t.server, err = newServerStats(t)
	return err
}

func (t *Telemetry) startLogs(ctx context.Context, cfg Config, about *resource.Resource) error {
	level, err := parseLevel(cfg.LogLevel)
	if err != nil {
		return err
	}
	output := cfg.LogOutput
	if output == nil {
		output = os.Stderr
	}
	local, err := localHandler(output, cfg, level)
	if err != nil {
		return err
	}
	var provider *sdklog.LoggerProvider
	if cfg.OTLPEndpoint != "" {
		security := otlploggrpc.WithInsecure()
		if !cfg.OTLPInsecure {
			security = otlploggrpc.WithTLSCredentials(credentials.NewTLS(cfg.OTLPTLS))
		}
		exporter, err := otlploggrpc.New(ctx, otlploggrpc.WithEndpoint(cfg.OTLPEndpoint), security)
		if err != nil {
			return fmt.Errorf("logs: %w", err)
		}
		provider = sdklog.NewLoggerProvider(sdklog.WithResource(about), sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter)))
		t.closers = append(t.closers, surely(provider.Shutdown, exporter.Shutdown))
	}
	t.logger = slog.New(newHandler(local, provider, cfg.Service, level))
	return nil
}

// Logger writes to standard error, and to the collector where there is one. Secrets are hidden; see NewRedactor. Log
// with a context (InfoContext): the trace's id is added from it.
func (t *Telemetry) Logger() *slog.Logger { return t.logger }

// Tracer returns a tracer for the package of that name.
func (t *Telemetry) Tracer(name string) trace.Tracer { return t.TracerProvider.Tracer(name) }

// Meter returns a meter for the package of that name.
func (t *Telemetry) Meter(name string) metric.Meter { return t.MeterProvider.Meter(name) }

// MetricsHandler shows this program's metrics in Prometheus' text format. It stays usable until Shutdown.
func (t *Telemetry) MetricsHandler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(t.logger.Handler(), slog.LevelWarn)})
}

// Shutdown sends what is waiting and ends telemetry, in five seconds at most or when ctx ends. What could not be sent is
// lost and is the error.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, shutdownGrace)
	defer cancel()
	// At the same time, so that one slow signal does not use up the others' time.
	failures := make([]error, len(t.closers))
	var all sync.WaitGroup
	for i, closer := range t.closers {
		all.Go(func() { failures[i] = closer(ctx) })
	}
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		return fmt.Errorf("telemetry: shutdown: %w", err)
	}
	return nil
}
