// Package licensing is what customers may use: the catalogue, contracts, licences, and every answer to why not.
package licensing

import (
	"context"
	"errors"
	"time"
	_ "time/tzdata" // Terms are counted in customers' zones, on machines without zone files too.

	"kontor.internal/libs/events"
	"kontor.internal/libs/id"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/service"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/catalogue"
	"kontor.internal/services/licensing/internal/contract"
	"kontor.internal/services/licensing/internal/entitlement"
	"kontor.internal/services/licensing/internal/keys"
	"kontor.internal/services/licensing/internal/licence"
	"kontor.internal/services/licensing/internal/right"
	"kontor.internal/services/licensing/migrations"
)

// Config is what licensing is told.
type Config struct {
	service.Config

	Jobs jobs.Config `koanf:"jobs"`

	BlobURL                  string        `koanf:"blob_url" doc:"Object store for contracts' documents: file:///folder or s3://bucket?region=…" required:"true"`
	CatalogueFile            string        `koanf:"catalogue_file" doc:"YAML file with products, plans and prices; empty for the one built in." default:""`
	KeyEncryptionKey         string        `koanf:"key_encryption_key" doc:"Encrypts the keys that sign seat tokens where they lie in the database; 32 characters or more." secret:"true" required:"true"`
	KeyEncryptionKeyPrevious string        `koanf:"key_encryption_key_previous" doc:"The key-encryption key before this one, until every copy has started once with the new one." secret:"true"`
	RedisURL                 string        `koanf:"redis_url" doc:"Redis that holds live seats. What it loses, holders bring back." secret:"true" required:"true"`
	TermCheckInterval        time.Duration `koanf:"term_check_interval" doc:"How often licences' starts, ends and reminders are looked for. What one may do does not wait for it." default:"5s"`
}

// New wires licensing.
func New(ctx context.Context, cfg Config) (*service.Service, error) {
	given, err := loadData(cfg)
	if err != nil {
		return nil, err
	}
	s, err := service.New(ctx, service.Spec{Name: "licensing", Config: cfg.Config, Migrations: migrations.FS})
	if err != nil {
		return nil, err
	}
	p, err := newParts(ctx, s, cfg, given)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	licensingv1.RegisterCatalogueServiceServer(s.GRPC(), catalogue.NewServer(catalogue.Deps{Catalogue: p.catalogue, Clock: p.clock, Pages: s.Pages}))
	licensingv1.RegisterLicenceServiceServer(s.GRPC(), licence.NewServer(licence.Deps{
		DB: s.DB, Store: p.licences, Catalogue: p.catalogue, Clock: p.clock, IDs: id.New, Pages: s.Pages,
		Tenancy: p.tenancy, Changed: p.book.Drop,
	}))
	contracts := contract.NewServer(contract.Deps{
		DB: s.DB, Licences: p.licences, Library: p.library, Catalogue: p.catalogue, Clock: p.clock, IDs: id.New, Pages: s.Pages,
		Tenancy: p.tenancy, Objects: p.objects, Changed: p.book.Drop,
	})
	licensingv1.RegisterContractServiceServer(s.GRPC(), contracts)
	rights := entitlement.NewServer(entitlement.Deps{Book: p.book, Texts: p.texts, Clock: p.clock})
	licensingv1.RegisterEntitlementServiceServer(s.GRPC(), rights)
	seats, err := serveSeats(s, cfg, p)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	licensingv1.RegisterRightServiceServer(s.GRPC(), right.NewServer(rights, contracts, seats))
	licensingv1.RegisterKeyServiceServer(s.GRPC(), keys.NewServer(p.ring))

	published, err := serveReleases(ctx, s, p)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}

	timers := &licence.Timers{DB: s.DB, Store: p.licences, Clock: p.clock, Changed: p.book.Drop}
	periodic := append(published.Periodic(cfg.TermCheckInterval), timers.Periodic(cfg.TermCheckInterval), contracts.Periodic(), p.statements.Periodic())
	if err := startJobs(s, cfg, periodic...); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.Go("signing keys", p.ring.Run)
	s.Go("changed facts", func(ctx context.Context) error { return events.Watch(ctx, s.EventDeps(), p.book.Watcher()) })
	return s, nil
}

// startJobs runs timers for as long as the service lives.
func startJobs(s *service.Service, cfg Config, timers ...jobs.Periodic) error {
	client, err := jobs.New(cfg.Jobs, jobs.Options{Pool: s.DB, Service: s.Name, Log: s.Log, Periodic: append(s.Periodic(), timers...)})
	if err != nil {
		return err
	}
	s.Go("jobs", client.Run)
	return nil
}
