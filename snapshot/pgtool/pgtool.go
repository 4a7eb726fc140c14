// Package pgtool reaches company databases: by connection, and by PostgreSQL's own pg_dump and pg_restore.
package pgtool

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// readAhead is how much is read from a connection at once.
const readAhead = 256 << 10

// patience bounds connecting, and waiting for a lock that somebody holds on a table.
const patience = 15 * time.Second

// Login opens one database.
type Login struct {
	// Host is a name or an address; or the folder of a socket on this machine.
	Host string
	Port int
	// Database, User and Password as PostgreSQL knows them.
	Database, User, Password string
	// CA is the PEM of who vouches for the server. Without one the server must be on this machine.
	CA string
}

// local says that the server is reached without leaving this machine, by a socket in a folder.
func (l *Login) local() bool { return filepath.IsAbs(l.Host) }

// Tools are the programs.
type Tools struct{ dir string }

// Find takes the programs from a folder; empty means where pg_config says, or
// else where Debian or the path have them.
func Find(ctx context.Context, dir string) (Tools, error) {
	for _, folder := range folders(ctx, dir) {
		if has(folder, "pg_dump") && has(folder, "pg_restore") {
			return Tools{dir: folder}, nil
		}
	}
	return Tools{}, errors.New("pgtool: pg_dump and pg_restore are not on this machine; install them: apt-get install -y postgresql-client")
}

func folders(ctx context.Context, dir string) []string {
	if dir != "" {
		return []string{dir}
	}
	var found []string
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		found = append(found, strings.TrimSpace(string(out)))
	}
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(debian, func(a, b string) int { return major(b) - major(a) })
	found = append(found, debian...)
	if path, err := exec.LookPath("pg_dump"); err == nil {
		found = append(found, filepath.Dir(path))
	}
	return found
}

// major is the version in Debian's folder of one.
func major(folder string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
	return n
}

func has(folder, program string) bool {
	info, err := os.Stat(filepath.Join(folder, program))
	return err == nil && info.Mode().IsRegular()
}

// Dump writes a whole database as a custom-format archive. Large objects stay out: kits have none, and whoever has a login
// of the company could leave one that nobody else may read.
func (t Tools) Dump(ctx context.Context, login *Login, to io.Writer) error {
	return t.run(ctx, login, command{
		program: "pg_dump", out: to,
		args: []string{"--format=custom", "--no-blobs", "--no-password", "--lock-wait-timeout=" + strconv.Itoa(int(patience.Milliseconds()))},
	})
}

// Restore fills an empty database from a custom-format archive; its objects become the login's.
func (t Tools) Restore(ctx context.Context, login *Login, from io.Reader) error {
	return t.run(ctx, login, command{
		program: "pg_restore", in: from,
		args: []string{"--no-password", "--no-owner", "--no-privileges", "--exit-on-error", "--dbname=" + login.Database},
	})
}

// Schema writes a database's definitions without its data as a custom-format archive, as of an exported snapshot. Who owns
// what and who may do what is not in it: that is given where it is restored.
func (t Tools) Schema(ctx context.Context, login *Login, snapshot string, to io.Writer) error {
	return t.run(ctx, login, command{
		program: "pg_dump", out: to,
		args: []string{
			"--format=custom", "--schema-only", "--no-owner", "--no-privileges", "--no-tablespaces", "--no-publications", "--no-subscriptions",
			"--no-security-labels", "--no-password", "--snapshot=" + snapshot, "--lock-wait-timeout=" + strconv.Itoa(int(patience.Milliseconds())),
		},
	})
}

// Section is a part of an archive: what comes before the rows, or what comes after them.
type Section string

// The sections of an archive without data.
const (
	PreData  Section = "pre-data"
	PostData Section = "post-data"
)

// roomy lets the server sort and join in memory while it builds indexes and checks constraints.
const roomy = "-c maintenance_work_mem=256MB -c work_mem=128MB -c max_parallel_maintenance_workers=1"

// RestoreSection carries out a section of an archive file, by so many connections at once. What it makes becomes the login's.
func (t Tools) RestoreSection(ctx context.Context, login *Login, file string, section Section, connections int) error {
	return t.run(ctx, login, command{
		program: "pg_restore", options: roomy,
		args: []string{
			"--no-password", "--no-owner", "--no-privileges", "--no-tablespaces", "--exit-on-error", "--section=" + string(section),
			"--jobs=" + strconv.Itoa(connections), "--dbname=" + login.Database, file,
		},
	})
}

// Contents reads a custom-format archive's table of contents and the rest of its bytes.
func (t Tools) Contents(ctx context.Context, from io.Reader) error {
	err := t.run(ctx, nil, command{program: "pg_restore", args: []string{"--list"}, in: from})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, from) // pg_restore stops behind the table of contents.
	return err
}

type command struct {
	program string
	args    []string
	options string // of the server's sessions
	in      io.Reader
	out     io.Writer
}

// Error is how a program failed. Its words are for the log: they may quote the books.
type Error struct {
	Program string
	Words   string
	cause   error
}

func (e *Error) Error() string { return e.Program + ": " + e.Words }
func (e *Error) Unwrap() error { return e.cause }

// run gives the program its login by environment and files that only this user reads: arguments are seen by everyone.
func (t Tools) run(ctx context.Context, login *Login, c command) (err error) {
	dir, err := os.MkdirTemp("", "kontor-backup-")
	if err != nil {
		return fmt.Errorf("pgtool: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cmd := exec.CommandContext(ctx, filepath.Join(t.dir, c.program), c.args...)
	cmd.WaitDelay = 5 * time.Second
	if cmd.Env, err = environment(dir, login); err != nil {
		return err
	}
	if c.options != "" {
		cmd.Env = append(cmd.Env, "PGOPTIONS="+c.options)
	}
	words := &limited{}
	from := &remembering{from: c.in}
	cmd.Stdout, cmd.Stderr = c.out, words
	if c.in != nil {
		cmd.Stdin = from
	}
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case from.err != nil: // The archive's failure explains the program's.
		return from.err
	case err != nil:
		return &Error{Program: c.program, Words: words.String(), cause: err}
	}
	return nil
}

func environment(dir string, login *Login) ([]string, error) {
	env := []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TMPDIR=" + dir, "HOME=" + dir}
	if login == nil {
		return env, nil
	}
	ssl, err := login.ssl(dir)
	if err != nil {
		return nil, err
	}
	for name, value := range ssl {
		env = append(env, "PG"+strings.ToUpper(name)+"="+value)
	}
	return append(env,
		"PGHOST="+login.Host, "PGPORT="+strconv.Itoa(login.Port), "PGDATABASE="+login.Database,
		"PGUSER="+login.User, "PGPASSWORD="+login.Password,
		"PGCONNECT_TIMEOUT="+strconv.Itoa(int(patience.Seconds())), "PGAPPNAME=kontor-backup",
	), nil
}

// ssl says how the server is verified: by the login's CA, by the machine's, or not at all over a socket in a folder.
func (l *Login) ssl(dir string) (map[string]string, error) {
	if l.local() {
		return map[string]string{"sslmode": "disable"}, nil
	}
	if l.CA == "" {
		return nil, errors.New("pgtool: a server on another machine needs a CA to be verified by")
	}
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, []byte(l.CA), 0o600); err != nil {
		return nil, fmt.Errorf("pgtool: %w", err)
	}
	return map[string]string{"sslmode": "verify-full", "sslrootcert": ca}, nil
}

// Connect opens a connection as a login, its server verified.
func Connect(ctx context.Context, login *Login) (_ *pgx.Conn, err error) {
	dir, err := os.MkdirTemp("", "kontor-backup-")
	if err != nil {
		return nil, fmt.Errorf("pgtool: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ssl, err := login.ssl(dir)
	if err != nil {
		return nil, err
	}
	words := fmt.Sprintf("host='%s' port=%d application_name=kontor-backup", login.Host, login.Port)
	for name, value := range ssl {
		words += fmt.Sprintf(" %s='%s'", name, value)
	}
	cfg, err := pgx.ParseConfig(words)
	if err != nil {
		return nil, fmt.Errorf("pgtool: the login can't be used: %w", err)
	}
	cfg.Database, cfg.User, cfg.Password, cfg.ConnectTimeout = login.Database, login.User, login.Password, patience
	cfg.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend { // Rows come by the hundred thousand: read many at once.
		return pgproto3.NewFrontend(bufio.NewReaderSize(r, readAhead), w)
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, failure.New(commonv1.Reason_REASON_COMPANY_DATABASE_UNREACHABLE).Wrap(err)
	}
	return conn, nil
}

// Reach says whether a login works now.
func Reach(ctx context.Context, login *Login) error {
	conn, err := Connect(ctx, login)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// remembering keeps the failure of what it reads from.
type remembering struct {
	from io.Reader
	err  error
}

func (r *remembering) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// limited keeps the beginning of what a program says.
type limited struct{ kept bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := 4096 - l.kept.Len(); room > 0 {
		l.kept.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (l *limited) String() string { return strings.TrimSpace(l.kept.String()) }
