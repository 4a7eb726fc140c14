package servers_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"kontor.internal/libs/servers"
)

// The test binary calls itself with these to have a parent that can be killed.
const (
	helperEnv = "KONTOR_SERVERS_HELPER" // the folder to start servers in
	pauseEnv  = "KONTOR_SERVERS_PAUSE"  // not empty: pause them before saying so
)

// helper starts a PostgreSQL and a Redis, prints their process ids and waits to be killed.
func helper() int {
	ctx, dir := context.Background(), os.Getenv(helperEnv)
	p, err := servers.StartPostgres(ctx, servers.PostgresConfig{Dir: filepath.Join(dir, "pg"), NoFsync: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	r, err := servers.StartRedis(ctx, servers.RedisConfig{Dir: filepath.Join(dir, "redis")})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if os.Getenv(pauseEnv) != "" {
		if p.Pause() != nil || r.Pause() != nil {
			return 1
		}
	}
	fmt.Println(p.Process().PID(), r.Process().PID())
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	return 0
}

func TestServersDieWithAKilledParentAndTheirFoldersStayUsable(t *testing.T) {
	for name, pause := range map[string]string{"while running": "", "while paused": "yes"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			postgres, redis := killedParent(t, dir, pause)
			// At once, while the old servers may still be going down.
			p, err := servers.StartPostgres(t.Context(), servers.PostgresConfig{Dir: filepath.Join(dir, "pg"), NoFsync: true})
			require.NoError(t, err)
			defer stopped(t, p.Stop)
			r, err := servers.StartRedis(t.Context(), servers.RedisConfig{Dir: filepath.Join(dir, "redis")})
			require.NoError(t, err)
			defer stopped(t, r.Stop)
			eventually(t, "the old servers are gone", func() bool { return !alive(postgres) && !alive(redis) })
		})
	}
}

// killedParent runs the helper until its servers stand, kills it and returns the servers' ids.
func killedParent(t *testing.T, dir, pause string) (postgres, redis int) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), helperEnv+"="+dir, pauseEnv+"="+pause)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	defer func() { _ = in.Close() }()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	_, err = fmt.Fscan(strings.NewReader(line), &postgres, &redis)
	require.NoError(t, err)
	require.True(t, alive(postgres) && alive(redis))
	require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
	require.Error(t, cmd.Wait())
	return postgres, redis
}

func TestAStrangerInTheFolderIsWaitedForButNotTouched(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	require.NoError(t, os.MkdirAll(data, 0o700))
	stranger, err := servers.StartProcess(servers.ProcessConfig{Path: "/bin/sleep", Args: []string{"1000"}, Dir: data})
	require.NoError(t, err)
	defer func() { require.NoError(t, stranger.Kill()) }()
	_, err = servers.StartRedis(within(t, shortWait), servers.RedisConfig{Dir: dir})
	require.ErrorContains(t, err, fmt.Sprint(stranger.PID()))
	require.True(t, stranger.Running())
}

func TestTwoStartersDoNotShareAFolder(t *testing.T) {
	dir := t.TempDir()
	r, err := servers.StartRedis(t.Context(), servers.RedisConfig{Dir: dir})
	require.NoError(t, err)
	_, err = servers.StartRedis(within(t, shortWait), servers.RedisConfig{Dir: dir})
	require.ErrorContains(t, err, "belongs to another running process")
	require.True(t, r.Process().Running())
	stopped(t, r.Stop)
	again, err := servers.StartRedis(t.Context(), servers.RedisConfig{Dir: dir})
	require.NoError(t, err)
	stopped(t, again.Stop)
}
