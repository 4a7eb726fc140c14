package mtls_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kontor.internal/libs/mtls"
)

func authority(t *testing.T) *mtls.Authority {
	t.Helper()
	return authorityWith(t, mtls.AuthorityConfig{Dir: filepath.Join(t.TempDir(), "pki")})
}

func authorityWith(t *testing.T, cfg mtls.AuthorityConfig) *mtls.Authority {
	t.Helper()
	a, err := mtls.OpenAuthority(cfg)
	require.NoError(t, err)
	return a
}

func issue(t *testing.T, a *mtls.Authority, service string) mtls.Files {
	t.Helper()
	files, err := a.Issue(service)
	require.NoError(t, err)
	return files
}

func server(t *testing.T, files mtls.Files) *tls.Config {
	t.Helper()
	cfg, err := mtls.ServerConfig(files)
	require.NoError(t, err)
	return cfg
}

func client(t *testing.T, files mtls.Files, service string) *tls.Config {
	t.Helper()
	cfg, err := mtls.ClientConfig(files, service)
	require.NoError(t, err)
	return cfg
}

// meet makes both ends shake hands and exchange a byte: in TLS 1.3 a client learns only by reading that it was turned away.
func meet(t *testing.T, serverConfig, clientConfig *tls.Config) (atServer, atClient tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	near, far := net.Pipe()
	deadline := time.Now().Add(10 * time.Second)
	require.NoError(t, near.SetDeadline(deadline))
	require.NoError(t, far.SetDeadline(deadline))
	s, c := tls.Server(far, serverConfig), tls.Client(near, clientConfig)
	var done sync.WaitGroup
	done.Go(func() {
		defer func() { _ = far.Close() }()
		if serverErr = s.Handshake(); serverErr == nil {
			_, serverErr = s.Write([]byte{1})
		}
		atServer = s.ConnectionState()
	})
	if clientErr = c.Handshake(); clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1))
	}
	atClient = c.ConnectionState()
	_ = near.Close()
	done.Wait()
	return atServer, atClient, serverErr, clientErr
}

func TestTwoServicesKnowEachOtherByName(t *testing.T) {
	a := authority(t)
	atServer, atClient, serverErr, clientErr := meet(t,
		server(t, issue(t, a, "tenancy")), client(t, issue(t, a, "licensing"), "tenancy"))
	require.NoError(t, serverErr)
	require.NoError(t, clientErr)
	require.Equal(t, uint16(tls.VersionTLS13), atServer.Version)
	caller, ok := mtls.PeerService(atServer)
	require.True(t, ok)
	require.Equal(t, "licensing", caller)
	callee, ok := mtls.PeerService(atClient)
	require.True(t, ok)
	require.Equal(t, "tenancy", callee)
}

func TestAClientRefusesAnotherServiceThanItCalled(t *testing.T) {
	a := authority(t)
	_, _, _, clientErr := meet(t, server(t, issue(t, a, "tenancy")), client(t, issue(t, a, "licensing"), "identity"))
	var wrong x509.HostnameError
	require.ErrorAs(t, clientErr, &wrong)
}

func TestAServerRefusesACertificateOfAnotherAuthority(t *testing.T) {
	a, stranger := authority(t), authority(t)
	files := issue(t, stranger, "licensing")
	files.CA = a.CAFile() // trusts the server, so that the refusal is the server's
	_, _, serverErr, clientErr := meet(t, server(t, issue(t, a, "tenancy")), client(t, files, "tenancy"))
	require.Error(t, serverErr)
	require.Error(t, clientErr)
}

func TestAClientRefusesACertificateOfAnotherAuthority(t *testing.T) {
	a, stranger := authority(t), authority(t)
	_, _, _, clientErr := meet(t, server(t, issue(t, stranger, "tenancy")), client(t, issue(t, a, "licensing"), "tenancy"))
	var unknown x509.UnknownAuthorityError
	require.ErrorAs(t, clientErr, &unknown)
}

func TestAServerRefusesAClientWithoutCertificate(t *testing.T) {
	a := authority(t)
	cfg, err := mtls.TrustConfig(a.CAFile())
	require.NoError(t, err)
	cfg.ServerName = "localhost"
	_, _, serverErr, clientErr := meet(t, server(t, issue(t, a, "tenancy")), cfg)
	require.Error(t, serverErr)
	require.Error(t, clientErr)
}

func TestExpiredCertificatesAreRefusedByBothEnds(t *testing.T) {
	dir := t.TempDir()
	old := authorityWith(t, mtls.AuthorityConfig{
		Dir: dir, Lifetime: time.Hour, Now: func() time.Time { return time.Now().Add(-2 * time.Hour) },
	})
	expiredServer, expiredClient := issue(t, old, "tenancy"), issue(t, old, "licensing")
	today := authorityWith(t, mtls.AuthorityConfig{Dir: dir})
	var invalid x509.CertificateInvalidError

	_, _, _, clientErr := meet(t, server(t, expiredServer), client(t, issue(t, today, "exchange"), "tenancy"))
	require.ErrorAs(t, clientErr, &invalid)
	require.Equal(t, x509.Expired, invalid.Reason)

	_, _, serverErr, _ := meet(t, server(t, issue(t, today, "backup")), client(t, expiredClient, "backup"))
	require.ErrorAs(t, serverErr, &invalid)
	require.Equal(t, x509.Expired, invalid.Reason)
}

func TestOlderProtocolsThanTLS13AreRefusedBetweenServices(t *testing.T) {
	a := authority(t)
	cfg := client(t, issue(t, a, "licensing"), "tenancy")
	cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	_, _, serverErr, _ := meet(t, server(t, issue(t, a, "tenancy")), cfg)
	require.ErrorContains(t, serverErr, "version")
}

func TestARunningServerAndClientTakeUpRenewedCertificates(t *testing.T) {
	dir := t.TempDir()
	short := authorityWith(t, mtls.AuthorityConfig{Dir: dir, Lifetime: time.Hour})
	srv, cli := server(t, issue(t, short, "tenancy")), client(t, issue(t, short, "licensing"), "tenancy")
	before, beforeClient, serverErr, clientErr := meet(t, srv, cli)
	require.NoError(t, serverErr)
	require.NoError(t, clientErr)

	// A quarter of the hour is left then: less than a third, so both are made anew.
	renewing := authorityWith(t, mtls.AuthorityConfig{Dir: dir, Now: func() time.Time { return time.Now().Add(45 * time.Minute) }})
	for _, service := range []string{"tenancy", "licensing"} {
		issue(t, renewing, service)
	}
	cli.Time = func() time.Time { return time.Now().Add(45 * time.Minute) }
	srv.Time = cli.Time
	after, afterClient, serverErr, clientErr := meet(t, srv, cli)
	require.NoError(t, serverErr)
	require.NoError(t, clientErr)
	require.NotEqual(t, before.PeerCertificates[0].SerialNumber, after.PeerCertificates[0].SerialNumber)
	require.NotEqual(t, beforeClient.PeerCertificates[0].SerialNumber, afterClient.PeerCertificates[0].SerialNumber)
}

func TestAHalfWrittenRenewalLeavesTheOldCertificateInUse(t *testing.T) {
	a := authority(t)
	files := issue(t, a, "tenancy")
	srv := server(t, files)
	require.NoError(t, os.WriteFile(files.Key, []byte("half"), 0o600))
	require.NoError(t, os.Chtimes(files.Key, time.Now(), time.Now().Add(time.Minute)))
	_, _, serverErr, clientErr := meet(t, srv, client(t, issue(t, a, "licensing"), "tenancy"))
	require.NoError(t, serverErr)
	require.NoError(t, clientErr)

	issue(t, a, "tenancy") // a broken pair on disk is replaced
	_, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	require.NoError(t, err)
}

func TestAnAuthorityAndItsCertificatesAreMadeOnce(t *testing.T) {
	dir := t.TempDir()
	var opened sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		opened.Go(func() { _, errs[i] = mtls.OpenAuthority(mtls.AuthorityConfig{Dir: dir}) })
	}
	opened.Wait()
	require.NoError(t, errors.Join(errs...))
	first := issue(t, authorityWith(t, mtls.AuthorityConfig{Dir: dir}), "identity")
	content, err := os.ReadFile(first.Cert)
	require.NoError(t, err)
	again, err := os.ReadFile(issue(t, authorityWith(t, mtls.AuthorityConfig{Dir: dir}), "identity").Cert)
	require.NoError(t, err)
	require.Equal(t, content, again)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "only ca and identity: nothing is left of those who came second")
}

func TestKeysAreReadableByTheirOwnerOnly(t *testing.T) {
	a := authority(t)
	for _, path := range []string{issue(t, a, "identity").Key, filepath.Join(filepath.Dir(a.CAFile()), "ca.key")} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), path)
	}
}

func TestNamesThatWouldLeaveTheFolderAreRefused(t *testing.T) {
	a := authority(t)
	for _, name := range []string{"", "ca", "../x", "A", "a/b", "a.b", "-a", "a-", "1a", ".new"} {
		_, err := a.Issue(name)
		require.ErrorIs(t, err, mtls.ErrName, name)
		_, err = a.IssueServer(mtls.ServerRequest{Name: name})
		require.ErrorIs(t, err, mtls.ErrName, name)
	}
	_, err := mtls.ClientConfig(issue(t, a, "identity"), "Tenancy")
	require.ErrorIs(t, err, mtls.ErrName)
}

func TestAPlainServerCertificateServesThePublicButCannotCall(t *testing.T) {
	a := authority(t)
	public, err := a.IssueServer(mtls.ServerRequest{Name: "public", Hosts: []string{"kontor.example", "192.0.2.7"}})
	require.NoError(t, err)
	listener, err := mtls.PublicConfig(public.Cert, public.Key)
	require.NoError(t, err)
	for _, host := range []string{"localhost", "127.0.0.1", "kontor.example", "192.0.2.7"} {
		trust, err := mtls.TrustConfig(public.CA)
		require.NoError(t, err)
		trust.ServerName = host
		_, atClient, serverErr, clientErr := meet(t, listener, trust)
		require.NoError(t, serverErr)
		require.NoError(t, clientErr)
		_, named := mtls.PeerService(atClient)
		require.False(t, named)
	}
	_, _, serverErr, _ := meet(t, server(t, issue(t, a, "tenancy")), client(t, public, "tenancy"))
	var invalid x509.CertificateInvalidError
	require.ErrorAs(t, serverErr, &invalid)
	require.Equal(t, x509.IncompatibleUsage, invalid.Reason)
}

func TestNewHostsMakeANewServerCertificate(t *testing.T) {
	a := authority(t)
	serial := func(hosts ...string) string {
		files, err := a.IssueServer(mtls.ServerRequest{Name: "public", Hosts: hosts})
		require.NoError(t, err)
		content, err := os.ReadFile(files.Cert)
		require.NoError(t, err)
		block, _ := pem.Decode(content)
		cert, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		return cert.SerialNumber.String()
	}
	first := serial("a.example")
	require.Equal(t, first, serial("a.example"))
	require.NotEqual(t, first, serial("a.example", "b.example"))
}

func TestACertificateCanBelongToAnotherUser(t *testing.T) {
	a := authority(t)
	owner := &mtls.Owner{UID: os.Getuid(), GID: os.Getgid()}
	if owner.UID == 0 {
		owner = &mtls.Owner{UID: 12345, GID: 12345}
	}
	files, err := a.IssueServer(mtls.ServerRequest{Name: "postgres", Owner: owner})
	require.NoError(t, err)
	require.Equal(t, *owner, ownerOf(t, files.Key))
	require.Equal(t, *owner, ownerOf(t, files.Cert))
}

func TestAnUnverifiedPeerHasNoName(t *testing.T) {
	a := authority(t)
	pair, err := tls.LoadX509KeyPair(issue(t, a, "identity").Cert, issue(t, a, "identity").Key)
	require.NoError(t, err)
	_, ok := mtls.PeerService(tls.ConnectionState{PeerCertificates: []*x509.Certificate{pair.Leaf}})
	require.False(t, ok)
}

func ownerOf(t *testing.T, path string) mtls.Owner {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	stat, ok := info.Sys().(*syscall.Stat_t)
	require.True(t, ok)
	return mtls.Owner{UID: int(stat.Uid), GID: int(stat.Gid)}
}
