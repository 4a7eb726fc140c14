// Package identity is who you are: accounts, passwords, sessions, and the keys
// that everybody checks tokens with.
package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kontor.internal/libs/authn"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/id"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/seal"
	"kontor.internal/libs/service"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/identity/internal/account"
	"kontor.internal/services/identity/internal/attempt"
	"kontor.internal/services/identity/internal/directory"
	"kontor.internal/services/identity/internal/link"
	"kontor.internal/services/identity/internal/password"
	"kontor.internal/services/identity/internal/session"
	"kontor.internal/services/identity/internal/signingkey"
	"kontor.internal/services/identity/migrations"
)

// Config is what identity is told.
type Config struct {
	service.Config
	Jobs   jobs.Config     `koanf:"jobs"`
	Argon2 password.Config `koanf:"argon2"`

	KeyEncryptionKey         string `koanf:"key_encryption_key" doc:"Encrypts the keys that sign access tokens where they lie in the database; 32 characters or more." secret:"true" required:"true"`
	KeyEncryptionKeyPrevious string `koanf:"key_encryption_key_previous" doc:"The key-encryption key before this one, until every copy has started once with the new one." secret:"true"`
	TokenKey                 string `koanf:"token_key" doc:"Derives the secrets of links in letters and of refresh tokens; 32 characters or more, the same for all copies." secret:"true" required:"true"`
	TokenKeyPrevious         string `koanf:"token_key_previous" doc:"The token key before this one; links and sessions made with it still work." secret:"true"`

	SigningKeyLife time.Duration `koanf:"signing_key_life" doc:"How long a key signs access tokens before the next one does." default:"720h"`
	SigningKeyLead time.Duration `koanf:"signing_key_lead" doc:"How long a key is published before it signs; at least 10 minutes." default:"1h"`
	LetterPause    time.Duration `koanf:"letter_pause" doc:"Least time between two letters of one kind that visitors make us write to one account." default:"1m"`
}

// minLead is twice the time that others keep published keys.
const minLead = 10 * time.Minute

// New builds the service.
func New(ctx context.Context, cfg Config) (*service.Service, error) {
	k, err := newKeys(cfg)
	if err != nil {
		return nil, err
	}
	var p *parts
	s, err := service.New(ctx, service.Spec{
		Name: "identity", Config: cfg.Config, Migrations: migrations.FS,
		// The guard asks for these once the database is open, before anything is served.
		Keys: func(s *service.Service) authn.KeySource {
			p = newParts(s, cfg, k)
			return p.ring
		},
		Sessions: func(s *service.Service) func(context.Context, string) (bool, error) {
			return func(ctx context.Context, name string) (bool, error) {
				return directory.Alive(ctx, s.DB, p.sessions, name)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	if err := p.start(ctx, s, cfg); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	p.register(s)
	return s, nil
}

// keys are what identity's secrets are turned into.
type keys struct {
	sealer *signingkey.Sealer
	signer *link.Signer
	tokens *session.Tokens
	hasher *password.Hasher
}

// newKeys refuses settings that can't work before anything is opened.
func newKeys(cfg Config) (k keys, err error) {
	if cfg.SigningKeyLead < minLead || cfg.SigningKeyLife < 2*cfg.SigningKeyLead {
		return k, fmt.Errorf("identity: signing_key_lead is %v or more, signing_key_life twice that or more", minLead)
	}
	if k.sealer, err = signingkey.NewSealer(cfg.KeyEncryptionKey, cfg.KeyEncryptionKeyPrevious); err != nil {
		return k, err
	}
	linkKeys, err := seal.Keys("kontor identity links", cfg.TokenKey, cfg.TokenKeyPrevious)
	if err != nil {
		return k, err
	}
	if k.signer, err = link.NewSigner(linkKeys...); err != nil {
		return k, err
	}
	refreshKeys, err := seal.Keys("kontor identity refresh tokens", cfg.TokenKey, cfg.TokenKeyPrevious)
	if err != nil {
		return k, err
	}
	if k.tokens, err = session.NewTokens(refreshKeys...); err != nil {
		return k, err
	}
	k.hasher, err = password.NewHasher(cfg.Argon2)
	return k, err
}

// parts are what identity's servers share.
type parts struct {
	keys
	ring     *signingkey.Ring
	sessions *session.Store
	attempts *attempt.Store
	links    *link.Store
	registry *account.Registry
}

func newParts(s *service.Service, cfg Config, k keys) *parts {
	real := clock.System{}
	links := link.NewStore(id.New)
	return &parts{
		keys: k, links: links,
		ring: signingkey.NewRing(signingkey.Deps{
			DB: s.DB, Sealer: k.sealer, Real: real, Log: s.Log,
			Policy: signingkey.Policy{Life: cfg.SigningKeyLife, Lead: cfg.SigningKeyLead},
		}),
		sessions: &session.Store{Real: real, Clock: s.Clock},
		attempts: attempt.NewStore(s.DB, real),
		registry: account.NewRegistry(account.RegistryDeps{
			Links: links, NewID: id.New, Clock: s.Clock, Real: real, LetterPause: cfg.LetterPause,
		}),
	}
}

// start opens the signing keys and sets the timers.
func (p *parts) start(ctx context.Context, s *service.Service, cfg Config) error {
	if err := p.ring.Open(ctx); err != nil {
		return err
	}
	client, err := jobs.New(cfg.Jobs, jobs.Options{
		Pool: s.DB, Service: s.Name, Log: s.Log, Periodic: append(s.Periodic(), jobs.Periodic{
			Name: "purge-identity", Every: time.Hour, Run: func(ctx context.Context) error { return p.purge(ctx, s) },
		}),
	})
	if err != nil {
		return err
	}
	s.Go("jobs", client.Run)
	return nil
}

// keptLinks is how long a link is remembered after it ended, to say so to who follows it late.
const keptLinks = 90 * 24 * time.Hour

// purge forgets what is over.
func (p *parts) purge(ctx context.Context, s *service.Service) error {
	return errors.Join(
		p.sessions.Purge(ctx, s.DB),
		p.attempts.Purge(ctx),
		p.links.Purge(ctx, s.DB, s.Clock.Now().Add(-keptLinks)),
	)
}

func (p *parts) register(s *service.Service) {
	tenancy := tenancyv1.NewDirectoryServiceClient(s.Peer("tenancy"))
	identityv1.RegisterKeyServiceServer(s.GRPC(), signingkey.NewServer(p.ring))
	identityv1.RegisterAccountServiceServer(s.GRPC(), account.NewServer(account.Deps{
		DB: s.DB, Registry: p.registry, Signer: p.signer, Hasher: p.hasher, Attempts: p.attempts,
		Sessions: p.sessions, Tenancy: tenancy, Pages: s.Pages, Texts: s.Texts,
	}))
	identityv1.RegisterSessionServiceServer(s.GRPC(), session.NewServer(session.Deps{
		DB: s.DB, Store: p.sessions, Tokens: p.tokens, Keys: p.ring, Hasher: p.hasher, Attempts: p.attempts,
		Rights: s.Authorizer(), Tenancy: tenancy, Pages: s.Pages, NewID: id.New,
	}))
	identityv1.RegisterDirectoryServiceServer(s.GRPC(), directory.NewServer(directory.Deps{
		DB: s.DB, Registry: p.registry, Signer: p.signer, Sessions: p.sessions,
	}))
}
