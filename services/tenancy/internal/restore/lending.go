// Package restore lends company databases to backup: to read for a dump, and to fill from a snapshot. What was filled is
// taken into use here, beside the live database or in its place.
package restore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/jobs"
	"kontor.internal/libs/postgres"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/cluster"
	"kontor.internal/services/tenancy/internal/database"
	"kontor.internal/services/tenancy/internal/restore/restoredb"
	"kontor.internal/services/tenancy/internal/scram"
)

// purpose is what a login is lent for, with the database's numbers.
type purpose int16

const (
	toDump    purpose = 1
	toRestore purpose = 2
)

const (
	// dumping is how long a dump may take, and entering how long its login lets in: it connects when it begins.
	dumping  = 4 * time.Hour
	entering = 5 * time.Minute
	// filling is how long one to fill a target is good, and how long a target waits to be filled.
	filling = 24 * time.Hour
	// lentConnections is how many connections a lent login may have: pg_restore works on several.
	lentConnections = 8
)

// lender lends login roles. Leases of logins are real time.
type lender struct {
	db       *pgxpool.Pool
	clusters *cluster.Clusters
	now      func() time.Time
}

// lend makes a login that is a member of the database's owner. Its row stands before it does, so that it can't be forgotten.
func (l lender) lend(ctx context.Context, d database.Database, use purpose, life time.Duration) (*tenancyv1.DatabaseLogin, error) {
	where, err := l.clusters.Get(ctx, d.Cluster)
	if err != nil {
		return nil, err
	}
	admin, err := l.clusters.Admin(ctx, d.Cluster)
	if err != nil {
		return nil, err
	}
	role, until, password := d.LoginName(), l.now().Add(life), scram.NewPassword()
	verifier, err := scram.Verifier(password)
	if err != nil {
		return nil, err
	}
	err = restoredb.New(l.db).LendLogin(ctx, restoredb.LendLoginParams{
		RoleName: role, DatabaseID: d.ID, Purpose: int16(use), Expires: until,
	})
	if err != nil {
		return nil, postgres.Constraints{}.Translate(err)
	}
	if _, err := admin.Exec(ctx, making(role, verifier, l.door(use, until), d, use), pgx.QueryExecModeSimpleProtocol); err != nil {
		return nil, fmt.Errorf("make a login to a company database: %w", err)
	}
	return &tenancyv1.DatabaseLogin{
		Host: where.Host, Port: where.Port, Database: d.Name, User: role, Password: password, CaPem: where.CAPEM,
		ExpireTime: timestamppb.New(until),
	}, nil
}

// door is until when a login lets in. One to dump is used at once; pg_restore comes back for each of its steps.
func (l lender) door(use purpose, until time.Time) time.Time {
	if soon := l.now().Add(entering); use == toDump && soon.Before(until) {
		return soon
	}
	return until
}

// making is the statements that make a login, all or none. One to dump reads only; one to restore acts as the owner, to
// whom then everything belongs.
func making(role, verifier string, until time.Time, d database.Database, use purpose) string {
	name := quote(role)
	setting := "default_transaction_read_only = on"
	if use == toRestore {
		setting = "role = " + quote(d.Owner)
	}
	return fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD %s VALID UNTIL %s CONNECTION LIMIT %d IN ROLE %s;\nALTER ROLE %s IN DATABASE %s SET %s;",
		name, text(verifier), text(until.UTC().Format(time.RFC3339Nano)), lentConnections, quote(d.Owner), name, quote(d.Name), setting)
}

// takeBack ends every login that was lent to a database.
func (l lender) takeBack(ctx context.Context, d database.Database) error {
	roles, err := restoredb.New(l.db).ListLent(ctx, d.ID)
	if err != nil {
		return postgres.Constraints{}.Translate(err)
	}
	for _, role := range roles {
		if err := l.end(ctx, d.Cluster, role); err != nil {
			return err
		}
	}
	return nil
}

// giveBack ends a login to dump before its time. One that is over, or another company's, is passed over.
func (l lender) giveBack(ctx context.Context, company uuid.UUID, role string) error {
	on, err := restoredb.New(l.db).FindLent(ctx, restoredb.FindLentParams{RoleName: role, CompanyID: company, Purpose: int16(toDump)})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return postgres.Constraints{}.Translate(err)
	}
	return l.end(ctx, on, role)
}

// end ends a login's connections, drops it, and forgets it.
func (l lender) end(ctx context.Context, on uuid.UUID, role string) error {
	admin, err := l.clusters.Admin(ctx, on)
	if err != nil {
		return err
	}
	steps := fmt.Sprintf(`DO $do$ BEGIN ALTER ROLE %[1]s NOLOGIN; EXCEPTION WHEN undefined_object THEN NULL; END $do$;
		SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %[2]s;
		DROP ROLE IF EXISTS %[1]s`, quote(role), text(role))
	if _, err := admin.Exec(ctx, steps, pgx.QueryExecModeSimpleProtocol); err != nil {
		return fmt.Errorf("end a login to a company database: %w", err)
	}
	return postgres.Constraints{}.Translate(restoredb.New(l.db).ForgetLogin(ctx, role))
}

// periodic ends logins whose time is over, and gives up targets that nobody filled.
func (l lender) periodic() jobs.Periodic {
	return jobs.Periodic{Name: "end-lent-logins", Every: time.Minute, AtStart: true, Run: func(ctx context.Context) error {
		const portion = 100
		q := restoredb.New(l.db)
		if err := q.AbandonTargets(ctx, l.now().Add(-filling)); err != nil {
			return postgres.Constraints{}.Translate(err)
		}
		overdue, err := q.ListOverdue(ctx, restoredb.ListOverdueParams{Now: l.now(), Limit: portion})
		if err != nil {
			return postgres.Constraints{}.Translate(err)
		}
		for _, o := range overdue {
			if err := l.end(ctx, o.ClusterID, o.RoleName); err != nil {
				return err
			}
		}
		return nil
	}}
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// text is a literal. Nothing that is put in has a backslash.
func text(value string) string { return "'" + strings.ReplaceAll(value, "'", "''") + "'" }
