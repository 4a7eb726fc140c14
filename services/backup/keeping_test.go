package backup_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kontor.internal/libs/id"
	"kontor.internal/libs/service/servicetest"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// keeping is KeepingService, as a member of staff has it.
func (b *bundle) keeping() backupv1.KeepingServiceClient {
	account := b.NewAccount(id.NewString() + "@kontor.test")
	b.Access.Staff(account)
	return backupv1.NewKeepingServiceClient(b.As(account))
}

func (b *bundle) goodNow(s *backupv1.Snapshot) {
	b.t.Helper()
	require.Equal(b.t, backupv1.VerifyState_VERIFY_STATE_GOOD, b.verify(s).GetVerifyState())
}

func TestSnapshotsGoWhenTheirTimeIsOverAndWhatTheyNeededWithThem(t *testing.T) {
	b := setup(t)
	told := b.Events("kontor.backup.snapshot.expired")
	b.snapshot()
	before := b.packs()
	b.live("CREATE TABLE books.brief AS SELECT n, sha256(n::text::bytea) FROM generate_series(1, 5000) n")
	first := b.snapshot()
	own := slices.DeleteFunc(b.packs(), func(pack string) bool { return slices.Contains(before, pack) })
	require.NotEmpty(t, own)
	b.live("DROP TABLE books.brief")
	b.Advance(20 * 24 * time.Hour)
	second := b.snapshot()
	b.Advance(20 * 24 * time.Hour) // What was asked for stays a month.
	third := b.snapshot()
	b.tidied(25 * time.Hour)
	servicetest.Eventually(t, "the first goes", func() bool {
		b.Advance(10 * time.Minute)
		for _, s := range b.list() {
			if s.GetName() == first.GetName() {
				return false
			}
		}
		return true
	})
	require.Equal(t, "kontor.backup.snapshot.expired", servicetest.Next(t, told).Envelope.GetType())
	b.goodNow(second)
	b.goodNow(third)
	for range 3 { // What is unneeded twice running goes.
		b.tidied(25 * time.Hour)
	}
	servicetest.Eventually(t, "what only it needed is gone", func() bool { return !slices.Contains(b.packs(), own[0]) })
	for _, s := range b.list() {
		b.goodNow(s)
	}
	result(b, b.restore(third, beside), &backupv1.RestoredCopy{})
}

// tidied lets time go on until the company was tidied again.
func (b *bundle) tidied(after time.Duration) {
	b.t.Helper()
	last := func() (at *time.Time) {
		require.NoError(b.t, b.DB.QueryRow(b.t.Context(), "SELECT max(tidied_time) FROM keeping").Scan(&at))
		return at
	}
	var before *time.Time
	servicetest.Eventually(b.t, "it is looked after", func() bool { before = last(); return before != nil })
	b.Advance(after)
	servicetest.Eventually(b.t, "it is tidied", func() bool { return last().After(*before) })
}

func TestWhatAKilledAttemptLeftGoesWithTheSecondCollection(t *testing.T) {
	b := setup(t)
	s := b.snapshot()
	orphan := b.packs()[0][:len(b.packs()[0])-32] + "00112233445566778899aabbccddeeff"
	require.NoError(t, os.WriteFile(orphan, []byte("half a pack"), 0o600))
	for range 3 {
		b.tidied(25 * time.Hour)
	}
	servicetest.Eventually(t, "it is gone", func() bool {
		_, err := os.Stat(orphan)
		return os.IsNotExist(err)
	})
	b.goodNow(s)
}

func TestAHoldKeepsEverythingUntilItIsLifted(t *testing.T) {
	b := setup(t)
	k := b.keeping()
	s := b.snapshot()
	told := b.Events("kontor.backup.hold.>")
	req := &backupv1.CreateLegalHoldRequest{Company: b.company, Reason: "C-123/26", RequestId: id.NewString()}
	placed, err := k.CreateLegalHold(t.Context(), req)
	require.NoError(t, err)
	again, err := k.CreateLegalHold(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, placed.GetLegalHold().GetName(), again.GetLegalHold().GetName())
	require.Equal(t, "kontor.backup.hold.placed", servicetest.Next(t, told).Envelope.GetType())
	require.True(t, b.schedule().GetHeld())

	b.live("UPDATE books.voucher SET amount = amount + 1")
	for range 5 {
		b.tidied(13 * 24 * time.Hour)
	}
	b.goodNow(s)
	b.licensing.refuse(licensingv1.Action_ACTION_READ, licensingv1.Action_ACTION_BACKUP)
	_, err = k.DestroyCompanyKeys(t.Context(), &backupv1.DestroyCompanyKeysRequest{Company: b.company, Reason: "asked"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_LEGAL_HOLD_STANDS)

	for range 2 {
		lifted, err := k.LiftLegalHold(t.Context(), &backupv1.LiftLegalHoldRequest{Name: placed.GetLegalHold().GetName()})
		require.NoError(t, err)
		require.NotNil(t, lifted.GetLegalHold().GetLiftTime())
	}
	require.Equal(t, "kontor.backup.hold.lifted", servicetest.Next(t, told).Envelope.GetType())
	b.licensing.refuse()
	servicetest.Eventually(t, "it goes", func() bool { // Once others stand for their hours and days.
		b.Advance(10 * time.Minute)
		_, err := b.snapshots.GetSnapshot(t.Context(), &backupv1.GetSnapshotRequest{Name: s.GetName()})
		return err != nil
	})
	_, err = k.LiftLegalHold(t.Context(), &backupv1.LiftLegalHoldRequest{Name: "legalHolds/" + id.NewString()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	_, err = backupv1.NewKeepingServiceClient(b.As(b.owner)).CreateLegalHold(t.Context(), req)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
}

func TestHoldsAreListedInPagesThoseThatStandFirst(t *testing.T) {
	b := setup(t)
	k := b.keeping()
	b.schedule()
	var all []string
	for range 3 {
		placed, err := k.CreateLegalHold(t.Context(), &backupv1.CreateLegalHoldRequest{Company: b.company, Reason: "x", RequestId: id.NewString()})
		require.NoError(t, err)
		all = append(all, placed.GetLegalHold().GetName())
	}
	_, err := k.LiftLegalHold(t.Context(), &backupv1.LiftLegalHoldRequest{Name: all[2]})
	require.NoError(t, err)
	var found []string
	req := &backupv1.ListLegalHoldsRequest{Company: b.company, PageSize: 1}
	for {
		page, err := k.ListLegalHolds(t.Context(), req)
		require.NoError(t, err)
		for _, h := range page.GetLegalHolds() {
			found = append(found, h.GetName())
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	require.Equal(t, []string{all[1], all[0], all[2]}, found)
}

func TestARenewedKeyOpensWhatWasAndWhatComes(t *testing.T) {
	b := setup(t)
	k := b.keeping()
	_, err := k.RenewCompanyKey(t.Context(), &backupv1.RenewCompanyKeyRequest{Company: b.company, RequestId: id.NewString()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	first, archive := b.snapshot(), b.archive()
	req := &backupv1.RenewCompanyKeyRequest{Company: b.company, RequestId: id.NewString()}
	for range 2 {
		renewed, err := k.RenewCompanyKey(t.Context(), req)
		require.NoError(t, err)
		require.EqualValues(t, 2, renewed.GetVersion())
	}
	b.live("UPDATE books.partner SET name = 'X' WHERE id = 3")
	second := b.snapshot()
	require.Less(t, second.GetStoredBytes(), first.GetStoredBytes()/3, "a renewal stores nothing anew")
	for _, s := range []*backupv1.Snapshot{first, archive, second, b.archive()} {
		b.goodNow(s)
	}
	result(b, b.restore(second, beside), &backupv1.RestoredCopy{})
}

func TestDestroyedKeysAreCertifiedOnceAndNothingIsLeft(t *testing.T) {
	b := setup(t)
	k := b.keeping()
	s := b.snapshot()
	b.archive()
	_, err := k.DestroyCompanyKeys(t.Context(), &backupv1.DestroyCompanyKeysRequest{Company: b.company, Reason: "asked"})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_COMPANY_STILL_LICENSED)
	b.licensing.refuse(licensingv1.Action_ACTION_READ, licensingv1.Action_ACTION_BACKUP)
	told := b.Events("kontor.backup.keys.>")
	var done *backupv1.DestructionCertificate
	for range 2 {
		answer, err := k.DestroyCompanyKeys(t.Context(), &backupv1.DestroyCompanyKeysRequest{Company: b.company, Reason: "asked"})
		require.NoError(t, err)
		require.True(t, done == nil || done.GetName() == answer.GetCertificate().GetName())
		done = answer.GetCertificate()
	}
	require.EqualValues(t, 2, done.GetSnapshots())
	require.Equal(t, []string{"eu-north"}, done.GetRegions())
	require.Equal(t, 30*24*time.Hour, done.GetFinalTime().AsTime().Sub(done.GetDestroyTime().AsTime()))
	require.Equal(t, "kontor.backup.keys.destroyed", servicetest.Next(t, told).Envelope.GetType())
	left, err := os.ReadDir(b.keys + "/eu-north")
	require.NoError(t, err)
	require.Empty(t, left)

	_, err = b.snapshots.GetSnapshot(t.Context(), &backupv1.GetSnapshotRequest{Name: s.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	b.licensing.refuse()
	b.fails(b.create(), commonv1.Reason_REASON_COPIES_DESTROYED)
	left, err = os.ReadDir(b.keys + "/eu-north")
	require.NoError(t, err)
	require.Empty(t, left, "no keys are made anew")
	servicetest.Eventually(t, "the objects are deleted", func() bool { return len(b.stored()) == 0 })
	servicetest.Eventually(t, "in the second region too", func() bool { return len(b.secondManifests()) == 0 })

	page, err := k.ListDestructionCertificates(t.Context(), &backupv1.ListDestructionCertificatesRequest{})
	require.NoError(t, err)
	require.Len(t, page.GetCertificates(), 1)
}

// Killed after any of its steps, a destruction is gone on with, and its certificate is there only when the keys are gone.
func TestADestructionThatWasCutOffIsGoneOnWith(t *testing.T) {
	b := setup(t)
	k := b.keeping()
	b.snapshot()
	b.licensing.refuse(licensingv1.Action_ACTION_READ, licensingv1.Action_ACTION_BACKUP)
	folder := b.keys + "/eu-north"
	require.NoError(t, os.Rename(folder, folder+"-away")) // The key store gives way.
	require.NoError(t, os.WriteFile(folder, nil, 0o600))
	_, err := k.DestroyCompanyKeys(t.Context(), &backupv1.DestroyCompanyKeysRequest{Company: b.company, Reason: "asked"})
	require.Error(t, err)
	page, err := k.ListDestructionCertificates(t.Context(), &backupv1.ListDestructionCertificatesRequest{})
	require.NoError(t, err)
	require.Empty(t, page.GetCertificates())
	b.licensing.refuse()
	b.fails(b.create(), commonv1.Reason_REASON_COPIES_DESTROYED)

	require.NoError(t, os.Remove(folder))
	require.NoError(t, os.Rename(folder+"-away", folder))
	b.Advance(25 * time.Hour) // Tidying goes on with it.
	servicetest.Eventually(t, "the certificate is there", func() bool {
		page, err := k.ListDestructionCertificates(t.Context(), &backupv1.ListDestructionCertificatesRequest{})
		require.NoError(t, err)
		return len(page.GetCertificates()) == 1
	})
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, left)
}

// unreadSince is since when the company's data may not be read.
func (b *bundle) unreadSince() (since *time.Time) {
	b.t.Helper()
	require.NoError(b.t, b.DB.QueryRow(b.t.Context(), "SELECT max(unread_since) FROM keeping").Scan(&since))
	return since
}

// Three months after the licence has ended the subscriber may not read its data any more; three more months later the keys go.
func TestWhoHasLeftIsForgotten(t *testing.T) {
	b := setup(t)
	k := b.keeping()
	s := b.snapshot()
	certificates := func() int {
		page, err := k.ListDestructionCertificates(t.Context(), &backupv1.ListDestructionCertificatesRequest{})
		require.NoError(t, err)
		return len(page.GetCertificates())
	}
	looked := func() {
		t.Helper()
		b.Advance(25 * time.Hour)
		servicetest.Eventually(t, "it was asked", func() bool {
			return b.unreadSince() != nil
		})
	}
	b.licensing.refuse(licensingv1.Action_ACTION_READ, licensingv1.Action_ACTION_BACKUP)
	looked()
	b.Advance(60 * 24 * time.Hour)
	require.Zero(t, certificates())
	b.licensing.refuse() // They come back.
	b.Advance(25 * time.Hour)
	servicetest.Eventually(t, "it was asked", func() bool {
		return b.unreadSince() == nil
	})
	b.goodNow(s)
	b.licensing.refuse(licensingv1.Action_ACTION_READ, licensingv1.Action_ACTION_BACKUP)
	looked()
	b.Advance(91 * 24 * time.Hour)
	servicetest.Eventually(t, "the keys are destroyed", func() bool { return certificates() == 1 })
}

func TestStaffSeeWhoseCopiesAreOldest(t *testing.T) {
	b := setup(t)
	k := b.keeping()
	other := b.tenancy.company(b.subscriber)
	b.snapshot()
	servicetest.Eventually(t, "both are known", func() bool {
		page, err := k.ListBackupSchedules(t.Context(), &backupv1.ListBackupSchedulesRequest{})
		require.NoError(t, err)
		return len(page.GetBackupSchedules()) == 2
	})
	first, err := k.ListBackupSchedules(t.Context(), &backupv1.ListBackupSchedulesRequest{PageSize: 1})
	require.NoError(t, err)
	require.Equal(t, other+"/backupSchedule", first.GetBackupSchedules()[0].GetName())
	rest, err := k.ListBackupSchedules(t.Context(), &backupv1.ListBackupSchedulesRequest{PageSize: 1, PageToken: first.GetNextPageToken()})
	require.NoError(t, err)
	require.Equal(t, b.company+"/backupSchedule", rest.GetBackupSchedules()[0].GetName())
	require.Empty(t, rest.GetNextPageToken())
	require.EqualValues(t, 2, rest.GetBackupSchedules()[0].GetRetention().GetHourly())
	late, err := k.ListBackupSchedules(t.Context(), &backupv1.ListBackupSchedulesRequest{LateOnly: true})
	require.NoError(t, err)
	require.Empty(t, late.GetBackupSchedules())
}
