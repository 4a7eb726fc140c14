package cluster

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/tenancy/internal/cluster/clusterdb"
	"kontor.internal/services/tenancy/internal/names"
)

func constraints() postgres.Constraints {
	return postgres.Constraints{"cluster_address_once": commonv1.Reason_REASON_CLUSTER_EXISTS}
}

// row is what every query of clusters reads.
type row = clusterdb.GetClusterRow

func fromRow(r row) Cluster {
	return Cluster{
		ID: r.ID, Title: r.Title, Region: r.Region, Host: r.Host, Port: r.Port, Login: r.Login, Sealed: r.SealedPassword,
		CAPEM: r.CaPem, Capacity: r.Capacity, Databases: r.Databases, Open: r.Open, Created: r.Created,
	}
}

func toParams(c Cluster) clusterdb.InsertClusterParams {
	return clusterdb.InsertClusterParams{
		ID: c.ID, Title: c.Title, Region: c.Region, Host: c.Host, Port: c.Port, Login: c.Login, SealedPassword: c.Sealed,
		CaPem: c.CAPEM, Capacity: c.Capacity, Created: c.Created,
	}
}

// Get reads one. NOT_FOUND when there is none.
func Get(ctx context.Context, db clusterdb.DBTX, id uuid.UUID) (Cluster, error) {
	r, err := clusterdb.New(db).GetCluster(ctx, id)
	if err != nil {
		return Cluster{}, postgres.NotFound(err, names.Cluster(id))
	}
	return fromRow(r), nil
}

// InRegion reads all of a region.
func InRegion(ctx context.Context, db clusterdb.DBTX, region string) ([]Cluster, error) {
	rows, err := clusterdb.New(db).ListInRegion(ctx, region)
	if err != nil {
		return nil, constraints().Translate(err)
	}
	clusters := make([]Cluster, len(rows))
	for i, r := range rows {
		clusters[i] = fromRow(row(r))
	}
	return clusters, nil
}

func list(ctx context.Context, db clusterdb.DBTX, after cursor, limit int32) ([]Cluster, error) {
	rows, err := clusterdb.New(db).ListClusters(ctx, clusterdb.ListClustersParams{
		AfterCreated: after.Created, AfterID: after.ID, Limit: limit,
	})
	if err != nil {
		return nil, constraints().Translate(err)
	}
	clusters := make([]Cluster, len(rows))
	for i, r := range rows {
		clusters[i] = fromRow(row(r))
	}
	return clusters, nil
}

// cursor is the last cluster on a page.
type cursor struct {
	Created time.Time
	ID      uuid.UUID
}

// change locks one, lets change alter it, and writes it back.
func change(ctx context.Context, tx pgx.Tx, id uuid.UUID, alter func(*Cluster)) (Cluster, error) {
	q := clusterdb.New(tx)
	if _, err := q.LockCluster(ctx, id); err != nil {
		return Cluster{}, postgres.NotFound(err, names.Cluster(id))
	}
	c, err := Get(ctx, tx, id)
	if err != nil {
		return Cluster{}, err
	}
	alter(&c)
	return c, q.UpdateCluster(ctx, clusterdb.UpdateClusterParams{ID: id, Title: c.Title, Capacity: c.Capacity, Open: c.Open})
}
