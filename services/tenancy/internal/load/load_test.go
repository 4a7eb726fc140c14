package load_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"kontor.internal/kits"
	"kontor.internal/kits/kit"
	"kontor.internal/kits/samplegen"
	"kontor.internal/libs/id"
	"kontor.internal/libs/servers/servertest"
	"kontor.internal/services/tenancy/internal/load"
	"kontor.internal/services/tenancy/internal/pgrestore"
)

// made is a database of a kit's, empty.
func made(t *testing.T, k *kit.Kit) *pgx.Conn {
	t.Helper()
	admin, err := pgx.Connect(t.Context(), servertest.Postgres(t))
	must(t, err)
	defer func() { must(t, admin.Close(t.Context())) }()
	name := "load_" + strings.ReplaceAll(id.NewString(), "-", "")
	_, err = admin.Exec(t.Context(), "CREATE DATABASE "+name)
	must(t, err)
	config := admin.Config().Copy()
	config.Database = name
	conn, err := pgx.ConnectConfig(t.Context(), config)
	must(t, err)
	t.Cleanup(func() { must(t, conn.Close(context.Background())) })
	_, err = k.Apply(t.Context(), conn, kit.Install{})
	must(t, err)
	return conn
}

func dumpOf(t *testing.T, conn *pgx.Conn) []byte {
	t.Helper()
	var bin string
	must(t, conn.QueryRow(t.Context(), "SELECT setting FROM pg_config WHERE name = 'BINDIR'").Scan(&bin))
	c := conn.Config()
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "pg_dump"), "-Fc", "-h", c.Host, "-p", fmt.Sprint(c.Port), "-U", c.User, c.Database)
	cmd.Env = []string{"PGPASSWORD=" + c.Password}
	out, err := cmd.Output()
	must(t, err)
	return out
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestACopyIsLoadedRowForRowAndACancelledLoadLeavesNothing(t *testing.T) {
	set, err := kits.Load()
	must(t, err)
	program, err := pgrestore.Find("pg_restore", pgrestore.DefaultLimits)
	must(t, err)
	for _, product := range set.Products() {
		k := set.Newest(product)
		from, into := made(t, k), made(t, k)
		sample, err := samplegen.Fill(t.Context(), from, k, samplegen.Options{Seed: 3})
		must(t, err)
		archive := dumpOf(t, from)
		source := load.Source{Size: int64(len(archive)), Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(archive)), nil
		}}

		ctx, cancel := context.WithCancelCause(t.Context())
		tired := errors.New("tired")
		_, err = load.NewLoader(program).Load(ctx, source, into, k, func(int64, int64) { cancel(tired) })
		if !errors.Is(err, tired) {
			t.Fatalf("a cancelled load ended with %v", err)
		}
		config := into.Config() // A cancelled connection is closed by its driver.
		into, err = pgx.ConnectConfig(t.Context(), config)
		must(t, err)
		defer func() { must(t, into.Close(context.Background())) }()

		var done int64
		counts, err := load.NewLoader(program).Load(t.Context(), source, into, k, func(at, _ int64) { done = at })
		must(t, err)
		want := load.Counts{}
		for table, rows := range sample.Table {
			want[table] = rows
		}
		for table, rows := range counts {
			if rows == 0 {
				delete(counts, table)
			}
			if want[table] == 0 {
				delete(want, table)
			}
		}
		if !maps.Equal(counts, want) || done != source.Size {
			t.Errorf("%s: loaded %v, want %v; %d of %d bytes", product, counts, want, done, source.Size)
		}
	}
}
