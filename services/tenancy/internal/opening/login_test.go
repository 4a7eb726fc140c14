package opening

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/servers/servertest"
	"kontor.internal/services/tenancy/internal/scram"
)

// RFC 7677's own example.
func TestVerifierOfThePublishedExample(t *testing.T) {
	salt := []byte{0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81}
	got, err := scram.VerifierOf("pencil", salt, 4096)
	const want = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	if err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
}

// server is a superuser's connection to the tests' server, and a way to connect as somebody else.
type server struct {
	*pgx.Conn
	t   *testing.T
	dsn string
}

func newServer(t *testing.T) server {
	t.Helper()
	c := server{t: t, dsn: servertest.Postgres(t)}
	var err error
	if c.Conn, err = pgx.Connect(t.Context(), c.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func (c server) do(sql string) {
	c.t.Helper()
	if _, err := c.Exec(c.t.Context(), sql); err != nil {
		c.t.Fatalf("%v\n%s", err, sql)
	}
}

func (c server) as(role, password string) (*pgx.Conn, error) {
	u, err := url.Parse(c.dsn)
	if err != nil {
		c.t.Fatal(err)
	}
	u.User = url.UserPassword(role, password)
	return pgx.Connect(c.t.Context(), u.String())
}

// gone drops roles after the test.
func (c server) gone(roles ...string) {
	c.t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), c.dsn)
		if err != nil {
			c.t.Error(err)
			return
		}
		defer func() { _ = conn.Close(context.Background()) }()
		if _, err := conn.Exec(context.Background(), "DROP ROLE IF EXISTS "+quoteAll(roles)); err != nil {
			c.t.Error(err)
		}
	})
}

func (c server) memberships(role string) (groups []string) {
	c.t.Helper()
	rows, err := c.Query(c.t.Context(), `SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles u ON u.oid = m.member
		WHERE u.rolname = $1 ORDER BY 1`, role)
	if err == nil {
		groups, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return groups
}

func sample(t *testing.T, role string) (login, string) {
	t.Helper()
	password := scram.NewPassword()
	kept, err := scram.Verifier(password)
	if err != nil {
		t.Fatal(err)
	}
	return login{
		Role: role, Database: "postgres", Verifier: kept, Until: time.Now().Add(time.Hour), Connections: 1,
		Groups: []string{role + "_a", role + "_b"}, Fresh: true,
	}, password
}

func TestALoginIsLetInWithItsPasswordAndGroupsOnly(t *testing.T) {
	c := newServer(t)
	const role = "kontor_test_in"
	c.gone(role, role+"_a", role+"_b", role+"_c")
	for _, group := range []string{"a", "b", "c"} {
		c.do("CREATE ROLE " + role + "_" + group)
	}
	l, password := sample(t, role)
	if strings.Contains(opening(l), password) {
		t.Fatal("the password is in the statements")
	}
	c.do(opening(l))
	if got := fmt.Sprint(c.memberships(role)); got != fmt.Sprint(l.Groups) {
		t.Errorf("a member of %s", got)
	}
	conn, err := c.as(role, password)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.as(role, password); err == nil {
		t.Error("two connections where one is allowed")
	}
	if _, err := c.as(role, "wrong"); err == nil {
		t.Error("any password lets in")
	}
	// What a holder may set for the role is gone with the next one, and so is their connection.
	if _, err := conn.Exec(t.Context(), "ALTER ROLE "+role+" SET work_mem = '1MB'; ALTER ROLE "+role+" IN DATABASE postgres SET search_path = 'x'"); err != nil {
		t.Fatal(err)
	}
	l.Fresh, l.Had = false, l.Groups
	l.Groups, l.ReadOnly = []string{role + "_b", role + "_c"}, true
	c.do(opening(l))
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("a former holder is still connected")
	}
	if got := fmt.Sprint(c.memberships(role)); got != fmt.Sprint(l.Groups) {
		t.Errorf("a member of %s", got)
	}
	if conn, err = c.as(role, password); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var memory, path, readOnly string
	err = conn.QueryRow(t.Context(), "SELECT current_setting('work_mem'), current_setting('search_path'), current_setting('transaction_read_only')").Scan(&memory, &path, &readOnly)
	if err != nil || memory == "1MB" || path == "x" || readOnly != "on" {
		t.Errorf("%s %s %s %v", memory, path, readOnly, err)
	}
	// Unknown state is put in order whatever it was.
	l.Fresh, l.Had, l.Groups, l.ReadOnly = true, nil, []string{role + "_a"}, false
	c.do(opening(l))
	if got := fmt.Sprint(c.memberships(role)); got != fmt.Sprint(l.Groups) {
		t.Errorf("a member of %s", got)
	}
}

func TestAClosedLoginLetsNobodyInAndItsConnectionsEnd(t *testing.T) {
	c := newServer(t)
	const role = "kontor_test_out"
	c.gone(role, role+"_a", role+"_b")
	c.do("CREATE ROLE " + role + "_a; CREATE ROLE " + role + "_b")
	l, password := sample(t, role)
	c.do(opening(l))
	conn, err := c.as(role, password)
	if err != nil {
		t.Fatal(err)
	}
	c.do(closing([]string{"kontor_test_nobody", role}))
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("still connected")
	}
	if _, err := c.as(role, password); err == nil {
		t.Error("still let in")
	}
	c.do(closing([]string{role})) // Repeating it changes nothing.
}

func TestALoginEndsByItselfAndIsProlonged(t *testing.T) {
	c := newServer(t)
	const role = "kontor_test_until"
	c.gone(role, role+"_a", role+"_b")
	c.do("CREATE ROLE " + role + "_a; CREATE ROLE " + role + "_b")
	l, password := sample(t, role)
	l.Until = time.Now().Add(-time.Second)
	c.do(opening(l))
	if _, err := c.as(role, password); err == nil {
		t.Error("let in after its end")
	}
	c.do(prolonging([]string{"kontor_test_nobody", role}, map[string]time.Time{role: time.Now().Add(time.Minute)}))
	conn, err := c.as(role, password)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
}

func TestNamesAndTextsCanNotEndTheirStatement(t *testing.T) {
	for _, bad := range []string{`a'b`, `a\'; DROP ROLE x; --`, `a"b`} {
		c := newServer(t)
		var got string
		if err := c.QueryRow(t.Context(), "SELECT "+text(bad)).Scan(&got); err != nil || got != strings.ReplaceAll(bad, `\`, "") {
			t.Errorf("%q became %q, %v", bad, got, err)
		}
	}
}
