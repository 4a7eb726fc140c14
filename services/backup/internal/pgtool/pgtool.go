// Package pgtool runs PostgreSQL's own pg_dump and pg_restore.
package pgtool

import (
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

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

// patience bounds connecting, and waiting for a lock that somebody holds on a table.
const patience = 15 * time.Second

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
func (t Tools) Dump(ctx context.Context, login *tenancyv1.DatabaseLogin, to io.Writer) error {
	return t.run(ctx, login, command{
		program: "pg_dump", out: to,
		args: []string{"--format=custom", "--no-blobs", "--no-password", "--lock-wait-timeout=" + strconv.Itoa(int(patience.Milliseconds()))},
	})
}

// Restore fills an empty database from a custom-format archive; its objects become the login's.
func (t Tools) Restore(ctx context.Context, login *tenancyv1.DatabaseLogin, from io.Reader) error {
	return t.run(ctx, login, command{
		program: "pg_restore", in: from,
		args: []string{"--no-password", "--no-owner", "--no-privileges", "--exit-on-error", "--dbname=" + login.GetDatabase()},
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
func (t Tools) run(ctx context.Context, login *tenancyv1.DatabaseLogin, c command) (err error) {
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

func environment(dir string, login *tenancyv1.DatabaseLogin) ([]string, error) {
	env := []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TMPDIR=" + dir, "HOME=" + dir}
	if login == nil {
		return env, nil
	}
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, []byte(login.GetCaPem()), 0o600); err != nil {
		return nil, fmt.Errorf("pgtool: %w", err)
	}
	return append(env,
		"PGHOST="+login.GetHost(), "PGPORT="+strconv.Itoa(int(login.GetPort())), "PGDATABASE="+login.GetDatabase(),
		"PGUSER="+login.GetUser(), "PGPASSWORD="+login.GetPassword(), "PGSSLMODE=verify-full", "PGSSLROOTCERT="+ca,
		"PGCONNECT_TIMEOUT="+strconv.Itoa(int(patience.Seconds())), "PGAPPNAME=kontor-backup",
	), nil
}

// Connect opens a connection as a login, its server verified.
func Connect(ctx context.Context, login *tenancyv1.DatabaseLogin) (_ *pgx.Conn, err error) {
	dir, err := os.MkdirTemp("", "kontor-backup-")
	if err != nil {
		return nil, fmt.Errorf("pgtool: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, []byte(login.GetCaPem()), 0o600); err != nil {
		return nil, fmt.Errorf("pgtool: %w", err)
	}
	cfg, err := pgx.ParseConfig(fmt.Sprintf("host='%s' port=%d sslmode=verify-full sslrootcert='%s' application_name=kontor-backup",
		login.GetHost(), login.GetPort(), ca))
	if err != nil {
		return nil, fmt.Errorf("pgtool: the login can't be used: %w", err)
	}
	cfg.Database, cfg.User, cfg.Password, cfg.ConnectTimeout = login.GetDatabase(), login.GetUser(), login.GetPassword(), patience
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
func Reach(ctx context.Context, login *tenancyv1.DatabaseLogin) error {
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
