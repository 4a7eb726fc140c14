package licensing

import (
	"context"
	"time"

	"kontor.internal/libs/blob"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/seal"
	"kontor.internal/libs/service"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/licensing/internal/catalogue"
	"kontor.internal/services/licensing/internal/contract"
	"kontor.internal/services/licensing/internal/entitlement"
	"kontor.internal/services/licensing/internal/keys"
	"kontor.internal/services/licensing/internal/licence"
	"kontor.internal/services/licensing/internal/seatreport"
)

// data is what can be wrong before anything is opened.
type data struct {
	catalogue *catalogue.Catalogue
	texts     *entitlement.Texts
	advice    seatreport.Texts
	library   contract.Library
	sealer    *seal.Sealer
	links     *seal.Sealer
}

func loadData(cfg Config) (d data, err error) {
	if d.catalogue, err = catalogue.Load(cfg.CatalogueFile); err != nil {
		return d, err
	}
	if d.texts, err = entitlement.LoadTexts(d.catalogue); err != nil {
		return d, err
	}
	if d.advice, err = seatreport.LoadTexts(); err != nil {
		return d, err
	}
	if d.library, err = contract.LoadLibrary(); err != nil {
		return d, err
	}
	if d.links, err = seal.New("kontor links to kits", cfg.KeyEncryptionKey, cfg.KeyEncryptionKeyPrevious); err != nil {
		return d, err
	}
	d.sealer, err = seal.New("kontor licensing signing keys", cfg.KeyEncryptionKey, cfg.KeyEncryptionKeyPrevious)
	return d, err
}

// parts are what the concepts share.
type parts struct {
	data
	clock    clock.Clock
	licences *licence.Store
	book     *entitlement.Book
	ring     *keys.Ring
	// statements makes the statements of seats.
	statements *seatreport.Maker
	objects    *blob.Bucket
	tenancy    tenancyv1.DirectoryServiceClient
}

// storedClock tells instants as the database keeps them, so that an answer says the same when it is read again.
type storedClock struct{ clock.Clock }

// Now is the instant in whole microseconds.
func (c storedClock) Now() time.Time { return c.Clock.Now().Truncate(time.Microsecond) }

func newParts(ctx context.Context, s *service.Service, cfg Config, given data) (p parts, err error) {
	p = parts{data: given, clock: storedClock{s.Clock}, licences: licence.NewStore(), tenancy: tenancyv1.NewDirectoryServiceClient(s.Peer("tenancy"))}
	p.book = entitlement.NewBook(entitlement.BookDeps{
		DB: s.DB, Licences: p.licences, Catalogue: p.catalogue, Clock: p.clock, Real: clock.System{},
	})
	if p.ring, err = openRing(ctx, s, p.sealer); err != nil {
		return p, err
	}
	p.statements = &seatreport.Maker{DB: s.DB, Licences: p.licences, Signer: p.ring, Real: clock.System{}}
	p.objects, err = openObjects(ctx, s, cfg.BlobURL)
	return p, err
}

// openRing opens the signing keys.
func openRing(ctx context.Context, s *service.Service, sealer *seal.Sealer) (*keys.Ring, error) {
	return keys.Open(ctx, keys.Deps{DB: s.DB, Sealer: sealer, Policy: keys.DefaultPolicy(), Real: clock.System{}, Log: s.Log})
}

// openObjects opens the object store for as long as the service lives.
func openObjects(ctx context.Context, s *service.Service, address string) (*blob.Bucket, error) {
	objects, err := blob.Open(ctx, address)
	if err != nil {
		return nil, err
	}
	s.OnClose("object store", func(context.Context) error { return objects.Close() })
	return objects, nil
}
