package opening

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Whoever is logged in by a role may change that role's password, and so keep its row to themselves for as long as their
// transaction is open. Nothing here may wait for them: rows are waited for shortly, each role's statement stands or fails
// by itself, and what lets in ends only after the connections that could hold it.
const (
	// lockWithin is how long one role's row is waited for. It is tried again at the next look.
	lockWithin = 40 * time.Millisecond
	// rolesAtOnce are changed in one transaction: with all their rows held by somebody it takes less than a second.
	rolesAtOnce = 20
	// clusterWithin bounds one look at one cluster, so that a cluster that does not answer keeps nobody waiting on others.
	clusterWithin = time.Second
	// prolongWithin bounds the prolonging of one cluster's logins, which end long after the leases they are for.
	prolongWithin = 3 * time.Second
)

// closeLogins takes from roles what lets them in, and returns those that it did not close: somebody still holds their rows.
func closeLogins(ctx context.Context, admin *pgxpool.Pool, roles []string) (open []string, err error) {
	var failed []error
	for some := range slices.Chunk(slices.Sorted(slices.Values(roles)), rolesAtOnce) {
		if _, err := admin.Exec(ctx, closing(some)); err != nil {
			failed = append(failed, err)
		}
	}
	rows, err := admin.Query(ctx, "SELECT rolname::text FROM pg_roles WHERE rolname = ANY($1::name[]) AND rolcanlogin", roles)
	if err == nil {
		open, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return roles, fmt.Errorf("close logins: %w", errors.Join(append(failed, err)...))
	}
	if len(open) > 0 {
		failed = append(failed, fmt.Errorf("%d of %d stay open", len(open), len(roles)))
	}
	if err := errors.Join(failed...); err != nil {
		return open, fmt.Errorf("close logins: %w", err)
	}
	return nil, nil
}

// endConnections ends the connections of some roles and returns whose were there.
func endConnections(ctx context.Context, admin *pgxpool.Pool, roles []string) (busy []string, err error) {
	rows, err := admin.Query(ctx, terminating, roles)
	if err == nil {
		busy, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return nil, fmt.Errorf("end connections: %w", err)
	}
	return busy, nil
}

// terminating ends the connections of some roles and says whose were there.
const terminating = `SELECT usename::text FROM (SELECT usename, pg_terminate_backend(pid) FROM pg_stat_activity
	WHERE usename = ANY($1::name[])) AS ended`

// closing ends the connections of roles and then takes from them what lets them in. Who connects again in between waits
// for the row behind this.
func closing(roles []string) string {
	listed := make([]string, len(roles))
	for i, role := range roles {
		listed[i] = text(role)
	}
	return "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN (" + strings.Join(listed, ", ") + ");\n" +
		each(roles, func(role string) string { return fmt.Sprintf("ALTER ROLE %s NOLOGIN PASSWORD NULL", quote(role)) })
}

// prolonging moves the ends of logins.
func prolonging(roles []string, until map[string]time.Time) string {
	return each(roles, func(role string) string {
		return fmt.Sprintf("ALTER ROLE %s VALID UNTIL %s", quote(role), instant(until[role]))
	})
}

// each does to each role what it can: one that is not there, or that somebody else holds, keeps the others from nothing.
// Roles come sorted, so that two who do this never wait for each other.
func each(roles []string, statement func(role string) string) string {
	var sql strings.Builder
	fmt.Fprintf(&sql, "SELECT set_config('lock_timeout', '%dms', true);\nDO $do$ BEGIN\n", lockWithin.Milliseconds())
	for _, role := range roles {
		fmt.Fprintf(&sql, "BEGIN PERFORM pg_advisory_xact_lock(hashtextextended(%s, 0)); %s; EXCEPTION WHEN OTHERS THEN NULL; END;\n",
			text(role), statement(role))
	}
	sql.WriteString("END $do$")
	return sql.String()
}

// moveEnds moves the ends of logins, and returns the roles that end as they are to.
func moveEnds(ctx context.Context, admin *pgxpool.Pool, until map[string]time.Time) (moved map[string]bool, err error) {
	roles := make([]string, 0, len(until))
	for role := range until {
		roles = append(roles, role)
	}
	slices.Sort(roles)
	for some := range slices.Chunk(roles, rolesAtOnce) {
		if _, err := admin.Exec(ctx, prolonging(some, until)); err != nil {
			return nil, fmt.Errorf("prolong logins: %w", err)
		}
	}
	rows, err := admin.Query(ctx, "SELECT rolname::text, rolvaliduntil FROM pg_roles WHERE rolname = ANY($1::name[])", roles)
	if err != nil {
		return nil, fmt.Errorf("prolong logins: %w", err)
	}
	var (
		role string
		end  *time.Time
	)
	moved = map[string]bool{}
	_, err = pgx.ForEachRow(rows, []any{&role, &end}, func() error {
		moved[role] = end != nil && end.Equal(until[role].Truncate(time.Millisecond))
		return nil
	})
	return moved, err
}
