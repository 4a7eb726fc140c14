package tenancy_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"kontor.internal/kits"
	"kontor.internal/kits/kit"
	"kontor.internal/kits/samplegen"
	"kontor.internal/libs/servers/servertest"
)

// copyOf is a copy as the accounting program's own dump makes it: small books of a release, which others may spoil with
// SQL before they are dumped. Equal ones are made once.
func copyOf(t *testing.T, release string, spoil string, dumpArgs ...string) []byte {
	t.Helper()
	made, _ := copiesMade.LoadOrStore(release+spoil+fmt.Sprint(dumpArgs), &madeCopy{})
	m := made.(*madeCopy)
	m.Do(func() { m.content, m.err = makeCopy(t, release, spoil, dumpArgs) })
	if m.err != nil {
		t.Fatal(m.err)
	}
	return bytes.Clone(m.content)
}

// copiesMade are the copies of this process.
var copiesMade sync.Map

type madeCopy struct {
	sync.Once
	content []byte
	err     error
}

func makeCopy(t *testing.T, release, spoil string, dumpArgs []string) (content []byte, err error) {
	ctx := context.Background()
	admin, err := pgx.Connect(ctx, servertest.Postgres(t))
	if err != nil {
		return nil, err
	}
	defer admin.Close(ctx)
	name := "copy_" + strings.ReplaceAll(newID(), "-", "")
	if _, err = admin.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return nil, err
	}
	defer func() { _, _ = admin.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)") }()
	config := admin.Config().Copy()
	config.Database = name
	books, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	defer books.Close(ctx)
	if err := fillBooks(ctx, books, release, spoil); err != nil {
		return nil, err
	}
	var bin string
	if err := admin.QueryRow(ctx, "SELECT setting FROM pg_config WHERE name = 'BINDIR'").Scan(&bin); err != nil {
		return nil, err
	}
	file := filepath.Join(t.TempDir(), "books.dump")
	args := append([]string{"-Fc", "-f", file, "-h", config.Host, "-p", fmt.Sprint(config.Port), "-U", config.User, name}, dumpArgs...)
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "pg_dump"), args...)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+config.Password)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("pg_dump: %w: %s", err, out)
	}
	return os.ReadFile(file)
}

func fillBooks(ctx context.Context, conn *pgx.Conn, release, spoil string) error {
	set, err := kits.Load()
	if err != nil {
		return err
	}
	version, err := kit.ParseVersion(release)
	if err != nil {
		return err
	}
	k := set.Get("books", version)
	if _, err := k.Apply(ctx, conn, kit.Install{}); err != nil {
		return err
	}
	if _, err := samplegen.Fill(ctx, conn, k, samplegen.Options{Seed: 7}); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, spoil)
	return err
}
