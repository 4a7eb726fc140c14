package service

import (
	"crypto/tls"
	"strings"
	"time"

	"kontor.internal/libs/events"
	"kontor.internal/libs/mtls"
	"kontor.internal/libs/postgres"
)

// Config is what every service is told. A service's own Config embeds it.
type Config struct {
	// Listen and the admin address.
	Listen      string `koanf:"listen" doc:"Address that gRPC listens on, host:port; port 0 takes a free one." default:"127.0.0.1:0"`
	AdminListen string `koanf:"admin_listen" doc:"Address of /metrics, /livez and /readyz over plain HTTP; empty for none." default:""`

	CAFile   string `koanf:"ca_file" doc:"PEM of the CA that signs the certificates of all services." required:"true"`
	CertFile string `koanf:"cert_file" doc:"PEM of this service's certificate; its URI name is kontor://service/<name>." required:"true"`
	KeyFile  string `koanf:"key_file" doc:"PEM of this service's private key." required:"true"`

	Postgres postgres.Config `koanf:"postgres"`
	NATS     events.Config   `koanf:"nats"`

	IdentityAddrs     []string `koanf:"identity_addrs" doc:"Addresses of identity's copies, host:port."`
	TenancyAddrs      []string `koanf:"tenancy_addrs" doc:"Addresses of tenancy's copies, host:port."`
	LicensingAddrs    []string `koanf:"licensing_addrs" doc:"Addresses of licensing's copies, host:port."`
	ExchangeAddrs     []string `koanf:"exchange_addrs" doc:"Addresses of exchange's copies, host:port."`
	BackupAddrs       []string `koanf:"backup_addrs" doc:"Addresses of backup's copies, host:port."`
	NotificationAddrs []string `koanf:"notification_addrs" doc:"Addresses of notification's copies, host:port."`

	PageKey string `koanf:"page_key" doc:"Key that signs page tokens, 32 bytes or more; the same for all copies." secret:"true"`

	OTLPEndpoint string `koanf:"otlp_endpoint" doc:"Where traces, metrics and logs are sent, host:port of an OTLP gRPC receiver; empty for nowhere." default:""`
	OTLPInsecure bool   `koanf:"otlp_insecure" doc:"Send to the OTLP receiver without TLS." default:"false"`
	LogLevel     string `koanf:"log_level" doc:"Least level that is logged: debug, info, warn, error." default:"info"`
	LogFormat    string `koanf:"log_format" doc:"Shape of the log on standard error: json or text." default:"json"`

	MaxMessageBytes int           `koanf:"max_message_bytes" doc:"Largest request message taken, in bytes." default:"4194304"`
	Deadline        time.Duration `koanf:"deadline" doc:"Longest time a unary request may take, whatever deadline it comes with." default:"30s"`
	DrainTimeout    time.Duration `koanf:"drain_timeout" doc:"How long a stop waits for requests and work under way." default:"10s"`
	TestClockFile   string        `koanf:"test_clock_file" doc:"File with the offset of business dates; only for tests and demonstrations, empty for the real time." default:""`
}

// TLS names the certificate files.
func (c Config) TLS() mtls.Files {
	return mtls.Files{CA: c.CAFile, Cert: c.CertFile, Key: c.KeyFile}
}

// peers gives the addresses of the other services by name.
func (c Config) peers() map[string][]string {
	return map[string][]string{
		"identity": c.IdentityAddrs, "tenancy": c.TenancyAddrs, "licensing": c.LicensingAddrs,
		"exchange": c.ExchangeAddrs, "backup": c.BackupAddrs, "notification": c.NotificationAddrs,
	}
}

// NATSConfig is how NATS is reached over mutual TLS when its address begins
// with tls://, and nil when it does not.
func NATSConfig(cfg events.Config, files mtls.Files) (*tls.Config, error) {
	if !strings.HasPrefix(cfg.URL, "tls://") {
		return nil, nil //nolint:nilnil // no TLS is an answer.
	}
	return mtls.ClientConfig(files, "nats")
}
