package house

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"kontor.internal/deploy/local/internal/catcher"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/mtls"
	"kontor.internal/libs/servers"
	"kontor.internal/libs/service"
)

// Options of an instance.
type Options struct {
	// Data is the instance's folder.
	Data string
	// Reset deletes what the folder holds first.
	Reset bool
	// TestClock lets the control API move the suite's business dates.
	TestClock bool
	// Processes runs each service in processes of its own.
	Processes bool
	// Copies of each service, with Processes.
	Copies int
	// HTTPPort, GRPCPort and ControlPort are fixed ports; 0 takes a free one.
	HTTPPort, GRPCPort, ControlPort int
	// LogLevel of the services.
	LogLevel string
	// OTLPEndpoint for telemetry; empty for none.
	OTLPEndpoint string
	// Executable is the program that children run: this one.
	Executable string
}

// House is one instance.
type House struct {
	options   Options
	folder    *Folder
	authority *mtls.Authority
	programs  []program
	secrets   map[string]string
	stores    stores
	public    mtls.Files // what the gateway shows to the outside
	control   net.Listener
	addresses map[string][]string // of each service's copies
	admins    map[string]string
	httpAddr  string
	grpcAddr  string
	children  *children
	started   time.Time
	phases    []phase
}

type phase struct {
	name string
	took time.Duration
}

// secretNames are made before anything starts.
func secretNames(programs []program) []string {
	names := []string{
		"redis", "nats", "page-key", "control", provisioner, "first-staff",
		"identity-kek", "identity-link", "tenancy-link", "subscriber-code", "tenancy-kek", "licensing-kek", "exchange-kek", "backup-kek",
	}
	for _, p := range programs {
		if p.database {
			names = append(names, "kontor_"+p.name)
		}
	}
	return names
}

// Open takes the folder; nothing runs yet.
func Open(o Options) (*House, error) {
	h := &House{
		options: o, programs: programs(), addresses: map[string][]string{}, admins: map[string]string{},
		secrets: map[string]string{}, started: time.Now(),
	}
	if !o.Processes {
		h.options.Copies = 1
	}
	folder, err := OpenFolder(o.Data, o.Reset)
	if err != nil {
		return nil, err
	}
	h.folder = folder
	for _, name := range secretNames(h.programs) {
		if h.secrets[name], err = folder.Secret(name); err != nil {
			return nil, errors.Join(err, folder.Close())
		}
	}
	if h.authority, err = mtls.OpenAuthority(mtls.AuthorityConfig{Dir: folder.Join("tls")}); err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	if h.public, err = h.authority.IssueServer(mtls.ServerRequest{Name: "gateway-public"}); err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	for _, dir := range []string{h.objects(), folder.Join("logs")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, errors.Join(err, folder.Close())
		}
	}
	return h, nil
}

func (h *House) secret(name string) string { return h.secrets[name] }
func (h *House) objects() string           { return h.folder.Join("objects") }
func (h *House) clockFile() string         { return h.folder.Join("clock") }

// Run starts everything, calls ready when requests are answered, and runs until
// ctx ends or a part fails. Then it stops all it started and leaves the data.
func (h *House) Run(ctx context.Context, ready func(State)) (err error) {
	defer func() { err = errors.Join(err, os.RemoveAll(h.stateFile()), h.folder.Close()) }()
	defer func() { err = errors.Join(err, h.stopStores()) }()
	if !h.options.TestClock {
		if err := os.RemoveAll(h.clockFile()); err != nil {
			return err
		}
	}
	if err := h.phase("stores", func() error { return h.startStores(ctx) }); err != nil {
		return err
	}
	if err := h.reserve(ctx); err != nil {
		return err
	}
	work, workCtx := errgroup.WithContext(ctx)
	h.children = newChildren(h)
	work.Go(func() error { return catcher.ServeSMTP(workCtx, h.stores.smtp, h.stores.inbox) })
	work.Go(func() error { return h.serveControl(workCtx) })
	err = h.phase("services", func() error { return h.startPrograms(workCtx, work) })
	if err == nil {
		err = h.phase("ready", func() error { return h.waitReady(workCtx) })
	}
	if err == nil {
		state := h.state()
		if err = h.folder.WriteJSON(h.stateFile(), state); err == nil {
			ready(state)
			<-workCtx.Done()
		}
	}
	if err != nil {
		work.Go(func() error { return err })
	}
	failed := work.Wait()
	return errors.Join(failed, h.children.stop())
}

func (h *House) phase(name string, run func() error) error {
	began := time.Now()
	err := run()
	h.phases = append(h.phases, phase{name, time.Since(began)})
	return err
}

// reserve finds an address for each copy before anybody starts, since all are
// told of all. All are held until each is found, so that no two are the same.
func (h *House) reserve(ctx context.Context) (err error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			err = errors.Join(err, l.Close())
		}
	}()
	free := func(port int) (string, error) {
		if port == 0 {
			var err error
			if port, err = servers.FreePort(); err != nil {
				return "", err
			}
		}
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return "", err
		}
		held = append(held, l)
		return l.Addr().String(), nil
	}
	if h.control, err = (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", h.options.ControlPort)); err != nil {
		return err
	}
	for _, p := range h.programs {
		for n := range h.options.Copies {
			if p.name == "gateway" && n > 0 {
				continue // One door; its copies would need a balancer before them.
			}
			if h.admins[adminKey(p.name, n)], err = free(0); err != nil {
				return err
			}
			if p.name == "gateway" {
				continue
			}
			address, err := free(0)
			if err != nil {
				return err
			}
			h.addresses[p.name] = append(h.addresses[p.name], address)
		}
	}
	if h.httpAddr, err = free(h.options.HTTPPort); err != nil {
		return err
	}
	h.grpcAddr, err = free(h.options.GRPCPort)
	return err
}

func adminKey(name string, n int) string         { return fmt.Sprintf("%s-%d", name, n+1) }
func (h *House) admin(name string, n int) string { return h.admins[adminKey(name, n)] }
func (h *House) copies(p program) int {
	if p.name == "gateway" {
		return 1
	}
	return h.options.Copies
}

// startPrograms builds all services side by side: they wait for each other by
// themselves.
func (h *House) startPrograms(ctx context.Context, work *errgroup.Group) error {
	if h.options.Processes {
		return h.children.startAll()
	}
	var built sync.WaitGroup
	failed := make(chan error, len(h.programs))
	for _, p := range h.programs {
		environ, err := h.environ(p, 0)
		if err != nil {
			return err
		}
		built.Add(1)
		once := sync.OnceFunc(built.Done)
		work.Go(func() error {
			defer once()
			err := p.run(ctx, environ, once)
			if err != nil {
				failed <- err
				return fmt.Errorf("%s: %w", p.name, err)
			}
			return nil
		})
	}
	built.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return ctx.Err()
	}
}

// waitReady waits until every copy calls itself healthy and the gateway answers.
func (h *House) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	files, err := h.authority.Issue("gateway")
	if err != nil {
		return err
	}
	work, ctx := errgroup.WithContext(ctx)
	for name, addrs := range h.addresses {
		for _, addr := range addrs {
			work.Go(func() error { return healthy(ctx, name, addr, files) })
		}
	}
	work.Go(func() error { return h.gatewayAnswers(ctx) })
	return work.Wait()
}

func healthy(ctx context.Context, name, addr string, files mtls.Files) (err error) {
	conn, err := service.Dial(service.DialOptions{Name: name, Addrs: []string{addr}, TLS: files})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	client := healthv1.NewHealthClient(conn)
	return poll(ctx, name+" at "+addr+" is not ready", func() bool {
		answer, err := client.Check(ctx, &healthv1.HealthCheckRequest{})
		return err == nil && answer.GetStatus() == healthv1.HealthCheckResponse_SERVING
	})
}

func (h *House) gatewayAnswers(ctx context.Context) error {
	trust, err := mtls.TrustConfig(h.authority.CAFile())
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: trust}, Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	return poll(ctx, "the gateway does not answer", func() bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+h.httpAddr+"/.well-known/jwks.json", nil)
		if err != nil {
			return false
		}
		answer, err := client.Do(request)
		if err != nil {
			return false
		}
		return errors.Join(answer.Body.Close()) == nil && answer.StatusCode == http.StatusOK
	})
}

func poll(ctx context.Context, otherwise string, so func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			return errors.New(otherwise)
		case <-tick.C:
		}
	}
	return nil
}

// setOffset moves the suite's business dates; all services see it at once.
func (h *House) setOffset(d time.Duration) error {
	if !h.options.TestClock {
		return errors.New("start kontor-local with --test-clock to move the clock")
	}
	return clock.SetOffset(h.clockFile(), d)
}
