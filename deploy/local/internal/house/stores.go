package house

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"kontor.internal/deploy/local/internal/catcher"
	"kontor.internal/libs/mtls"
	"kontor.internal/libs/servers"
)

// stores are the private servers that the services stand on.
type stores struct {
	postgres *servers.Postgres
	redis    *servers.Redis
	nats     *servers.NATS
	inbox    *catcher.Store
	smtp     net.Listener
}

// provisioner makes company databases: it may create databases and roles and
// end connections, and is no superuser.
const provisioner = "kontor_provisioner"

// startStores starts what does not depend on one another side by side.
func (h *House) startStores(ctx context.Context) error {
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { return h.startPostgres(ctx) })
	work.Go(func() (err error) {
		h.stores.redis, err = servers.StartRedis(ctx, servers.RedisConfig{
			Dir: h.folder.Join("redis"), Password: h.secret("redis"), AppendOnly: true,
		})
		return err
	})
	work.Go(func() error { return h.startNATS(ctx) })
	work.Go(func() error { return h.openCatcher(ctx) })
	return work.Wait()
}

func (h *House) startPostgres(ctx context.Context) error {
	files, err := h.authority.IssueServer(mtls.ServerRequest{Name: "postgres-local"})
	if err != nil {
		return err
	}
	h.stores.postgres, err = servers.StartPostgres(ctx, servers.PostgresConfig{
		Dir: h.folder.Join("postgres"), TLS: files, MaxConnections: 400,
	})
	if err != nil {
		return err
	}
	return h.prepareDatabases(ctx)
}

func (h *House) startNATS(ctx context.Context) error {
	files, err := h.authority.Issue("nats")
	if err != nil {
		return err
	}
	h.stores.nats, err = servers.StartNATS(ctx, servers.NATSConfig{
		Dir: h.folder.Join("nats"), Token: h.secret("nats"), TLS: files, VerifyClients: true,
	})
	return err
}

func (h *House) openCatcher(ctx context.Context) (err error) {
	if h.stores.inbox, err = catcher.Open(h.folder.Join("inbox")); err != nil {
		return err
	}
	h.stores.smtp, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	return err
}

// prepareDatabases gives each service a database and a role of its own, which
// nobody else may enter, and makes the provisioner. What is there stays.
func (h *House) prepareDatabases(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, h.stores.postgres.DSN("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := ensureRole(ctx, conn, provisioner, h.secret(provisioner), "CREATEDB CREATEROLE"); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "GRANT pg_signal_backend TO "+provisioner+"; "+onlyProvisionerEnters); err != nil {
		return err
	}
	for _, p := range h.programs {
		if !p.database {
			continue
		}
		role := "kontor_" + p.name
		if err := ensureRole(ctx, conn, role, h.secret(role), ""); err != nil {
			return err
		}
		if err := ensureDatabase(ctx, conn, role); err != nil {
			return err
		}
	}
	return nil
}

// onlyProvisionerEnters keeps the logins of companies' programs out of the databases that come with every server: they
// could leave things there, and hold locks that the provisioner waits for.
const onlyProvisionerEnters = `REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC;
	GRANT CONNECT ON DATABASE postgres TO ` + provisioner

func ensureRole(ctx context.Context, conn *pgx.Conn, name, password, rights string) error {
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", name).Scan(&there); err != nil {
		return err
	}
	verb := "CREATE"
	if there {
		verb = "ALTER"
	}
	_, err := conn.Exec(ctx, fmt.Sprintf("%s ROLE %s LOGIN %s PASSWORD %s", verb, quoteName(name), rights, quoteText(password)))
	return err
}

// ensureDatabase makes a database called like its owner.
func ensureDatabase(ctx context.Context, conn *pgx.Conn, owner string) error {
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", owner).Scan(&there); err != nil {
		return err
	}
	if !there {
		if _, err := conn.Exec(ctx, fmt.Sprintf("CREATE DATABASE %[1]s OWNER %[1]s", quoteName(owner))); err != nil {
			return err
		}
	}
	_, err := conn.Exec(ctx, fmt.Sprintf("REVOKE CONNECT, TEMPORARY ON DATABASE %s FROM PUBLIC", quoteName(owner)))
	return err
}

// databaseURL is how a service reaches its database: verified TLS, its own role.
func (h *House) databaseURL(service string) string {
	role := "kontor_" + service
	values := url.Values{"sslmode": {"verify-full"}, "sslrootcert": {h.authority.CAFile()}}
	address := url.URL{
		Scheme: "postgres", User: url.UserPassword(role, h.secret(role)), Host: h.stores.postgres.Address(),
		Path: "/" + role, RawQuery: values.Encode(),
	}
	return address.String()
}

// stopStores stops in the order in which nothing is missed by what still runs.
func (h *House) stopStores() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var failed []error
	if h.stores.nats != nil {
		failed = append(failed, h.stores.nats.Stop(ctx))
	}
	if h.stores.redis != nil {
		failed = append(failed, h.stores.redis.Stop(ctx))
	}
	if h.stores.postgres != nil {
		failed = append(failed, h.stores.postgres.Stop(ctx))
	}
	if h.stores.smtp != nil {
		if err := h.stores.smtp.Close(); !errors.Is(err, net.ErrClosed) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}
