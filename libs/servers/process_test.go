package servers_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kontor.internal/libs/servers"
)

func TestAProgramThatIsNotThereIsAnErrorNotAProcess(t *testing.T) {
	_, err := servers.StartProcess(servers.ProcessConfig{Name: "nothing", Path: filepath.Join(t.TempDir(), "nothing")})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "start nothing")
}

func TestAProcessReadsItsInputAndWritesItsLog(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p, err := servers.StartProcess(servers.ProcessConfig{Path: "/bin/sh", Args: []string{"-c", "cat; exit 3"}, Stdin: "hello", Log: log})
	require.NoError(t, err)
	<-p.Done()
	require.ErrorContains(t, p.Err(), "exit status 3")
	require.False(t, p.Running())
	content, err := os.ReadFile(log)
	require.NoError(t, err)
	require.Equal(t, "hello", string(content))
	info, err := os.Stat(log)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.ErrorIs(t, p.Signal(syscall.SIGTERM), servers.ErrProcessEnded)
	require.NoError(t, p.Kill(), "there is nothing left to do")
}

func TestStopAsksFirst(t *testing.T) {
	p := sleeper(t)
	require.NoError(t, p.Stop(t.Context(), syscall.SIGTERM, time.Minute))
	require.False(t, p.Running())
}

func TestStopWakesAPausedProcess(t *testing.T) {
	p := sleeper(t)
	require.NoError(t, p.Pause())
	require.NoError(t, p.Stop(t.Context(), syscall.SIGTERM, time.Minute))
}

func TestStopKillsWhatDoesNotListen(t *testing.T) {
	p, _ := family(t, "trap '' TERM; ")
	require.ErrorContains(t, p.Stop(t.Context(), syscall.SIGTERM, 50*time.Millisecond), "was killed")
	require.False(t, p.Running())
}

func TestKillAndPauseReachGrandchildrenInOtherSessions(t *testing.T) {
	p, grandchild := family(t, "")
	require.NoError(t, p.Pause())
	eventually(t, "both are stopped", func() bool { return state(p.PID()) == "T" && state(grandchild) == "T" })
	require.NoError(t, p.Resume())
	eventually(t, "both go on", func() bool { return state(p.PID()) == "S" && state(grandchild) == "S" })
	require.NoError(t, p.Pause())
	require.NoError(t, p.Kill())
	eventually(t, "the grandchild is gone", func() bool { return !alive(grandchild) })
}

// family starts a shell with a child in a session of its own, as PostgreSQL has them, and returns the child's id too.
func family(t *testing.T, before string) (*servers.Process, int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pid")
	p, err := servers.StartProcess(servers.ProcessConfig{
		Path: "/bin/sh", Args: []string{"-c", before + "setsid sleep 1000 & echo $! > " + file + ".new; mv " + file + ".new " + file + "; wait"},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Kill()) })
	var pid int
	eventually(t, "the child's id is written", func() bool {
		content, err := os.ReadFile(file)
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(content)))
		return err == nil
	})
	return p, pid
}

// state is the letter in /proc: S sleeping, T stopped, Z ended but not collected; empty when there is no such process.
func state(pid int) string {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:1]
}
