// Package backup is how books survive: encrypted copies of every company's
// database, by a schedule and on demand, restored, compared and exported.
package backup

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/riverqueue/river"

	"kontor.internal/libs/blob"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/id"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/operation"
	"kontor.internal/libs/rights"
	"kontor.internal/libs/service"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/backup/internal/export"
	"kontor.internal/services/backup/internal/keys"
	"kontor.internal/services/backup/internal/repository"
	"kontor.internal/services/backup/internal/schedule"
	"kontor.internal/services/backup/internal/snapshot"
	"kontor.internal/services/backup/migrations"
	"kontor.internal/snapshot/pgtool"
)

// Config is what backup is told.
type Config struct {
	service.Config

	Jobs jobs.Config `koanf:"jobs"`

	BlobURL                  string        `koanf:"blob_url" doc:"Object store for encrypted snapshots, by region: file:///folder or s3://bucket?region=…" required:"true"`
	KeyBlobURL               string        `koanf:"key_blob_url" doc:"Object store for companies' wrapped data keys; another one than that of the snapshots, outside every backup." required:"true"`
	KeyEncryptionKey         string        `koanf:"key_encryption_key" doc:"Wraps companies' data keys, for each region by a key derived from it; 32 characters or more. Without it no snapshot can be read." secret:"true" required:"true"`
	KeyEncryptionKeyPrevious string        `koanf:"key_encryption_key_previous" doc:"The key-encryption key before this one, for as long as data keys are wrapped with it." secret:"true"`
	PostgresBinDir           string        `koanf:"postgres_bin_dir" doc:"Folder of pg_dump and pg_restore; empty for where pg_config says or the system keeps them." default:""`
	SnapshotInterval         time.Duration `koanf:"snapshot_interval" doc:"How often each company's books are copied, by business time." default:"2h"`
	ArchiveInterval          time.Duration `koanf:"archive_interval" doc:"How often an archive of a second form is made beside the snapshots, by business time." default:"168h"`
	WholeReadInterval        time.Duration `koanf:"whole_read_interval" doc:"How often every row of a company's books is read for a snapshot, also what surely did not change, by business time." default:"168h"`
	TidyInterval             time.Duration `koanf:"tidy_interval" doc:"How often a company's repository is cleared of what no snapshot needs, by business time." default:"24h"`
	CacheDir                 string        `koanf:"cache_dir" doc:"Folder of this machine for what a company's next snapshot needs of its last; it may be lost. Empty for one in the user's cache folder." default:""`
	SnapshotsAtOnce          int           `koanf:"snapshots_at_once" doc:"How many scheduled snapshots one copy of the service makes at a time." default:"2"`
	ScheduleCheckInterval    time.Duration `koanf:"schedule_check_interval" doc:"How often due and late snapshots are looked for." default:"5s"`
	CompanyScanInterval      time.Duration `koanf:"company_scan_interval" doc:"How often tenancy is asked for companies whose events were missed." default:"10m"`
}

// New wires backup.
func New(ctx context.Context, cfg Config) (*service.Service, error) {
	if cfg.SnapshotInterval < time.Minute || cfg.SnapshotsAtOnce < 1 || cfg.BlobURL == cfg.KeyBlobURL {
		return nil, errors.New("backup: snapshot_interval is a minute or more, snapshots_at_once 1 or more, and keys lie in a store of their own")
	}
	kms, err := keys.NewLocal(cfg.KeyEncryptionKey, cfg.KeyEncryptionKeyPrevious)
	if err != nil {
		return nil, err
	}
	tools, err := pgtool.Find(ctx, cfg.PostgresBinDir)
	if err != nil {
		return nil, err
	}
	s, err := service.New(ctx, service.Spec{Name: "backup", Config: cfg.Config, Migrations: migrations.FS})
	if err != nil {
		return nil, err
	}
	if err := wire(ctx, s, cfg, kms, tools); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func wire(ctx context.Context, s *service.Service, cfg Config, kms keys.KMS, tools pgtool.Tools) error {
	objects, err := openStore(ctx, s, "object store", cfg.BlobURL)
	if err != nil {
		return err
	}
	keyStore, err := openStore(ctx, s, "key store", cfg.KeyBlobURL)
	if err != nil {
		return err
	}
	operations, err := operation.NewStore("backup", s.DB)
	if err != nil {
		return err
	}
	clock, companyKeys := storedClock{s.Clock}, &keys.Keys{KMS: kms, Store: keyStore}
	engine, err := snapshot.New(snapshot.Deps{
		DB: s.DB, Clock: clock, IDs: id.New, Log: s.Log, Meter: s.Telemetry.Meter("kontor.backup"), Objects: objects,
		Repositories: &repository.Repositories{
			DB: s.DB, Clock: clock, Objects: objects, Keys: companyKeys, Cache: cacheDir(cfg), WholeEvery: cfg.WholeReadInterval, TidyEvery: cfg.TidyInterval,
		},
		Keys: companyKeys, ArchiveEvery: cfg.ArchiveInterval, Tools: tools, Rules: schedule.Rules{Interval: cfg.SnapshotInterval}, AtOnce: cfg.SnapshotsAtOnce,
		Operations: operations, Pages: s.Pages,
		Databases: tenancyv1.NewCompanyDatabaseServiceClient(s.Peer("tenancy")),
		Directory: tenancyv1.NewDirectoryServiceClient(s.Peer("tenancy")),
		Rights:    rights.New(licensingv1.NewRightServiceClient(s.Peer("licensing"))),
	})
	if err != nil {
		return err
	}
	backupv1.RegisterSnapshotServiceServer(s.GRPC(), snapshot.NewServer(engine))
	exports := export.New(engine)
	backupv1.RegisterExportServiceServer(s.GRPC(), export.NewServer(exports))
	commonv1.RegisterOperationServiceServer(s.GRPC(), operation.NewServer(s.DB, s.Authorizer()))
	s.Consume(engine.Companies())
	return startJobs(s, cfg, engine, exports, operations)
}

// cacheDir is where this copy of the service keeps what next snapshots need.
func cacheDir(cfg Config) string {
	if cfg.CacheDir != "" {
		return cfg.CacheDir
	}
	own, err := os.UserCacheDir()
	if err != nil {
		return "" // Nobody's: then next snapshots read more.
	}
	return filepath.Join(own, "kontor-backup")
}

// startJobs runs operations, the schedule and the timers for as long as the service lives.
func startJobs(s *service.Service, cfg Config, engine *snapshot.Engine, exports *export.Exports, operations *operation.Store) error {
	workers := river.NewWorkers()
	deps := operation.Deps{Pool: s.DB, Store: operations, Texts: s.Texts, Log: s.Log, Service: s.Name}
	works := engine.Works()
	maps.Copy(works, exports.Works())
	operation.Register(workers, deps, works)
	engine.AddWorkers(workers)
	timers := append(append(s.Periodic(), operation.Periodic(deps)...), engine.Periodic(cfg.ScheduleCheckInterval, cfg.CompanyScanInterval)...)
	timers = append(timers, exports.Periodic(cfg.ScheduleCheckInterval)...)
	client, err := jobs.New(cfg.Jobs, jobs.Options{
		Pool: s.DB, Service: s.Name, Log: s.Log, Workers: workers, Periodic: timers, Queues: map[string]int{snapshot.Queue: cfg.SnapshotsAtOnce},
	})
	if err != nil {
		return err
	}
	engine.UseJobs(client)
	s.Go("jobs", client.Run)
	return nil
}

// openStore opens an object store for as long as the service lives.
func openStore(ctx context.Context, s *service.Service, name, address string) (*blob.Bucket, error) {
	store, err := blob.Open(ctx, address)
	if err != nil {
		return nil, err
	}
	s.OnClose(name, func(context.Context) error { return store.Close() })
	return store, nil
}

// storedClock tells the time as finely as the database keeps it, so that an answer says the same before and after.
type storedClock struct{ clock.Clock }

// Now is whole microseconds.
func (c storedClock) Now() time.Time { return c.Clock.Now().Truncate(time.Microsecond) }
