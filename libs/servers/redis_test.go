package servers_test

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"kontor.internal/libs/mtls"
	"kontor.internal/libs/servers"
)

func startRedis(t *testing.T, cfg servers.RedisConfig) *servers.Redis {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	r, err := servers.StartRedis(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { stopped(t, r.Stop) })
	return r
}

func redisClient(t *testing.T, url string, trust *tls.Config) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(url)
	require.NoError(t, err)
	options.MaxRetries = -1
	options.ContextTimeoutEnabled = true
	if trust != nil {
		trust.ServerName = options.TLSConfig.ServerName
		options.TLSConfig = trust
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

func TestRedisAsksForItsPassword(t *testing.T) {
	r := startRedis(t, servers.RedisConfig{})
	require.NoError(t, redisClient(t, r.URL(), nil).Ping(t.Context()).Err())
	require.ErrorContains(t, redisClient(t, "redis://"+r.Address(), nil).Ping(t.Context()).Err(), "NOAUTH")
	arguments, err := os.ReadFile(filepath.Join("/proc", itoa(r.Process().PID()), "cmdline"))
	require.NoError(t, err)
	require.NotContains(t, string(arguments), r.Password())

	open := startRedis(t, servers.RedisConfig{NoPassword: true})
	require.NoError(t, redisClient(t, "redis://"+open.Address(), nil).Ping(t.Context()).Err())
}

func TestRedisListensOnASocketAlone(t *testing.T) {
	dir := shortDir(t)
	r := startRedis(t, servers.RedisConfig{Dir: dir, NoTCP: true, Socket: filepath.Join(dir, "socket")})
	require.Zero(t, r.Port())
	require.Equal(t, filepath.Join(dir, "socket"), r.Address())
	require.NoError(t, redisClient(t, r.URL(), nil).Ping(t.Context()).Err())
	require.NoError(t, r.Restart(t.Context()))

	_, err := servers.StartRedis(t.Context(), servers.RedisConfig{Dir: t.TempDir(), NoTCP: true})
	require.ErrorContains(t, err, "neither a port nor a socket")
}

func TestRedisWithACertificateSpeaksTLSOnly(t *testing.T) {
	files := serverCertificate(t)
	r := startRedis(t, servers.RedisConfig{TLS: files})
	trust, err := mtls.TrustConfig(files.CA)
	require.NoError(t, err)
	require.NoError(t, redisClient(t, r.URL(), trust).Ping(t.Context()).Err())
	require.Error(t, redisClient(t, "redis://:"+r.Password()+"@"+r.Address(), nil).Ping(t.Context()).Err())
}

func TestRedisKeepsItsPortAndOnRequestItsData(t *testing.T) {
	for name, keeps := range map[string]bool{"append-only": true, "in memory": false} {
		t.Run(name, func(t *testing.T) {
			r := startRedis(t, servers.RedisConfig{AppendOnly: keeps})
			url := r.URL()
			require.NoError(t, redisClient(t, url, nil).Set(t.Context(), "a", "1", 0).Err())
			require.NoError(t, r.Restart(t.Context()))
			require.Equal(t, url, r.URL())
			count, err := redisClient(t, url, nil).Exists(t.Context(), "a").Result()
			require.NoError(t, err)
			require.Equal(t, keeps, count == 1)
		})
	}
}

func TestRedisCanBePausedKilledAndRestarted(t *testing.T) {
	r := startRedis(t, servers.RedisConfig{})
	client := redisClient(t, r.URL(), nil)
	require.NoError(t, client.Ping(t.Context()).Err())
	require.NoError(t, r.Pause())
	require.ErrorIs(t, client.Ping(within(t, 100*time.Millisecond)).Err(), os.ErrDeadlineExceeded)
	require.NoError(t, r.Resume())
	require.NoError(t, client.Ping(t.Context()).Err())
	require.NoError(t, r.Kill())
	require.False(t, r.Process().Running())
	require.NoError(t, r.Restart(t.Context()))
	require.NoError(t, redisClient(t, r.URL(), nil).Ping(t.Context()).Err())
}

func TestRedisOnATakenPortFailsAndSaysSo(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	port := l.Addr().(*net.TCPAddr).Port
	_, err = servers.StartRedis(t.Context(), servers.RedisConfig{Dir: t.TempDir(), Port: port})
	require.ErrorContains(t, err, "port "+itoa(port)+": in use")
}

func TestAMachineWithoutRedisIsToldWhatToInstall(t *testing.T) {
	_, err := servers.StartRedis(t.Context(), servers.RedisConfig{Dir: t.TempDir(), Program: "no-such-redis"})
	require.ErrorIs(t, err, servers.ErrRedisMissing)
	require.ErrorContains(t, err, "apt-get install -y redis-server")
}
