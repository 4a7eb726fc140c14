// Package notification tells people: e-mails that events order, written in the
// reader's language and sent until the mail server takes them.
package notification

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/riverqueue/river"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/events"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/service"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	notificationv1 "kontor.internal/proto/gen/go/kontor/notification/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/notification/internal/letter"
	"kontor.internal/services/notification/migrations"
)

// Config is what notification is told.
type Config struct {
	service.Config
	Jobs jobs.Config       `koanf:"jobs"`
	Mail letter.MailConfig `koanf:"mail"`

	ConsoleURL string `koanf:"console_url" doc:"Base address of the links in letters, https://host, without a slash at its end." required:"true"`
	TimeZone   string `koanf:"time_zone" doc:"Zone that times in letters are told in, an IANA name." default:"Europe/Riga"`
}

// New builds the service.
func New(ctx context.Context, cfg Config) (*service.Service, error) {
	zone, err := time.LoadLocation(cfg.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("notification: time_zone: %w", err)
	}
	composer, err := letter.NewComposer()
	if err != nil {
		return nil, err
	}
	mailer, err := letter.NewMailer(cfg.Mail)
	if err != nil {
		return nil, err
	}
	s, err := service.New(ctx, service.Spec{Name: "notification", Config: cfg.Config, Migrations: migrations.FS})
	if err != nil {
		return nil, err
	}
	console := strings.TrimSuffix(cfg.ConsoleURL, "/")
	workers := river.NewWorkers()
	river.AddWorker(workers, &letter.Worker{
		DB: s.DB, Clock: s.Clock, Real: clock.System{}, Composer: composer, Mailer: mailer,
		Gatherer: &letter.Gatherer{
			Identity: identityv1.NewDirectoryServiceClient(s.Peer("identity")),
			Tenancy:  tenancyv1.NewDirectoryServiceClient(s.Peer("tenancy")),
			Rights:   licensingv1.NewRightServiceClient(s.Peer("licensing")),
			Console:  console, Zone: zone,
		},
	})
	client, err := jobs.New(cfg.Jobs, jobs.Options{
		Pool: s.DB, Service: s.Name, Log: s.Log, Workers: workers, Periodic: s.Periodic(),
	})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.Go("jobs", client.Run)
	desk := letter.Desk{Jobs: client, Clock: s.Clock}
	s.Consume(events.Consumer{Name: "notification-letters", Filters: letter.Filters(), Handle: desk.Take})
	notificationv1.RegisterLetterServiceServer(s.GRPC(), &letter.Server{
		DB: s.DB, Jobs: client, Pages: s.Pages, Clock: s.Clock, Composer: composer,
		Domain: cfg.Mail.Domain, Console: console, Zone: zone,
	})
	return s, nil
}
