package snapshot

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"kontor.internal/libs/blob"
	"kontor.internal/libs/servers"
	"kontor.internal/libs/servers/servertest"
	"kontor.internal/snapshot/pgtool"
)

// books of a small company: some megabytes, and every kind of table.
const books = `
	CREATE TABLE entry (
		year int, number int, account text NOT NULL, amount numeric(12, 2), at timestamptz, words text,
		CONSTRAINT entry_key PRIMARY KEY (year, number));
	CREATE TABLE partner (code text CONSTRAINT partner_key PRIMARY KEY, name text, address text);
	CREATE TABLE log (at int, words text);
	CREATE TABLE scan (id uuid CONSTRAINT scan_key PRIMARY KEY, content bytea);
	CREATE TABLE bare ();
	CREATE TABLE unused (id int CONSTRAINT unused_key PRIMARY KEY);
	CREATE TABLE counted (id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT counted_key PRIMARY KEY, half numeric GENERATED ALWAYS AS (1.5) STORED);
	INSERT INTO entry SELECT 2020 + n % 5, n, 'K' || n % 300, n * 1.37, timestamptz '2026-01-01 UTC' + n * interval '1 min', md5(n::text) FROM generate_series(1, 24000) n;
	INSERT INTO partner SELECT 'P-' || md5(n::text), E'Rūta\t"' || n || E'"\\\n', repeat(chr(97 + n % 26), n % 80) FROM generate_series(1, 8000) n;
	INSERT INTO log SELECT n % 50, md5((n / 3)::text) FROM generate_series(1, 12000) n;
	INSERT INTO scan SELECT md5(n::text)::uuid, (SELECT string_agg(sha256((n || ' ' || i)::bytea), '') FROM generate_series(1, 900) i) FROM generate_series(1, 24) n;
	INSERT INTO bare SELECT FROM generate_series(1, 7);
	INSERT INTO counted SELECT FROM generate_series(1, 40);
	SELECT lo_from_bytea(0, (SELECT string_agg(sha256((n || '.' || i)::bytea), '') FROM generate_series(1, n * 4000) i)) FROM generate_series(1, 3) n;
	SELECT lo_create(0);
	CREATE INDEX entry_account ON entry (account);
	CREATE MATERIALIZED VIEW balance AS SELECT account, sum(amount) FROM entry GROUP BY account`

// work is what an office does between two snapshots; :n is a number.
const work = `
	UPDATE entry SET amount = amount + 1 WHERE number % 997 = :n % 997;
	DELETE FROM entry WHERE number % 1009 = :n % 1009;
	INSERT INTO entry SELECT 2026, 100000 + :n * 100 + n, 'K1', :n, '2026-02-02 UTC', 'new' FROM generate_series(1, 60) n;
	UPDATE partner SET name = name || ':n' WHERE code = (SELECT min(code) FROM partner WHERE code > 'P-' || md5(':n'));
	INSERT INTO log SELECT :n, 'again' FROM generate_series(1, 20);
	DELETE FROM log WHERE ctid IN (SELECT ctid FROM log LIMIT 3);
	UPDATE scan SET content = content || sha256(':n') WHERE id = (SELECT id FROM scan ORDER BY id LIMIT 1);
	SELECT lo_put(max(oid), 0, sha256(':n')) FROM pg_largeobject_metadata;
	INSERT INTO counted DEFAULT VALUES;
	REFRESH MATERIALIZED VIEW balance`

// office is a server with the books of companies.
type office struct {
	server   *servers.Postgres
	caFile   string
	programs string // folder of pg_dump and pg_restore
	tools    pgtool.Tools
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{}
	o.server, o.caFile = servertest.TLSPostgres(t)
	o.programs = filepath.Dir(o.server.Program("pg_dump"))
	var err error
	o.tools, err = pgtool.Find(t.Context(), o.programs)
	require.NoError(t, err)
	return o
}

// empty makes a database.
func (o *office) empty(t *testing.T) *pgtool.Login {
	t.Helper()
	name := "fault_" + uuid.NewString()
	o.exec(t, "", fmt.Sprintf("CREATE DATABASE %q TEMPLATE template0", name))
	t.Cleanup(func() { o.exec(t, "", fmt.Sprintf("DROP DATABASE IF EXISTS %q WITH (FORCE)", name)) })
	login := &pgtool.Login{Host: o.server.SocketDir(), Port: o.server.Port(), Database: name, User: "postgres", Password: o.server.Password()}
	if login.Host == "" {
		ca, err := os.ReadFile(o.caFile)
		require.NoError(t, err)
		login.Host, login.CA = "127.0.0.1", string(ca)
	}
	return login
}

func (o *office) books(t *testing.T) *pgtool.Login {
	t.Helper()
	login := o.empty(t)
	o.exec(t, login.Database, books)
	return login
}

// work changes the books.
func (o *office) work(t *testing.T, login *pgtool.Login, number int) {
	t.Helper()
	o.exec(t, login.Database, strings.ReplaceAll(work, ":n", strconv.Itoa(number)))
}

func (o *office) exec(t *testing.T, database, statements string) {
	t.Helper()
	ctx := context.Background() // Clean-ups outlive the test's.
	conn, err := pgx.Connect(ctx, o.server.DSN(database))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(ctx)) }()
	_, err = conn.Exec(ctx, statements, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
}

// digest tells a database's rows, large objects and sequences in a way of its own.
func (o *office) digest(t *testing.T, login *pgtool.Login) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), o.server.DSN(login.Database))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	list := func(query string) []string {
		rows, err := conn.Query(t.Context(), query)
		require.NoError(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return lines
	}
	var all []string
	for _, table := range list(`SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'm') AND relnamespace = 'public'::regnamespace ORDER BY relname`) {
		all = append(all, list(fmt.Sprintf(`SELECT '%s ' || count(*) || ' ' || COALESCE(md5(string_agg(md5(t::text), '' ORDER BY t::text COLLATE "C")), '') FROM %s t`, table, table))...)
	}
	all = append(all, list(`SELECT oid || ' ' || md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY oid`)...)
	all = append(all, list(`SELECT sequencename || ' ' || last_value FROM pg_sequences ORDER BY sequencename`)...)
	return append(all, list(`SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname`)...)
}

// order of the next snapshot.
func (o *office) order(login *pgtool.Login, cache string, sequence uint64, previous *Made) Order {
	order := Order{Tools: o.tools, Login: login, Ref: Ref{sequence, uuid.New()}, Moment: time.Unix(1800000000, 0), Cache: cache}
	if previous != nil {
		order.Previous = &previous.Known
	}
	return order
}

// snapshot must come to be, and verify.
func (o *office) snapshot(t *testing.T, repo Repository, order Order) *Made {
	t.Helper()
	made, err := Make(t.Context(), repo, order)
	require.NoError(t, err)
	require.NoError(t, verify(t, repo, made.Known))
	return made
}

func verify(t *testing.T, repo Repository, k Known) error {
	return Verify(t.Context(), repo, VerifyOrder{Ref: k.Ref, Head: &k.Head})
}

// restores says that a snapshot is restored to what was there.
func (o *office) restores(t *testing.T, repo Repository, k Known, want []string) {
	t.Helper()
	to := o.empty(t)
	_, err := Restore(t.Context(), repo, RestoreOrder{Tools: o.tools, Login: to, Ref: k.Ref, Head: &k.Head})
	require.NoError(t, err)
	require.Equal(t, want, o.digest(t, to))
	o.exec(t, "", fmt.Sprintf("DROP DATABASE %q WITH (FORCE)", to.Database))
}

// folder is a repository in a folder of the test's.
func folder(t *testing.T) (Repository, *blob.Bucket) {
	t.Helper()
	return repositoryIn(t, t.TempDir())
}

func repositoryIn(t *testing.T, dir string) (Repository, *blob.Bucket) {
	t.Helper()
	bucket, err := blob.Open(t.Context(), "file://"+dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bucket.Close()) })
	return Repository{Store: In(bucket), Folder: "company", Keys: keysOf(1)}, bucket
}

// keysOf a company by number.
func keysOf(company byte) Keys {
	key := func(what byte) []byte {
		k := make([]byte, KeyBytes)
		k[0], k[1] = company, what
		return k
	}
	return Keys{Company: uuid.UUID{company}, Names: key(1), Data: map[uint32][]byte{1: key(2), 2: key(3)}, Current: 2}
}

// soaked is how often something is done: so often, or as KONTOR_SOAK says.
func soaked(t *testing.T, usual int) int {
	t.Helper()
	text := os.Getenv("KONTOR_SOAK")
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return max(n, usual)
}

// chance is seeded anew each run; a failure tells by what.
func chance(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("KONTOR_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("KONTOR_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
