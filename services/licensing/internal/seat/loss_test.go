package seat

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/servers/servertest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/licensing/internal/licence"
)

// on is the service on another Redis, with the same database.
func (b *bundle) on(client redis.UniversalClient) *Pools {
	return NewPools(PoolDeps{Redis: client, DB: b.db, Licences: licence.NewStore(), Clock: clock.System{}, Real: clock.System{}, IDs: id.New})
}

// A replica that had not heard the last of it takes over: what it believes and what was since is kept apart.
func TestAStaleReplicaThrowsNobodyOutAndBringsNothingBack(t *testing.T) {
	b := setup(t)
	replica := servertest.StartRedis(t)
	client := redis.NewClient(&redis.Options{Addr: replica.Address(), ContextTimeoutEnabled: true})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	l := limits(3, time.Minute)
	stays, taken := b.claim(1, l), b.claim(2, l)
	host, port, err := net.SplitHostPort(b.server.Address())
	require.NoError(t, err)
	require.NoError(t, client.ReplicaOf(t.Context(), host, port).Err())
	require.Eventually(t, func() bool {
		info := client.Info(t.Context(), "replication").Val()
		return strings.Contains(info, "master_link_status:up") && client.Exists(t.Context(), poolKeys(b.of.Licence)[0]).Val() == 1
	}, 20*time.Second, 20*time.Millisecond)
	require.NoError(t, client.ReplicaOf(t.Context(), "NO", "ONE").Err())
	// None of this gets to the replica.
	require.NoError(t, b.take(taken))
	after := b.claim(3, l)
	require.Equal(t, taken.Slot, after.Slot)
	require.NoError(t, b.diary.WriteDown(t.Context(), b.of.Licence))

	b.Pools = b.on(client)
	_, err = b.Claim(t.Context(), b.of, person(4), l)
	require.Equal(t, commonv1.Reason_REASON_SEATS_RECOVERING, failure.Reason(err))
	b.lost(taken)
	for _, s := range []Seat{stays, after} {
		_, err := b.renew(s)
		require.NoError(t, err)
	}
	require.EqualValues(t, 2, b.board().Held)
	var gaps int
	require.NoError(t, b.db.QueryRow(t.Context(), `SELECT count(*) FROM seat_event WHERE kind = 'gap' AND since <= happened`).Scan(&gaps))
	require.Equal(t, 1, gaps)
}

// node is a Redis server that is one of a cluster.
func node(t *testing.T) (address string) {
	t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	bus, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port, busPort := listen.Addr().(*net.TCPAddr).Port, bus.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // They are.
	require.NoError(t, listen.Close())
	require.NoError(t, bus.Close())
	server := exec.Command("redis-server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes",
		"--cluster-port", strconv.Itoa(busPort), "--dir", t.TempDir(), "--save", "", "--cluster-announce-ip", "127.0.0.1")
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	address = fmt.Sprintf("127.0.0.1:%d", port)
	client := redis.NewClient(&redis.Options{Addr: address})
	defer func() { _ = client.Close() }()
	require.Eventually(t, func() bool { return client.Ping(t.Context()).Err() == nil }, 10*time.Second, 20*time.Millisecond)
	return address + "@" + strconv.Itoa(busPort)
}

// cluster makes three servers one Redis Cluster.
func cluster(t *testing.T) *redis.ClusterClient {
	t.Helper()
	nodes := []string{node(t), node(t), node(t)}
	var addresses []string
	for i, n := range nodes {
		address, _, _ := strings.Cut(n, "@")
		addresses = append(addresses, address)
		client := redis.NewClient(&redis.Options{Addr: address})
		first, last := i*16384/3, (i+1)*16384/3-1
		require.NoError(t, client.ClusterAddSlotsRange(t.Context(), first, last).Err())
		for _, other := range nodes {
			where, bus, _ := strings.Cut(other, "@")
			host, port, _ := strings.Cut(where, ":")
			require.NoError(t, client.Do(t.Context(), "CLUSTER", "MEET", host, port, bus).Err())
		}
		require.NoError(t, client.Close())
	}
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addresses, ContextTimeoutEnabled: true})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	require.Eventually(t, func() bool {
		ready := 0
		err := client.ForEachMaster(t.Context(), func(ctx context.Context, master *redis.Client) error {
			if strings.Contains(master.ClusterInfo(ctx).Val(), "cluster_state:ok") {
				ready++
			}
			return nil
		})
		client.ReloadState(t.Context())
		return err == nil && ready == 3
	}, 20*time.Second, 50*time.Millisecond)
	return client
}

// Pools lie on three servers of a Redis Cluster, each pool whole on one of them.
func TestPoolsAreSpreadOverARedisCluster(t *testing.T) {
	b := setup(t)
	client := cluster(t)
	b.Pools = b.on(client)
	diary := NewDiary(DiaryDeps{Redis: client, Pools: b.Pools, DB: b.db, Clock: clock.System{}, Real: clock.System{}, Log: b.diary.deps.Log})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = diary.Run(ctx) }()
	defer func() { stop(); <-done }()
	slots := map[int64]bool{}
	for range 12 {
		b.of = b.licence()
		l := limits(1, time.Minute)
		held := b.claim(1, l)
		b.refused(2, l)
		renewed, err := b.renew(held)
		require.NoError(t, err)
		require.NoError(t, b.Release(t.Context(), b.of, renewed, By{}))
		b.claim(2, l)
		slot, err := client.ClusterKeySlot(t.Context(), poolKeys(b.of.Licence)[0]).Result()
		require.NoError(t, err)
		slots[slot*3/16384] = true
	}
	require.Greater(t, len(slots), 1, "the pools lie on one server")
	require.Eventually(t, func() bool {
		var claims int
		require.NoError(t, b.db.QueryRow(t.Context(), `SELECT count(*) FROM seat_event WHERE kind = 'claimed'`).Scan(&claims))
		return claims == 24
	}, 10*time.Second, 50*time.Millisecond)
	require.NotEqual(t, uuid.Nil, b.of.Licence)
}

// Nobody comes back after a loss for a while: what was lost is in a gap all the same, and the seats end.
func TestALossThatNobodyNoticesIsDeclaredAndEndsTheSeats(t *testing.T) {
	b := setup(t)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = b.diary.Run(ctx) })
	sweeper := &Sweeper{Pools: b.Pools, Log: b.diary.deps.Log}
	running.Go(func() { _ = sweeper.Run(ctx) })
	defer running.Wait()
	defer stop()
	eventually := func(what, sql string, args ...any) {
		t.Helper()
		require.Eventually(t, func() bool {
			var so bool
			require.NoError(t, b.db.QueryRow(t.Context(), sql, args...).Scan(&so))
			return so
		}, 15*time.Second, 20*time.Millisecond, what)
	}
	eventually("the log is read", `SELECT count(*) = 16 AND min(seen) > now() - interval '2 s' FROM seat_position`)
	lost := b.claim(1, limits(3, time.Second))
	require.NoError(t, b.client.FlushAll(t.Context()).Err())
	eventually("the gap is declared", `SELECT EXISTS (SELECT FROM seat_event WHERE kind = 'gap' AND licence = $1 AND since <= $2 AND happened >= $2)`,
		b.of.Licence, lost.Since)
	eventually("the pool has recovered and rests", `SELECT resting FROM seat_pool WHERE licence = $1`, b.of.Licence)
}
