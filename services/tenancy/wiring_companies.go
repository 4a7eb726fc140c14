package tenancy

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/riverqueue/river"

	"kontor.internal/kits"
	"kontor.internal/kits/kit"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/operation"
	"kontor.internal/libs/seal"
	"kontor.internal/libs/service"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/cluster"
	"kontor.internal/services/tenancy/internal/company"
	"kontor.internal/services/tenancy/internal/database"
	"kontor.internal/services/tenancy/internal/opening"
	"kontor.internal/services/tenancy/internal/preparation"
	"kontor.internal/services/tenancy/internal/restore"
)

// Clusters are the settings of where company databases lie.
type Clusters struct {
	KeyEncryptionKey         string          `koanf:"key_encryption_key" doc:"Encrypts the clusters' passwords where they lie in the database; 32 characters or more." secret:"true" required:"true"`
	KeyEncryptionKeyPrevious string          `koanf:"key_encryption_key_previous" doc:"The key-encryption key before this one; opens what it sealed." secret:"true"`
	DefaultCluster           cluster.Default `koanf:"default_cluster"`
}

// books is what company databases are made with.
type books struct {
	kits   *kit.Set
	sealer *seal.Sealer
	// caPEM is the default cluster's CA; empty without such a cluster.
	caPEM string
}

// loadBooks makes what can fail before anything is opened.
func loadBooks(cfg Config) (b books, err error) {
	if b.kits, err = kits.Load(); err != nil {
		return b, err
	}
	if b.sealer, err = seal.New("kontor tenancy clusters", cfg.KeyEncryptionKey, cfg.KeyEncryptionKeyPrevious); err != nil {
		return b, err
	}
	if cfg.DefaultCluster.Host == "" {
		return b, nil
	}
	pem, err := os.ReadFile(cfg.DefaultCluster.CAFile)
	if err != nil {
		return b, fmt.Errorf("default_cluster: %w", err)
	}
	b.caPEM = string(pem)
	return b, nil
}

// serveCompanies wires everything about companies and their databases; deps has what it shares with the rest.
func serveCompanies(ctx context.Context, s *service.Service, cfg Config, b books, workers *river.Workers, deps company.Deps) ([]jobs.Periodic, error) {
	if cfg.DefaultCluster.Host != "" {
		if err := cluster.PutDefault(ctx, s.DB, b.sealer, deps.Clock, cfg.Regions[0], b.caPEM, cfg.DefaultCluster); err != nil {
			return nil, err
		}
	}
	operations, err := operation.NewStore(s.Name, s.DB)
	if err != nil {
		return nil, err
	}
	clusters := cluster.NewClusters(s.DB, b.sealer)
	if cfg.DefaultCluster.Host != "" {
		s.Go("default cluster", func(ctx context.Context) error { return clusters.WarnIfUnfit(ctx, s.Log, cluster.DefaultID) })
	}
	provisioner := database.NewProvisioner(s.DB, clusters, deps.Clock, s.Log)
	s.OnClose("company clusters", func(context.Context) error {
		provisioner.Close()
		clusters.Close()
		return nil
	})
	sessions := serveOpenings(s, cfg.Openings, opening.Deps{
		NewID: deps.NewID, Clusters: clusters, Databases: provisioner, Kits: b.kits, Members: deps.Members, Rights: deps.Rights,
	})
	servePreparation(s, preparation.ServerDeps{Databases: provisioner, Kits: b.kits, Members: deps.Members, Rights: deps.Rights})
	uploads, err := serveUploads(ctx, s, cfg.Copies, deps, b.kits)
	if err != nil {
		return nil, err
	}
	deps.Kits, deps.Provisioner, deps.Copies, deps.Operations = b.kits, provisioner, uploads, operations
	maker := company.NewMaker(deps, s.Log)

	tenancyv1.RegisterClusterServiceServer(s.GRPC(), cluster.NewServer(cluster.ServerDeps{
		DB: s.DB, Clock: deps.Clock, NewID: deps.NewID, Sealer: b.sealer, Pages: s.Pages,
		Known: func(region string) bool { return slices.Contains(cfg.Regions, region) },
	}))
	tenancyv1.RegisterCompanyServiceServer(s.GRPC(), company.NewServer(deps))
	restores := restore.NewServer(restore.Deps{
		DB: s.DB, Clock: deps.Clock, NewID: deps.NewID, Log: s.Log, Kits: b.kits, Clusters: clusters, Provisioner: provisioner, Sessions: sessions,
	})
	tenancyv1.RegisterCompanyDatabaseServiceServer(s.GRPC(), restores)
	commonv1.RegisterOperationServiceServer(s.GRPC(), operation.NewServer(s.DB, s.Authorizer()))
	works := operation.Deps{Pool: s.DB, Store: operations, Texts: s.Texts, Log: s.Log, Service: s.Name}
	operation.Register(workers, works, maker.Works())
	timers := append(operation.Periodic(works), uploads.Periodic()...)
	return append(timers, maker.Periodic(), provisioner.Periodic(), restores.Periodic()), nil
}
