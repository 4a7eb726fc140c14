package cluster

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/tenancy/internal/names"
)

// provisioner is what a login may do on its server.
type provisioner struct {
	Superuser      bool
	CreateDatabase bool
	CreateRole     bool
	Signal         bool
	Version        int
	// Prepared is how many transactions may outlive their connections.
	Prepared int
	// Open are databases that everybody may enter who has a login.
	Open []string
}

// oldest is the first release of PostgreSQL that kits and rights are tried on.
const oldest = 150000

// fit says what a provisioner lacks, or has too much.
func (p provisioner) fit() error {
	var problems []string
	if p.Superuser {
		problems = append(problems, "the login is a superuser")
	}
	for has, lack := range map[*bool]string{
		&p.CreateDatabase: "the login lacks CREATEDB", &p.CreateRole: "the login lacks CREATEROLE", &p.Signal: "the login lacks pg_signal_backend",
	} {
		if !*has {
			problems = append(problems, lack)
		}
	}
	if p.Version < oldest {
		problems = append(problems, "the server is older than PostgreSQL 15")
	}
	if p.Prepared > 0 {
		problems = append(problems, "max_prepared_transactions is not 0: a program could leave locks behind that nobody ends")
	}
	if len(p.Open) > 0 {
		problems = append(problems, "PUBLIC may connect to "+strings.Join(p.Open, ", ")+": companies' programs could get in")
	}
	if len(problems) == 0 {
		return nil
	}
	return unfit(strings.Join(problems, ", "))
}

func unfit(detail string) error {
	return failure.New(commonv1.Reason_REASON_CLUSTER_UNFIT, "detail", detail)
}

// try connects to a cluster that is to be added and looks at what its login may do.
func try(ctx context.Context, c Cluster, password string) error {
	config, err := connConfig(c, password)
	if err != nil {
		return unfit(err.Error())
	}
	return look(ctx, c, config)
}

// WarnIfUnfit looks at a cluster that an installation brings, as CreateCluster looks at others, and says in the log what is
// wrong with it. The service runs on: companies that are there already are to be opened.
func (c *Clusters) WarnIfUnfit(ctx context.Context, log *slog.Logger, id uuid.UUID) error {
	w, err := c.way(ctx, id)
	if err == nil {
		err = look(ctx, w.cluster, w.config)
	}
	if err != nil && ctx.Err() == nil {
		refused := failure.From(err)
		log.WarnContext(ctx, "a company cluster is not fit", "cluster", names.Cluster(id), "detail", refused.Meta("detail"), "error", err)
	}
	return nil
}

func look(ctx context.Context, c Cluster, config *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return failure.New(commonv1.Reason_REASON_CLUSTER_UNREACHABLE, "address", c.Address(), "detail", whyNot(err)).Wrap(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var p provisioner
	err = conn.QueryRow(ctx, looking).
		Scan(&p.Superuser, &p.CreateDatabase, &p.CreateRole, &p.Signal, &p.Version, &p.Prepared, &p.Open)
	if err != nil {
		return failure.New(commonv1.Reason_REASON_CLUSTER_UNREACHABLE, "address", c.Address(), "detail", whyNot(err)).Wrap(err)
	}
	return p.fit()
}

// looking reads what fit judges by. Databases that the provisioner made itself let nobody in but who is meant to.
const looking = `SELECT rolsuper, rolcreatedb, rolcreaterole,
	pg_has_role('pg_signal_backend', 'USAGE'), current_setting('server_version_num')::int,
	current_setting('max_prepared_transactions')::int,
	ARRAY(SELECT d.datname::text FROM pg_catalog.pg_database AS d
		WHERE d.datallowconn AND NOT pg_has_role(d.datdba, 'MEMBER') AND has_database_privilege('public', d.oid, 'CONNECT')
		ORDER BY d.datname)
	FROM pg_catalog.pg_roles WHERE rolname = current_user`

// whyNot tells staff what kind of trouble it is; the driver's own words stay in the log.
func whyNot(err error) string {
	var refused interface{ SQLState() string }
	switch {
	case errors.As(err, &refused):
		return "the server refuses the login (" + refused.SQLState() + ")"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case strings.Contains(err.Error(), "certificate"):
		return "its certificate does not verify"
	default:
		return "no connection"
	}
}
