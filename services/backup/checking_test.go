package backup_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/service/servicetest"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

const (
	day     = 24 * time.Hour
	damaged = backupv1.VerifyState_VERIFY_STATE_DAMAGED
	good    = backupv1.VerifyState_VERIFY_STATE_GOOD
)

func (b *bundle) get(s *backupv1.Snapshot) *backupv1.Snapshot {
	b.t.Helper()
	answer, err := b.snapshots.GetSnapshot(b.t.Context(), &backupv1.GetSnapshotRequest{Name: s.GetName()})
	require.NoError(b.t, err)
	return answer.GetSnapshot()
}

// checks has a check of the company made now.
func (b *bundle) checks(what string) {
	b.t.Helper()
	_, company, _ := strings.Cut(b.company, "/companies/")
	servicetest.Eventually(b.t, "the company is planned for", func() bool {
		done, err := b.DB.Exec(b.t.Context(), `UPDATE checking SET due_time = 'epoch' WHERE company = $1 AND kind = $2`, company, what)
		require.NoError(b.t, err)
		return done.RowsAffected() == 1
	})
}

// idle says that nothing of the company is being checked, and nothing is due.
func (b *bundle) idle() bool {
	b.t.Helper()
	var busy bool
	require.NoError(b.t, b.DB.QueryRow(b.t.Context(), `SELECT EXISTS (SELECT FROM checking WHERE due_time = 'epoch' OR lease_time > clock_timestamp())
		OR EXISTS (SELECT FROM scratch)`).Scan(&busy))
	return !busy
}

func TestEveryDaySomeCompanysNewestSnapshotIsVerified(t *testing.T) {
	b := setup(t)
	s := b.snapshot()
	servicetest.Eventually(t, "the first sample is planned", func() bool {
		var n int
		require.NoError(t, b.DB.QueryRow(t.Context(), `SELECT count(*) FROM sampling`).Scan(&n))
		return n == 1
	})
	require.Equal(t, backupv1.VerifyState_VERIFY_STATE_NOT_VERIFIED, b.get(s).GetVerifyState())
	b.Advance(day + time.Minute)
	servicetest.Eventually(t, "one is verified", func() bool {
		for _, one := range b.list() {
			if one.GetVerifyState() == good {
				return true
			}
		}
		return false
	})
}

func TestEveryMonthTheNewestSnapshotAndTheNewestArchiveAreVerified(t *testing.T) {
	b := setup(t)
	b.archive()
	servicetest.Eventually(t, "the company is planned for", func() bool {
		var n int
		require.NoError(t, b.DB.QueryRow(t.Context(), `SELECT count(*) FROM checking`).Scan(&n))
		return n == 3
	})
	b.Advance(30*day + time.Minute)
	servicetest.Eventually(t, "an archive is verified", func() bool {
		for _, one := range of(b.list(), archived) {
			if one.GetVerifyState() == good {
				return true
			}
		}
		return false
	})
}

func TestNothingIsBuiltOnASnapshotThatIsDamaged(t *testing.T) {
	b := setup(t)
	first := b.snapshot()
	b.live("UPDATE books.partner SET name = 'X' WHERE id = 3")
	second := b.snapshot()
	told := b.Events("kontor.backup.snapshot.verified")
	b.spoilAll()
	b.checks("repository")
	var event backupv1.SnapshotVerified
	require.NoError(t, servicetest.Next(t, told).Decode(&event))
	require.Equal(t, second.GetName(), event.GetSnapshot().GetName())
	require.Equal(t, damaged, event.GetSnapshot().GetVerifyState())

	third := b.snapshot()
	require.Equal(t, third.GetSizeBytes(), third.GetReadBytes(), "it is read whole")
	require.Greater(t, third.GetStoredBytes(), first.GetStoredBytes()/2, "and stored whole")
	require.Equal(t, good, b.verify(third).GetVerifyState())
	copied := b.beside(third)
	require.Empty(t, b.compare(copied).GetTables())
	fourth := b.snapshot()
	require.Less(t, fourth.GetStoredBytes(), third.GetStoredBytes()/3, "the next one is built on it")
	require.Equal(t, good, b.verify(fourth).GetVerifyState())
}

// A snapshot that was begun before damage was found may hang on the same packs.
func TestNothingIsBuiltOnASnapshotThatWasMadeBeforeTheOneBeforeItWasFoundDamaged(t *testing.T) {
	b := setup(t)
	first := b.snapshot()
	b.live("UPDATE books.partner SET name = 'X' WHERE id = 3")
	b.snapshot()
	b.spoilAll()
	require.Equal(t, damaged, b.verify(first).GetVerifyState())
	third := b.snapshot()
	require.Equal(t, third.GetSizeBytes(), third.GetReadBytes())
	require.Equal(t, good, b.verify(third).GetVerifyState())
}

func TestASnapshotWhoseManifestIsLostDoesNotKeepTheNextFromBeingMade(t *testing.T) {
	b := setup(t)
	first := b.snapshot()
	for _, file := range b.storedIn("/repositories") {
		if strings.Contains(file, "/manifests/") {
			require.NoError(t, os.Remove(file))
		}
	}
	b.fails(b.create(), commonv1.Reason_REASON_SNAPSHOT_NOT_MADE)
	require.Equal(t, damaged, b.get(first).GetVerifyState())
	require.Equal(t, good, b.verify(b.snapshot()).GetVerifyState())
}

func TestEveryWeekASnapshotIsRestoredAndCompared(t *testing.T) {
	b := setup(t)
	s := b.snapshot()
	told := b.Events("kontor.backup.snapshot.>")
	require.Nil(t, b.get(s).GetDrillTime())
	b.checks("drill")
	servicetest.Eventually(t, "the drill succeeds", func() bool { return b.get(s).GetDrillTime() != nil && b.idle() })
	require.Equal(t, 1, b.tenancy.made())
	require.Zero(t, b.tenancy.standing())
	copies, err := b.snapshots.ListRestoredCopies(t.Context(), &backupv1.ListRestoredCopiesRequest{Parent: b.company})
	require.NoError(t, err)
	require.Empty(t, copies.GetRestoredCopies())
	b.snapshot()
	require.Equal(t, "kontor.backup.snapshot.created", servicetest.Next(t, told).Envelope.GetType(), "a drill is no restore of the company's")

	made := b.tenancy.made()
	b.Advance(7*day + time.Minute)
	servicetest.Eventually(t, "a week later there is another", func() bool { return b.tenancy.made() > made && b.idle() })
	require.Zero(t, b.tenancy.standing())
}

// meddle changes a row of what is being restored.
var meddle = []string{
	`CREATE FUNCTION meddle() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $do$ BEGIN UPDATE books.partner SET name = 'X' WHERE id = 3; END $do$`,
	`CREATE EVENT TRIGGER meddle ON ddl_command_end WHEN TAG IN ('CREATE POLICY') EXECUTE FUNCTION meddle()`,
}

func TestADrillFindsThatSomethingElseWasRestored(t *testing.T) {
	b := setup(t)
	s := b.snapshot()
	told := b.Events("kontor.backup.snapshot.verified")
	b.tenancy.arranged(meddle...)
	b.checks("drill")
	var event backupv1.SnapshotVerified
	require.NoError(t, servicetest.Next(t, told).Decode(&event))
	require.Equal(t, "differs", event.GetSnapshot().GetVerifyFailure())
	require.Equal(t, damaged, b.get(s).GetVerifyState())
	require.Nil(t, b.get(s).GetDrillTime())
	servicetest.Eventually(t, "the drill ends", b.idle)
	require.Zero(t, b.tenancy.standing())
	require.Equal(t, damaged, b.verify(s).GetVerifyState(), "it can be read, and still is not what it should be")
}

func TestADrillOfASnapshotThatCantBeReadMarksIt(t *testing.T) {
	b := setup(t)
	s := b.snapshot()
	b.spoilAll()
	b.checks("drill")
	servicetest.Eventually(t, "it is marked", func() bool { return b.get(s).GetVerifyState() == damaged && b.idle() })
	require.Equal(t, "altered", b.get(s).GetVerifyFailure())
	require.Zero(t, b.tenancy.standing())
}

// A restore that PostgreSQL refuses is tried once more before it counts.
func TestADrillThatCantRestoreTwiceMarksTheSnapshotUnreadable(t *testing.T) {
	b := setup(t)
	s := b.snapshot()
	b.tenancy.arranged("CREATE SCHEMA books")
	b.checks("drill")
	servicetest.Eventually(t, "the first drill ends", func() bool { return b.tenancy.made() == 1 && b.idle() })
	require.Equal(t, backupv1.VerifyState_VERIFY_STATE_NOT_VERIFIED, b.get(s).GetVerifyState())
	servicetest.Eventually(t, "it is marked", func() bool {
		b.Advance(time.Second) // A drill that could not be begun is put off once more.
		return b.get(s).GetVerifyFailure() == "unreadable" && b.idle()
	})
	require.Zero(t, b.tenancy.standing())
}

func TestADrillWaitsUntilTheCompanyIsReady(t *testing.T) {
	b := setup(t)
	s := b.snapshot()
	b.tenancy.become(b.company, tenancyv1.CompanyState_COMPANY_STATE_MAINTENANCE)
	b.checks("drill")
	servicetest.Eventually(t, "it is put off", b.idle)
	require.Zero(t, b.tenancy.made())
	b.tenancy.become(b.company, tenancyv1.CompanyState_COMPANY_STATE_READY)
	b.Advance(2 * time.Minute)
	servicetest.Eventually(t, "the drill succeeds", func() bool { return b.get(s).GetDrillTime() != nil })
}

func TestWhatADrillThatWasKilledHasLeftIsDropped(t *testing.T) {
	b := setup(t)
	b.snapshot()
	_, company, _ := strings.Cut(b.company, "/companies/")
	attempt := 1000
	for what, known := range map[string]bool{"written down": true, "asked for only": false} {
		attempt++
		key, target := fmt.Sprintf("%s-%d", company, attempt), ""
		made, err := b.tenancy.CreateRestoreTarget(t.Context(), &tenancyv1.CreateRestoreTargetRequest{Company: b.company, Mode: tenancyv1.RestoreMode_RESTORE_MODE_BESIDE, Key: key})
		require.NoError(t, err, what)
		if known {
			target = made.GetTarget()
		}
		require.Equal(t, 1, b.tenancy.standing(), what)
		_, err = b.DB.Exec(t.Context(), `INSERT INTO scratch (attempt, owner, company, subscriber, target, lease_time) OVERRIDING SYSTEM VALUE
			SELECT $3::bigint, id, id, subscriber, $1, clock_timestamp() - interval '1 second' FROM company WHERE id = $2`, target, company, attempt)
		require.NoError(t, err, what)
		before := b.tenancy.made()
		b.checks("drill") // Its next drill drops it, unless the sweeper does, and makes a database of its own.
		servicetest.Eventually(t, "it is dropped: "+what, func() bool {
			return b.tenancy.made() == before+1 && b.tenancy.standing() == 0 && b.idle()
		})
	}
}

// A check whose service was killed leaves a job that never ends; the check comes again.
func TestACheckWhoseServiceDiedComesAgain(t *testing.T) {
	b := setup(t)
	s := b.snapshot()
	servicetest.Eventually(t, "the company is planned for", func() bool {
		var n int
		require.NoError(t, b.DB.QueryRow(t.Context(), `SELECT count(*) FROM checking`).Scan(&n))
		return n == 3
	})
	b.tenancy.refuseWith("CreateRestoreTarget", failure.New(commonv1.Reason_REASON_COMPANY_NOT_READY, "state", "maintenance"))
	b.checks("drill")
	servicetest.Eventually(t, "it was tried", b.idle)
	_, err := b.DB.Exec(t.Context(), `UPDATE kontor.river_job SET state = 'running', finalized_at = NULL WHERE kind = 'check_snapshot'`)
	require.NoError(t, err)
	b.tenancy.refuseWith("CreateRestoreTarget", nil)
	b.Advance(2 * time.Hour)
	servicetest.Eventually(t, "the drill succeeds", func() bool { return b.get(s).GetDrillTime() != nil })
}

// sleep keeps what is being restored from being finished.
var sleep = []string{
	`CREATE FUNCTION sleep() RETURNS event_trigger LANGUAGE plpgsql AS $do$ BEGIN PERFORM pg_catalog.pg_sleep(300); END $do$`,
	`CREATE EVENT TRIGGER sleep ON ddl_command_end WHEN TAG IN ('CREATE POLICY') EXECUTE FUNCTION sleep()`,
}

func TestADrillEndsWithTheServiceAndLeavesNothing(t *testing.T) {
	var b *bundle
	t.Cleanup(func() { require.Zero(t, b.tenancy.standing()) }) // After the service has stopped.
	b = setup(t)
	b.snapshot()
	b.tenancy.arranged(sleep...)
	b.checks("drill")
	servicetest.Eventually(t, "the drill is under way", func() bool { return b.tenancy.standing() == 1 })
}
