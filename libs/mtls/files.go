// Package mtls is how Kontor's processes know each other: a certificate authority of the installation's own, one certificate a
// service, and the TLS settings that check them. TLS runs on real time, whatever the suite's business clock says.
//
// A service's certificate carries its name twice: as the URI kontor://service/<name>, which says who calls, and as the DNS name
// <name>.kontor, which says who answers. The name does not depend on where the service runs.
package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"sync"
	"time"
)

const (
	uriScheme = "kontor"
	uriHost   = "service"
	dnsSuffix = ".kontor"
)

// ErrName refuses a service name that is not lower-case letters, digits and inner hyphens, beginning with a letter.
var ErrName = errors.New("a service name is 1 to 40 lower-case letters, digits and hyphens, beginning with a letter")

var namePattern = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$`)

// Files are the paths of the PEM files a process needs to talk TLS.
type Files struct {
	CA   string // certificates of the authorities that are trusted; may be a bundle
	Cert string // this process's certificate, followed by intermediates if any
	Key  string // the certificate's private key, PKCS #8
}

// Empty reports that no file is named at all.
func (f Files) Empty() bool { return f == Files{} }

// ServerName is the DNS name in the certificate of the named service, and the one a client must ask for.
func ServerName(service string) string { return service + dnsSuffix }

// ServerConfig is for a service's own listener: TLS 1.3 only, and the client must show a certificate of the authority that is
// good for clients. The certificate is read anew when its file changes; the authority's is read once.
func ServerConfig(files Files) (*tls.Config, error) {
	roots, err := readRoots(files.CA)
	if err != nil {
		return nil, err
	}
	pair, err := newKeyPair(files.Cert, files.Key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		ClientAuth:     tls.RequireAndVerifyClientCert,
		ClientCAs:      roots,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.current() },
	}, nil
}

// ClientConfig is for calls to the named service: TLS 1.3 only, the peer must prove to be that service, wherever it was found.
// The certificate is read anew when its file changes; the authority's is read once.
func ClientConfig(files Files, service string) (*tls.Config, error) {
	if !namePattern.MatchString(service) {
		return nil, fmt.Errorf("call service %q: %w", service, ErrName)
	}
	roots, err := readRoots(files.CA)
	if err != nil {
		return nil, err
	}
	pair, err := newKeyPair(files.Cert, files.Key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		ServerName:           ServerName(service),
		RootCAs:              roots,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair.current() },
	}, nil
}

// PublicConfig is for a listener that the world may call: TLS 1.2 or 1.3, no client certificate. The certificate is read anew
// when its file changes.
func PublicConfig(certFile, keyFile string) (*tls.Config, error) {
	pair, err := newKeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.current() },
	}, nil
}

// TrustConfig is for a client without a certificate of its own that trusts the given authority: TLS 1.2 or 1.3. The caller, or
// the library it hands this to, sets ServerName.
func TrustConfig(caFile string) (*tls.Config, error) {
	roots, err := readRoots(caFile)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, nil
}

// PeerService names the service at the other end, out of its verified certificate. It is false for a peer whose certificate was
// not verified or names no service.
func PeerService(state tls.ConnectionState) (string, bool) {
	if len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
		return "", false
	}
	return serviceOf(state.VerifiedChains[0][0])
}

func serviceOf(cert *x509.Certificate) (string, bool) {
	// One certificate, one service: with two names nobody could say which of them is calling.
	if len(cert.URIs) != 1 {
		return "", false
	}
	uri := cert.URIs[0]
	name := ""
	if len(uri.Path) > 1 {
		name = uri.Path[1:]
	}
	if !namePattern.MatchString(name) || *uri != *serviceURI(name) {
		return "", false
	}
	return name, true
}

func serviceURI(name string) *url.URL {
	return &url.URL{Scheme: uriScheme, Host: uriHost, Path: "/" + name}
}

func readRoots(path string) (*x509.CertPool, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the authority's certificate: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("read the authority's certificate: %s holds no certificate", path)
	}
	return roots, nil
}

// keyPair is a certificate on disk that may be renewed while the process runs.
type keyPair struct {
	certFile, keyFile string

	mu       sync.Mutex
	loaded   *tls.Certificate
	certTime time.Time
	keyTime  time.Time
}

func newKeyPair(certFile, keyFile string) (*keyPair, error) {
	k := &keyPair{certFile: certFile, keyFile: keyFile}
	if err := k.load(); err != nil {
		return nil, err
	}
	return k, nil
}

// current never fails once a pair was loaded: a renewal that is half written, or broken, leaves the old certificate in use and is
// tried again at the next handshake.
func (k *keyPair) current() (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	certTime, keyTime, err := k.times()
	if err == nil && (!certTime.Equal(k.certTime) || !keyTime.Equal(k.keyTime)) {
		_ = k.load()
	}
	return k.loaded, nil
}

func (k *keyPair) load() error {
	certTime, keyTime, err := k.times()
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(k.certFile, k.keyFile)
	if err != nil {
		return fmt.Errorf("load certificate %s: %w", k.certFile, err)
	}
	k.loaded, k.certTime, k.keyTime = &pair, certTime, keyTime
	return nil
}

func (k *keyPair) times() (cert, key time.Time, err error) {
	certInfo, err := os.Stat(k.certFile)
	if err != nil {
		return cert, key, fmt.Errorf("load certificate: %w", err)
	}
	keyInfo, err := os.Stat(k.keyFile)
	if err != nil {
		return cert, key, fmt.Errorf("load certificate's key: %w", err)
	}
	return certInfo.ModTime(), keyInfo.ModTime(), nil
}
