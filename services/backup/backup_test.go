package backup_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/service/servicetest"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

const (
	beside  = backupv1.RestoreMode_RESTORE_MODE_BESIDE
	inPlace = backupv1.RestoreMode_RESTORE_MODE_IN_PLACE

	inRepository = backupv1.SnapshotForm_SNAPSHOT_FORM_IN_REPOSITORY
	archived     = backupv1.SnapshotForm_SNAPSHOT_FORM_ARCHIVE
)

func TestASnapshotIsEncryptedListedAndReadBack(t *testing.T) {
	b := setup(t)
	told := b.Events("kontor.backup.snapshot.>")
	s := b.snapshot()
	require.Equal(t, "eu-north", s.GetRegion())
	require.Equal(t, b.owner, s.GetCreator())
	require.Equal(t, backupv1.SnapshotOrigin_SNAPSHOT_ORIGIN_ON_DEMAND, s.GetOrigin())
	require.Equal(t, "1.4.0", s.GetDataAreas()[0].GetVersion())
	require.Equal(t, inRepository, s.GetForm())
	require.EqualValues(t, 1, s.GetSequence())
	require.EqualValues(t, 3304, s.GetRows())
	require.Equal(t, s.GetSizeBytes(), s.GetReadBytes())
	require.Equal(t, "kontor.backup.snapshot.created", servicetest.Next(t, told).Envelope.GetType())

	var bytes int64
	for _, file := range b.stored() {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		bytes += int64(len(raw))
		require.NotContains(t, string(raw), "voucher")
	}
	require.Equal(t, bytes, s.GetStoredBytes())

	require.Equal(t, backupv1.VerifyState_VERIFY_STATE_GOOD, b.verify(s).GetVerifyState())
	got, err := b.snapshots.GetSnapshot(t.Context(), &backupv1.GetSnapshotRequest{Name: s.GetName()})
	require.NoError(t, err)
	require.Equal(t, backupv1.VerifyState_VERIFY_STATE_GOOD, got.GetSnapshot().GetVerifyState())
	require.Len(t, b.list(), 1)
}

// Whoever may log into the books may leave a large object there, which is theirs alone.
func TestALargeObjectOfSomebodysDoesNotKeepTheBooksFromBeingCopied(t *testing.T) {
	b := setup(t)
	database := b.tenancy.database(b.company)
	require.NoError(t, b.tenancy.exec(t.Context(), database,
		"CREATE ROLE leaves_things", "SET ROLE leaves_things", "SELECT lo_from_bytea(0, 'theirs')", "RESET ROLE"))
	t.Cleanup(func() {
		require.NoError(t, b.tenancy.exec(context.Background(), database, "DROP OWNED BY leaves_things", "DROP ROLE leaves_things"))
	})
	s := b.snapshot()
	require.Equal(t, backupv1.VerifyState_VERIFY_STATE_GOOD, b.verify(s).GetVerifyState())
	left, err := b.tenancy.dumpLogins(t.Context())
	require.NoError(t, err)
	require.Zero(t, left, "the login for the dump is given back")
}

func TestATableDroppedByMistakeComesBack(t *testing.T) {
	b := setup(t)
	s := b.snapshot()
	b.live("DROP TABLE books.voucher", "DELETE FROM books.partner WHERE id <= 2", "UPDATE books.partner SET name = 'X' WHERE id = 3",
		"INSERT INTO books.partner VALUES (1000, 'New')", "INSERT INTO books.note VALUES ('two')", "CREATE TABLE books.extra (id integer)")
	copied := b.beside(s)
	require.NotEmpty(t, copied.GetTarget())

	found := map[string]*backupv1.TableDifference{}
	comparison := b.compare(copied)
	for _, d := range comparison.GetTables() {
		found[d.GetTable()] = d
	}
	require.Len(t, found, 4)
	require.EqualValues(t, 1, comparison.GetEqualTables())
	require.Equal(t, backupv1.TableFate_TABLE_FATE_MISSING, found["voucher"].GetFate())
	require.EqualValues(t, 3000, found["voucher"].GetRowsInCopy())
	require.Equal(t, backupv1.TableFate_TABLE_FATE_ADDED, found["extra"].GetFate())
	p := found["partner"]
	require.EqualValues(t, []int64{300, 299, 1, 2, 1}, []int64{p.GetRowsInCopy(), p.GetRowsLive(), p.GetAdded(), p.GetRemoved(), p.GetChanged()})
	require.Len(t, p.GetSamples(), 4)
	require.EqualValues(t, 1, found["note"].GetAdded())

	before := result(b, b.restore(s, inPlace), &backupv1.Snapshot{})
	require.Equal(t, backupv1.SnapshotOrigin_SNAPSHOT_ORIGIN_BEFORE_RESTORE, before.GetOrigin())
	comparison = b.compare(copied)
	require.Empty(t, comparison.GetTables())
	require.EqualValues(t, 4, comparison.GetEqualTables())

	_, err := b.snapshots.DeleteRestoredCopy(t.Context(), &backupv1.DeleteRestoredCopyRequest{Name: copied.GetName()})
	require.NoError(t, err)
	_, err = b.snapshots.DeleteRestoredCopy(t.Context(), &backupv1.DeleteRestoredCopyRequest{Name: copied.GetName()})
	require.NoError(t, err)
	_, err = b.snapshots.GetRestoredCopy(t.Context(), &backupv1.GetRestoredCopyRequest{Name: copied.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)

	again := b.beside(before) // The mistake itself can be looked at, too.
	require.NotEmpty(t, b.compare(again).GetTables())
	left, err := b.snapshots.ListRestoredCopies(t.Context(), &backupv1.ListRestoredCopiesRequest{Parent: b.company})
	require.NoError(t, err)
	require.Len(t, left.GetRestoredCopies(), 1)
}

func TestADamagedSnapshotIsSaidToBeAndRestoresNothing(t *testing.T) {
	for name, c := range map[string]struct {
		form backupv1.SnapshotForm
		how  func([]byte) []byte
		want string
	}{
		"a flipped bit":                 {inRepository, func(raw []byte) []byte { raw[len(raw)/2] ^= 1; return raw }, "altered"},
		"an early end":                  {inRepository, func(raw []byte) []byte { return raw[:len(raw)/2] }, "altered"},
		"a flipped bit of an archive":   {archived, func(raw []byte) []byte { raw[len(raw)/2] ^= 1; return raw }, "altered"},
		"an early end of an archive":    {archived, func(raw []byte) []byte { return raw[:len(raw)-100] }, "truncated"},
		"something else for an archive": {archived, func([]byte) []byte { return bytes.Repeat([]byte("x"), 5000) }, "altered"},
		"nothing at all for an archive": {archived, func([]byte) []byte { return nil }, "truncated"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			s := b.snapshot()
			files := b.packs()
			if c.form == archived {
				s = b.archive()
				files = b.storedIn("/snapshots")
			}
			for _, file := range files {
				b.spoil(file, c.how)
			}
			b.fails(b.restore(s, inPlace), commonv1.Reason_REASON_SNAPSHOT_DAMAGED)
			require.Zero(t, b.tenancy.standing())
			read := b.verify(s)
			require.Equal(t, backupv1.VerifyState_VERIFY_STATE_DAMAGED, read.GetVerifyState())
			require.Equal(t, c.want, read.GetVerifyFailure())
		})
	}
}

func TestADestroyedKeyDestroysTheCopies(t *testing.T) {
	b := setup(t)
	s := b.snapshot()
	require.NoError(t, os.RemoveAll(b.keys+"/eu-north"))
	require.Equal(t, "missing", b.verify(s).GetVerifyFailure())
}

func (b *bundle) download(t *testing.T, s *backupv1.Snapshot, offset, length int64) (*commonv1.FileInfo, []byte, error) {
	stream, err := b.snapshots.DownloadSnapshot(t.Context(), &backupv1.DownloadSnapshotRequest{Name: s.GetName(), Offset: offset, Length: length})
	require.NoError(t, err)
	var info *commonv1.FileInfo
	var data []byte
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return info, data, nil
		}
		if err != nil {
			return info, data, err
		}
		if piece.GetInfo() != nil {
			info = piece.GetInfo()
		}
		data = append(data, piece.GetData()...)
	}
}

func TestAnArchiveIsHandedOutAsItIsCanBeResumedAndIsAnnounced(t *testing.T) {
	b := setup(t)
	_, _, err := b.download(t, b.snapshot(), 0, 0)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_EXPORT_NEEDED)
	s := b.archive()
	told := b.Events("kontor.backup.snapshot.>")
	info, whole, err := b.download(t, s, 0, 0)
	require.NoError(t, err)
	sum := sha256.Sum256(whole)
	require.Equal(t, sum[:], s.GetSha256())
	require.Equal(t, s.GetSizeBytes(), info.GetSizeBytes())
	require.Equal(t, "PGDMP", string(whole[:5]))
	require.Equal(t, "kontor.backup.snapshot.exported", servicetest.Next(t, told).Envelope.GetType())
	_, part, err := b.download(t, s, 1000, 500)
	require.NoError(t, err)
	require.Equal(t, whole[1000:1500], part)
	_, _, err = b.download(t, s, s.GetSizeBytes()+1, 0)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)
}

func TestAfterTheLicenceRestoresAndExportsGoOnAndNewSnapshotsDoNot(t *testing.T) {
	b := setup(t)
	s := b.archive()
	b.licensing.refuse(licensingv1.Action_ACTION_BACKUP)
	_, err := b.snapshots.CreateSnapshot(t.Context(), &backupv1.CreateSnapshotRequest{Parent: b.company, RequestId: id.NewString()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RIGHT_MISSING)
	result(b, b.restore(s, inPlace), &backupv1.Snapshot{})
	_, _, err = b.download(t, s, 0, 0)
	require.NoError(t, err)
	b.Advance(2*time.Hour + time.Minute)
	servicetest.Eventually(t, "the schedule pauses", func() bool { return b.schedule().GetPaused() })

	b.licensing.refuse(licensingv1.Action_ACTION_BACKUP, licensingv1.Action_ACTION_READ, licensingv1.Action_ACTION_EXPORT)
	_, err = b.snapshots.RestoreSnapshot(t.Context(), &backupv1.RestoreSnapshotRequest{Name: s.GetName(), Mode: beside, RequestId: id.NewString()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RIGHT_MISSING)
	_, _, err = b.download(t, s, 0, 0)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RIGHT_MISSING)
}

func (b *bundle) schedule() *backupv1.BackupSchedule {
	b.t.Helper()
	answer, err := b.snapshots.GetBackupSchedule(b.t.Context(), &backupv1.GetBackupScheduleRequest{Name: b.company + "/backupSchedule"})
	require.NoError(b.t, err)
	return answer.GetBackupSchedule()
}

// of the list are those of one form.
func of(list []*backupv1.Snapshot, form backupv1.SnapshotForm) (some []*backupv1.Snapshot) {
	for _, s := range list {
		if s.GetForm() == form {
			some = append(some, s)
		}
	}
	return some
}

func TestEveryTwoHoursASnapshotIsMadeAndEveryWeekAnArchive(t *testing.T) {
	b := setup(t)
	require.Empty(t, b.schedule().GetLastSnapshot())
	for n := 1; n <= 2; n++ {
		b.Advance(2*time.Hour + time.Second)
		servicetest.Eventually(t, "the schedule makes one", func() bool { return len(of(b.list(), inRepository)) == n })
		servicetest.Eventually(t, "the insurance is made", func() bool { return len(of(b.list(), archived)) == 1 })
		require.Equal(t, of(b.list(), inRepository)[0].GetName(), b.schedule().GetLastSnapshot(), "the insurance is beside the schedule")
	}
	newest := of(b.list(), inRepository)[0]
	require.Equal(t, backupv1.SnapshotOrigin_SNAPSHOT_ORIGIN_SCHEDULED, newest.GetOrigin())
	require.False(t, b.schedule().GetLate())
	b.Advance(7 * 24 * time.Hour)
	servicetest.Eventually(t, "a week later there is another", func() bool { return len(of(b.list(), archived)) == 2 })
}

// What did not change is neither read nor stored again.
func TestASnapshotAfterSomeWorkStoresLittle(t *testing.T) {
	b := setup(t)
	first := b.snapshot()
	b.live("UPDATE books.partner SET name = 'X' WHERE id = 3")
	second := b.snapshot()
	require.EqualValues(t, 2, second.GetSequence())
	require.Equal(t, first.GetRows(), second.GetRows())
	require.Less(t, second.GetStoredBytes(), first.GetStoredBytes()/3)
	require.Less(t, second.GetReadBytes(), first.GetReadBytes())
	require.Equal(t, backupv1.VerifyState_VERIFY_STATE_GOOD, b.verify(second).GetVerifyState())
}

// A company that nobody has connected to since its last snapshot is left out, for a day; the copy counts as fresh.
func TestACompanyThatNobodyCameToIsLeftOut(t *testing.T) {
	b := setup(t)
	b.schedule() // It is looked after from now on.
	turn := func(want int) {
		t.Helper()
		b.Advance(2*time.Hour + time.Second)
		servicetest.Eventually(t, "the schedule makes one", func() bool { return len(of(b.list(), inRepository)) == want })
	}
	turn(1)
	servicetest.Eventually(t, "the insurance is made", func() bool { return len(of(b.list(), archived)) == 1 })
	turn(2)                                                                      // The insurance connected.
	for left := 0; left < 10 && b.schedule().GetUnchangedTime() == nil; left++ { // Whoever was there a moment ago may not be gone yet.
		last := b.schedule().GetLastSnapshot()
		b.Advance(2*time.Hour + time.Second)
		servicetest.Eventually(t, "the company is left out, or copied", func() bool {
			s := b.schedule()
			return s.GetUnchangedTime() != nil || s.GetLastSnapshot() != last
		})
	}
	s := b.schedule()
	require.NotNil(t, s.GetUnchangedTime())
	require.Less(t, s.GetAgeSeconds(), int64(3600))
	require.False(t, s.GetLate())
	made := len(of(b.list(), inRepository))

	b.live("SELECT 1") // Somebody came.
	turn(made + 1)
	require.Nil(t, b.schedule().GetUnchangedTime())
	last := b.schedule().GetLastSnapshot()
	b.Advance(25 * time.Hour) // The books are looked at again though nobody came.
	servicetest.Eventually(t, "the schedule makes one", func() bool { return b.schedule().GetLastSnapshot() != last })
}

// So many are made of one cluster's databases at a time, by all copies of the service; who finds no slot comes again, and that is no failure.
func TestAClusterThatIsBusyIsLeftForAMoment(t *testing.T) {
	b := setup(t)
	b.schedule()
	told := b.Events("kontor.backup.snapshot.>")
	locks, err := b.DB.Acquire(t.Context())
	require.NoError(t, err)
	cluster := fmt.Sprintf("127.0.0.1:%d", b.tenancy.server.Port())
	_, err = locks.Exec(t.Context(), "SELECT pg_advisory_lock(hashtextextended($1 || ' slot ' || n, 0)) FROM generate_series(0, 3) n", cluster)
	require.NoError(t, err)
	due := b.schedule().GetNextRunTime().AsTime()
	b.Advance(2*time.Hour + time.Second)
	servicetest.Eventually(t, "it was looked for a slot", func() bool {
		next := b.schedule().GetNextRunTime().AsTime()
		return next.After(due) && next.Sub(due) < 3*time.Hour && b.schedule().GetFailures() == 0 && len(b.list()) == 0
	})
	_, err = locks.Exec(t.Context(), "SELECT pg_advisory_unlock_all()")
	require.NoError(t, err)
	locks.Release()
	b.Advance(20 * time.Minute)
	require.Equal(t, "kontor.backup.snapshot.created", servicetest.Next(t, told).Envelope.GetType())
}

// Books that a repository can't take are archived by the schedule.
func TestBooksThatARepositoryCantTakeAreArchived(t *testing.T) {
	b := setup(t)
	b.live("CREATE FOREIGN DATA WRAPPER w", "CREATE SERVER s FOREIGN DATA WRAPPER w",
		"CREATE FOREIGN TABLE books.far (id integer) SERVER s")
	b.fails(b.create(), commonv1.Reason_REASON_SNAPSHOT_REFUSED)
	b.Advance(2*time.Hour + time.Second)
	servicetest.Eventually(t, "an archive is made", func() bool { return len(of(b.list(), archived)) == 1 })
	require.False(t, b.schedule().GetLate())
	require.Empty(t, b.schedule().GetFailureReason())
}

func TestACompanyWithoutAGoodSnapshotIsLateOnceUntilOneIsMade(t *testing.T) {
	b := setup(t)
	b.schedule()
	told := b.Events("kontor.backup.company.>")
	b.tenancy.refuseWith("OpenForDump", failure.New(commonv1.Reason_REASON_COMPANY_DATABASE_UNREACHABLE))
	b.Advance(4*time.Hour + time.Minute)
	require.Equal(t, "kontor.backup.company.late", servicetest.Next(t, told).Envelope.GetType())
	servicetest.Eventually(t, "the failure is noted", func() bool { return b.schedule().GetFailures() > 0 })
	require.True(t, b.schedule().GetLate())
	require.Equal(t, "COMPANY_DATABASE_UNREACHABLE", b.schedule().GetFailureReason())
	require.Empty(t, b.stored())

	b.tenancy.refuseWith("OpenForDump", nil)
	b.Advance(2 * time.Hour)
	require.Equal(t, "kontor.backup.company.recovered", servicetest.Next(t, told).Envelope.GetType())
	require.False(t, b.schedule().GetLate())
	require.Zero(t, b.schedule().GetFailures())
}

// held lets OpenForDump wait until it is let go.
func (d *tenancy) held() (opened chan struct{}, letGo func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened, d.hold = make(chan struct{}, 10), make(chan struct{})
	return d.opened, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		close(d.hold)
		d.opened, d.hold = nil, nil
	}
}

func TestOfTwoSnapshotsAtOnceOneIsMade(t *testing.T) {
	b := setup(t)
	opened, letGo := b.tenancy.held()
	first := b.create()
	<-opened
	b.fails(b.create(), commonv1.Reason_REASON_SNAPSHOT_UNDER_WAY)
	letGo()
	result(b, first, &backupv1.Snapshot{})
	require.Len(t, b.list(), 1)
}

func TestACancelledSnapshotLeavesNothing(t *testing.T) {
	b := setup(t)
	opened, letGo := b.tenancy.held()
	o := b.create()
	<-opened
	_, err := b.operations.CancelOperation(t.Context(), &commonv1.CancelOperationRequest{Name: o.GetName()})
	require.NoError(t, err)
	require.Equal(t, commonv1.Operation_STATE_CANCELLED, b.ends(o).GetState())
	letGo()
	require.Empty(t, b.stored())
	require.Empty(t, b.list())
	b.snapshot() // The next one is not in its way.
}

func TestAnInterruptedArchiveIsClearedAwayByTheNext(t *testing.T) {
	b := setup(t)
	b.archive()
	stale := b.stored()[0]
	_, err := b.DB.Exec(t.Context(), `UPDATE snapshot SET ready = false, lease_time = clock_timestamp() - interval '1 second'`)
	require.NoError(t, err)
	b.archive()
	require.Len(t, b.list(), 1)
	require.Len(t, b.stored(), 1)
	require.NotContains(t, b.stored(), stale)
}

func TestARestoreThatFailsAtAnyStepDropsItsTargetAndLeavesTheBooks(t *testing.T) {
	for _, step := range []string{"CreateRestoreTarget", "OpenForDump", "CommitRestoreTarget"} {
		t.Run(step, func(t *testing.T) {
			b := setup(t)
			s := b.snapshot()
			was := b.tenancy.database(b.company)
			b.tenancy.refuseWith(step, failure.New(commonv1.Reason_REASON_COMPANY_NOT_READY, "state", "maintenance"))
			b.fails(b.restore(s, inPlace), commonv1.Reason_REASON_COMPANY_NOT_READY)
			require.Zero(t, b.tenancy.standing())
			require.Equal(t, was, b.tenancy.database(b.company))
			b.tenancy.refuseWith(step, nil)
			result(b, b.restore(s, inPlace), &backupv1.Snapshot{})
			require.NotEqual(t, was, b.tenancy.database(b.company))
		})
	}
}

func TestARepeatedRequestMakesOneSnapshotAndAnotherContentIsRefused(t *testing.T) {
	b := setup(t)
	req := &backupv1.CreateSnapshotRequest{Parent: b.company, RequestId: id.NewString()}
	first, err := b.snapshots.CreateSnapshot(t.Context(), req)
	require.NoError(t, err)
	second, err := b.snapshots.CreateSnapshot(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, first.GetOperation().GetName(), second.GetOperation().GetName())
	result(b, first.GetOperation(), &backupv1.Snapshot{})
	require.Len(t, b.list(), 1)
	_, err = b.snapshots.CreateSnapshot(t.Context(), &backupv1.CreateSnapshotRequest{Parent: b.tenancy.company(b.subscriber), RequestId: req.GetRequestId()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_REQUEST_ID_REUSED)
}

func TestAStrangerSeesNothing(t *testing.T) {
	b := setup(t)
	s := b.snapshot()
	stranger := backupv1.NewSnapshotServiceClient(b.As(b.NewAccount("svesais@testapiemers.lv")))
	_, err := stranger.GetSnapshot(t.Context(), &backupv1.GetSnapshotRequest{Name: s.GetName()})
	require.Error(t, err)
	other := b.tenancy.company(b.subscriber) // Another company's name before the snapshot's id finds nothing.
	_, err = b.snapshots.GetSnapshot(t.Context(), &backupv1.GetSnapshotRequest{Name: other + s.GetName()[len(b.company):]})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
}

func TestSnapshotsAreListedInPagesNewestFirst(t *testing.T) {
	b := setup(t)
	for range 3 {
		b.snapshot()
	}
	all := b.list()
	var paged []string
	req := &backupv1.ListSnapshotsRequest{Parent: b.company, PageSize: 2}
	for {
		page, err := b.snapshots.ListSnapshots(t.Context(), req)
		require.NoError(t, err)
		for _, s := range page.GetSnapshots() {
			paged = append(paged, s.GetName())
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	require.Equal(t, []string{all[0].GetName(), all[1].GetName(), all[2].GetName()}, paged)
	require.True(t, all[0].GetCreateTime().AsTime().After(all[2].GetCreateTime().AsTime()))
}

// TestASnapshotThatIsCutOffAtAnyStepLeavesNothing breaks off where the database, the login or the disk gives way.
func TestASnapshotThatIsCutOffAtAnyStepLeavesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		cut  func(b *bundle)
		mend func(b *bundle)
		want commonv1.Reason
	}{
		"tenancy refuses": {
			func(b *bundle) {
				b.tenancy.refuseWith("OpenForDump", failure.New(commonv1.Reason_REASON_COMPANY_NOT_READY, "state", "maintenance"))
			},
			func(b *bundle) { b.tenancy.refuseWith("OpenForDump", nil) },
			commonv1.Reason_REASON_COMPANY_NOT_READY,
		},
		"the server's certificate is another's": {
			func(b *bundle) { b.tenancy.host("localhost.invalid") },
			func(b *bundle) { b.tenancy.host("") },
			commonv1.Reason_REASON_COMPANY_DATABASE_UNREACHABLE,
		},
		"the dump breaks off": {
			func(b *bundle) { b.tenancy.attributes("NOBYPASSRLS") },
			func(b *bundle) { b.tenancy.attributes("BYPASSRLS") },
			commonv1.Reason_REASON_SNAPSHOT_REFUSED,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			told := b.Events("kontor.backup.snapshot.>")
			c.cut(b)
			b.fails(b.create(), c.want)
			require.Equal(t, "kontor.backup.snapshot.failed", servicetest.Next(t, told).Envelope.GetType())
			require.Empty(t, b.stored())
			require.Empty(t, b.list())
			c.mend(b)
			b.snapshot()
		})
	}
}

func TestAnArchiveWhoseServiceDiedIsSweptWithWhatItStored(t *testing.T) {
	b := setup(t)
	b.archive()
	_, err := b.DB.Exec(t.Context(), `UPDATE snapshot SET ready = false, lease_time = clock_timestamp() - interval '1 second'`)
	require.NoError(t, err)
	b.tenancy.refuseWith("OpenForDump", failure.New(commonv1.Reason_REASON_COMPANY_NOT_READY, "state", "maintenance"))
	b.fails(b.create(), commonv1.Reason_REASON_COMPANY_NOT_READY)
	require.Empty(t, b.stored())
}

func TestOfTwoRestoresAtOnceOneWorks(t *testing.T) {
	b := setup(t)
	s := b.snapshot()
	opened, letGo := b.tenancy.held()
	first := b.restore(s, inPlace) // Waits in the snapshot before it.
	<-opened
	b.fails(b.restore(s, beside), commonv1.Reason_REASON_RESTORE_UNDER_WAY)
	letGo()
	result(b, first, &backupv1.Snapshot{})
}

func TestACancelledRestoreDropsItsTarget(t *testing.T) {
	b := setup(t)
	s := b.snapshot()
	was := b.tenancy.database(b.company)
	opened, letGo := b.tenancy.held()
	o := b.restore(s, inPlace)
	<-opened
	_, err := b.operations.CancelOperation(t.Context(), &commonv1.CancelOperationRequest{Name: o.GetName()})
	require.NoError(t, err)
	require.Equal(t, commonv1.Operation_STATE_CANCELLED, b.ends(o).GetState())
	letGo()
	require.Zero(t, b.tenancy.standing())
	require.Equal(t, was, b.tenancy.database(b.company))
	require.Len(t, b.list(), 1)
}
