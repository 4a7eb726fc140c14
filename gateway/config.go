package gateway

import (
	"crypto/tls"
	"time"

	"kontor.internal/libs/events"
	"kontor.internal/libs/mtls"
	"kontor.internal/libs/service"
)

// Config is what the gateway is told.
type Config struct {
	HTTPListen  string `koanf:"http_listen" doc:"Address of the public HTTPS listener (REST and JSON), host:port." default:"127.0.0.1:0"`
	GRPCListen  string `koanf:"grpc_listen" doc:"Address of the public native gRPC listener, host:port." default:"127.0.0.1:0"`
	AdminListen string `koanf:"admin_listen" doc:"Address of /metrics, /livez and /readyz over plain HTTP; empty for none." default:""`

	PublicCertFile string `koanf:"public_cert_file" doc:"PEM of the certificate shown to the outside." required:"true"`
	PublicKeyFile  string `koanf:"public_key_file" doc:"PEM of its private key." required:"true"`

	CAFile   string `koanf:"ca_file" doc:"PEM of the CA that signs the certificates of all services." required:"true"`
	CertFile string `koanf:"cert_file" doc:"PEM of the gateway's own certificate; its URI name is kontor://service/gateway." required:"true"`
	KeyFile  string `koanf:"key_file" doc:"PEM of its private key." required:"true"`

	NATS events.Config `koanf:"nats"`

	IdentityAddrs     []string `koanf:"identity_addrs" doc:"Addresses of identity's copies, host:port."`
	TenancyAddrs      []string `koanf:"tenancy_addrs" doc:"Addresses of tenancy's copies, host:port."`
	LicensingAddrs    []string `koanf:"licensing_addrs" doc:"Addresses of licensing's copies, host:port."`
	ExchangeAddrs     []string `koanf:"exchange_addrs" doc:"Addresses of exchange's copies, host:port."`
	BackupAddrs       []string `koanf:"backup_addrs" doc:"Addresses of backup's copies, host:port."`
	NotificationAddrs []string `koanf:"notification_addrs" doc:"Addresses of notification's copies, host:port."`

	RedisURL string `koanf:"redis_url" doc:"Redis that counts requests for the rate limits; empty counts in this copy alone." default:"" secret:"true"`

	SensitivePerMinute int `koanf:"sensitive_per_minute" doc:"Requests a minute from one address to public methods that change something: sign-in, registration, resets." default:"60"`
	PublicPerSecond    int `koanf:"public_per_second" doc:"Requests a second from one address to other public methods." default:"50"`
	AccountPerSecond   int `koanf:"account_per_second" doc:"Requests a second of one account." default:"500"`

	TrustedProxies []string `koanf:"trusted_proxies" doc:"Networks (CIDR) of proxies whose X-Forwarded-For is believed; empty for none."`

	OTLPEndpoint string `koanf:"otlp_endpoint" doc:"Where traces, metrics and logs are sent, host:port of an OTLP gRPC receiver; empty for nowhere." default:""`
	OTLPInsecure bool   `koanf:"otlp_insecure" doc:"Send to the OTLP receiver without TLS." default:"false"`
	LogLevel     string `koanf:"log_level" doc:"Least level that is logged: debug, info, warn, error." default:"info"`
	LogFormat    string `koanf:"log_format" doc:"Shape of the log on standard error: json or text." default:"json"`

	MaxMessageBytes int           `koanf:"max_message_bytes" doc:"Largest request message or JSON body taken, in bytes; uploads stream and have their own limit." default:"4194304"`
	MaxConnections  int           `koanf:"max_connections" doc:"Connections served at once on each public listener; more wait." default:"10000"`
	Deadline        time.Duration `koanf:"deadline" doc:"Longest time a unary request may take." default:"30s"`
	DrainTimeout    time.Duration `koanf:"drain_timeout" doc:"How long a stop waits for requests under way." default:"10s"`
}

func (c Config) tls() mtls.Files {
	return mtls.Files{CA: c.CAFile, Cert: c.CertFile, Key: c.KeyFile}
}

func (c Config) backends() map[string][]string {
	return map[string][]string{
		"identity": c.IdentityAddrs, "tenancy": c.TenancyAddrs, "licensing": c.LicensingAddrs,
		"exchange": c.ExchangeAddrs, "backup": c.BackupAddrs, "notification": c.NotificationAddrs,
	}
}

// natsTLS is nil when the NATS address is not a TLS one.
func (c Config) natsTLS() (*tls.Config, error) { return service.NATSConfig(c.NATS, c.tls()) }
