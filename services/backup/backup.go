// Package backup is how books survive: encrypted copies of every company's
// database, by a schedule and on demand, restored, compared and exported.
package backup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
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
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/backup/internal/checking"
	"kontor.internal/services/backup/internal/export"
	"kontor.internal/services/backup/internal/keeping"
	"kontor.internal/services/backup/internal/keys"
	"kontor.internal/services/backup/internal/region"
	"kontor.internal/services/backup/internal/repository"
	"kontor.internal/services/backup/internal/retention"
	"kontor.internal/services/backup/internal/schedule"
	"kontor.internal/services/backup/internal/second"
	"kontor.internal/services/backup/internal/snapshot"
	"kontor.internal/services/backup/migrations"
	"kontor.internal/snapshot/pgtool"
)

// Config is what backup is told.
type Config struct {
	service.Config

	Jobs jobs.Config `koanf:"jobs"`

	BlobURL                  string        `koanf:"blob_url" doc:"Object store for encrypted snapshots, by region: file:///folder or s3://bucket?region=…" required:"true"`
	RegionBlobURLs           []string      `koanf:"region_blob_urls" doc:"Regions' own object stores, each written region=url; the other regions use blob_url." default:""`
	SecondRegions            []string      `koanf:"second_regions" doc:"Where second copies of snapshots go, each written region=other region." default:""`
	KeyBlobURL               string        `koanf:"key_blob_url" doc:"Object store for companies' wrapped data keys; another one than that of the snapshots, outside every backup." required:"true"`
	KeyEncryptionKey         string        `koanf:"key_encryption_key" doc:"Wraps companies' data keys, for each region by a key derived from it; 32 characters or more. Without it no snapshot can be read." secret:"true" required:"true"`
	KeyEncryptionKeyPrevious string        `koanf:"key_encryption_key_previous" doc:"The key-encryption key before this one, for as long as data keys are wrapped with it." secret:"true"`
	PostgresBinDir           string        `koanf:"postgres_bin_dir" doc:"Folder of pg_dump and pg_restore; empty for where pg_config says or the system keeps them." default:""`
	SnapshotInterval         time.Duration `koanf:"snapshot_interval" doc:"How often each company's books are copied, by business time." default:"2h"`
	ArchiveInterval          time.Duration `koanf:"archive_interval" doc:"How often an archive of a second form is made beside the snapshots, by business time." default:"168h"`
	WholeReadInterval        time.Duration `koanf:"whole_read_interval" doc:"How often every row of a company's books is read for a snapshot, also what surely did not change, by business time." default:"168h"`
	TidyInterval             time.Duration `koanf:"tidy_interval" doc:"How often a company's repository is cleared of what no snapshot needs, by business time." default:"24h"`
	KeepHourly               int           `koanf:"keep_hourly" doc:"Of how many hours the newest snapshot is kept." default:"24"`
	KeepDaily                int           `koanf:"keep_daily" doc:"Of how many days the newest snapshot is kept." default:"30"`
	KeepWeekly               int           `koanf:"keep_weekly" doc:"Of how many weeks the newest snapshot is kept." default:"12"`
	KeepMonthly              int           `koanf:"keep_monthly" doc:"Of how many months the newest snapshot is kept." default:"12"`
	KeepYearly               int           `koanf:"keep_yearly" doc:"Of how many years the newest snapshot is kept." default:"7"`
	CopiesKeptAfterLeaving   time.Duration `koanf:"copies_kept_after_leaving" doc:"How long copies are kept after the licence has ended to let a subscriber read its data, before their keys are destroyed; by business time." default:"2160h"`
	CacheDir                 string        `koanf:"cache_dir" doc:"Folder of this machine for what a company's next snapshot needs of its last; it may be lost. Empty for one in the user's cache folder." default:""`
	SnapshotsAtOnce          int           `koanf:"snapshots_at_once" doc:"How many scheduled snapshots one copy of the service makes at a time." default:"2"`
	SnapshotsAtOnceOnCluster int           `koanf:"snapshots_at_once_on_cluster" doc:"How many scheduled snapshots all copies of the service together make of one cluster's databases at a time." default:"4"`
	ScheduleCheckInterval    time.Duration `koanf:"schedule_check_interval" doc:"How often due and late snapshots are looked for." default:"5s"`
	VerifySample             int           `koanf:"verify_sample" doc:"Per cent of the companies whose newest snapshot is read back each verify_sample_interval, at least one company; 0 for none." default:"5"`
	VerifySampleInterval     time.Duration `koanf:"verify_sample_interval" doc:"How often companies are drawn whose newest snapshot is read back, by business time." default:"24h"`
	VerifyWholeInterval      time.Duration `koanf:"verify_whole_interval" doc:"The longest that each company's newest snapshot and newest archive go without being read back, by business time." default:"720h"`
	DrillInterval            time.Duration `koanf:"drill_interval" doc:"How often each company's newest snapshot is restored into a scratch database and compared, by business time." default:"168h"`
	CompanyScanInterval      time.Duration `koanf:"company_scan_interval" doc:"How often tenancy is asked for companies whose events were missed." default:"10m"`
}

func (c Config) checks() checking.Settings {
	return checking.Settings{
		SamplePercent: c.VerifySample, SampleEvery: c.VerifySampleInterval, WholeEvery: c.VerifyWholeInterval, DrillEvery: c.DrillInterval,
	}
}

// othersConnections are needed beside those that scheduled snapshots hold while they are made: tidying and copying hold one each.
const othersConnections = 6

// New wires backup.
func New(ctx context.Context, cfg Config) (*service.Service, error) {
	if cfg.SnapshotInterval < time.Minute || cfg.SnapshotsAtOnce < 1 || cfg.SnapshotsAtOnceOnCluster < 1 || cfg.BlobURL == cfg.KeyBlobURL {
		return nil, errors.New("backup: snapshot_interval is a minute or more, snapshots_at_once and snapshots_at_once_on_cluster 1 or more, and keys lie in a store of their own")
	}
	if most := cfg.SnapshotsAtOnce + othersConnections; int(cfg.Postgres.MaxConns) < most {
		return nil, fmt.Errorf("backup: postgres.max_conns is %d or more for this snapshots_at_once", most)
	}
	if !cfg.checks().Valid() {
		return nil, errors.New("backup: verify_sample is 0 to 100, and the intervals of checks are a minute or more")
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
	stores, err := region.Open(ctx, region.Rules{Shared: cfg.BlobURL, Own: cfg.RegionBlobURLs, Second: cfg.SecondRegions})
	if err != nil {
		return err
	}
	s.OnClose("regions' stores", func(context.Context) error { return stores.Close() })
	keyStore, err := openStore(ctx, s, "key store", cfg.KeyBlobURL)
	if err != nil {
		return err
	}
	operations, err := operation.NewStore("backup", s.DB)
	if err != nil {
		return err
	}
	clock, companyKeys := storedClock{s.Clock}, &keys.Keys{KMS: kms, Store: keyStore}
	repositories := &repository.Repositories{
		DB: s.DB, Clock: clock, Stores: stores, Keys: companyKeys, Cache: cacheDir(cfg), WholeEvery: cfg.WholeReadInterval,
	}
	may := rights.New(licensingv1.NewRightServiceClient(s.Peer("licensing")))
	keeper := keeping.New(keeping.Deps{
		DB: s.DB, Clock: clock, IDs: id.New, Log: s.Log, Repositories: repositories, Keys: companyKeys, Rules: retention.Rules{
			Hourly: cfg.KeepHourly, Daily: cfg.KeepDaily, Weekly: cfg.KeepWeekly, Monthly: cfg.KeepMonthly, Yearly: cfg.KeepYearly,
		},
		Rights: may, Pages: s.Pages, TidyEvery: cfg.TidyInterval, KeptAfterLeaving: cfg.CopiesKeptAfterLeaving, Rewrap: cfg.KeyEncryptionKeyPrevious != "",
	})
	copier := &second.Copier{DB: s.DB, Clock: clock, Log: s.Log, Repositories: repositories, CollectEvery: cfg.TidyInterval}
	engine, err := snapshot.New(snapshot.Deps{
		DB: s.DB, Clock: clock, IDs: id.New, Log: s.Log, Meter: s.Telemetry.Meter("kontor.backup"),
		Repositories: repositories, Second: copier, Keeper: keeper,
		Keys: companyKeys, ArchiveEvery: cfg.ArchiveInterval, Tools: tools, Rules: schedule.Rules{Interval: cfg.SnapshotInterval}, AtOnce: cfg.SnapshotsAtOnce, AtOnceOnCluster: cfg.SnapshotsAtOnceOnCluster,
		Operations: operations, Pages: s.Pages,
		Databases: tenancyv1.NewCompanyDatabaseServiceClient(s.Peer("tenancy")),
		Directory: tenancyv1.NewDirectoryServiceClient(s.Peer("tenancy")),
		Documents: exchangev1.NewDocumentCopyServiceClient(s.Peer("exchange")),
		Rights:    may,
	})
	if err != nil {
		return err
	}
	keeper.Schedules = engine
	backupv1.RegisterSnapshotServiceServer(s.GRPC(), snapshot.NewServer(engine))
	backupv1.RegisterSnapshotDocumentServiceServer(s.GRPC(), snapshot.NewDocumentServer(engine))
	backupv1.RegisterKeepingServiceServer(s.GRPC(), keeping.NewServer(keeper))
	exports := export.New(engine)
	backupv1.RegisterExportServiceServer(s.GRPC(), export.NewServer(exports))
	commonv1.RegisterOperationServiceServer(s.GRPC(), operation.NewServer(s.DB, s.Authorizer()))
	s.Consume(engine.Companies())
	checker := checking.New(checking.Deps{
		Settings: cfg.checks(), DB: s.DB, Clock: clock, IDs: id.New, Log: s.Log, Engine: engine,
	})
	return startJobs(s, cfg, operations, workers{engine, exports, copier, keeper, checker})
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

// workers are all who work outside requests.
type workers struct {
	engine  *snapshot.Engine
	exports *export.Exports
	copier  *second.Copier
	keeper  *keeping.Keeper
	checker *checking.Checker
}

// startJobs runs operations, the schedule and the timers for as long as the service lives.
func startJobs(s *service.Service, cfg Config, operations *operation.Store, w workers) error {
	kinds := river.NewWorkers()
	deps := operation.Deps{Pool: s.DB, Store: operations, Texts: s.Texts, Log: s.Log, Service: s.Name}
	works := w.engine.Works()
	maps.Copy(works, w.exports.Works())
	operation.Register(kinds, deps, works)
	w.engine.AddWorkers(kinds)
	w.copier.AddWorkers(kinds)
	w.keeper.AddWorkers(kinds)
	w.checker.AddWorkers(kinds)
	check := cfg.ScheduleCheckInterval
	timers := slices.Concat(s.Periodic(), operation.Periodic(deps), w.engine.Periodic(check, cfg.CompanyScanInterval), w.exports.Periodic(check),
		w.copier.Periodic(check), w.keeper.Periodic(check), w.checker.Periodic(check))
	client, err := jobs.New(cfg.Jobs, jobs.Options{
		Pool: s.DB, Service: s.Name, Log: s.Log, Workers: kinds, Periodic: timers,
		Queues: map[string]int{snapshot.Queue: cfg.SnapshotsAtOnce, second.Queue: 1, keeping.Queue: 1, checking.Queue: 1},
	})
	if err != nil {
		return err
	}
	w.engine.UseJobs(client)
	w.copier.UseJobs(client)
	w.keeper.UseJobs(client)
	w.checker.UseJobs(client)
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
