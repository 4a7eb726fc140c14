package cluster

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/idempotency"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/seal"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/cluster/clusterdb"
	"kontor.internal/services/tenancy/internal/names"
)

// ServerDeps are what the server is made of.
type ServerDeps struct {
	DB     *pgxpool.Pool
	Clock  clock.Clock
	NewID  id.Source
	Sealer *seal.Sealer
	Pages  *paging.Codec
	// Known says whether there is a region.
	Known func(region string) bool
}

// Server is ClusterService.
type Server struct {
	tenancyv1.UnimplementedClusterServiceServer
	d ServerDeps
}

// NewServer returns ClusterService.
func NewServer(d ServerDeps) *Server { return &Server{d: d} }

// CreateCluster adds a server after trying it.
func (s *Server) CreateCluster(ctx context.Context, r *tenancyv1.CreateClusterRequest) (*tenancyv1.CreateClusterResponse, error) {
	if !s.d.Known(r.GetRegion()) {
		return nil, failure.New(commonv1.Reason_REASON_REGION_UNKNOWN, "region", r.GetRegion())
	}
	c := Cluster{
		ID: s.d.NewID(), Title: r.GetTitle(), Region: r.GetRegion(), Host: r.GetHost(), Port: r.GetPort(), Login: r.GetUser(),
		CAPEM: r.GetCaPem(), Capacity: r.GetCapacity(), Open: true, Created: s.d.Clock.Now(),
	}
	if err := try(ctx, c, r.GetPassword()); err != nil {
		return nil, err
	}
	var err error
	if c.Sealed, err = s.d.Sealer.Seal(c.ID.String(), []byte(r.GetPassword())); err != nil {
		return nil, err
	}
	return idempotency.Create(ctx, s.d.DB, r, func(ctx context.Context, tx pgx.Tx) (*tenancyv1.CreateClusterResponse, error) {
		if err := clusterdb.New(tx).InsertCluster(ctx, toParams(c)); err != nil {
			return nil, constraints().Translate(err, "address", c.Address())
		}
		return &tenancyv1.CreateClusterResponse{Cluster: ToProto(c)}, nil
	})
}

// ListClusters pages through the servers.
func (s *Server) ListClusters(ctx context.Context, r *tenancyv1.ListClustersRequest) (*tenancyv1.ListClustersResponse, error) {
	var after cursor
	page, err := s.d.Pages.Start(tenancyv1.ClusterService_ListClusters_FullMethodName, r, &after)
	if err != nil {
		return nil, err
	}
	rows, err := list(ctx, s.d.DB, after, page.Limit())
	if err != nil {
		return nil, err
	}
	shown, next, err := paging.Finish(page, rows, func(c Cluster) any { return cursor{c.Created, c.ID} })
	if err != nil {
		return nil, err
	}
	answer := &tenancyv1.ListClustersResponse{NextPageToken: next}
	for _, c := range shown {
		answer.Clusters = append(answer.Clusters, ToProto(c))
	}
	return answer, nil
}

// UpdateCluster changes what staff may say of a server.
func (s *Server) UpdateCluster(ctx context.Context, r *tenancyv1.UpdateClusterRequest) (*tenancyv1.UpdateClusterResponse, error) {
	cluster, err := names.ParseCluster(r.GetCluster().GetName())
	if err != nil {
		return nil, err
	}
	alter, err := alteration(r)
	if err != nil {
		return nil, err
	}
	var after Cluster
	err = postgres.InTx(ctx, s.d.DB, func(tx pgx.Tx) (err error) {
		after, err = change(ctx, tx, cluster, alter)
		return err
	})
	if err != nil {
		return nil, constraints().Translate(err)
	}
	return &tenancyv1.UpdateClusterResponse{Cluster: ToProto(after)}, nil
}

func alteration(r *tenancyv1.UpdateClusterRequest) (func(*Cluster), error) {
	var steps []func(*Cluster)
	wanted := r.GetCluster()
	for _, path := range r.GetUpdateMask().GetPaths() {
		switch path {
		case "title":
			if wanted.GetTitle() == "" {
				return nil, failure.Invalid("cluster.title", "is empty")
			}
			steps = append(steps, func(c *Cluster) { c.Title = wanted.GetTitle() })
		case "capacity":
			steps = append(steps, func(c *Cluster) { c.Capacity = wanted.GetCapacity() })
		case "open":
			steps = append(steps, func(c *Cluster) { c.Open = wanted.GetOpen() })
		default:
			return nil, failure.Invalid("update_mask", "can't change "+path)
		}
	}
	return func(c *Cluster) {
		for _, step := range steps {
			step(c)
		}
	}, nil
}

// Default is the cluster that an installation brings with it.
type Default struct {
	Host     string `koanf:"host" doc:"Host of the company cluster that the installation brings, as in its certificate and as accounting programs reach it; empty for none."`
	Port     int32  `koanf:"port" doc:"Its port." default:"5432"`
	User     string `koanf:"user" doc:"Its provisioner's login: CREATEDB, CREATEROLE and pg_signal_backend, no superuser. PUBLIC may CONNECT to no database of the cluster, the provisioner to postgres." default:"kontor_provisioner"`
	Password string `koanf:"password" doc:"The provisioner's password." secret:"true"`
	CAFile   string `koanf:"ca_file" doc:"PEM file of the CA that signed the cluster's certificate."`
	Capacity int32  `koanf:"capacity" doc:"How many databases it may hold." default:"5000"`
}

// DefaultID is the same in every copy and at every start: the cluster is known by it when its address changes.
var DefaultID = uuid.MustParse("00000000-0000-7000-8000-000000000001")

// PutDefault writes down the installation's own cluster as it is now.
func PutDefault(ctx context.Context, db *pgxpool.Pool, sealer *seal.Sealer, now clock.Clock, region, caPEM string, d Default) error {
	if d.Password == "" || caPEM == "" {
		return errors.New("default_cluster: password and ca_file belong to host")
	}
	sealed, err := sealer.Seal(DefaultID.String(), []byte(d.Password))
	if err != nil {
		return err
	}
	return clusterdb.New(db).PutDefault(ctx, clusterdb.PutDefaultParams(toParams(Cluster{
		ID: DefaultID, Title: "default", Region: region, Host: d.Host, Port: d.Port, Login: d.User, Sealed: sealed, CAPEM: caPEM,
		Capacity: d.Capacity, Created: now.Now(),
	})))
}
