package servers

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/mtls"
)

// superuser is the name of PostgreSQL's superuser, and, where we are root, of the system's user that its server runs as.
const superuser = "postgres"

// Shutdown gets stopGrace to finish transactions that roll back and write a checkpoint, then quitGrace to drop everything.
const (
	startLimit = time.Minute
	stopGrace  = 20 * time.Second
	quitGrace  = 5 * time.Second
)

// PostgresConfig describes a private PostgreSQL server. Only Dir is compulsory.
type PostgresConfig struct {
	Dir  string // the server's own folder: data, password, log, socket. Made on first start, kept afterwards
	Port int    // on 127.0.0.1; 0 takes a free one, which Restart keeps

	TLS mtls.Files // the server's certificate; with one, only TLS connections are taken over TCP. CA goes into DSN

	NoFsync        bool              // faster, and a power cut may destroy the data: for tests
	MaxConnections int               // 0 means 200
	SharedBuffers  string            // PostgreSQL's notation; empty means 128MB
	Settings       map[string]string // further settings by name

	BinDir   string // folder of initdb and postgres; empty looks for the machine's newest
	CacheDir string // where the empty cluster that new servers are copied from is kept; empty means the user's cache folder
}

// Postgres is a private PostgreSQL server. Its methods may be called from several goroutines.
type Postgres struct {
	cfg      PostgresConfig
	bin      string
	password string

	mu      sync.Mutex
	lock    *os.File // held while the folder is ours
	process *Process
	port    int
}

// StartPostgres starts a server and returns when it answers. ctx bounds the start, not the server's life; without a deadline the
// start may take a minute, which is for recovery after a crash.
func StartPostgres(ctx context.Context, cfg PostgresConfig) (*Postgres, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	cfg.Dir = dir
	bin, err := findPostgres(ctx, cfg.BinDir)
	if err != nil {
		return nil, err
	}
	p := &Postgres{cfg: cfg, bin: bin, port: cfg.Port}
	if err := p.start(ctx); err != nil {
		return nil, fmt.Errorf("start PostgreSQL in %s: %w", cfg.Dir, err)
	}
	return p, nil
}

// DSN is the superuser's connection URL to a database; empty means postgres. It holds the password.
func (p *Postgres) DSN(database string) string {
	if database == "" {
		database = superuser
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dsn(p.port, database)
}

func (p *Postgres) dsn(port int, database string) string {
	query := url.Values{}
	switch {
	case p.cfg.TLS.Empty():
		query.Set("sslmode", "disable")
	case p.cfg.TLS.CA == "":
		query.Set("sslmode", "require")
	default:
		query.Set("sslmode", "verify-full")
		query.Set("sslrootcert", p.cfg.TLS.CA)
	}
	dsn := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, p.password),
		Host: address(port), Path: "/" + database, RawQuery: query.Encode(),
	}
	return dsn.String()
}

// Address is 127.0.0.1 and the port.
func (p *Postgres) Address() string { return address(p.Port()) }

// Port is the TCP port on 127.0.0.1. A restart keeps it.
func (p *Postgres) Port() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.port
}

// Password is the superuser's.
func (p *Postgres) Password() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.password
}

// PasswordFile is the file, of mode 0600, that keeps the superuser's password between runs.
func (p *Postgres) PasswordFile() string { return filepath.Join(p.cfg.Dir, "password") }

// SocketDir is the folder of the unix socket, or empty when the server's folder has too long a name for one.
func (p *Postgres) SocketDir() string {
	const longest = 107 // bytes of a unix socket's path, without the final zero
	dir := filepath.Join(p.cfg.Dir, "run")
	if len(filepath.Join(dir, ".s.PGSQL.00000.lock")) > longest {
		return ""
	}
	return dir
}

// LogFile is where the server's output goes.
func (p *Postgres) LogFile() string { return filepath.Join(p.cfg.Dir, "log") }

// Program is the path of one of PostgreSQL's programs that belongs to this server, such as pg_dump.
func (p *Postgres) Program(name string) string { return filepath.Join(p.bin, name) }

// Process is the server's main process as it runs now; a restart makes another one.
func (p *Postgres) Process() *Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.process
}

// Stop disconnects everybody and ends the server within 25 s, or at once when ctx is done; the error then says that it took force.
// Stopping a stopped server does nothing.
func (p *Postgres) Stop(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.stop(ctx)
	if p.lock != nil {
		_ = p.lock.Close()
		p.lock = nil
	}
	return err
}

// Restart stops the server if it runs, and starts it on the same port with the same data.
func (p *Postgres) Restart(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.stop(ctx); err != nil && p.process.Running() {
		return fmt.Errorf("restart PostgreSQL: %w", err)
	}
	if err := p.start(ctx); err != nil {
		return fmt.Errorf("restart PostgreSQL in %s: %w", p.cfg.Dir, err)
	}
	return nil
}

// Reload has the running server take up a renewed certificate. New connections see it; those that stand keep the old one.
func (p *Postgres) Reload() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	who, err := serverUser()
	if err != nil {
		return err
	}
	if err := p.writeAccess(who); err != nil {
		return err
	}
	return p.process.Signal(syscall.SIGHUP)
}

// Kill ends the server as a power cut would. Restart brings it back.
func (p *Postgres) Kill() error { return p.Process().Kill() }

// Pause freezes the server with all its connections.
func (p *Postgres) Pause() error { return p.Process().Pause() }

// Resume lets a paused server go on.
func (p *Postgres) Resume() error { return p.Process().Resume() }

func (p *Postgres) dataDir() string { return filepath.Join(p.cfg.Dir, "data") }

func (p *Postgres) stop(ctx context.Context) error {
	if p.process == nil || !p.process.Running() {
		return nil
	}
	_ = p.process.Resume() // a paused server would hear nothing
	_ = p.process.Signal(syscall.SIGINT)
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	select {
	case <-p.process.Done():
		return nil
	case <-ctx.Done():
		return p.process.Stop(context.WithoutCancel(ctx), syscall.SIGQUIT, quitGrace)
	}
}

func (p *Postgres) start(ctx context.Context) (err error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, startLimit)
		defer cancel()
	}
	if p.lock == nil {
		if p.lock, err = lockFolder(ctx, p.cfg.Dir); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				_ = p.lock.Close()
				p.lock = nil
			}
		}()
	}
	who, err := serverUser()
	if err != nil {
		return err
	}
	if err := p.prepare(ctx, who); err != nil {
		return err
	}
	return withPort(p.port, func(port int) error { return p.launch(ctx, who, port) })
}

// prepare leaves a data folder that nobody works in, with today's access rules and certificate.
func (p *Postgres) prepare(ctx context.Context, who *account) error {
	if err := p.create(ctx, who); err != nil {
		return err
	}
	password, err := os.ReadFile(p.PasswordFile())
	if err != nil {
		return fmt.Errorf("read the superuser's password: %w", err)
	}
	p.password = strings.TrimSpace(string(password))
	if err := awaitEmpty(ctx, p.dataDir()); err != nil {
		return err
	}
	if err := p.dropStalePID(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(p.cfg.Dir, "run"), 0o700); err != nil {
		return err
	}
	if err := who.own(filepath.Join(p.cfg.Dir, "run")); err != nil {
		return err
	}
	return p.writeAccess(who)
}

// dropStalePID removes a crashed server's postmaster.pid if the process id in it is some other process's by now: PostgreSQL would take that
// one for itself and refuse to start. Otherwise the file stays, because PostgreSQL finds what shared memory to clear away by it.
func (p *Postgres) dropStalePID() error {
	path := filepath.Join(p.dataDir(), "postmaster.pid")
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the last server's process id: %w", err)
	}
	line, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if _, living := parentOf(pid); err == nil && !living {
		return nil
	}
	return os.Remove(path)
}

// create makes the data folder aside: it appears under its name only when it is whole and its password is stored.
func (p *Postgres) create(ctx context.Context, who *account) error {
	if _, err := os.Stat(p.dataDir()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	aside := p.dataDir() + ".new"
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	if err := newCluster(ctx, p.bin, p.cfg.CacheDir, aside, who); err != nil {
		return err
	}
	password := rand.Text()
	if err := os.WriteFile(p.PasswordFile(), []byte(password+"\n"), 0o600); err != nil {
		return fmt.Errorf("store the superuser's password: %w", err)
	}
	if err := setPassword(ctx, p.bin, aside, password, who); err != nil {
		return err
	}
	if !p.cfg.NoFsync {
		if err := syncFolder(aside); err != nil {
			return err
		}
	}
	return os.Rename(aside, p.dataDir())
}

// writeAccess copies the certificate to where the server's user can read it and writes who may connect: over the socket and from
// this machine only, with a password.
func (p *Postgres) writeAccess(who *account) error {
	kind := "host"
	if !p.cfg.TLS.Empty() {
		kind = "hostssl"
		for name, source := range map[string]string{"server.crt": p.cfg.TLS.Cert, "server.key": p.cfg.TLS.Key} {
			content, err := os.ReadFile(source)
			if err != nil {
				return fmt.Errorf("read PostgreSQL's certificate: %w", err)
			}
			if err := who.write(filepath.Join(p.dataDir(), name), content); err != nil {
				return err
			}
		}
	}
	var rules strings.Builder
	for _, database := range []string{"all", "replication"} {
		fmt.Fprintf(&rules, "local %s all scram-sha-256\n%s %s all 127.0.0.1/32 scram-sha-256\n", database, kind, database)
	}
	return who.write(filepath.Join(p.dataDir(), "pg_hba.conf"), []byte(rules.String()))
}

func (p *Postgres) launch(ctx context.Context, who *account, port int) error {
	data, err := who.reach(p.dataDir(), 0)
	if err != nil {
		return err
	}
	defer data.close()
	run, err := who.reach(filepath.Join(p.cfg.Dir, "run"), 1)
	if err != nil {
		return err
	}
	defer run.close()
	process, err := StartProcess(ProcessConfig{
		Name: "postgres", Path: p.Program("postgres"), Dir: "/", Log: p.LogFile(),
		Args:       append([]string{"-D", data.path}, p.settings(port, run.path)...),
		Credential: who.credential,
		Files:      []*os.File{data.file, run.file},
		// An immediate shutdown, which loses nothing that was committed but, unlike SIGKILL, leaves no shared memory behind.
		DeathSignal: syscall.SIGQUIT,
	})
	if err != nil {
		return err
	}
	p.process, p.port = process, port
	if err := poll(ctx, process.Done(), p.ping); err != nil {
		ended := !process.Running()
		_ = process.Kill()
		if ended && !portFree(port) {
			p.port = p.cfg.Port
			return fmt.Errorf("port %d: %w", port, errBusy)
		}
		return fmt.Errorf("it did not come up: %w; the end of %s:\n%s", err, p.LogFile(), process.logTail())
	}
	return nil
}

func (p *Postgres) settings(port int, socketDir string) []string {
	if p.SocketDir() == "" {
		socketDir = ""
	}
	values := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(port),
		"unix_socket_directories": socketDir,
		"unix_socket_permissions": "0700",
		"max_connections":         strconv.Itoa(cmp.Or(p.cfg.MaxConnections, 200)),
		"shared_buffers":          cmp.Or(p.cfg.SharedBuffers, "128MB"),
		"timezone":                "UTC",
		"log_timezone":            "UTC",
		"log_destination":         "stderr",
		"logging_collector":       "off",
		"ssl":                     "off",
	}
	if p.cfg.NoFsync {
		values["fsync"], values["synchronous_commit"], values["full_page_writes"] = "off", "off", "off"
	}
	if !p.cfg.TLS.Empty() {
		values["ssl"], values["ssl_min_protocol_version"] = "on", "TLSv1.3"
	}
	for name, value := range p.cfg.Settings {
		values[name] = value
	}
	args := make([]string, 0, 2*len(values))
	for name, value := range values {
		args = append(args, "-c", name+"="+value)
	}
	return args
}

// ping makes a real connection. Start holds the mutex, so this must not go through methods that take it.
func (p *Postgres) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	cfg, err := pgx.ParseConfig(p.dsn(p.port, superuser))
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}
