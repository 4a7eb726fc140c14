package servertest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestSweepRemovesOldFoldersThatNobodyHolds(t *testing.T) {
	base := t.TempDir()
	old := time.Now().Add(-time.Hour)
	folder := func(name string, changed time.Time) *os.File {
		require.NoError(t, os.MkdirAll(filepath.Join(base, name, "data"), 0o700))
		lock, err := os.Create(filepath.Join(base, name, "lock"))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, lock.Close()) })
		require.NoError(t, os.Chtimes(lock.Name(), changed, changed))
		return lock
	}
	folder("pg-left", old)
	folder("pg-young", time.Now())
	require.NoError(t, unix.Flock(int(folder("pg-held", old).Fd()), unix.LOCK_EX))
	require.NoError(t, os.Mkdir(filepath.Join(base, "pg-being-made"), 0o700))

	sweep(base)

	require.NoDirExists(t, filepath.Join(base, "pg-left"))
	for _, name := range []string{"pg-young", "pg-held", "pg-being-made"} {
		require.DirExists(t, filepath.Join(base, name))
	}
}
