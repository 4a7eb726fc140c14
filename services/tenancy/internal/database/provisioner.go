package database

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/kits/kit"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/postgres"
	"kontor.internal/services/tenancy/internal/cluster"
)

// Provisioner makes and drops databases on clusters. Each step may be repeated: what is there stays.
type Provisioner struct {
	db       *pgxpool.Pool
	clusters *cluster.Clusters
	clock    clock.Clock
	log      *slog.Logger
	idle     *idle
}

// NewProvisioner returns a Provisioner whose rows lie in db.
func NewProvisioner(db *pgxpool.Pool, clusters *cluster.Clusters, now clock.Clock, log *slog.Logger) *Provisioner {
	return &Provisioner{db: db, clusters: clusters, clock: now, log: log, idle: newIdle()}
}

// Close ends the connections that are kept.
func (p *Provisioner) Close() { p.idle.close() }

// Make makes the owner's role and the empty database.
func (p *Provisioner) Make(ctx context.Context, d Database) error {
	admin, err := p.clusters.Admin(ctx, d.Cluster)
	if err != nil {
		return err
	}
	role := fmt.Sprintf(`DO $do$ BEGIN CREATE ROLE %[1]s NOLOGIN ROLE CURRENT_USER;
		EXCEPTION WHEN duplicate_object THEN NULL; END $do$`, quote(d.Owner))
	if _, err := admin.Exec(ctx, role); err != nil {
		return fmt.Errorf("make the owner of a company database: %w", err)
	}
	if err := p.makeDatabase(ctx, admin, d); err != nil {
		return fmt.Errorf("make a company database: %w", err)
	}
	return nil
}

// makeDatabase can't run in a transaction: CREATE DATABASE leaves nothing behind when it is killed.
func (p *Provisioner) makeDatabase(ctx context.Context, admin *pgxpool.Pool, d Database) error {
	var there bool
	err := admin.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1)", d.Name).Scan(&there)
	if err != nil {
		return err
	}
	if !there {
		create := fmt.Sprintf("CREATE DATABASE %s OWNER %s TEMPLATE template0 ENCODING 'UTF8'", quote(d.Name), quote(d.Owner))
		if _, err := admin.Exec(ctx, create); err != nil {
			return err
		}
	}
	_, err = admin.Exec(ctx, fmt.Sprintf("REVOKE ALL ON DATABASE %s FROM PUBLIC", quote(d.Name)))
	return err
}

// Apply brings one area of a database to a kit's release, with its group roles and their grants.
func (p *Provisioner) Apply(ctx context.Context, d Database, k *kit.Kit, edition string) error {
	admin, err := p.clusters.Admin(ctx, d.Cluster)
	if err != nil {
		return err
	}
	if err := k.CreateGroups(ctx, admin, d.Prefix); err != nil {
		return err
	}
	return p.InDatabase(ctx, d, func(conn *pgx.Conn) error {
		_, err := k.Apply(ctx, conn, kit.Install{Edition: edition, Owner: d.Owner, Prefix: d.Prefix})
		return err
	})
}

// Grant gives the group roles what a kit says, in a database that was restored at the kit's release.
func (p *Provisioner) Grant(ctx context.Context, d Database, k *kit.Kit) error {
	admin, err := p.clusters.Admin(ctx, d.Cluster)
	if err != nil {
		return err
	}
	if err := k.CreateGroups(ctx, admin, d.Prefix); err != nil {
		return err
	}
	return p.InDatabase(ctx, d, func(conn *pgx.Conn) error { return k.Grant(ctx, conn, d.Owner, d.Prefix) })
}

// InDatabase runs work on a connection into a database, acting as its owner. Connections are kept for a short while, so
// that what comes again soon finds one open.
func (p *Provisioner) InDatabase(ctx context.Context, d Database, work func(conn *pgx.Conn) error) error {
	conn := p.idle.take(d.Name)
	if conn == nil {
		var err error
		if conn, err = p.connect(ctx, d); err != nil {
			return err
		}
	}
	if err := work(conn); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return err
	}
	p.idle.keep(d.Name, conn)
	return nil
}

func (p *Provisioner) connect(ctx context.Context, d Database) (*pgx.Conn, error) {
	conn, err := p.clusters.Connect(ctx, d.Cluster, d.Name)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "SET ROLE "+quote(d.Owner)); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("act as a company database's owner: %w", err)
	}
	return conn, nil
}

// Drop ends everybody's connections, drops the database and every role of it, and then its row.
func (p *Provisioner) Drop(ctx context.Context, d Database) error {
	admin, err := p.clusters.Admin(ctx, d.Cluster)
	if err != nil {
		return err
	}
	p.idle.forget(d.Name)
	if _, err := admin.Exec(ctx, fmt.Sprintf("DROP DATABASE IF EXISTS %s WITH (FORCE)", quote(d.Name))); err != nil {
		return fmt.Errorf("drop a company database: %w", err)
	}
	if err := dropMetRoles(ctx, admin, d.Prefix); err != nil {
		return fmt.Errorf("drop the roles of a company database: %w", err)
	}
	return postgres.InTx(ctx, p.db, func(tx pgx.Tx) error { return remove(ctx, tx, d.ID) })
}

// dropMetRoles drops the roles again when somebody else changed one at the same instant, e.g. closed a login whose session
// ended: PostgreSQL says no more of it than that the row it had in hand is another now.
func dropMetRoles(ctx context.Context, admin *pgxpool.Pool, prefix string) error {
	const tries = 3
	const internalError = "XX000" // SQLSTATE of `tuple concurrently updated` and `… deleted`
	for n := 1; ; n++ {
		err := dropRoles(ctx, admin, prefix)
		if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || refused.Code != internalError || n == tries {
			return err
		}
	}
}

func dropRoles(ctx context.Context, admin *pgxpool.Pool, prefix string) error {
	rows, err := admin.Query(ctx, "SELECT rolname FROM pg_catalog.pg_roles WHERE starts_with(rolname, $1)", prefix+"_")
	if err != nil {
		return err
	}
	roles, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(roles) == 0 {
		return err
	}
	for i, role := range roles {
		roles[i] = quote(role)
	}
	_, err = admin.Exec(ctx, "DROP ROLE IF EXISTS "+strings.Join(roles, ", "))
	return err
}

// Sweep drops what is to be dropped: databases whose making failed, and replaced ones whose time has come.
func (p *Provisioner) Sweep(ctx context.Context) error {
	const portion = 20
	list, err := toDrop(ctx, p.db, p.clock.Now(), portion)
	if err != nil {
		return err
	}
	for _, d := range list {
		if err := p.Drop(ctx, d); err != nil {
			p.log.ErrorContext(ctx, "company database can't be dropped", "database", d.ID, "company", d.Company, "error", err)
		}
	}
	return nil
}

// Periodic drops what is to be dropped, every few seconds.
func (p *Provisioner) Periodic() jobs.Periodic {
	return jobs.Periodic{Name: "drop-company-databases", Every: 5 * time.Second, AtStart: true, Run: p.Sweep}
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
