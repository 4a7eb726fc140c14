package servers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"kontor.internal/libs/mtls"
)

// ErrRedisMissing says that the machine has no Redis server.
var ErrRedisMissing = errors.New("redis-server is not on this machine; install it: apt-get install -y redis-server")

// RedisConfig describes a private Redis server. Only Dir is compulsory.
type RedisConfig struct {
	Dir    string // the server's own folder: data and log. Made on first start
	Port   int    // on 127.0.0.1; 0 takes a free one, which Restart keeps
	NoTCP  bool   // listen on the unix socket only
	Socket string // path of a unix socket; empty means none

	Password   string     // empty makes a random one
	NoPassword bool       // let everybody on this machine in: for tests
	TLS        mtls.Files // the server's certificate; with one, TCP takes only TLS connections

	AppendOnly bool // write every change down within a second; otherwise all is lost when the server ends
	Program    string
}

// Redis is a private Redis server. Its methods may be called from several goroutines.
type Redis struct {
	cfg RedisConfig

	mu      sync.Mutex
	lock    *os.File
	process *Process
	port    int
}

// StartRedis starts a server and returns when it answers. ctx bounds the start, not the server's life.
func StartRedis(ctx context.Context, cfg RedisConfig) (*Redis, error) {
	if cfg.NoTCP && cfg.Socket == "" {
		return nil, errors.New("start Redis: neither a port nor a socket to listen on")
	}
	var err error
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, fmt.Errorf("start Redis: %w", err)
	}
	if cfg.Program == "" {
		cfg.Program = "redis-server"
	}
	if cfg.Program, err = exec.LookPath(cfg.Program); err != nil {
		return nil, ErrRedisMissing
	}
	switch {
	case cfg.NoPassword:
		cfg.Password = ""
	case cfg.Password == "":
		cfg.Password = rand.Text()
	}
	r := &Redis{cfg: cfg, port: cfg.Port}
	if err := r.start(ctx); err != nil {
		return nil, fmt.Errorf("start Redis in %s: %w", cfg.Dir, err)
	}
	return r, nil
}

// URL is what redis.ParseURL takes: database 0 over TCP, or over the socket if that is all there is. It holds the password. With TLS,
// the client must be told to trust the authority that made the certificate.
func (r *Redis) URL() string { return r.url(r.Port()) }

// Address is 127.0.0.1 and the port, or the socket's path if there is no port.
func (r *Redis) Address() string {
	if r.cfg.NoTCP {
		return r.cfg.Socket
	}
	return address(r.Port())
}

// Port is the TCP port on 127.0.0.1, 0 if there is none. A restart keeps it.
func (r *Redis) Port() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.port
}

// Password is what clients authenticate with; empty if none is asked for.
func (r *Redis) Password() string { return r.cfg.Password }

// LogFile is where the server's output goes.
func (r *Redis) LogFile() string { return filepath.Join(r.cfg.Dir, "log") }

// Process is the server as it runs now; a restart makes another one.
func (r *Redis) Process() *Process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.process
}

// Stop ends the server within 10 s, or at once when ctx is done; the error then says that it took force.
func (r *Redis) Stop(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.stop(ctx)
	if r.lock != nil {
		_ = r.lock.Close()
		r.lock = nil
	}
	return err
}

// Restart stops the server if it runs, and starts it on the same port. Without AppendOnly it comes back empty.
func (r *Redis) Restart(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.stop(ctx); err != nil && r.process.Running() {
		return fmt.Errorf("restart Redis: %w", err)
	}
	if err := r.start(ctx); err != nil {
		return fmt.Errorf("restart Redis in %s: %w", r.cfg.Dir, err)
	}
	return nil
}

// Kill ends the server as a power cut would. Restart brings it back.
func (r *Redis) Kill() error { return r.Process().Kill() }

// Pause freezes the server with all its connections.
func (r *Redis) Pause() error { return r.Process().Pause() }

// Resume lets a paused server go on.
func (r *Redis) Resume() error { return r.Process().Resume() }

func (r *Redis) url(port int) string {
	u := url.URL{Scheme: "redis", Host: address(port), Path: "/0"}
	if !r.cfg.TLS.Empty() {
		u.Scheme = "rediss"
	}
	if r.cfg.NoTCP {
		u = url.URL{Scheme: "unix", Path: r.cfg.Socket}
	}
	if r.cfg.Password != "" {
		u.User = url.UserPassword("default", r.cfg.Password)
	}
	return u.String()
}

func (r *Redis) stop(ctx context.Context) error {
	if r.process == nil {
		return nil
	}
	return r.process.Stop(ctx, syscall.SIGTERM, 10*time.Second)
}

func (r *Redis) start(ctx context.Context) (err error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, startLimit)
		defer cancel()
	}
	if r.lock == nil {
		if r.lock, err = lockFolder(ctx, r.cfg.Dir); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				_ = r.lock.Close()
				r.lock = nil
			}
		}()
	}
	if err := os.MkdirAll(r.dataDir(), 0o700); err != nil {
		return err
	}
	if err := awaitEmpty(ctx, r.dataDir()); err != nil {
		return err
	}
	if r.cfg.NoTCP {
		return r.launch(ctx, 0)
	}
	return withPort(r.port, func(port int) error { return r.launch(ctx, port) })
}

func (r *Redis) dataDir() string { return filepath.Join(r.cfg.Dir, "data") }

func (r *Redis) launch(ctx context.Context, port int) error {
	process, err := StartProcess(ProcessConfig{
		Name: "redis-server", Path: r.cfg.Program, Args: []string{"-"}, // settings from standard input
		Stdin: r.settings(port), Dir: r.dataDir(), Log: r.LogFile(),
	})
	if err != nil {
		return err
	}
	r.process, r.port = process, port
	err = poll(ctx, process.Done(), func(ctx context.Context) error { return r.ping(ctx, port) })
	if err != nil {
		ended := !process.Running()
		_ = process.Kill()
		if ended && port != 0 && !portFree(port) {
			r.port = r.cfg.Port
			return fmt.Errorf("port %d: %w", port, errBusy)
		}
		return fmt.Errorf("it did not come up: %w; the end of %s:\n%s", err, r.LogFile(), process.logTail())
	}
	return nil
}

// ping makes a real connection. It knocks first, because the client library prints every refusal and then holds back for a second.
func (r *Redis) ping(ctx context.Context, port int) error {
	network, target := "tcp4", address(port)
	if r.cfg.NoTCP {
		network, target = "unix", r.cfg.Socket
	}
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, target)
	if err != nil {
		return err
	}
	_ = conn.Close()
	client, err := r.client(port)
	if err != nil {
		return err
	}
	return errors.Join(client.Ping(ctx).Err(), client.Close())
}

func (r *Redis) client(port int) (*redis.Client, error) {
	options, err := redis.ParseURL(r.url(port))
	if err != nil {
		return nil, fmt.Errorf("connect to Redis: %w", err)
	}
	if options.TLSConfig != nil && r.cfg.TLS.CA != "" {
		trust, err := mtls.TrustConfig(r.cfg.TLS.CA)
		if err != nil {
			return nil, err
		}
		trust.ServerName = options.TLSConfig.ServerName
		options.TLSConfig = trust
	}
	options.PoolSize, options.MaxRetries, options.DialerRetries = 1, -1, 1
	options.DialTimeout, options.ReadTimeout = time.Second, time.Second
	return redis.NewClient(options), nil
}

func (r *Redis) settings(port int) string {
	var lines strings.Builder
	set := func(name string, values ...string) {
		lines.WriteString(name)
		for _, value := range values {
			lines.WriteString(" " + strconv.Quote(value))
		}
		lines.WriteByte('\n')
	}
	set("daemonize", "no")
	set("dir", r.dataDir())
	set("bind", "127.0.0.1")
	set("save", "") // no snapshots: the append-only file is the choice there is
	set("appendonly", map[bool]string{true: "yes", false: "no"}[r.cfg.AppendOnly])
	if r.cfg.Socket != "" {
		set("unixsocket", r.cfg.Socket)
		set("unixsocketperm", "700")
	}
	if r.cfg.Password != "" {
		set("requirepass", r.cfg.Password)
	}
	if r.cfg.TLS.Empty() {
		set("port", strconv.Itoa(port))
		return lines.String()
	}
	set("port", "0")
	set("tls-port", strconv.Itoa(port))
	set("tls-cert-file", r.cfg.TLS.Cert)
	set("tls-key-file", r.cfg.TLS.Key)
	set("tls-ca-cert-file", r.cfg.TLS.CA)
	set("tls-auth-clients", "no") // clients prove themselves by the password
	return lines.String()
}
