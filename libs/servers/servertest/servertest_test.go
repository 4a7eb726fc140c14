package servertest_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"kontor.internal/libs/servers/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, servertest.IgnoreShared()) }

func TestPostgresIsSharedAndTheCallerIsSuperuser(t *testing.T) {
	dsn := servertest.Postgres(t)
	require.Equal(t, dsn, servertest.Postgres(t))
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	var super string
	require.NoError(t, conn.QueryRow(t.Context(), "SHOW is_superuser").Scan(&super))
	require.Equal(t, "on", super)
}

func TestRedisIsTheTestsOwn(t *testing.T) {
	first, second := servertest.Redis(t), servertest.Redis(t)
	require.NotEqual(t, first, second)
	client := redis.NewClient(&redis.Options{Addr: first})
	defer func() { require.NoError(t, client.Close()) }()
	size, err := client.DBSize(t.Context()).Result()
	require.NoError(t, err)
	require.Zero(t, size)
}

func TestNATSHasJetStream(t *testing.T) {
	conn, err := nats.Connect(servertest.NATS(t))
	require.NoError(t, err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "T", Subjects: []string{"t.>"}})
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), "t.a", []byte("x"))
	require.NoError(t, err)
}

func TestTheServerWithTLSTakesNoConnectionWithout(t *testing.T) {
	server, caFile := servertest.TLSPostgres(t)
	config, err := pgx.ParseConfig(fmt.Sprintf("host=127.0.0.1 port=%d user=nobody dbname=postgres sslmode=disable", server.Port()))
	require.NoError(t, err)
	_, err = pgx.ConnectConfig(t.Context(), config)
	require.ErrorContains(t, err, "no encryption")
	require.FileExists(t, caFile)
}
