package clock_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kontor.internal/libs/clock"
)

func TestSystemIsUTC(t *testing.T) {
	now := clock.System{}.Now()
	require.Equal(t, time.UTC, now.Location())
	require.WithinDuration(t, time.Now(), now, time.Minute)
}

func TestFakeStandsStillUntilMoved(t *testing.T) {
	start := time.Date(2026, 2, 28, 23, 0, 0, 0, time.FixedZone("", 7200))
	fake := clock.NewFake(start)
	require.Equal(t, start.UTC(), fake.Now())
	fake.Advance(2 * time.Hour)
	require.Equal(t, start.Add(2*time.Hour).UTC(), fake.Now())
	fake.Set(start)
	require.Equal(t, start.UTC(), fake.Now())
}

func TestFileFollowsItsOffset(t *testing.T) {
	path := filepath.Join(t.TempDir(), "offset")
	follower := clock.File(path)
	require.WithinDuration(t, time.Now(), follower.Now(), time.Minute, "absent file is no offset")

	// Same length and, on a coarse file system, same mtime: only the inode tells them apart.
	for _, offset := range []time.Duration{24 * time.Hour, 48 * time.Hour, -72 * time.Hour} {
		require.NoError(t, clock.SetOffset(path, offset))
		require.WithinDuration(t, time.Now().Add(offset), follower.Now(), time.Minute)
	}
	require.NoError(t, os.Remove(path))
	require.WithinDuration(t, time.Now(), follower.Now(), time.Minute)
}

func TestFileKeepsTheLastGoodOffset(t *testing.T) {
	path := filepath.Join(t.TempDir(), "offset")
	follower := clock.File(path)
	require.NoError(t, clock.SetOffset(path, time.Hour))
	_ = follower.Now()
	require.NoError(t, os.WriteFile(path, []byte("tomorrow"), 0o600))
	offset, err := follower.Offset()
	require.ErrorContains(t, err, "tomorrow")
	require.Equal(t, time.Hour, offset)
	require.Equal(t, time.UTC, follower.Now().Location())
}

func TestSetOffsetReportsAnUnwritableFolder(t *testing.T) {
	require.Error(t, clock.SetOffset(filepath.Join(t.TempDir(), "absent", "offset"), time.Hour))
}
