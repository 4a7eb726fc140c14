package servers_test

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"kontor.internal/libs/mtls"
	"kontor.internal/libs/servers"
)

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		os.Exit(helper())
	}
	goleak.VerifyTestMain(m)
}

// eventually waits for something outside this process, which can't tell us when it has happened.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 20*time.Second, 5*time.Millisecond, what)
}

// within bounds a call that is expected to get no answer.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func stopped(t *testing.T, stop func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	require.NoError(t, stop(ctx))
}

// alive reports that a process exists and is no mere entry that waits to be collected.
func alive(pid int) bool {
	switch state(pid) {
	case "", "Z":
		return false
	default:
		return true
	}
}

func serverCertificate(t *testing.T) mtls.Files {
	t.Helper()
	authority, err := mtls.OpenAuthority(mtls.AuthorityConfig{Dir: t.TempDir()})
	require.NoError(t, err)
	files, err := authority.IssueServer(mtls.ServerRequest{Name: "server"})
	require.NoError(t, err)
	return files
}

func sleeper(t *testing.T) *servers.Process {
	t.Helper()
	p, err := servers.StartProcess(servers.ProcessConfig{Name: "sleeper", Path: "/bin/sleep", Args: []string{"1000"}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Kill()) })
	return p
}

// shortWait is long enough for a refusal that comes at its end.
const shortWait = 300 * time.Millisecond

func itoa(n int) string { return strconv.Itoa(n) }
