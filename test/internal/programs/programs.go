// Package programs lists what an installation runs, with the settings that each
// takes, for checks that go over all of them.
package programs

import (
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

// Program is one service, or the gateway.
type Program struct {
	Name string
	// Keys are its settings.
	Keys []config.Key
	// Load reads its settings from an environment, as its main function does.
	Load func(environ []string) error
}

// All are the programs there are.
func All() []Program {
	return []Program{
		of[identity.Config]("identity"),
		of[tenancy.Config]("tenancy"),
		of[licensing.Config]("licensing"),
		of[exchange.Config]("exchange"),
		of[backup.Config]("backup"),
		of[notification.Config]("notification"),
		of[gateway.Config]("gateway"),
	}
}

func of[C any](name string) Program {
	var described C
	return Program{
		Name: name,
		Keys: config.Describe(described),
		Load: func(environ []string) error {
			var cfg C
			return config.Load(&cfg, config.Options{Environ: environ, Service: name, Others: service.Programs()})
		},
	}
}
