package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"kontor.internal/libs/authn"
	"kontor.internal/libs/authz"
	"kontor.internal/libs/events"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

const (
	revokedSubject = "kontor.identity.session.revoked"
	accessSubject  = "kontor.tenancy.access.changed"
)

// Run serves until ctx ends or a part fails, then stops: takes no new
// requests, waits for those under way and for background work, closes what it
// opened in reverse order, all within the drain time-out. It refuses to start
// when a method lacks its rule.
func (s *Service) Run(ctx context.Context) error {
	rules, err := authz.LoadRules(s.grpc.GetServiceInfo())
	if err != nil {
		return errors.Join(err, s.closeAll())
	}
	for method, rule := range rules {
		s.rules[method] = rule
	}
	work, workCtx := errgroup.WithContext(ctx)
	for _, t := range s.tasks {
		work.Go(func() error {
			if err := t.run(workCtx); err != nil && workCtx.Err() == nil {
				return fmt.Errorf("service: %s: %s: %w", s.Name, t.name, err)
			}
			return nil
		})
	}
	work.Go(func() error { return s.followAccess(workCtx) })
	work.Go(func() error { return s.guard.streams.watch(workCtx) })
	work.Go(func() error { return s.serve(workCtx) })
	if s.admin != nil {
		work.Go(func() error {
			return ServeAdmin(workCtx, s.admin, s.Telemetry.MetricsHandler(), s.ready.Load, s.Log)
		})
	}
	failed := work.Wait()
	return errors.Join(failed, s.closeAll())
}

// serve answers requests until ctx ends. Requests are taken at once, but the
// service calls itself healthy only when it knows the latest revocations.
func (s *Service) serve(ctx context.Context) error {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		s.stopServer()
	}()
	s.Log.InfoContext(ctx, "listening", "service", s.Name, "address", s.Addr())
	err := s.grpc.Serve(s.listener)
	<-stopped
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}

// stopServer tells the balancers first.
func (s *Service) stopServer() {
	s.health.Shutdown()
	StopGracefully(s.grpc, s.cfg.DrainTimeout)
}

// StopGracefully waits for the requests under way, but not for ever: streams
// last as long as their clients.
func StopGracefully(server *grpc.Server, drain time.Duration) {
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		server.GracefulStop()
	}()
	timer := time.NewTimer(drain)
	defer timer.Stop()
	select {
	case <-drained:
	case <-timer.C:
		server.Stop()
		<-drained
	}
}

// followAccess keeps the caches of sessions and rights true: ended sessions
// and changed rights act at once, on open streams too.
func (s *Service) followAccess(ctx context.Context) error {
	return events.Watch(ctx, s.EventDeps(), events.Watcher{
		Filters: []string{revokedSubject, accessSubject},
		Since:   authn.Replay,
		Ready:   s.becomeReady,
		Handle:  s.accessEvent,
	})
}

func (s *Service) becomeReady() {
	s.ready.Store(true)
	s.health.SetServingStatus("", healthv1.HealthCheckResponse_SERVING)
}

func (s *Service) accessEvent(ctx context.Context, e events.Received) {
	var revoked identityv1.SessionRevoked
	var changed tenancyv1.AccessChanged
	switch {
	case e.Is(&revoked):
		if err := e.Decode(&revoked); err != nil {
			s.Log.ErrorContext(ctx, "event can't be read", "event", e.Envelope.GetId(), "err", err)
			return
		}
		s.guard.revocations.Ended(revoked.GetSession())
	case e.Is(&changed):
		if err := e.Decode(&changed); err != nil {
			s.Log.ErrorContext(ctx, "event can't be read", "event", e.Envelope.GetId(), "err", err)
			return
		}
		s.cache.Drop(changed.GetAccount())
		s.guard.streams.accountChanged(changed.GetAccount())
	}
}

// ServeAdmin answers metrics and probes over plain HTTP, for the orchestrator,
// until ctx ends.
func ServeAdmin(ctx context.Context, listener net.Listener, metrics http.Handler, ready func() bool, log *slog.Logger) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
		}
	})
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		_ = server.Close() // Probes need no draining.
	}()
	err := server.Serve(listener)
	<-stopped
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Close gives up a service that was made but will not Run.
func (s *Service) Close() error { return s.closeAll() }

// closeAll closes in reverse order, each bounded.
func (s *Service) closeAll() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var failed []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		if err := s.closers[i].close(ctx); err != nil {
			failed = append(failed, fmt.Errorf("close %s: %w", s.closers[i].name, err))
		}
	}
	s.closers = nil
	return errors.Join(failed...)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
