package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/trace"
)

func parseLevel(text string) (slog.Level, error) {
	var level slog.Level
	if text == "" {
		return slog.LevelInfo, nil
	}
	if err := level.UnmarshalText([]byte(text)); err != nil {
		return 0, fmt.Errorf("log level %q: use debug, info, warn or error", text)
	}
	return level, nil
}

func localHandler(output io.Writer, cfg Config, level slog.Level) (slog.Handler, error) {
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler
	switch cfg.LogFormat {
	case "", "json":
		handler = slog.NewJSONHandler(output, options)
	case "text":
		handler = slog.NewTextHandler(output, options)
	default:
		return nil, fmt.Errorf("log format %q: use json or text", cfg.LogFormat)
	}
	attributes := []slog.Attr{slog.String("service", cfg.Service)}
	if cfg.Instance != "" {
		attributes = append(attributes, slog.String("instance", cfg.Instance))
	}
	return handler.WithAttrs(attributes), nil
}

// newHandler joins the local log and, where there is one, the collector's, behind one redactor.
func newHandler(local slog.Handler, provider *sdklog.LoggerProvider, service string, level slog.Level) slog.Handler {
	targets := fanout{level: level, handlers: []slog.Handler{withTrace{local}}}
	if provider != nil {
		// The bridge takes the trace from the context by itself.
		bridge := otelslog.NewHandler(service, otelslog.WithLoggerProvider(provider))
		targets.handlers = append(targets.handlers, bridge)
	}
	return NewRedactor(targets)
}

// withTrace adds the ids of the context's span to a record.
type withTrace struct {
	slog.Handler
}

func (h withTrace) Handle(ctx context.Context, record slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		record = record.Clone()
		record.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, record)
}

func (h withTrace) WithAttrs(attributes []slog.Attr) slog.Handler {
	return withTrace{h.Handler.WithAttrs(attributes)}
}

func (h withTrace) WithGroup(name string) slog.Handler { return withTrace{h.Handler.WithGroup(name)} }

// fanout gives every record from its level upwards to all handlers.
type fanout struct {
	level    slog.Level
	handlers []slog.Handler
}

func (f fanout) Enabled(_ context.Context, level slog.Level) bool { return level >= f.level }

func (f fanout) Handle(ctx context.Context, record slog.Record) error {
	var failures []error
	for _, handler := range f.handlers {
		if handler.Enabled(ctx, record.Level) {
			failures = append(failures, handler.Handle(ctx, record.Clone()))
		}
	}
	return errors.Join(failures...)
}

func (f fanout) WithAttrs(attributes []slog.Attr) slog.Handler {
	return f.each(func(h slog.Handler) slog.Handler { return h.WithAttrs(attributes) })
}

func (f fanout) WithGroup(name string) slog.Handler {
	return f.each(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (f fanout) each(change func(slog.Handler) slog.Handler) slog.Handler {
	changed := make([]slog.Handler, len(f.handlers))
	for i, handler := range f.handlers {
		changed[i] = change(handler)
	}
	return fanout{level: f.level, handlers: changed}
}
