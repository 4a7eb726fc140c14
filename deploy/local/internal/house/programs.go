package house

import (
	"context"
	"fmt"
	"strings"

	"kontor.internal/gateway"
	"kontor.internal/libs/config"
	"kontor.internal/libs/service"
	"kontor.internal/services/backup"
	"kontor.internal/services/exchange"
	"kontor.internal/services/identity"
	"kontor.internal/services/licensing"
	"kontor.internal/services/notification"
	"kontor.internal/services/tenancy"
)

// program is one service, or the gateway.
type program struct {
	name string
	// database says that it has one of its own.
	database bool
	// settings are its own keys, beside those that every service has.
	settings func(h *House) map[string]string
	// run loads the settings from an environment, builds it and serves until
	// ctx ends. Ready is called when it is built.
	run func(ctx context.Context, environ []string, ready func()) error
}

// Programs are all there are, by name, each as it runs in this process or, as
// a child, in one of its own.
func programs() []program {
	return []program{
		{name: "identity", database: true, run: in("identity", identity.New), settings: identitySettings},
		{name: "tenancy", database: true, run: in("tenancy", tenancy.New), settings: tenancySettings},
		{name: "licensing", database: true, run: in("licensing", licensing.New), settings: licensingSettings},
		{name: "exchange", database: true, run: in("exchange", exchange.New), settings: exchangeSettings},
		{name: "backup", database: true, run: in("backup", backup.New), settings: backupSettings},
		{name: "notification", database: true, run: in("notification", notification.New), settings: notificationSettings},
		{name: "gateway", run: in("gateway", gateway.New), settings: gatewaySettings},
	}
}

// in makes a program of its constructor. Settings come from an environment,
// the same way as in a container.
func in[C any, R service.Runner](name string, build func(ctx context.Context, cfg C) (R, error)) func(context.Context, []string, func()) error {
	return func(ctx context.Context, environ []string, ready func()) error {
		var cfg C
		if err := config.Load(&cfg, config.Options{Environ: environ, Service: name, Others: service.Programs()}); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		runner, err := build(ctx, cfg)
		if err != nil {
			return err
		}
		ready()
		return runner.Run(ctx)
	}
}

// common are the keys that every service has.
func (h *House) common(p program, copyNumber int) (map[string]string, error) {
	files, err := h.authority.Issue(p.name)
	if err != nil {
		return nil, err
	}
	settings := map[string]string{
		"ca_file": files.CA, "cert_file": files.Cert, "key_file": files.Key,
		"nats_url": h.stores.nats.URL(), "nats_token": h.secret("nats"),
		"log_level": h.options.LogLevel, "log_format": "text", "otlp_endpoint": h.options.OTLPEndpoint,
		"admin_listen": h.admin(p.name, copyNumber), "drain_timeout": "3s",
	}
	for name, addrs := range h.addresses {
		settings[name+"_addrs"] = strings.Join(addrs, ",")
	}
	if p.database {
		settings["listen"] = h.addresses[p.name][copyNumber]
		settings["postgres_dsn"] = h.databaseURL(p.name)
		settings["page_key"] = h.secret("page-key")
		if h.options.TestClock {
			settings["test_clock_file"] = h.clockFile()
		}
	}
	return settings, nil
}

// environ is the environment of one copy of a program.
func (h *House) environ(p program, copyNumber int) ([]string, error) {
	settings, err := h.common(p, copyNumber)
	if err != nil {
		return nil, err
	}
	for key, value := range p.settings(h) {
		settings[key] = value
	}
	var environ []string
	for key, value := range settings {
		environ = append(environ, config.DefaultPrefix+strings.ToUpper(key)+"="+value)
	}
	return environ, nil
}
