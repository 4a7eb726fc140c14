package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/uuid"

	"kontor.internal/libs/blob"
	"kontor.internal/libs/servers"
	"kontor.internal/snapshot"
	"kontor.internal/snapshot/pgtool"
)

// snapshots are ours, of one company.
type snapshots struct {
	folder string
	login  *pgtool.Login
	tools  pgtool.Tools
	keys   snapshot.Keys
	bucket *blob.Bucket
	last   *snapshot.Made
}

// newSnapshots begins with an empty repository under keys of its own.
func newSnapshots(ctx context.Context, folder string, login *pgtool.Login, tools pgtool.Tools) (*snapshots, error) {
	s := &snapshots{folder: folder, login: login, tools: tools}
	s.keys = snapshot.Keys{Company: uuid.New(), Names: newKey(), Data: map[uint32][]byte{1: newKey()}, Current: 1}
	return s, s.fresh(ctx)
}

func newKey() []byte {
	key := make([]byte, snapshot.KeyBytes)
	_, _ = rand.Read(key) // It never fails.
	return key
}

func (s *snapshots) fresh(ctx context.Context) error {
	if err := s.remove(); err != nil {
		return err
	}
	s.last = nil
	bucket, err := blob.Open(ctx, "file://"+filepath.Join(s.folder, "repository"))
	s.bucket = bucket
	return err
}

func (s *snapshots) close() error {
	if s.bucket == nil {
		return nil
	}
	bucket := s.bucket
	s.bucket = nil
	return bucket.Close()
}

// remove all of it.
func (s *snapshots) remove() error { return errors.Join(s.close(), os.RemoveAll(s.folder)) }

func (s *snapshots) repository() snapshot.Repository {
	return snapshot.Repository{Store: snapshot.In(s.bucket), Folder: s.keys.Company.String(), Keys: s.keys}
}

func (s *snapshots) take(ctx context.Context) error {
	order := snapshot.Order{
		Tools: s.tools, Login: s.login, Moment: time.Now(), Cache: filepath.Join(s.folder, "cache"),
		Ref: snapshot.Ref{Sequence: 1, Snapshot: uuid.New()},
	}
	if s.last != nil {
		order.Previous = &s.last.Known
		order.Ref.Sequence += s.last.Sequence
	}
	made, err := snapshot.Make(ctx, s.repository(), order)
	if err != nil {
		return err
	}
	s.last = made
	return nil
}

func (s *snapshots) readBack(ctx context.Context) error {
	return snapshot.Verify(ctx, s.repository(), snapshot.VerifyOrder{Ref: s.last.Ref, Head: &s.last.Head})
}

func (s *snapshots) restore(ctx context.Context, to *books) error {
	_, err := snapshot.Restore(ctx, s.repository(), snapshot.RestoreOrder{Tools: s.tools, Login: to.login(), Ref: s.last.Ref, Head: &s.last.Head})
	return err
}

func (s *snapshots) stored() (int64, error) { return size(filepath.Join(s.folder, "repository")) }

// restic's copies are of what pg_dump writes: as SQL, which it finds repetitions in.
type restic struct {
	folder string
	server *servers.Postgres
	login  *pgtool.Login
}

// script is what the dump as SQL is called in the repository.
const script = "/books.sql"

func (r *restic) fresh(ctx context.Context) error {
	if err := r.remove(); err != nil {
		return err
	}
	if err := os.MkdirAll(r.folder, 0o700); err != nil {
		return err
	}
	return run(r.command(ctx, "init", "--repository-version", "2"))
}

func (r *restic) remove() error { return os.RemoveAll(r.folder) }

func (r *restic) take(ctx context.Context) error { return r.takeDump(ctx, script) }

// takeDump pipes what pg_dump writes into the repository.
func (r *restic) takeDump(ctx context.Context, name string, options ...string) error {
	dump := r.postgres(ctx, "pg_dump", options...)
	keep := r.command(ctx, "backup", "--stdin", "--stdin-filename", name)
	pipe, err := dump.StdoutPipe()
	if err != nil {
		return err
	}
	keep.Stdin = pipe
	if err := dump.Start(); err != nil {
		return err
	}
	kept := run(keep)
	_ = pipe.Close() // pg_dump ends when nobody reads.
	return errors.Join(kept, dump.Wait())
}

func (r *restic) readBack(ctx context.Context) error { return r.fetch(ctx, script, io.Discard) }

// fetch reads a dump out of the repository.
func (r *restic) fetch(ctx context.Context, name string, to io.Writer) error {
	fetch := r.command(ctx, "dump", "latest", "--path", name, name)
	fetch.Stdout = to
	return run(fetch)
}

// archive is what the dump as an archive, which pg_restore can read, is called in the repository.
const archive = "/books.archive"

// takeArchive is not compressed, since restic compresses.
func (r *restic) takeArchive(ctx context.Context) error {
	return r.takeDump(ctx, archive, "--format=custom", "--compress=0")
}

// restore by two connections, which need the archive in a file.
func (r *restic) restore(ctx context.Context, to *books) (err error) {
	file, err := os.Create(filepath.Join(r.folder, "archive"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	fetched := r.fetch(ctx, archive, file)
	if err := errors.Join(fetched, file.Close()); err != nil {
		return err
	}
	return run(r.postgres(ctx, "pg_restore", "--jobs=2", "--no-owner", "--exit-on-error", "--dbname="+to.database, file.Name()))
}

func (r *restic) stored() (int64, error) { return size(filepath.Join(r.folder, "repository")) }

// command is restic with the repository and its password.
func (r *restic) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "restic", append([]string{
		"--quiet", "--repo=" + filepath.Join(r.folder, "repository"), "--cache-dir=" + filepath.Join(r.folder, "cache"),
	}, args...)...)
	cmd.Env = append(os.Environ(), "RESTIC_PASSWORD=bench")
	return cmd
}

// postgres is one of PostgreSQL's programs with the login.
func (r *restic) postgres(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, r.server.Program(program), args...)
	cmd.Env = append(os.Environ(),
		"PGHOST="+r.login.Host, "PGPORT="+strconv.Itoa(r.login.Port),
		"PGUSER="+r.login.User, "PGPASSWORD="+r.login.Password, "PGDATABASE="+r.login.Database)
	return cmd
}

// run a program; when it fails, the error tells what it said.
func run(cmd *exec.Cmd) error {
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}

// size of all files in a folder, in bytes.
func size(folder string) (bytes int64, err error) {
	err = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	return bytes, err
}
