package opening

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// slot is a login role of a company database, with what is known of it.
type slot struct {
	ID   uuid.UUID
	Role string
	// Made says whether the role stands just as Groups and ReadOnly say.
	Made     bool
	Groups   []string
	ReadOnly bool
	// BoundTo is the account that the database's own bounds name; nil when that is not known.
	BoundTo          *uuid.UUID
	YearFrom, YearTo int32
}

// binding is for whom a login acts, and in which fiscal years; 0 is no bound.
type binding struct {
	Account          uuid.UUID
	YearFrom, YearTo int32
}

func (s slot) bound(b binding) bool {
	return s.BoundTo != nil && *s.BoundTo == b.Account && s.YearFrom == b.YearFrom && s.YearTo == b.YearTo
}

// stands says whether the role needs no other grants and settings.
func (s slot) stands(groups []string, readOnly bool) bool {
	return s.Made && s.ReadOnly == readOnly && slices.Equal(s.Groups, groups)
}

// login is what a role is to be for one session.
type login struct {
	Role     string
	Database string
	// Verifier of its password.
	Verifier string
	Until    time.Time
	// Connections that it may have at a time.
	Connections int
	// Groups that it is to be a member of, and nothing else; ReadOnly is the default of its transactions.
	Groups   []string
	ReadOnly bool
	// Fresh says that nothing is known of the role, not even whether it is there.
	Fresh bool
	// Had are the groups that it has, unless it is fresh.
	Had []string
}

// opening is the statements that let a login in, sent as one: they hold all together or not at all. What the last holder
// may have set for the role is undone, and a connection of theirs that nobody knew of ends.
func opening(l login) string {
	var sql strings.Builder
	add := func(format string, values ...any) { fmt.Fprintf(&sql, format+";\n", values...) }
	role := quote(l.Role)
	add("SELECT set_config('lock_timeout', '5s', true), set_config('statement_timeout', '10s', true)")
	add("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", text(l.Role))
	add("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", text(l.Role))
	if l.Fresh {
		add("DO $do$ BEGIN CREATE ROLE %s NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $do$", role)
		add("DO $do$ DECLARE g name; BEGIN FOR g IN SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid "+
			"JOIN pg_roles u ON u.oid = m.member WHERE u.rolname = %s LOOP EXECUTE format('REVOKE %%I FROM %%I', g, %[1]s); END LOOP; END $do$", text(l.Role))
	}
	if gone := without(l.Had, l.Groups); len(gone) > 0 {
		add("REVOKE %s FROM %s", quoteAll(gone), role)
	}
	if missing := without(l.Groups, l.Had); len(missing) > 0 {
		add("GRANT %s TO %s", quoteAll(missing), role)
	}
	add("ALTER ROLE %s RESET ALL", role)
	add("ALTER ROLE %s IN DATABASE %s RESET ALL", role, quote(l.Database))
	if l.ReadOnly {
		add("ALTER ROLE %s SET default_transaction_read_only = on", role)
	}
	add("ALTER ROLE %s LOGIN PASSWORD %s VALID UNTIL %s CONNECTION LIMIT %d", role, text(l.Verifier), instant(l.Until), l.Connections)
	return sql.String()
}

func without(list, others []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(one string) bool { return slices.Contains(others, one) })
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quote(name)
	}
	return strings.Join(quoted, ", ")
}

// text writes a string constant. Names and verifiers have neither quotes nor backslashes; the doubling is for certainty.
func text(value string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(value, `\`, ``), "'", "''") + "'"
}

func instant(at time.Time) string { return text(at.UTC().Format("2006-01-02T15:04:05.000Z07:00")) }
