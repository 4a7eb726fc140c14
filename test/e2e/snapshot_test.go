package e2e

import (
	"bytes"
	"crypto/sha256"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"kontor.internal/client"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

func TestASnapshotIsRestoredBesideComparedPutInPlaceAndAnArchiveHandedOut(t *testing.T) {
	t.Parallel()
	s := suite(t)
	s.Needs(t, "backup")
	p, kontor, company := trading(t, s, "Drošie Dati")
	session, err := kontor.SignIn(t.Context(), credentials(p))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Close)
	snapshots := backupv1.NewSnapshotServiceClient(session.Conn())
	wait := func(o *commonv1.Operation, err error, into proto.Message) {
		t.Helper()
		var result *anypb.Any
		if err == nil {
			var done *commonv1.Operation
			done, err = session.Wait(t.Context(), o.GetName(), nil)
			result = done.GetResult()
		}
		if err == nil {
			err = result.UnmarshalTo(into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}

	var made, before backupv1.Snapshot
	created, err := snapshots.CreateSnapshot(t.Context(), &backupv1.CreateSnapshotRequest{Parent: company, RequestId: client.RequestID()})
	wait(created.GetOperation(), err, &made)

	second := func() bool {
		found, err := snapshots.GetBackupSchedule(t.Context(), &backupv1.GetBackupScheduleRequest{Name: company + "/backupSchedule"})
		if err != nil {
			t.Fatal(err)
		}
		schedule := found.GetBackupSchedule()
		return schedule.GetSecondRegion() == "eu-south" && !schedule.GetSecondSnapshotTime().AsTime().Before(made.GetCreateTime().AsTime())
	}
	eventually(t, time.Minute, "the snapshot comes to the second region", second)

	var copied backupv1.RestoredCopy
	restored, err := snapshots.RestoreSnapshot(t.Context(), &backupv1.RestoreSnapshotRequest{
		Name: made.GetName(), Mode: backupv1.RestoreMode_RESTORE_MODE_BESIDE, RequestId: client.RequestID(),
	})
	wait(restored.GetOperation(), err, &copied)

	compare := func() *backupv1.Comparison {
		t.Helper()
		var found backupv1.Comparison
		compared, err := snapshots.CompareRestoredCopy(t.Context(), &backupv1.CompareRestoredCopyRequest{Name: copied.GetName(), RequestId: client.RequestID()})
		wait(compared.GetOperation(), err, &found)
		return &found
	}
	if c := compare(); len(c.GetTables()) != 0 || c.GetEqualTables() == 0 {
		t.Errorf("untouched books differ from their copy: %v", c)
	}

	replaced, err := snapshots.RestoreSnapshot(t.Context(), &backupv1.RestoreSnapshotRequest{
		Name: made.GetName(), Mode: backupv1.RestoreMode_RESTORE_MODE_IN_PLACE, RequestId: client.RequestID(),
	})
	wait(replaced.GetOperation(), err, &before)
	if before.GetOrigin() != backupv1.SnapshotOrigin_SNAPSHOT_ORIGIN_BEFORE_RESTORE {
		t.Errorf("before the restore: %v", &before)
	}
	if c := compare(); len(c.GetTables()) != 0 {
		t.Errorf("restored books differ from their copy: %v", c)
	}
	if _, err := snapshots.DeleteRestoredCopy(t.Context(), &backupv1.DeleteRestoredCopyRequest{Name: copied.GetName()}); err != nil {
		t.Fatal(err)
	}

	var archive backupv1.Snapshot
	created, err = snapshots.CreateSnapshot(t.Context(), &backupv1.CreateSnapshotRequest{
		Parent: company, RequestId: client.RequestID(), Form: backupv1.SnapshotForm_SNAPSHOT_FORM_ARCHIVE,
	})
	wait(created.GetOperation(), err, &archive)
	whole, err := p.Download(t.Context(), archive.GetName(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(whole); !bytes.Equal(sum[:], archive.GetSha256()) {
		t.Error("the export is not what was recorded")
	}
}
