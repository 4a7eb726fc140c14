package mtls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	authorityLifetime   = 10 * 365 * 24 * time.Hour
	certificateLifetime = 90 * 24 * time.Hour
	// backdated lets a peer whose clock is a little behind accept a certificate that was made just now.
	backdated = 5 * time.Minute

	certFileName = "tls.crt"
	keyFileName  = "tls.key"
	caFileName   = "ca.crt"
	caKeyName    = "ca.key"
)

// AuthorityConfig says where a certificate authority lives and how long its certificates do.
type AuthorityConfig struct {
	Dir      string           // folder of the authority's key and of everything it issues; made with mode 0700
	Lifetime time.Duration    // of issued certificates; 0 means 90 days
	Now      func() time.Time // nil means the real time
}

// Authority is the installation's own certificate authority, kept in a folder:
//
//	ca/ca.crt, ca/ca.key   made once
//	<name>/tls.crt, .key   one folder a certificate
//
// Keys are ECDSA P-256, in files of mode 0600. Several processes may open the same folder.
type Authority struct {
	cfg  AuthorityConfig
	cert *x509.Certificate
	key  crypto.Signer
}

// OpenAuthority opens the authority in cfg.Dir and makes it on first use.
func OpenAuthority(cfg AuthorityConfig) (*Authority, error) {
	if cfg.Lifetime <= 0 {
		cfg.Lifetime = certificateLifetime
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	a := &Authority{cfg: cfg}
	if _, err := os.Stat(a.caDir()); errors.Is(err, fs.ErrNotExist) {
		if err := a.create(); err != nil {
			return nil, fmt.Errorf("make a certificate authority in %s: %w", cfg.Dir, err)
		}
	}
	if err := a.load(); err != nil {
		return nil, fmt.Errorf("open the certificate authority in %s: %w", cfg.Dir, err)
	}
	return a, nil
}

// CAFile is the path of the authority's certificate, the only file of it that others need.
func (a *Authority) CAFile() string { return filepath.Join(a.caDir(), caFileName) }

// Issue makes the named service's certificate, good for both ends of a call, or returns the one made earlier while at least a third of
// its life is left. Calling it regularly is all there is to renewal: running processes read the new files by themselves.
func (a *Authority) Issue(service string) (Files, error) {
	if !namePattern.MatchString(service) {
		return Files{}, fmt.Errorf("issue a certificate for %q: %w", service, ErrName)
	}
	return a.issue(service, Owner{UID: -1, GID: -1}, &x509.Certificate{
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{ServerName(service), "localhost"},
		IPAddresses: loopback(),
		URIs:        []*url.URL{serviceURI(service)},
	})
}

// Owner is who owns issued files; -1 leaves the owner or the group as it is.
type Owner struct{ UID, GID int }

// ServerRequest asks for a plain server certificate: for the gateway's public listener, or for PostgreSQL.
type ServerRequest struct {
	Name  string   // of the folder it is kept in; same rules as a service's name, and not one of theirs
	Hosts []string // further DNS names and IP addresses besides localhost, 127.0.0.1 and ::1
	Owner *Owner   // who owns key and certificate; nil means whoever runs this
}

// IssueServer makes a certificate that is good for a server only: no listener of ours takes it from a client, and it names no
// service. It is reused like Issue's, unless Hosts changed.
func (a *Authority) IssueServer(req ServerRequest) (Files, error) {
	if !namePattern.MatchString(req.Name) {
		return Files{}, fmt.Errorf("issue a server certificate for %q: %w", req.Name, ErrName)
	}
	owner := Owner{UID: -1, GID: -1}
	if req.Owner != nil {
		owner = *req.Owner
	}
	template := &x509.Certificate{
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost"},
		IPAddresses: loopback(),
	}
	for _, host := range req.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return a.issue(req.Name, owner, template)
}

func loopback() []net.IP { return []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback} }

func (a *Authority) caDir() string { return filepath.Join(a.cfg.Dir, "ca") }

// create builds the authority aside and renames it into place, so that of two processes one wins and neither sees half of it.
func (a *Authority) create() error {
	if err := os.MkdirAll(a.cfg.Dir, 0o700); err != nil {
		return err
	}
	now := a.cfg.Now()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Kontor installation authority"},
		NotBefore:             now.Add(-backdated),
		NotAfter:              now.Add(authorityLifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	cert, err := sign(template, template, key.Public(), key)
	if err != nil {
		return err
	}
	aside, err := os.MkdirTemp(a.cfg.Dir, ".ca-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(aside) }()
	nobody := Owner{UID: -1, GID: -1}
	if err := writeKey(filepath.Join(aside, caKeyName), key, nobody); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(aside, caFileName), certPEM(cert), 0o644, nobody); err != nil {
		return err
	}
	err = os.Rename(aside, a.caDir())
	if errors.Is(err, fs.ErrExist) {
		return nil // another process was first; its authority is the one
	}
	return err
}

func (a *Authority) load() error {
	pair, err := tls.LoadX509KeyPair(a.CAFile(), filepath.Join(a.caDir(), caKeyName))
	if err != nil {
		return err
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return errors.New("its key cannot sign")
	}
	if !pair.Leaf.IsCA {
		return errors.New("its certificate is not an authority's")
	}
	a.cert, a.key = pair.Leaf, key
	return nil
}

func (a *Authority) issue(name string, owner Owner, template *x509.Certificate) (Files, error) {
	if name == "ca" {
		return Files{}, fmt.Errorf("issue a certificate for %q: %w", name, ErrName)
	}
	dir := filepath.Join(a.cfg.Dir, name)
	files := Files{CA: a.CAFile(), Cert: filepath.Join(dir, certFileName), Key: filepath.Join(dir, keyFileName)}
	if a.stillGood(files, template) {
		return files, chown(owner, files.Cert, files.Key)
	}
	if err := a.renew(dir, files, name, owner, template); err != nil {
		return Files{}, fmt.Errorf("issue a certificate for %s: %w", name, err)
	}
	return files, nil
}

// renew writes the key first: whoever reads in between finds a pair that does not match, keeps the old one and comes back.
func (a *Authority) renew(dir string, files Files, name string, owner Owner, template *x509.Certificate) error {
	now := a.cfg.Now()
	template.Subject = pkix.Name{CommonName: name}
	template.NotBefore = now.Add(-backdated)
	template.NotAfter = now.Add(a.cfg.Lifetime)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	cert, err := sign(template, a.cert, key.Public(), a.key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := chown(owner, dir); err != nil {
		return err
	}
	if err := writeKey(files.Key, key, owner); err != nil {
		return err
	}
	return writeFile(files.Cert, certPEM(cert), 0o644, owner)
}

// stillGood reports that the pair on disk matches, comes from this authority, says what is asked for and has a third of its life left.
func (a *Authority) stillGood(files Files, want *x509.Certificate) bool {
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return false
	}
	have := pair.Leaf
	left := have.NotAfter.Sub(a.cfg.Now())
	return have.CheckSignatureFrom(a.cert) == nil &&
		left >= have.NotAfter.Sub(have.NotBefore)/3 &&
		slices.Equal(have.ExtKeyUsage, want.ExtKeyUsage) &&
		slices.Equal(have.DNSNames, want.DNSNames) &&
		slices.EqualFunc(have.IPAddresses, want.IPAddresses, net.IP.Equal)
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial.Add(serial, big.NewInt(1)) // RFC 5280, 4.1.2.2: positive, at most 20 octets
	return x509.CreateCertificate(rand.Reader, template, parent, public, key)
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func writeKey(path string, key crypto.Signer, owner Owner) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writeFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600, owner)
}

// writeFile replaces path in one step; the content is never readable by more people than mode and owner allow.
func writeFile(path string, content []byte, mode fs.FileMode, owner Owner) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Chmod(f.Name(), mode)
	}
	if err == nil {
		err = chown(owner, f.Name())
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func chown(owner Owner, paths ...string) error {
	if owner.UID == -1 && owner.GID == -1 {
		return nil
	}
	for _, path := range paths {
		if err := os.Chown(path, owner.UID, owner.GID); err != nil {
			return err
		}
	}
	return nil
}
