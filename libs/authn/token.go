// Package authn checks access tokens and knows which sessions were ended
// before their time.
//
// An access token is a JSON Web Token (RFC 7519) signed with Ed25519. It lives
// five minutes and says who calls: account, session, chosen company. It says
// nothing of rights.
package authn

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

const (
	// Issuer of every access token.
	Issuer = "kontor-identity"
	// Audience of every access token.
	Audience = "kontor"
	// Lifetime of an access token.
	Lifetime = 5 * time.Minute
	// leeway is how far apart the clocks of two machines may be.
	leeway = 5 * time.Second

	claimSession = "sid"
	claimCompany = "cmp"
	claimKind    = "knd"
	// purpose keeps tokens of one kind from being taken for another's.
	claimPurpose  = "use"
	purposeAccess = "access"
)

// Claims are what an access token says.
type Claims struct {
	// Account is `accounts/A`.
	Account string
	// Session is `accounts/A/sessions/N`.
	Session string
	// Company is the chosen company, `subscribers/S/companies/C`; may be empty.
	Company string
	// Kind of the account.
	Kind caller.Kind
	// Expires is when the token ends, in real time.
	Expires time.Time
}

// KeySource gives the public keys that tokens are checked with.
type KeySource interface {
	Keys(ctx context.Context) (jwk.Set, error)
}

// Refresher is a KeySource that can look for keys it does not have yet.
type Refresher interface {
	Refresh(ctx context.Context) (jwk.Set, error)
}

// SignAccess signs an access token. The key is a private Ed25519 key with its
// key id; now is real time, for tokens do not follow the suite's clock.
func SignAccess(key jwk.Key, c Claims, now time.Time) (string, error) {
	token, err := jwt.NewBuilder().
		Issuer(Issuer).Audience([]string{Audience}).Subject(c.Account).
		IssuedAt(now).NotBefore(now.Add(-leeway)).Expiration(c.Expires).
		Claim(claimSession, c.Session).Claim(claimCompany, c.Company).
		Claim(claimKind, string(c.Kind)).Claim(claimPurpose, purposeAccess).
		Build()
	if err != nil {
		return "", fmt.Errorf("authn: build token: %w", err)
	}
	signed, err := jwt.Sign(token, jwt.WithKey(jwa.EdDSA(), key))
	if err != nil {
		return "", fmt.Errorf("authn: sign token: %w", err)
	}
	return string(signed), nil
}

// Verifier checks access tokens. A token found good is remembered until it
// expires, so that the next request with it costs a hash. Safe for concurrent use.
type Verifier struct {
	keys KeySource

	mu   sync.RWMutex
	good map[[sha256.Size]byte]Claims
}

// maxRemembered bounds the memory of good tokens; past it the expired are
// dropped, and all of them when that does not help.
const maxRemembered = 100_000

// maxTokenBytes is far above what Kontor issues.
const maxTokenBytes = 4096

// NewVerifier returns a verifier that trusts the keys of a source.
func NewVerifier(keys KeySource) *Verifier {
	return &Verifier{keys: keys, good: map[[sha256.Size]byte]Claims{}}
}

// Verify answers what a token says, or TOKEN_INVALID or TOKEN_EXPIRED.
func (v *Verifier) Verify(ctx context.Context, token string, now time.Time) (Claims, error) {
	if len(token) > maxTokenBytes {
		return Claims{}, failure.New(commonv1.Reason_REASON_TOKEN_INVALID)
	}
	sum := sha256.Sum256([]byte(token))
	v.mu.RLock()
	known, ok := v.good[sum]
	v.mu.RUnlock()
	if ok {
		if now.After(known.Expires.Add(leeway)) {
			return Claims{}, failure.New(commonv1.Reason_REASON_TOKEN_EXPIRED)
		}
		return known, nil
	}
	claims, err := v.check(ctx, token, now)
	if err != nil {
		return Claims{}, err
	}
	v.remember(sum, claims, now)
	return claims, nil
}

func (v *Verifier) check(ctx context.Context, token string, now time.Time) (Claims, error) {
	set, err := v.keySet(ctx, token)
	if err != nil {
		return Claims{}, err
	}
	parsed, err := jwt.Parse([]byte(token),
		jwt.WithKeySet(set), jwt.WithIssuer(Issuer), jwt.WithAudience(Audience),
		jwt.WithClock(jwt.ClockFunc(func() time.Time { return now })), jwt.WithAcceptableSkew(leeway),
		jwt.WithRequiredClaim("exp"), jwt.WithClaimValue(claimPurpose, purposeAccess),
	)
	if errors.Is(err, jwt.TokenExpiredError()) {
		return Claims{}, failure.New(commonv1.Reason_REASON_TOKEN_EXPIRED)
	}
	if err != nil {
		return Claims{}, failure.New(commonv1.Reason_REASON_TOKEN_INVALID).Wrap(err)
	}
	return readClaims(parsed), nil
}

// keySet finds the set that has the token's key, looking again for a key that
// is not known yet: identity publishes a new key before it signs with it, but
// this copy may have been cut off meanwhile.
func (v *Verifier) keySet(ctx context.Context, token string) (jwk.Set, error) {
	message, err := jws.Parse([]byte(token))
	if err != nil || len(message.Signatures()) != 1 {
		return nil, failure.New(commonv1.Reason_REASON_TOKEN_INVALID).Wrap(err)
	}
	id, ok := message.Signatures()[0].ProtectedHeaders().KeyID()
	if !ok {
		return nil, failure.New(commonv1.Reason_REASON_TOKEN_INVALID)
	}
	set, err := v.keys.Keys(ctx)
	if err != nil {
		return nil, failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", "identity").Wrap(err)
	}
	if _, found := set.LookupKeyID(id); found {
		return set, nil
	}
	if again, ok := v.keys.(Refresher); ok {
		if set, err = again.Refresh(ctx); err != nil {
			return nil, failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", "identity").Wrap(err)
		}
	}
	return set, nil
}

func readClaims(token jwt.Token) Claims {
	account, _ := token.Subject()
	expires, _ := token.Expiration()
	c := Claims{Account: account, Expires: expires}
	var kind string
	for name, into := range map[string]*string{claimSession: &c.Session, claimCompany: &c.Company, claimKind: &kind} {
		if err := token.Get(name, into); err != nil {
			*into = "" // Not said.
		}
	}
	c.Kind = caller.Kind(kind)
	return c
}

func (v *Verifier) remember(sum [sha256.Size]byte, c Claims, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.good) >= maxRemembered {
		for k, old := range v.good {
			if now.After(old.Expires) {
				delete(v.good, k)
			}
		}
		if len(v.good) >= maxRemembered {
			clear(v.good)
		}
	}
	v.good[sum] = c
}
