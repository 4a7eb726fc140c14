package signingkey

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/id"
	"kontor.internal/libs/postgres"
	"kontor.internal/services/identity/internal/signingkey/signingkeydb"
)

const (
	// fresh is how long keys read from the database are used without looking
	// again; far shorter than a key's lead.
	fresh = 30 * time.Second
	// readLimit bounds the look.
	readLimit = 5 * time.Second
)

// Deps is what a ring is made of.
type Deps struct {
	DB     postgres.TxStarter
	Sealer *Sealer
	Policy Policy
	// Real is the real clock.
	Real clock.Clock
	Log  *slog.Logger
}

// Ring is the keys in use. Every copy reads them anew twice a minute and makes
// the next one when it is due. Safe for concurrent use.
type Ring struct {
	deps Deps

	mu   sync.Mutex
	read time.Time
	keys []ringKey
	set  jwk.Set
	json []byte
}

type ringKey struct {
	Key
	private jwk.Key
}

// NewRing returns a ring that has not looked yet.
func NewRing(d Deps) *Ring { return &Ring{deps: d} }

// Open reads the keys, and makes the first ones. It fails when they were sealed
// with a key-encryption key that is not given.
func (r *Ring) Open(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refresh(ctx)
}

// Keys answers the public keys.
func (r *Ring) Keys(ctx context.Context) (jwk.Set, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.look(ctx)
	return r.set, err
}

// JSON answers the public keys as a JSON Web Key Set.
func (r *Ring) JSON(ctx context.Context) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.look(ctx)
	return r.json, err
}

// Signing answers the private key that signs now.
func (r *Ring) Signing(ctx context.Context) (jwk.Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.look(ctx); err != nil {
		return nil, err
	}
	keys := make([]Key, len(r.keys))
	for i, k := range r.keys {
		keys[i] = k.Key
	}
	return r.keys[Signing(keys, r.deps.Real.Now())].private, nil
}

// look refreshes what is no longer fresh. Keys that were read before stay in
// use while the database does not answer. The lock is held.
func (r *Ring) look(ctx context.Context) error {
	now := r.deps.Real.Now()
	if r.set != nil && now.Sub(r.read) < fresh {
		return nil
	}
	// Others wait for this look; it must not end because one caller went away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readLimit)
	defer cancel()
	err := r.refresh(ctx)
	if err != nil && r.set != nil {
		r.deps.Log.WarnContext(ctx, "signing keys can't be read; the known ones stay in use", "err", err)
		r.read = now
		return nil
	}
	return err
}

func (r *Ring) refresh(ctx context.Context) error {
	var rows []signingkeydb.SigningKey
	err := postgres.InTx(ctx, r.deps.DB, func(tx pgx.Tx) (err error) {
		rows, err = r.turn(ctx, signingkeydb.New(tx))
		return err
	})
	if err != nil {
		return postgres.Constraints(nil).Translate(err)
	}
	keys := make([]ringKey, 0, len(rows))
	set := jwk.NewSet()
	for _, row := range rows {
		key, err := r.open(row)
		if err != nil {
			return err
		}
		public, err := key.private.PublicKey()
		if err != nil {
			return fmt.Errorf("signingkey: %w", err)
		}
		if err := set.AddKey(public); err != nil {
			return fmt.Errorf("signingkey: %w", err)
		}
		keys = append(keys, key)
	}
	text, err := json.Marshal(set)
	if err != nil {
		return fmt.Errorf("signingkey: %w", err)
	}
	r.keys, r.set, r.json, r.read = keys, set, text, r.deps.Real.Now()
	return nil
}

// turn does what the policy asks and answers the keys as they are then.
func (r *Ring) turn(ctx context.Context, q *signingkeydb.Queries) ([]signingkeydb.SigningKey, error) {
	rows, err := q.ListKeys(ctx)
	if err != nil {
		return nil, err
	}
	if start, over := r.deps.Policy.Plan(keysOf(rows), r.deps.Real.Now()); start.IsZero() && len(over) == 0 && r.sealed(rows) {
		return rows, nil
	}
	if err := q.LockRing(ctx); err != nil {
		return nil, err
	}
	// Another copy may have done it meanwhile.
	if rows, err = q.ListKeys(ctx); err != nil {
		return nil, err
	}
	start, over := r.deps.Policy.Plan(keysOf(rows), r.deps.Real.Now())
	for _, keyID := range over {
		if err := q.DeleteKey(ctx, keyID); err != nil {
			return nil, err
		}
	}
	if !start.IsZero() {
		if err := r.create(ctx, q, start); err != nil {
			return nil, err
		}
	}
	if err := r.reseal(ctx, q, rows); err != nil {
		return nil, err
	}
	return q.ListKeys(ctx)
}

func (r *Ring) create(ctx context.Context, q *signingkeydb.Queries, start time.Time) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	keyID := id.NewString()
	sealed, err := r.deps.Sealer.Seal(keyID, private.Seed())
	if err != nil {
		return err
	}
	r.deps.Log.InfoContext(ctx, "signing key made", "key", keyID, "start", start)
	return q.InsertKey(ctx, signingkeydb.InsertKeyParams{
		ID: keyID, PublicKey: public, SealedKey: sealed, SealedWith: r.deps.Sealer.Current(),
		CreateTime: r.deps.Real.Now(), StartTime: start,
	})
}

func (r *Ring) sealed(rows []signingkeydb.SigningKey) bool {
	for _, row := range rows {
		if row.SealedWith != r.deps.Sealer.Current() {
			return false
		}
	}
	return true
}

// reseal moves keys to the key-encryption key of today.
func (r *Ring) reseal(ctx context.Context, q *signingkeydb.Queries, rows []signingkeydb.SigningKey) error {
	for _, row := range rows {
		if row.SealedWith == r.deps.Sealer.Current() {
			continue
		}
		private, err := r.deps.Sealer.Open(row.ID, row.SealedWith, row.SealedKey)
		if err != nil {
			return err
		}
		sealed, err := r.deps.Sealer.Seal(row.ID, private)
		if err != nil {
			return err
		}
		err = q.ResealKey(ctx, signingkeydb.ResealKeyParams{ID: row.ID, SealedKey: sealed, SealedWith: r.deps.Sealer.Current()})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Ring) open(row signingkeydb.SigningKey) (ringKey, error) {
	seed, err := r.deps.Sealer.Open(row.ID, row.SealedWith, row.SealedKey)
	if err != nil {
		return ringKey{}, err
	}
	if len(seed) != ed25519.SeedSize {
		return ringKey{}, fmt.Errorf("signingkey: key %s has %d bytes", row.ID, len(seed))
	}
	key, err := jwk.Import(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		return ringKey{}, fmt.Errorf("signingkey: %w", err)
	}
	for name, value := range map[string]any{
		jwk.KeyIDKey: row.ID, jwk.AlgorithmKey: jwa.EdDSA(), jwk.KeyUsageKey: jwk.ForSignature,
	} {
		if err := key.Set(name, value); err != nil {
			return ringKey{}, fmt.Errorf("signingkey: %w", err)
		}
	}
	return ringKey{Key: Key{ID: row.ID, Start: row.StartTime}, private: key}, nil
}

func keysOf(rows []signingkeydb.SigningKey) []Key {
	keys := make([]Key, 0, len(rows))
	for _, row := range rows {
		keys = append(keys, Key{ID: row.ID, Start: row.StartTime})
	}
	return keys
}
