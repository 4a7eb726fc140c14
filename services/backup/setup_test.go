package backup_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/config"
	"kontor.internal/libs/id"
	"kontor.internal/libs/service"
	"kontor.internal/libs/service/servicetest"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/backup"
	"kontor.internal/services/backup/migrations"
)

// bundle is backup running alone, with one company and its owner.
type bundle struct {
	*servicetest.Suite
	t          *testing.T
	tenancy    *tenancy
	licensing  *licensing
	exchange   *exchange
	objects    string
	keys       string
	subscriber string
	company    string
	owner      string
	snapshots  backupv1.SnapshotServiceClient
	exports    backupv1.ExportServiceClient
	operations commonv1.OperationServiceClient
}

// settings fills in what backup needs beyond every service's.
func settings(t testing.TB, common service.Config, objects, keys string, regions ...string) backup.Config {
	t.Helper()
	var cfg backup.Config
	require.NoError(t, config.Load(&cfg, config.Options{Environ: []string{
		"KONTOR_KEY_ENCRYPTION_KEY=" + strings.Repeat("k", 32), "KONTOR_BLOB_URL=file://" + objects, "KONTOR_KEY_BLOB_URL=file://" + keys,
		"KONTOR_KEEP_HOURLY=2", "KONTOR_KEEP_DAILY=2", "KONTOR_KEEP_WEEKLY=0", "KONTOR_KEEP_MONTHLY=0", "KONTOR_KEEP_YEARLY=0",
		"KONTOR_CACHE_DIR=" + t.TempDir(), "KONTOR_SECOND_REGIONS=eu-north=eu-south", "KONTOR_REGION_BLOB_URLS=" + strings.Join(append(regions, "eu-south=file://"+objects+"-second"), ","),
		"KONTOR_SCHEDULE_CHECK_INTERVAL=100ms", "KONTOR_COMPANY_SCAN_INTERVAL=100ms",
		"KONTOR_CA_FILE=x", "KONTOR_CERT_FILE=x", "KONTOR_KEY_FILE=x", "KONTOR_POSTGRES_DSN=x", "KONTOR_NATS_URL=x",
	}}))
	cfg.Config = common
	return cfg
}

// setup starts it. regions are those with stores of their own, beside the second one.
func setup(t *testing.T, regions ...string) *bundle {
	t.Helper()
	b := &bundle{
		t: t, tenancy: newTenancy(t), licensing: &licensing{}, exchange: &exchange{}, objects: t.TempDir(), keys: t.TempDir(), subscriber: "subscribers/" + id.NewString(),
	}
	b.company = b.tenancy.company(b.subscriber)
	b.Suite = servicetest.Start(t, servicetest.Options{
		Name: "backup", Migrations: migrations.FS,
		Build: func(ctx context.Context, common service.Config) (*service.Service, error) {
			return backup.New(ctx, settings(t, common, b.objects, b.keys, regions...))
		},
		Doubles: map[string]func(grpc.ServiceRegistrar){
			"tenancy": func(r grpc.ServiceRegistrar) {
				tenancyv1.RegisterDirectoryServiceServer(r, b.tenancy)
				tenancyv1.RegisterCompanyDatabaseServiceServer(r, b.tenancy)
			},
			"licensing": func(r grpc.ServiceRegistrar) { licensingv1.RegisterRightServiceServer(r, b.licensing) },
			"exchange":  func(r grpc.ServiceRegistrar) { exchangev1.RegisterDocumentCopyServiceServer(r, b.exchange) },
		},
	})
	b.owner = b.NewAccount(id.NewString() + "@testapiemers.lv")
	b.Access.Grant(b.owner, b.subscriber, servicetest.All()...)
	b.snapshots = backupv1.NewSnapshotServiceClient(b.As(b.owner))
	b.exports = backupv1.NewExportServiceClient(b.As(b.owner))
	b.operations = commonv1.NewOperationServiceClient(b.As(b.owner))
	return b
}

// ends waits for an operation's end.
func (b *bundle) ends(o *commonv1.Operation) *commonv1.Operation {
	b.t.Helper()
	var now *commonv1.Operation
	servicetest.Eventually(b.t, "the operation ends", func() bool {
		answer, err := b.operations.GetOperation(b.t.Context(), &commonv1.GetOperationRequest{Name: o.GetName()})
		require.NoError(b.t, err)
		now = answer.GetOperation()
		return now.GetEndTime() != nil
	})
	return now
}

// result waits for an operation to succeed.
func result[M proto.Message](b *bundle, o *commonv1.Operation, into M) M {
	b.t.Helper()
	now := b.ends(o)
	require.Equal(b.t, commonv1.Operation_STATE_SUCCEEDED, now.GetState(), "%v", now.GetError())
	require.NoError(b.t, now.GetResult().UnmarshalTo(into))
	return into
}

// fails waits for an operation to fail for a reason.
func (b *bundle) fails(o *commonv1.Operation, want commonv1.Reason) {
	b.t.Helper()
	now := b.ends(o)
	require.Equal(b.t, commonv1.Operation_STATE_FAILED, now.GetState())
	require.Contains(b.t, now.GetError().String(), strings.TrimPrefix(want.String(), "REASON_"))
}

func (b *bundle) create() *commonv1.Operation {
	b.t.Helper()
	answer, err := b.snapshots.CreateSnapshot(b.t.Context(), &backupv1.CreateSnapshotRequest{Parent: b.company, RequestId: id.NewString()})
	require.NoError(b.t, err)
	return answer.GetOperation()
}

// archive makes a snapshot of the second form.
func (b *bundle) archive() *backupv1.Snapshot {
	b.t.Helper()
	answer, err := b.snapshots.CreateSnapshot(b.t.Context(), &backupv1.CreateSnapshotRequest{Parent: b.company, RequestId: id.NewString(), Form: archived})
	require.NoError(b.t, err)
	return result(b, answer.GetOperation(), &backupv1.Snapshot{})
}

func (b *bundle) snapshot() *backupv1.Snapshot {
	b.t.Helper()
	return result(b, b.create(), &backupv1.Snapshot{})
}

func (b *bundle) restore(s *backupv1.Snapshot, mode backupv1.RestoreMode) *commonv1.Operation {
	b.t.Helper()
	answer, err := b.snapshots.RestoreSnapshot(b.t.Context(), &backupv1.RestoreSnapshotRequest{Name: s.GetName(), Mode: mode, RequestId: id.NewString()})
	require.NoError(b.t, err)
	return answer.GetOperation()
}

func (b *bundle) beside(s *backupv1.Snapshot) *backupv1.RestoredCopy {
	b.t.Helper()
	return result(b, b.restore(s, backupv1.RestoreMode_RESTORE_MODE_BESIDE), &backupv1.RestoredCopy{})
}

func (b *bundle) compare(c *backupv1.RestoredCopy) *backupv1.Comparison {
	b.t.Helper()
	answer, err := b.snapshots.CompareRestoredCopy(b.t.Context(), &backupv1.CompareRestoredCopyRequest{Name: c.GetName(), RequestId: id.NewString()})
	require.NoError(b.t, err)
	return result(b, answer.GetOperation(), &backupv1.Comparison{})
}

func (b *bundle) verify(s *backupv1.Snapshot) *backupv1.Snapshot {
	b.t.Helper()
	answer, err := b.snapshots.VerifySnapshot(b.t.Context(), &backupv1.VerifySnapshotRequest{Name: s.GetName(), RequestId: id.NewString()})
	require.NoError(b.t, err)
	return result(b, answer.GetOperation(), &backupv1.Snapshot{})
}

func (b *bundle) list() []*backupv1.Snapshot {
	b.t.Helper()
	answer, err := b.snapshots.ListSnapshots(b.t.Context(), &backupv1.ListSnapshotsRequest{Parent: b.company})
	require.NoError(b.t, err)
	return answer.GetSnapshots()
}

// live changes the company's live books.
func (b *bundle) live(statements ...string) {
	b.t.Helper()
	require.NoError(b.t, b.tenancy.exec(b.t.Context(), b.tenancy.database(b.company), statements...))
}

// stored lists the objects' files.
func (b *bundle) stored() []string { return b.storedIn("") }

// packs lists the files of repositories' packs.
func (b *bundle) packs() (packs []string) {
	for _, file := range b.storedIn("/repositories") {
		if strings.Contains(file, "/packs/") {
			packs = append(packs, file)
		}
	}
	return packs
}

func (b *bundle) storedIn(folder string) (files []string) {
	b.t.Helper()
	if _, err := os.Stat(b.objects + folder); err != nil {
		return nil
	}
	require.NoError(b.t, filepath.WalkDir(b.objects+folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !strings.HasSuffix(path, ".attrs") {
			files = append(files, path)
		}
		return err
	}))
	return files
}

// spoil changes a stored object.
func (b *bundle) spoil(path string, how func([]byte) []byte) {
	b.t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(path, how(raw), 0o600))
}
