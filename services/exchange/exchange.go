// Package exchange is how documents travel from a company's program to its accounting office's, and how statuses travel back.
package exchange

import (
	"context"
	"errors"
	"time"

	"kontor.internal/libs/blob"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/id"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/rights"
	"kontor.internal/libs/seal"
	"kontor.internal/libs/service"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/exchange/internal/connection"
	"kontor.internal/services/exchange/internal/document"
	"kontor.internal/services/exchange/internal/receipt"
	"kontor.internal/services/exchange/migrations"
)

// Config is what exchange is told.
type Config struct {
	service.Config

	Jobs jobs.Config `koanf:"jobs"`

	BlobURL                  string `koanf:"blob_url" doc:"Object store for documents: file:///folder or s3://bucket?region=…" required:"true"`
	KeyEncryptionKey         string `koanf:"key_encryption_key" doc:"Encrypts the keys that sign receipts where they lie in the database; 32 characters or more." secret:"true" required:"true"`
	KeyEncryptionKeyPrevious string `koanf:"key_encryption_key_previous" doc:"The key-encryption key before this one; opens what it sealed." secret:"true"`
}

// storedClock tells the time as finely as the database keeps it, so that an answer says the same before and after.
type storedClock struct{ clock.Clock }

// Now is whole microseconds.
func (c storedClock) Now() time.Time { return c.Clock.Now().Truncate(time.Microsecond) }

// New wires exchange.
func New(ctx context.Context, cfg Config) (*service.Service, error) {
	sealer, err := seal.New("kontor exchange receipts", cfg.KeyEncryptionKey, cfg.KeyEncryptionKeyPrevious)
	if err != nil {
		return nil, err
	}
	s, err := service.New(ctx, service.Spec{Name: "exchange", Config: cfg.Config, Migrations: migrations.FS})
	if err != nil {
		return nil, err
	}
	if err := serve(ctx, s, cfg, sealer); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func serve(ctx context.Context, s *service.Service, cfg Config, sealer *seal.Sealer) error {
	now := storedClock{s.Clock}
	store, err := blob.Open(ctx, cfg.BlobURL)
	if err != nil {
		return err
	}
	s.OnClose("object store", func(context.Context) error { return store.Close() })
	keys, err := receipt.Open(ctx, s.DB, sealer, now.Now())
	if err != nil {
		return err
	}
	paid := rights.New(licensingv1.NewRightServiceClient(s.Peer("licensing")))
	deps := document.Deps{DB: s.DB, Clock: now, NewID: id.New, Store: store, Rights: paid, Sign: keys, Pages: s.Pages}
	documents := document.NewServer(deps)
	exchangev1.RegisterDocumentCopyServiceServer(s.GRPC(), document.NewCopyServer(deps))
	exchangev1.RegisterDocumentServiceServer(s.GRPC(), documents)
	exchangev1.RegisterKeyServiceServer(s.GRPC(), keys)
	exchangev1.RegisterConnectionServiceServer(s.GRPC(), connection.NewServer(connection.Deps{
		DB: s.DB, Clock: now, NewID: id.New, Rights: paid, Pages: s.Pages, Texts: s.Texts, TryStore: documents.Try,
		Companies: tenancyv1.NewDirectoryServiceClient(s.Peer("tenancy")),
		Ends: connection.Ends{
			Identity: identityv1.NewDirectoryServiceClient(s.Peer("identity")), Access: tenancyv1.NewAccessServiceClient(s.Peer("tenancy")),
		},
	}))
	return startJobs(s, cfg)
}

// startJobs runs the timers that every service has.
func startJobs(s *service.Service, cfg Config) error {
	client, err := jobs.New(cfg.Jobs, jobs.Options{Pool: s.DB, Service: s.Name, Log: s.Log, Periodic: s.Periodic()})
	if err != nil {
		return err
	}
	s.Go("jobs", client.Run)
	return nil
}
