package backup_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kontor.internal/libs/service/servicetest"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
)

// secondManifests are the snapshots that the second region has.
func (b *bundle) secondManifests() []string {
	b.t.Helper()
	found, err := filepath.Glob(b.objects + "-second/second/eu-south/repositories/eu-north/*/*/manifests/*")
	require.NoError(b.t, err)
	return found
}

func TestASecondRegionHasACopyOfEachSnapshotAndItsLagIsShown(t *testing.T) {
	b := setup(t)
	require.Equal(t, "eu-south", b.schedule().GetSecondRegion())
	require.Nil(t, b.schedule().GetSecondSnapshotTime())
	first := b.snapshot()
	servicetest.Eventually(t, "the first is there", func() bool { return b.schedule().GetSecondSnapshotTime() != nil })
	require.Equal(t, first.GetCreateTime().AsTime(), b.schedule().GetSecondSnapshotTime().AsTime())
	require.Zero(t, b.schedule().GetSecondLagSeconds())
	require.Len(t, b.secondManifests(), 1)

	b.Advance(time.Hour)
	b.live("UPDATE books.partner SET name = 'X' WHERE id = 3")
	second := b.snapshot()
	servicetest.Eventually(t, "the second is there, or the lag is shown", func() bool {
		s := b.schedule()
		return s.GetSecondLagSeconds() == 0 || s.GetSecondLagSeconds() >= 3600
	})
	b.Advance(time.Hour) // What was queued a moment ago comes again.
	servicetest.Eventually(t, "the second is there", func() bool {
		return b.schedule().GetSecondSnapshotTime().AsTime().Equal(second.GetCreateTime().AsTime())
	})
}

// The books come back from the second region when the first one's objects are lost.
func TestARegionIsLostAndTheBooksComeBackFromTheOther(t *testing.T) {
	b := setup(t)
	s := b.snapshot()
	servicetest.Eventually(t, "it is in the second region", func() bool { return len(b.secondManifests()) == 1 })
	servicetest.Eventually(t, "and that is noted", func() bool { return b.schedule().GetSecondSnapshotTime() != nil })
	require.NoError(t, os.RemoveAll(b.objects+"/repositories"))
	b.live("DROP TABLE books.voucher")
	copied := b.beside(s)
	require.Equal(t, backupv1.TableFate_TABLE_FATE_MISSING, b.compare(copied).GetTables()[0].GetFate())
	require.Equal(t, "missing", b.verify(s).GetVerifyFailure(), "the first region's loss is not hidden")
}

// Nothing of a region with a store of its own lies anywhere else, but for the second copy.
func TestARegionsStoreHasAllOfItsCopies(t *testing.T) {
	own := t.TempDir()
	b := setup(t, "eu-north=file://"+own)
	s, archive := b.snapshot(), b.archive()
	o, err := b.askExport(s, asCSV)
	require.NoError(t, err)
	result(b, o, &backupv1.Export{})
	require.Empty(t, b.stored())
	for _, folder := range []string{"repositories", "snapshots", "exports"} {
		found, err := filepath.Glob(own + "/" + folder + "/eu-north/*/*/*")
		require.NoError(t, err)
		require.NotEmpty(t, found, folder)
	}
	b.goodNow(archive)
	result(b, b.restore(archive, beside), &backupv1.RestoredCopy{})
}
