package bench_test

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"kontor.internal/test/bench"
)

// At this size the figures mean nothing; that each is printed does.
func TestSnapshotsAreMeasuredToTheEnd(t *testing.T) {
	if _, err := exec.LookPath("restic"); err != nil {
		t.Skip("restic, which snapshots are measured against, is not on this machine:", err)
	}
	ctx, end := context.WithTimeout(t.Context(), 5*time.Minute)
	defer end()
	var out bytes.Buffer
	err := bench.Backup(ctx, t.TempDir(), bench.BackupOptions{Sizes: "5", Companies: 12, Rounds: 1}, &out)
	if err != nil {
		t.Fatal(err, "after", out.String())
	}
	t.Log(out.String())
	for _, name := range []string{
		"first", "first_stored", "memory_first", "unchanged", "memory_unchanged", "office", "office_added", "office_quiet", "random", "random_added",
		"read_back", "restore_working", "small_round", "small_added",
	} {
		if !strings.Contains(out.String(), "bench name=backup_"+name+" value=") {
			t.Errorf("backup_%s is not among the figures", name)
		}
	}
}
