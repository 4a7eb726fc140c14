package keys

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/id"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/seal"
	"kontor.internal/services/licensing/internal/keys/keysdb"
)

// refreshEvery is how often each copy reads the keys anew; far shorter than a key's lead.
const refreshEvery = time.Minute

// Deps are what a Ring needs.
type Deps struct {
	DB     *pgxpool.Pool
	Sealer *seal.Sealer
	Policy Policy
	// Real is the real clock.
	Real clock.Clock
	Log  *slog.Logger
}

// Ring is the keys in use, in memory: signing asks no database. Safe for concurrent use.
type Ring struct {
	deps Deps

	mu      sync.RWMutex
	windows []Window
	private []jwk.Key
	jwks    []byte
	public  jwk.Set // the same keys; replaced, never changed
}

// Open reads the keys, makes the first one when there is none, and fails when they can't be opened.
func Open(ctx context.Context, deps Deps) (*Ring, error) {
	r := &Ring{deps: deps}
	return r, r.Refresh(ctx)
}

// Run reads the keys anew every minute until ctx ends. While the database does not answer, the known ones stay in use.
func (r *Ring) Run(ctx context.Context) error {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := r.Refresh(ctx); err != nil && ctx.Err() == nil {
			r.deps.Log.WarnContext(ctx, "signing keys can't be read; the known ones stay in use", "err", err)
		}
	}
}

// Signing is the private key that signs now, with its kid and algorithm.
func (r *Ring) Signing() (jwk.Key, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	i := Signing(r.windows, r.deps.Real.Now())
	if i < 0 {
		return nil, errors.New("keys: no key signs now")
	}
	return r.private[i], nil
}

// JWKS is the public keys as a JSON Web Key Set (RFC 7517).
func (r *Ring) JWKS() []byte {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.jwks
}

// Public is the public keys, for whoever checks tokens in this service. It is not to be changed.
func (r *Ring) Public() (jwk.Set, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.public, nil
}

// Refresh reads the keys and makes the one that is due.
func (r *Ring) Refresh(ctx context.Context) error {
	var rows []keysdb.SigningKey
	err := postgres.InTx(ctx, r.deps.DB, func(tx pgx.Tx) (err error) {
		rows, err = r.turn(ctx, keysdb.New(tx))
		return err
	})
	if err != nil {
		return postgres.Constraints(nil).Translate(err)
	}
	private := make([]jwk.Key, 0, len(rows))
	set := jwk.NewSet()
	for _, row := range rows {
		key, err := r.open(row)
		if err != nil {
			return err
		}
		public, err := key.PublicKey()
		if err != nil {
			return fmt.Errorf("keys: %w", err)
		}
		if err := set.AddKey(public); err != nil {
			return fmt.Errorf("keys: %w", err)
		}
		private = append(private, key)
	}
	jwks, err := json.Marshal(set)
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.windows, r.private, r.jwks, r.public = windowsOf(rows), private, jwks, set
	return nil
}

// turn makes the key that is due, once among all copies, and answers the keys as they are then.
func (r *Ring) turn(ctx context.Context, q *keysdb.Queries) ([]keysdb.SigningKey, error) {
	now := r.deps.Real.Now()
	rows, err := q.ListKeys(ctx, now)
	if err != nil {
		return nil, err
	}
	if _, due := r.deps.Policy.Next(windowsOf(rows), now); !due && r.allCurrent(rows) {
		return rows, nil
	}
	if err := q.LockKeys(ctx); err != nil {
		return nil, err
	}
	if rows, err = q.ListKeys(ctx, now); err != nil { // Another copy may have made it meanwhile.
		return nil, err
	}
	if window, due := r.deps.Policy.Next(windowsOf(rows), now); due {
		if err := r.make(ctx, q, window, now); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(r.reseal(ctx, q, rows), q.DeleteOldKeys(ctx, now)); err != nil {
		return nil, err
	}
	return q.ListKeys(ctx, now)
}

func (r *Ring) make(ctx context.Context, q *keysdb.Queries, w Window, now time.Time) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	keyID := id.NewString()
	sealed, err := r.deps.Sealer.Seal(keyID, private.Seed())
	if err != nil {
		return err
	}
	r.deps.Log.InfoContext(ctx, "signing key made", "key", keyID, "from", w.From)
	return q.InsertKey(ctx, keysdb.InsertKeyParams{
		ID: keyID, Public: public, Sealed: sealed, SignFrom: w.From, SignUntil: w.Until, PublishUntil: w.Published, Created: now,
	})
}

func (r *Ring) allCurrent(rows []keysdb.SigningKey) bool {
	for _, row := range rows {
		if _, old, err := r.deps.Sealer.Open(row.ID, row.Sealed); err != nil || old {
			return false
		}
	}
	return true
}

// reseal moves keys to the key-encryption key of today.
func (r *Ring) reseal(ctx context.Context, q *keysdb.Queries, rows []keysdb.SigningKey) error {
	for _, row := range rows {
		private, old, err := r.deps.Sealer.Open(row.ID, row.Sealed)
		if err != nil {
			return err
		}
		if !old {
			continue
		}
		sealed, err := r.deps.Sealer.Seal(row.ID, private)
		if err != nil {
			return err
		}
		if err := q.ResealKey(ctx, keysdb.ResealKeyParams{ID: row.ID, Sealed: sealed}); err != nil {
			return err
		}
	}
	return nil
}

func (r *Ring) open(row keysdb.SigningKey) (jwk.Key, error) {
	seed, _, err := r.deps.Sealer.Open(row.ID, row.Sealed)
	if err != nil {
		return nil, err
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("keys: key %s has %d bytes", row.ID, len(seed))
	}
	key, err := jwk.Import(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	for name, value := range map[string]any{
		jwk.KeyIDKey: row.ID, jwk.AlgorithmKey: jwa.EdDSA(), jwk.KeyUsageKey: jwk.ForSignature,
	} {
		if err := key.Set(name, value); err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
	}
	return key, nil
}

func windowsOf(rows []keysdb.SigningKey) []Window {
	windows := make([]Window, 0, len(rows))
	for _, row := range rows {
		windows = append(windows, Window{From: row.SignFrom, Until: row.SignUntil, Published: row.PublishUntil})
	}
	return windows
}
