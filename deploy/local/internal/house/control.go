package house

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"time"

	"kontor.internal/deploy/local/internal/catcher"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/config"
)

// State says where everything is. It lies in the data folder while the
// instance is ready, readable by its owner only, for it holds secrets.
type State struct {
	// PID of kontor-local.
	PID int `json:"pid"`
	// HTTP is the gateway's base address, https://host:port.
	HTTP string `json:"http"`
	// GRPC is the gateway's native gRPC address, host:port, TLS.
	GRPC string `json:"grpc"`
	// CA is the file of the CA that signed the gateway's certificate.
	CA string `json:"ca"`
	// Control is the base address of the control API and the inbox, http://host:port.
	Control string `json:"control"`
	// ControlToken is the bearer token of the control API.
	ControlToken string `json:"controlToken"`
	// FirstStaffToken makes the first account that claims it staff; once.
	FirstStaffToken string `json:"firstStaffToken"`
	// Postgres, Redis, NATS and SMTP are the private servers' addresses, host:port.
	Postgres string `json:"postgres"`
	Redis    string `json:"redis"`
	NATS     string `json:"nats"`
	SMTP     string `json:"smtp"`
	// PostgresURL is the superuser's, for looking at what is there.
	PostgresURL string `json:"postgresUrl"`
	// RedisURL reaches Redis with its password.
	RedisURL string `json:"redisUrl"`
	// Services are the addresses of each service's copies.
	Services map[string][]string `json:"services"`
	// Metrics are the admin addresses by copy.
	Metrics map[string]string `json:"metrics"`
	// PIDs of the services' processes, by copy; empty when they run in one process.
	PIDs map[string]int `json:"pids,omitempty"`
	// Data is the data folder.
	Data string `json:"data"`
	// Started is how long the start took, in milliseconds, by phase.
	Started map[string]int64 `json:"startedMs"`
}

// StateFile is where an instance's state lies.
func StateFile(data string) string { return data + "/kontor-local.json" }

func (h *House) stateFile() string { return StateFile(h.folder.Path) }

func (h *House) state() State {
	s := State{
		PID: os.Getpid(), HTTP: "https://" + h.httpAddr, GRPC: h.grpcAddr, CA: h.authority.CAFile(),
		Control: "http://" + h.control.Addr().String(), ControlToken: h.secret("control"), FirstStaffToken: h.secret("first-staff"),
		Postgres: h.stores.postgres.Address(), Redis: h.stores.redis.Address(), NATS: h.stores.nats.Address(),
		SMTP: h.stores.smtp.Addr().String(), PostgresURL: h.stores.postgres.DSN("postgres"), RedisURL: h.stores.redis.URL(),
		Services: h.addresses, Metrics: h.admins, PIDs: h.children.pids(), Data: h.folder.Path, Started: map[string]int64{},
	}
	for _, p := range h.phases {
		s.Started[p.name] = p.took.Milliseconds()
	}
	s.Started["all"] = time.Since(h.started).Milliseconds()
	return s
}

// serveControl answers the inbox to everybody on this machine and the control
// API to who has the token:
//
//	GET  /state                      where everything is
//	POST /clock {"offset": "744h"}   business dates from now on, with --test-clock
//	POST /copies/{copy}/{action}     start, stop, kill, pause, resume a process
//	POST /stores/{store}/{action}    kill, restart, pause, resume postgres, redis, nats
func (h *House) serveControl(ctx context.Context) error {
	mux := http.NewServeMux()
	if err := catcher.Register(mux, h.stores.inbox); err != nil {
		return err
	}
	mux.HandleFunc("GET /state", h.guarded(func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "application/json")
		return json.NewEncoder(w).Encode(h.state())
	}))
	mux.HandleFunc("POST /clock", h.guarded(h.moveClock))
	mux.HandleFunc("POST /copies/{copy}/{action}", h.guarded(func(_ http.ResponseWriter, r *http.Request) error {
		return h.children.act(r.Context(), r.PathValue("copy"), r.PathValue("action"))
	}))
	mux.HandleFunc("POST /stores/{store}/{action}", h.guarded(func(_ http.ResponseWriter, r *http.Request) error {
		return h.actOnStore(r.Context(), r.PathValue("store"), r.PathValue("action"))
	}))
	server := &http.Server{Handler: sameHost(h.control.Addr().String(), mux), ReadHeaderTimeout: 5 * time.Second}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		_ = server.Close()
	}()
	err := server.Serve(h.control)
	<-stopped
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// sameHost refuses requests that a page on another site makes a browser send
// to this machine under that site's name.
func sameHost(address string, next http.Handler) http.Handler {
	_, port, _ := strings.Cut(address, ":")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != address && r.Host != "localhost:"+port {
			http.Error(w, "wrong host", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (h *House) guarded(handle func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	want := []byte("Bearer " + h.secret("control"))
	return func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			http.Error(w, "the token is in "+h.stateFile(), http.StatusUnauthorized)
			return
		}
		if err := handle(w, r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}
}

func (h *House) moveClock(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Offset string `json:"offset"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1024)).Decode(&in); err != nil {
		return err
	}
	offset, err := time.ParseDuration(in.Offset)
	if err != nil {
		return err
	}
	if err := h.setOffset(offset); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(map[string]time.Time{"now": clock.File(h.clockFile()).Now()})
}

// actOnStore does something to a private server.
func (h *House) actOnStore(ctx context.Context, store, action string) error {
	type server interface {
		Restart(ctx context.Context) error
	}
	type process interface {
		Kill() error
		Pause() error
		Resume() error
	}
	all := map[string]server{"postgres": h.stores.postgres, "redis": h.stores.redis, "nats": h.stores.nats}
	chosen, ok := all[store]
	if !ok {
		return errors.New("there is no store " + store)
	}
	if action == "restart" {
		return chosen.Restart(ctx)
	}
	killable, ok := chosen.(process)
	if !ok {
		return errors.New(store + " runs inside this process: it can only be restarted")
	}
	switch action {
	case "kill":
		return killable.Kill()
	case "pause":
		return killable.Pause()
	case "resume":
		return killable.Resume()
	default:
		return errors.New("can't " + action)
	}
}

// kontorOnly keeps what is meant for Kontor.
func kontorOnly(environ []string) []string {
	var kept []string
	for _, variable := range environ {
		if strings.HasPrefix(variable, config.DefaultPrefix) {
			kept = append(kept, variable)
		}
	}
	return kept
}
