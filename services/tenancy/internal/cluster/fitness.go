package cluster

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// provisioner is what a login may do on its server.
type provisioner struct {
	Superuser      bool
	CreateDatabase bool
	CreateRole     bool
	Signal         bool
	Version        int
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
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return failure.New(commonv1.Reason_REASON_CLUSTER_UNREACHABLE, "address", c.Address(), "detail", whyNot(err)).Wrap(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var p provisioner
	err = conn.QueryRow(ctx, `SELECT rolsuper, rolcreatedb, rolcreaterole,
		pg_has_role('pg_signal_backend', 'USAGE'), current_setting('server_version_num')::int
		FROM pg_catalog.pg_roles WHERE rolname = current_user`).
		Scan(&p.Superuser, &p.CreateDatabase, &p.CreateRole, &p.Signal, &p.Version)
	if err != nil {
		return failure.New(commonv1.Reason_REASON_CLUSTER_UNREACHABLE, "address", c.Address(), "detail", whyNot(err)).Wrap(err)
	}
	return p.fit()
}

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
