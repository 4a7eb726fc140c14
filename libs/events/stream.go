package events

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// Stream is the one stream of all services' events.
const Stream = "KONTOR"

// repeats is how long JetStream remembers message ids; longer than a relay needs to come back. Versions protect after that.
const repeats = 5 * time.Minute

// Config says where events go.
type Config struct {
	URL      string        `koanf:"url" doc:"Addresses of the NATS servers, separated by commas." required:"true"`
	Token    string        `koanf:"token" doc:"Token for the NATS servers, where they ask for one." secret:"true"`
	Replicas int           `koanf:"replicas" default:"1" doc:"Copies of the stream that a NATS cluster keeps: 1, 3 or 5."`
	MaxAge   time.Duration `koanf:"max_age" default:"2160h" doc:"How long the stream keeps events. A consumer that is away for longer loses some."`
}

// Connect opens a connection that lives until it is closed: it starts without a server and comes back after every loss.
func Connect(cfg Config, encryption *tls.Config, name string, log *slog.Logger) (*nats.Conn, jetstream.JetStream, error) {
	options := []nats.Option{
		nats.Name(name), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond),
		nats.ReconnectBufSize(-1), // The relay repeats what was not sent; nothing may be sent late, behind its back.
		nats.PingInterval(10 * time.Second), nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // Without one we closed the connection ourselves.
				log.Warn("NATS lost", "error", err)
			}
		}),
		nats.ReconnectHandler(func(c *nats.Conn) { log.Info("NATS is back", "server", c.ConnectedAddr()) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("NATS", "error", err) }),
	}
	if cfg.Token != "" {
		options = append(options, nats.Token(cfg.Token))
	}
	if encryption != nil {
		options = append(options, nats.Secure(encryption))
	}
	conn, err := nats.Connect(cfg.URL, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to NATS: %w", err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return conn, js, nil
}

// EnsureStream makes the stream, or gives it these settings. Relays and consumers call it; all services give the same.
func EnsureStream(ctx context.Context, js jetstream.JetStream, cfg Config) error {
	_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: Stream, Description: "What happened in Kontor.", Subjects: []string{"kontor.>"},
		Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld,
		Replicas: cmp.Or(cfg.Replicas, 1), MaxAge: cfg.MaxAge, Duplicates: repeats, AllowDirect: true,
	})
	if err != nil {
		return fmt.Errorf("stream %s: %w", Stream, err)
	}
	return nil
}

// Deps are what relays, consumers and watchers work with.
type Deps struct {
	// Service is the service's own name, as which consumers act.
	Service string
	// Pool is the service's database.
	Pool *pgxpool.Pool
	// JetStream is where events go.
	JetStream jetstream.JetStream
	// Stream holds the stream's settings; its URL and Token are not used.
	Stream Config
	// Log gets failures and recoveries.
	Log *slog.Logger
	// Meter counts events; nil counts nothing.
	Meter metric.Meter
	// Tracer makes a span of each applied event; nil makes none.
	Tracer trace.Tracer
}

func (d Deps) complete() Deps {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Meter == nil {
		d.Meter = metricnoop.NewMeterProvider().Meter("")
	}
	if d.Tracer == nil {
		d.Tracer = tracenoop.NewTracerProvider().Tracer("")
	}
	return d
}

// again runs session until ctx ends, with pauses of 0.1 to 5 s after failures.
func again(ctx context.Context, log *slog.Logger, what string, session func(ctx context.Context) error) {
	pause := shortestPause
	for {
		began := time.Now()
		err := session(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > longestPause {
			pause = shortestPause
		}
		log.Warn(what+" was interrupted", "error", err, "pause", pause)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		pause = min(2*pause, longestPause)
	}
}

const (
	shortestPause = 100 * time.Millisecond
	longestPause  = 5 * time.Second
)
