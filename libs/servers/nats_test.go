package servers_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"kontor.internal/libs/mtls"
	"kontor.internal/libs/servers"
)

func startNATS(t *testing.T, cfg servers.NATSConfig) *servers.NATS {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	n, err := servers.StartNATS(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { stopped(t, n.Stop) })
	return n
}

func natsClient(t *testing.T, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(url, options...)
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	return conn
}

func TestNATSKeepsItsStreamsAndItsPortOverARestart(t *testing.T) {
	n := startNATS(t, servers.NATSConfig{Token: "secret"})
	url := n.URL()
	js, err := jetstream.New(natsClient(t, url))
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "KONTOR", Subjects: []string{"kontor.>"}})
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), "kontor.a.b.c", []byte("kept"))
	require.NoError(t, err)

	require.NoError(t, n.Restart(t.Context()))
	require.Equal(t, url, n.URL())
	js, err = jetstream.New(natsClient(t, url))
	require.NoError(t, err)
	stream, err := js.Stream(t.Context(), "KONTOR")
	require.NoError(t, err)
	message, err := stream.GetMsg(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, "kept", string(message.Data))
}

func TestNATSTakesItsTokenOnly(t *testing.T) {
	n := startNATS(t, servers.NATSConfig{Token: "secret"})
	_, err := nats.Connect("nats://" + n.Address())
	require.ErrorIs(t, err, nats.ErrAuthorization)
	_, err = nats.Connect("nats://wrong@" + n.Address())
	require.ErrorIs(t, err, nats.ErrAuthorization)
}

func TestNATSUsersProveTheirKeysAndKeepToTheirSubjects(t *testing.T) {
	mine, stranger := userKey(t), userKey(t)
	public, err := mine.PublicKey()
	require.NoError(t, err)
	n := startNATS(t, servers.NATSConfig{Users: []servers.NATSUser{{PublicKey: public, Publish: []string{"mine.>"}}}})

	refused := make(chan error, 1)
	conn := natsClient(t, n.URL(), nats.Nkey(public, mine.Sign),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	got, err := conn.SubscribeSync("mine.a")
	require.NoError(t, err)
	require.NoError(t, conn.Publish("mine.a", nil))
	_, err = got.NextMsgWithContext(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Publish("theirs.a", nil))
	require.ErrorIs(t, <-refused, nats.ErrPermissionViolation)

	other, err := stranger.PublicKey()
	require.NoError(t, err)
	_, err = nats.Connect(n.URL(), nats.Nkey(other, stranger.Sign))
	require.ErrorIs(t, err, nats.ErrAuthorization)
}

func userKey(t *testing.T) nkeys.KeyPair {
	t.Helper()
	key, err := nkeys.CreateUser()
	require.NoError(t, err)
	return key
}

func TestNATSWithACertificateRefusesPlainAndUnknownClients(t *testing.T) {
	authority, err := mtls.OpenAuthority(mtls.AuthorityConfig{Dir: t.TempDir()})
	require.NoError(t, err)
	files, err := authority.Issue("nats")
	require.NoError(t, err)
	n := startNATS(t, servers.NATSConfig{NoAuth: true, TLS: files, VerifyClients: true})

	service, err := authority.Issue("licensing")
	require.NoError(t, err)
	known, err := mtls.ClientConfig(service, "nats")
	require.NoError(t, err)
	require.NoError(t, natsClient(t, n.URL(), nats.Secure(known)).Flush())

	anonymous, err := mtls.TrustConfig(files.CA)
	require.NoError(t, err)
	_, err = nats.Connect(n.URL(), nats.Secure(anonymous))
	require.Error(t, err)
}

func TestNATSOnATakenPortFailsAndSaysSo(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	port := l.Addr().(*net.TCPAddr).Port
	_, err = servers.StartNATS(t.Context(), servers.NATSConfig{Dir: t.TempDir(), NoAuth: true, Port: port})
	require.ErrorContains(t, err, "port "+itoa(port)+": in use")
}

func TestNATSDoesNotShareItsFolder(t *testing.T) {
	dir := t.TempDir()
	startNATS(t, servers.NATSConfig{Dir: dir, NoAuth: true})
	_, err := servers.StartNATS(within(t, shortWait), servers.NATSConfig{Dir: dir, NoAuth: true})
	require.ErrorContains(t, err, "belongs to another running process")
}

func TestNATSWithoutAChoiceOfAccessDoesNotStart(t *testing.T) {
	for _, cfg := range []servers.NATSConfig{{}, {Token: "a", NoAuth: true}} {
		cfg.Dir = t.TempDir()
		_, err := servers.StartNATS(t.Context(), cfg)
		require.ErrorContains(t, err, "choose one of")
	}
}

func TestNATSWithABrokenStoreSaysWhy(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "jetstream"), nil, 0o600)) // a file where a folder should be
	_, err := servers.StartNATS(t.Context(), servers.NATSConfig{Dir: dir, NoAuth: true})
	require.ErrorContains(t, err, "storage directory is not a directory")
}
