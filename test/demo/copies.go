package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"kontor.internal/kits"
	"kontor.internal/kits/kit"
	"kontor.internal/kits/samplegen"
	"kontor.internal/libs/servers"
)

// sample is what a customer kept on the premises.
type sample struct {
	release   string
	megabytes int
	name      string
	taxNumber string
}

// premises is a customer's own PostgreSQL server, which knows nothing of Kontor.
type premises struct {
	server *servers.Postgres
	folder string
}

func newPremises(ctx context.Context) (*premises, error) {
	folder, err := os.MkdirTemp("", "kontor-demo-premises-")
	if err != nil {
		return nil, err
	}
	server, err := servers.StartPostgres(ctx, servers.PostgresConfig{Dir: filepath.Join(folder, "postgres"), NoFsync: true})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return &premises{server, folder}, nil
}

func (p *premises) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return errors.Join(p.server.Stop(ctx), os.RemoveAll(p.folder))
}

// copyOf makes a database of a release, fills it, and dumps it as people on the premises do.
func (p *premises) copyOf(ctx context.Context, s sample) (file string, made samplegen.Made, err error) {
	database := "books_" + strings.ReplaceAll(s.release, ".", "_")
	if err := p.execute(ctx, "postgres", "CREATE DATABASE "+pgx.Identifier{database}.Sanitize()); err != nil {
		return "", made, err
	}
	if made, err = p.fill(ctx, database, s); err != nil {
		return "", made, err
	}
	file = filepath.Join(p.folder, database+".dump")
	dump := exec.CommandContext(ctx, p.server.Program("pg_dump"), "-Fc", "-f", file, p.server.DSN(database))
	if output, err := dump.CombinedOutput(); err != nil {
		return "", made, fmt.Errorf("pg_dump: %w: %s", err, output)
	}
	return file, made, nil
}

func (p *premises) fill(ctx context.Context, database string, s sample) (samplegen.Made, error) {
	set, err := kits.Load()
	if err != nil {
		return samplegen.Made{}, err
	}
	version, err := kit.ParseVersion(s.release)
	if err != nil {
		return samplegen.Made{}, err
	}
	conn, err := pgx.Connect(ctx, p.server.DSN(database))
	if err != nil {
		return samplegen.Made{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	k := set.Get("books", version)
	if _, err := k.Apply(ctx, conn, kit.Install{}); err != nil {
		return samplegen.Made{}, err
	}
	return samplegen.Fill(ctx, conn, k, samplegen.Options{
		Seed: 1, Megabytes: s.megabytes, LastYear: today().Year(), Name: s.name, TaxNumber: s.taxNumber,
	})
}

func (p *premises) execute(ctx context.Context, database, sql string) error {
	conn, err := pgx.Connect(ctx, p.server.DSN(database))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql)
	return err
}

// tripwire is a file that, when it is read at a certain place for the first time, has something happen.
type tripwire struct {
	io.ReaderAt
	at   int64
	trip func() error
}

func (t *tripwire) ReadAt(p []byte, offset int64) (int, error) {
	if trip := t.trip; trip != nil && offset >= t.at {
		t.trip = nil
		if err := trip(); err != nil {
			return 0, err
		}
	}
	return t.ReaderAt.ReadAt(p, offset)
}
