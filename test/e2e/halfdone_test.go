package e2e

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"kontor.internal/test/harness"
)

// services that have a database.
var withDatabase = []string{"identity", "tenancy", "licensing", "exchange", "backup", "notification"}

// nothingHalfDone looks behind the gateway, into the databases of all services and at the cluster.
func nothingHalfDone(t *testing.T, j *job) {
	t.Helper()
	in := databases(t, j.suite)
	const within = time.Minute // A letter that was being sent at a cut is sent again a minute later.
	for _, service := range withDatabase {
		eventually(t, within, service+"'s events are published and its operations ended", func() bool {
			return count(t, in[service], `SELECT (SELECT count(*) FROM kontor.outbox WHERE published IS NULL)
				+ (SELECT count(*) FROM kontor.operation WHERE ended IS NULL)`) == 0
		})
	}
	gone(t, within, func() []string { return missed(t, in) })
	eventually(t, 2*time.Minute, "all letters are sent", func() bool {
		return count(t, in["notification"], "SELECT count(*) FROM letter WHERE state = 1") == 0
	})
	for _, c := range []struct {
		what, service, query string
		want                 int
	}{
		{"companies that are neither READY nor FAILED", "tenancy", "SELECT count(*) FROM company WHERE state NOT IN (2, 4)", 0},
		{"companies", "tenancy", "SELECT count(*) FROM company", companiesMade},
		{"companies that failed", "tenancy", "SELECT count(*) FROM company WHERE state = 4", 0},
		{"companies whose live database is no such", "tenancy", "SELECT count(*) FROM company c LEFT JOIN company_database d ON d.id = c.live_id WHERE c.state = 2 AND d.state IS DISTINCT FROM 2", 0},
		{"uploads that are not whole and used", "tenancy", "SELECT count(*) FROM upload WHERE state <> 4 OR received_bytes <> size_bytes", 0},
		{"uploads", "tenancy", "SELECT count(*) FROM upload", 1},
		{"contracts", "licensing", "SELECT count(*) FROM contract", 1},
		{"licences", "licensing", "SELECT count(*) FROM licence", 1},
		{"connections", "exchange", "SELECT count(*) FROM connection", 1},
		{"documents", "exchange", "SELECT count(*) FROM document", documentsSent},
		{"documents with a receipt", "exchange", "SELECT count(*) FROM receipt", documentsSent},
		{"letters that were given up or never needed", "notification", "SELECT count(*) FROM letter WHERE state <> 2", 0},
		{"accounts", "identity", "SELECT count(*) FROM account", 4},
	} {
		if got := count(t, in[c.service], c.query); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
	gone(t, 20*time.Second, func() []string { return strays(t, in) })
}

// gone waits until nothing of it is left.
func gone(t *testing.T, within time.Duration, look func() []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	var left []string
	if harness.Poll(ctx, func() (bool, error) { left = look(); return len(left) == 0, nil }) != nil {
		t.Errorf("after %s this is left: %v", within, left)
	}
}

// databases are connections to those of the services, as the server's own administrator.
func databases(t *testing.T, s *harness.Suite) map[string]*pgx.Conn {
	t.Helper()
	in := map[string]*pgx.Conn{}
	for _, service := range withDatabase {
		at, err := url.Parse(s.State().PostgresURL)
		must(t, err)
		at.Path = "/kontor_" + service
		conn, err := pgx.Connect(t.Context(), at.String())
		must(t, err)
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		in[service] = conn
	}
	return in
}

func count(t *testing.T, in *pgx.Conn, query string) (n int) {
	t.Helper()
	must(t, in.QueryRow(t.Context(), query).Scan(&n))
	return n
}

func texts(t *testing.T, in *pgx.Conn, query string) []string {
	t.Helper()
	rows, err := in.Query(t.Context(), query)
	must(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	return all
}

// missed are events that a consumer has not applied, of kinds that it takes: it has applied others of them.
func missed(t *testing.T, in map[string]*pgx.Conn) (events []string) {
	t.Helper()
	kind := map[string]string{} // by event
	of := map[string][]string{} // events by kind
	for _, service := range withDatabase {
		for _, line := range texts(t, in[service], "SELECT event_id || ' ' || message FROM kontor.outbox") {
			event, message, _ := strings.Cut(line, " ")
			kind[event] = message
			of[message] = append(of[message], event)
		}
	}
	for _, service := range withDatabase {
		applied, takes := map[string]bool{}, map[string]bool{}
		for _, line := range texts(t, in[service], "SELECT consumer || ' ' || event_id FROM kontor.inbox") {
			consumer, event, _ := strings.Cut(line, " ")
			if kind[event] == "" {
				t.Errorf("%s applied %s, which no outbox holds", consumer, event)
			}
			applied[line], takes[consumer+" "+kind[event]] = true, true
		}
		for taken := range takes {
			consumer, message, _ := strings.Cut(taken, " ")
			for _, event := range of[message] {
				if !applied[consumer+" "+event] {
					events = append(events, consumer+" missed "+message+" "+event)
				}
			}
		}
	}
	return events
}

// strays are databases and roles on the cluster without a row, and rows without their database. A login lent to backup may
// outlive a cut: its row stands, and it is dropped when it expires.
func strays(t *testing.T, in map[string]*pgx.Conn) []string {
	t.Helper()
	tenancy := in["tenancy"]
	names := texts(t, tenancy, "SELECT database_name FROM company_database")
	found := texts(t, tenancy, "SELECT datname FROM pg_database WHERE datname NOT LIKE 'kontor%' AND datname NOT IN ('postgres', 'template0', 'template1')")
	all := different("database", found, names)
	all = append(all, different("row", names, found)...)
	roles := texts(t, tenancy, `SELECT rolname FROM pg_roles r WHERE rolname NOT LIKE 'pg\_%' AND rolname NOT LIKE 'kontor\_%' AND NOT rolsuper
		AND NOT EXISTS (SELECT FROM company_database d WHERE r.rolname = d.owner_role OR starts_with(r.rolname, d.group_prefix))
		AND NOT EXISTS (SELECT FROM login_slot WHERE role_name = r.rolname)
		AND NOT EXISTS (SELECT FROM borrowed_login WHERE role_name = r.rolname)`)
	all = append(all, different("role", roles, nil)...)
	return append(all, different("unfinished database", texts(t, tenancy, "SELECT database_name FROM company_database WHERE state IN (1, 4)"), nil)...)
}

func different(what string, some, without []string) (left []string) {
	known := map[string]bool{}
	for _, name := range without {
		known[name] = true
	}
	for _, name := range some {
		if !known[name] {
			left = append(left, what+" "+name)
		}
	}
	return left
}
