package servers

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"kontor.internal/libs/mtls"
)

// NATSConfig describes a NATS server with JetStream inside this process. Dir, and one of Token, Users or NoAuth, are compulsory.
type NATSConfig struct {
	Dir  string // where JetStream stores its streams
	Port int    // on 127.0.0.1; 0 takes a free one, which Restart keeps

	Token  string     // one secret for everybody
	Users  []NATSUser // or one key a user
	NoAuth bool       // or nobody is asked: for tests

	TLS           mtls.Files // the server's certificate; with one, only TLS 1.3 connections are taken
	VerifyClients bool       // with TLS: clients must show a certificate of TLS.CA

	NoSync bool         // don't wait for the disk before acknowledging: for tests
	Logger *slog.Logger // nil throws the server's own log away
}

// NATSUser is a client that proves itself by an nkey (an ed25519 key in NATS's notation).
type NATSUser struct {
	PublicKey string   // "U…"
	Publish   []string // subjects it may publish to; empty means all
	Subscribe []string // subjects it may subscribe to; empty means all
}

// NATS is a NATS server inside this process. It can be stopped and restarted; to kill or pause it, run it in a process of its own.
type NATS struct {
	cfg NATSConfig

	mu     sync.Mutex
	lock   *os.File
	server *server.Server
	port   int
}

// StartNATS starts a server and returns when it takes connections and JetStream is up. ctx bounds the start, not the server's life.
func StartNATS(ctx context.Context, cfg NATSConfig) (*NATS, error) {
	ways := 0
	for _, chosen := range []bool{cfg.Token != "", len(cfg.Users) > 0, cfg.NoAuth} {
		if chosen {
			ways++
		}
	}
	if ways != 1 {
		return nil, errors.New("start NATS: choose one of Token, Users and NoAuth")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	n := &NATS{cfg: cfg, port: cfg.Port}
	if err := n.start(ctx); err != nil {
		return nil, fmt.Errorf("start NATS: %w", err)
	}
	return n, nil
}

// URL is the server's address, with the token if there is one.
func (n *NATS) URL() string {
	scheme := "nats://"
	if !n.cfg.TLS.Empty() {
		scheme = "tls://"
	}
	if n.cfg.Token != "" {
		return scheme + n.cfg.Token + "@" + n.Address()
	}
	return scheme + n.Address()
}

// Address is 127.0.0.1 and the port.
func (n *NATS) Address() string { return address(n.Port()) }

// Port is the TCP port on 127.0.0.1. A restart keeps it.
func (n *NATS) Port() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.port
}

// Stop disconnects everybody and ends the server; it waits for it unless ctx is done first. Stopping a stopped server does nothing.
func (n *NATS) Stop(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	err := n.stop(ctx)
	if err == nil && n.lock != nil {
		_ = n.lock.Close()
		n.lock = nil
	}
	return err
}

// Restart stops the server if it runs, and starts it on the same port with the same streams.
func (n *NATS) Restart(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.stop(ctx); err != nil {
		return fmt.Errorf("restart NATS: %w", err)
	}
	if err := n.start(ctx); err != nil {
		return fmt.Errorf("restart NATS: %w", err)
	}
	return nil
}

func (n *NATS) stop(ctx context.Context) error {
	if n.server == nil {
		return nil
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.server.Shutdown()
		n.server.WaitForShutdown()
	}()
	select {
	case <-ended:
		n.server = nil
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop NATS: %w", ctx.Err())
	}
}

func (n *NATS) start(ctx context.Context) (err error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, startLimit)
		defer cancel()
	}
	if n.lock == nil {
		if n.lock, err = lockFolder(ctx, n.cfg.Dir); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				_ = n.lock.Close()
				n.lock = nil
			}
		}()
	}
	return withPort(n.port, func(port int) error { return n.launch(ctx, port) })
}

func (n *NATS) launch(ctx context.Context, port int) error {
	options, err := n.options(port)
	if err != nil {
		return err
	}
	srv, err := server.NewServer(options)
	if err != nil {
		return err
	}
	log := &natsLog{logger: n.cfg.Logger, failed: make(chan struct{})}
	srv.SetLoggerV2(log, false, false, false)
	srv.Start()
	err = poll(ctx, log.failed, func(ctx context.Context) error { return answers(ctx, srv, port) })
	if err != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
		if log.failure() != nil && !portFree(port) {
			return fmt.Errorf("port %d: %w", port, errBusy)
		}
		return cmp.Or(log.failure(), err)
	}
	n.server, n.port = srv, port
	return nil
}

// answers reports nil when JetStream is up and the server greets a client, which it does before it asks who that is.
func answers(ctx context.Context, srv *server.Server, port int) error {
	if !srv.JetStreamEnabled() {
		return errors.New("JetStream is not up yet")
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp4", address(port))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	_ = conn.SetReadDeadline(deadline)
	greeting, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(greeting, "INFO ") || !strings.Contains(greeting, srv.ID()) {
		return errors.New("another server answers on its port")
	}
	return nil
}

func (n *NATS) options(port int) (*server.Options, error) {
	options := &server.Options{
		ServerName: "kontor", Host: "127.0.0.1", Port: port,
		JetStream: true, StoreDir: filepath.Clean(n.cfg.Dir), SyncAlways: !n.cfg.NoSync,
		Authorization:          n.cfg.Token,
		NoSigs:                 true, // signals are the embedding process's business
		DisableJetStreamBanner: true,
	}
	for _, user := range n.cfg.Users {
		options.Nkeys = append(options.Nkeys, &server.NkeyUser{Nkey: user.PublicKey, Permissions: user.permissions()})
	}
	if n.cfg.TLS.Empty() {
		return options, nil
	}
	config, err := n.tls()
	if err != nil {
		return nil, err
	}
	options.TLS, options.TLSConfig, options.TLSVerify = true, config, n.cfg.VerifyClients
	options.TLSTimeout = 5 // seconds
	return options, nil
}

func (n *NATS) tls() (*tls.Config, error) {
	if n.cfg.VerifyClients {
		return mtls.ServerConfig(n.cfg.TLS)
	}
	config, err := mtls.PublicConfig(n.cfg.TLS.Cert, n.cfg.TLS.Key)
	if err != nil {
		return nil, err
	}
	config.MinVersion = tls.VersionTLS13
	return config, nil
}

func (u NATSUser) permissions() *server.Permissions {
	allow := func(subjects []string) *server.SubjectPermission {
		if len(subjects) == 0 {
			return nil
		}
		return &server.SubjectPermission{Allow: slices.Clone(subjects)}
	}
	return &server.Permissions{Publish: allow(u.Publish), Subscribe: allow(u.Subscribe)}
}

// natsLog passes the server's log on and notices when the server gives up, which it otherwise would tell nobody.
type natsLog struct {
	logger *slog.Logger

	mu     sync.Mutex
	failed chan struct{}
	reason error
}

func (l *natsLog) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reason
}

func (l *natsLog) Noticef(format string, v ...any) {
	l.logger.Info("nats: " + fmt.Sprintf(format, v...))
}

func (l *natsLog) Warnf(format string, v ...any) { l.logger.Warn("nats: " + fmt.Sprintf(format, v...)) }

func (l *natsLog) Errorf(format string, v ...any) {
	l.logger.Error("nats: " + fmt.Sprintf(format, v...))
}
func (l *natsLog) Debugf(string, ...any) {}
func (l *natsLog) Tracef(string, ...any) {}

func (l *natsLog) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reason == nil {
		l.reason = fmt.Errorf(format, v...)
		close(l.failed)
	}
	l.logger.Error("nats: " + l.reason.Error())
}
