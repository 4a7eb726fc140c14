package e2e

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"kontor.internal/client"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/test/harness"
)

// J6, H9: staff see how copies are doing, place and lift a hold, and renew a company's key; its snapshots are restored after
// that. The keys of a company whose licence lets it read its data are not destroyed.
func TestStaffKeepCopies(t *testing.T) {
	t.Parallel()
	suite := harness.Start(t, harness.Options{})
	p, kontor, company := trading(t, suite, "Glabātava")
	owner := signedIn(t, p, kontor)
	person := suite.NewPerson(t, "Atbalsts")
	staff := signedIn(t, person, library(t, person.Client))
	_, err := tenancyv1.NewStaffServiceClient(staff.Conn()).ClaimFirstStaff(t.Context(), &tenancyv1.ClaimFirstStaffRequest{Token: suite.State().FirstStaffToken})
	must(t, err)
	snapshots, keeping := backupv1.NewSnapshotServiceClient(owner.Conn()), backupv1.NewKeepingServiceClient(staff.Conn())
	wait := func(o *commonv1.Operation, err error, into proto.Message) {
		t.Helper()
		must(t, err)
		done, err := owner.Wait(t.Context(), o.GetName(), nil)
		must(t, err)
		must(t, done.GetResult().UnmarshalTo(into))
	}
	snapshot := func() *backupv1.Snapshot {
		t.Helper()
		var made backupv1.Snapshot
		created, err := snapshots.CreateSnapshot(t.Context(), &backupv1.CreateSnapshotRequest{Parent: company, RequestId: client.RequestID()})
		wait(created.GetOperation(), err, &made)
		return &made
	}
	first := snapshot()

	page, err := keeping.ListBackupSchedules(t.Context(), &backupv1.ListBackupSchedulesRequest{})
	must(t, err)
	if len(page.GetBackupSchedules()) != 1 || page.GetBackupSchedules()[0].GetLastSnapshot() != first.GetName() {
		t.Errorf("schedules: %v", page)
	}
	placed, err := keeping.CreateLegalHold(t.Context(), &backupv1.CreateLegalHoldRequest{Company: company, Reason: "C-1/26", RequestId: client.RequestID()})
	must(t, err)
	found, err := snapshots.GetBackupSchedule(t.Context(), &backupv1.GetBackupScheduleRequest{Name: company + "/backupSchedule"})
	must(t, err)
	if s := found.GetBackupSchedule(); !s.GetHeld() || s.GetRetention().GetDaily() != 30 {
		t.Errorf("the owner sees %v", s)
	}
	_, err = keeping.LiftLegalHold(t.Context(), &backupv1.LiftLegalHoldRequest{Name: placed.GetLegalHold().GetName()})
	must(t, err)

	renewed, err := keeping.RenewCompanyKey(t.Context(), &backupv1.RenewCompanyKeyRequest{Company: company, RequestId: client.RequestID()})
	must(t, err)
	if renewed.GetVersion() != 2 {
		t.Errorf("version %d", renewed.GetVersion())
	}
	snapshot()
	var copied backupv1.RestoredCopy
	restored, err := snapshots.RestoreSnapshot(t.Context(), &backupv1.RestoreSnapshotRequest{
		Name: first.GetName(), Mode: backupv1.RestoreMode_RESTORE_MODE_BESIDE, RequestId: client.RequestID(),
	})
	wait(restored.GetOperation(), err, &copied)

	_, err = keeping.DestroyCompanyKeys(t.Context(), &backupv1.DestroyCompanyKeysRequest{Company: company, Reason: "asked"})
	if client.Reason(err) != "COMPANY_STILL_LICENSED" {
		t.Errorf("keys of a company that reads its data: %v", err)
	}
	_, err = backupv1.NewKeepingServiceClient(owner.Conn()).ListBackupSchedules(t.Context(), &backupv1.ListBackupSchedulesRequest{})
	if client.Reason(err) != "PERMISSION_DENIED" {
		t.Errorf("an owner sees others' schedules: %v", err)
	}
}
