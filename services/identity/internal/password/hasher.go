package password

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"runtime"
	"time"

	"github.com/alexedwards/argon2id"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// Config is how much work a hash takes. The defaults are OWASP's least for
// Argon2id (Password Storage Cheat Sheet).
type Config struct {
	MemoryKiB   uint32 `koanf:"memory_kib" doc:"Memory that one Argon2id hash takes, in KiB." default:"19456"`
	Iterations  uint32 `koanf:"iterations" doc:"Passes of Argon2id over its memory." default:"2"`
	Parallelism uint8  `koanf:"parallelism" doc:"Lanes of Argon2id." default:"1"`
	AtOnce      int    `koanf:"at_once" doc:"Hashes that one copy computes at once; 0 means as many as it has processors." default:"0"`
}

// queueLimit is how long a password waits for its turn to be hashed.
const queueLimit = 5 * time.Second

// Hasher computes and compares Argon2id hashes, a few at a time: each takes
// memory and a processor, and everybody on the network may ask for one.
type Hasher struct {
	params *argon2id.Params
	turns  chan struct{}
	decoy  string
}

// NewHasher returns a hasher with these parameters.
func NewHasher(cfg Config) (*Hasher, error) {
	if cfg.MemoryKiB < 8 || cfg.Iterations < 1 || cfg.Parallelism < 1 || cfg.AtOnce < 0 {
		return nil, fmt.Errorf("password: Argon2id needs memory of 8 KiB or more, one pass and one lane")
	}
	if cfg.AtOnce == 0 {
		cfg.AtOnce = runtime.GOMAXPROCS(0)
	}
	h := &Hasher{
		params: &argon2id.Params{
			Memory: cfg.MemoryKiB, Iterations: cfg.Iterations, Parallelism: cfg.Parallelism, SaltLength: 16, KeyLength: 32,
		},
		turns: make(chan struct{}, cfg.AtOnce),
	}
	var random [32]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	var err error
	h.decoy, err = argon2id.CreateHash(base64.StdEncoding.EncodeToString(random[:]), h.params)
	return h, err
}

// Hash turns a password into a hash in PHC form, with its salt and parameters.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if err := h.wait(ctx); err != nil {
		return "", err
	}
	defer h.done()
	return argon2id.CreateHash(password, h.params)
}

// Matches says whether a password is the hash's, and whether the hash was made
// with other parameters than today's. An empty hash stands for an account that
// does not exist: it matches nothing and takes as long.
func (h *Hasher) Matches(ctx context.Context, password, hash string) (matches, outdated bool, err error) {
	if err := h.wait(ctx); err != nil {
		return false, false, err
	}
	defer h.done()
	if hash == "" {
		_, _, err := argon2id.CheckHash(password, h.decoy)
		return false, false, err
	}
	matches, used, err := argon2id.CheckHash(password, hash)
	if err != nil {
		return false, false, fmt.Errorf("password: stored hash: %w", err)
	}
	return matches, *used != *h.params, nil
}

func (h *Hasher) wait(ctx context.Context) error {
	timer := time.NewTimer(queueLimit)
	defer timer.Stop()
	select {
	case h.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", "identity").WithRetry(time.Second)
	}
}

func (h *Hasher) done() { <-h.turns }
