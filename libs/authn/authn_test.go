package authn_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"kontor.internal/libs/authn"
	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

func newKey(t testing.TB, id string) jwk.Key {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwk.Import(private)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(key.Set(jwk.KeyIDKey, id), key.Set(jwk.AlgorithmKey, jwa.EdDSA())); err != nil {
		t.Fatal(err)
	}
	return key
}

// published are keys as their service would give them.
func published(t testing.TB, keys ...jwk.Key) []byte {
	t.Helper()
	set := jwk.NewSet()
	for _, key := range keys {
		public, err := key.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		if err := set.AddKey(public); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func verifier(t testing.TB, keys ...jwk.Key) *authn.Verifier {
	t.Helper()
	raw := published(t, keys...)
	return authn.NewVerifier(authn.NewRemoteKeys(func(context.Context) ([]byte, error) { return raw, nil }))
}

func claims(now time.Time) authn.Claims {
	return authn.Claims{
		Account: "accounts/a", Session: "accounts/a/sessions/n", Company: "subscribers/s/companies/c",
		Kind: caller.KindPerson, Expires: now.Add(authn.Lifetime).Truncate(time.Second),
	}
}

func sign(t testing.TB, key jwk.Key, c authn.Claims, now time.Time) string {
	t.Helper()
	token, err := authn.SignAccess(key, c, now)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestATokenSaysWhatWasSignedUntilItEnds(t *testing.T) {
	key, now := newKey(t, "1"), time.Now()
	v, want := verifier(t, key), claims(now)
	token := sign(t, key, want, now)
	for range 2 { // Checked, then remembered.
		got, err := v.Verify(t.Context(), token, now)
		if err != nil || !got.Expires.Equal(want.Expires) {
			t.Fatalf("%+v, %v", got, err)
		}
		got.Expires = want.Expires
		if got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
	for _, v := range []*authn.Verifier{v, verifier(t, key)} {
		_, err := v.Verify(t.Context(), token, now.Add(authn.Lifetime+time.Minute))
		if failure.Reason(err) != commonv1.Reason_REASON_TOKEN_EXPIRED {
			t.Error(err)
		}
	}
}

func TestTokensThatAreNotOursAreRefused(t *testing.T) {
	key, stranger, now := newKey(t, "1"), newKey(t, "1"), time.Now()
	v := verifier(t, key)
	good := sign(t, key, claims(now), now)
	custom := func(build func(b *jwt.Builder) *jwt.Builder) string {
		token, err := build(jwt.NewBuilder().Issuer(authn.Issuer).Audience([]string{authn.Audience}).Subject("accounts/a").
			Expiration(now.Add(time.Minute)).Claim("use", "access")).Build()
		if err != nil {
			t.Fatal(err)
		}
		signed, err := jwt.Sign(token, jwt.WithKey(jwa.EdDSA(), key))
		if err != nil {
			t.Fatal(err)
		}
		return string(signed)
	}
	unsigned, err := jwt.NewBuilder().Issuer(authn.Issuer).Audience([]string{authn.Audience}).Subject("accounts/a").
		Expiration(now.Add(time.Minute)).Claim("use", "access").Build()
	if err != nil {
		t.Fatal(err)
	}
	none, err := jwt.Sign(unsigned, jwt.WithInsecureNoSignature())
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"empty":                   "",
		"nonsense":                "nonsense",
		"too long":                strings.Repeat("x", 5000),
		"another's key, same id":  sign(t, stranger, claims(now), now),
		"an unknown key":          sign(t, newKey(t, "2"), claims(now), now),
		"no signature":            string(none),
		"signature cut off":       parts[0] + "." + parts[1] + ".",
		"another issuer":          custom(func(b *jwt.Builder) *jwt.Builder { return b.Issuer("other") }),
		"another audience":        custom(func(b *jwt.Builder) *jwt.Builder { return b.Audience([]string{"other"}) }),
		"a seat's token":          custom(func(b *jwt.Builder) *jwt.Builder { return b.Claim("use", "seat") }),
		"not yet valid":           custom(func(b *jwt.Builder) *jwt.Builder { return b.NotBefore(now.Add(time.Hour)) }),
		"claims of another token": parts[0] + "." + strings.Split(custom(func(b *jwt.Builder) *jwt.Builder { return b.Subject("accounts/b") }), ".")[1] + "." + parts[2],
	} {
		if _, err := v.Verify(t.Context(), token, now); failure.Reason(err) != commonv1.Reason_REASON_TOKEN_INVALID {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestANewKeyIsFetchedWhenATokenNamesIt(t *testing.T) {
	first, second, now := newKey(t, "1"), newKey(t, "2"), time.Now()
	current := published(t, first)
	v := authn.NewVerifier(fresh{func() []byte { return current }})
	if _, err := v.Verify(t.Context(), sign(t, first, claims(now), now), now); err != nil {
		t.Fatal(err)
	}
	current = published(t, first, second)
	if _, err := v.Verify(t.Context(), sign(t, second, claims(now), now), now); err != nil {
		t.Fatal(err)
	}
}

// fresh gives old keys until it is asked to look again.
type fresh struct{ now func() []byte }

func (f fresh) Keys(context.Context) (jwk.Set, error)    { return jwk.NewSet(), nil }
func (f fresh) Refresh(context.Context) (jwk.Set, error) { return jwk.Parse(f.now()) }

func TestKeysOutliveTheirPublisher(t *testing.T) {
	key, down := newKey(t, "1"), false
	remote := authn.NewRemoteKeys(func(context.Context) ([]byte, error) {
		if down {
			return nil, errors.New("gone")
		}
		return published(t, key), nil
	})
	if _, err := remote.Keys(t.Context()); err != nil {
		t.Fatal(err)
	}
	down = true
	if set, err := remote.Refresh(t.Context()); err != nil || set.Len() != 1 {
		t.Fatalf("%v, %v", set, err)
	}
	never := authn.NewRemoteKeys(func(context.Context) ([]byte, error) { return nil, errors.New("gone") })
	now := time.Now()
	_, err := authn.NewVerifier(never).Verify(t.Context(), sign(t, key, claims(now), now), now)
	if failure.Reason(err) != commonv1.Reason_REASON_UNAVAILABLE {
		t.Error(err)
	}
}

func TestRevocations(t *testing.T) {
	connected, active, asked := true, true, 0
	var reach error
	r := authn.NewRevocations(func() bool { return connected }, func(context.Context, string) (bool, error) {
		asked++
		return active, reach
	})
	var told string
	r.OnRevoke(func(session string) { told = session })
	check := func(session string, want bool) {
		t.Helper()
		if got, err := r.Revoked(t.Context(), session); err != nil || got != want {
			t.Errorf("%s: %v, %v", session, got, err)
		}
	}
	check("s1", false)
	r.Ended("s1")
	check("s1", true)
	check("s2", false)
	if told != "s1" || asked != 0 {
		t.Errorf("told %q, asked %d times", told, asked)
	}
	connected = false
	check("s2", false)
	check("s2", false)
	if asked != 1 {
		t.Errorf("asked %d times for one session", asked)
	}
	active = false
	check("s3", true)
	reach = errors.New("identity is gone too")
	if _, err := r.Revoked(t.Context(), "s4"); err == nil {
		t.Error("nobody could tell, and it was let in")
	}
}

func BenchmarkVerifyAnew(b *testing.B) {
	key, now := newKey(b, "1"), time.Now()
	raw := published(b, key)
	remote := authn.NewRemoteKeys(func(context.Context) ([]byte, error) { return raw, nil })
	token := sign(b, key, claims(now), now)
	for b.Loop() {
		if _, err := authn.NewVerifier(remote).Verify(b.Context(), token, now); err != nil {
			b.Fatal(err)
		}
	}
}
