package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/libs/seal"
	"kontor.internal/services/tenancy/internal/names"
)

const (
	// maintenance is the database that databases and roles are made from.
	maintenance = "postgres"
	// adminConns is how many connections a copy of the service keeps to a cluster.
	adminConns = 8
	// connecting bounds one connection's making.
	connecting = 5 * time.Second
	// application is what the clusters' own lists of connections show.
	application = "kontor-tenancy"
)

// Clusters are the ways into all clusters, as their provisioners.
type Clusters struct {
	db     *pgxpool.Pool
	sealer *seal.Sealer

	mu    sync.Mutex
	known map[uuid.UUID]*way
}

// way is what is kept of one cluster. Its address does not change while the service runs.
type way struct {
	cluster Cluster
	admin   *pgxpool.Pool
	config  *pgx.ConnConfig
}

// NewClusters returns the ways into the clusters that a database lists.
func NewClusters(db *pgxpool.Pool, sealer *seal.Sealer) *Clusters {
	return &Clusters{db: db, sealer: sealer, known: map[uuid.UUID]*way{}}
}

// Close ends all connections to maintenance databases.
func (c *Clusters) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.known {
		w.admin.Close()
	}
	clear(c.known)
}

// Get returns a cluster.
func (c *Clusters) Get(ctx context.Context, id uuid.UUID) (Cluster, error) {
	w, err := c.way(ctx, id)
	if err != nil {
		return Cluster{}, err
	}
	return w.cluster, nil
}

// Admin returns the connections to a cluster's maintenance database.
func (c *Clusters) Admin(ctx context.Context, id uuid.UUID) (*pgxpool.Pool, error) {
	w, err := c.way(ctx, id)
	if err != nil {
		return nil, err
	}
	return w.admin, nil
}

// Connect returns a connection into a company database; its caller closes it.
func (c *Clusters) Connect(ctx context.Context, id uuid.UUID, database string) (*pgx.Conn, error) {
	w, err := c.way(ctx, id)
	if err != nil {
		return nil, err
	}
	config := w.config.Copy()
	config.Database = database
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to a company database on %s: %w", names.Cluster(id), err)
	}
	return conn, nil
}

func (c *Clusters) way(ctx context.Context, id uuid.UUID) (*way, error) {
	c.mu.Lock()
	known, ok := c.known[id]
	c.mu.Unlock()
	if ok {
		return known, nil
	}
	cluster, err := Get(ctx, c.db, id)
	if err != nil {
		return nil, err
	}
	password, _, err := c.sealer.Open(id.String(), cluster.Sealed)
	if err != nil {
		return nil, err
	}
	made, err := open(ctx, cluster, string(password))
	if err != nil {
		return nil, err
	}
	return c.keep(id, made), nil
}

// keep keeps the first of two that were made at once.
func (c *Clusters) keep(id uuid.UUID, made *way) *way {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.known[id]; ok {
		made.admin.Close()
		return known
	}
	c.known[id] = made
	return made
}

// open prepares the connections; none is made yet.
func open(ctx context.Context, cluster Cluster, password string) (*way, error) {
	config, err := connConfig(cluster, password)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, err
	}
	pool.ConnConfig = config
	pool.MaxConns = adminConns
	admin, err := pgxpool.NewWithConfig(ctx, pool)
	if err != nil {
		return nil, err
	}
	return &way{cluster: cluster, admin: admin, config: config}, nil
}

// connConfig demands the server's certificate: by its CA, and for its host's name.
func connConfig(cluster Cluster, password string) (*pgx.ConnConfig, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(cluster.CAPEM)) {
		return nil, errors.New("the cluster's CA is no PEM certificate")
	}
	config, err := pgx.ParseConfig("")
	if err != nil {
		return nil, err
	}
	config.Host, config.Port, config.Database = cluster.Host, uint16(cluster.Port), maintenance
	config.User, config.Password = cluster.Login, password
	config.TLSConfig = &tls.Config{RootCAs: roots, ServerName: cluster.Host, MinVersion: tls.VersionTLS12}
	config.Fallbacks = nil
	config.ConnectTimeout = connecting
	// Names of what is made are parts of statements; plans of them are not worth keeping.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.RuntimeParams = map[string]string{"application_name": application, "search_path": ""}
	return config, nil
}
