package seattoken_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"kontor.internal/libs/authn"
	"kontor.internal/libs/seattoken"
)

func key(t testing.TB, id string) jwk.Key {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	k, err := jwk.Import(private)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]any{jwk.KeyIDKey: id, jwk.AlgorithmKey: jwa.EdDSA()} {
		if err := k.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// published is what licensing publishes, first the old and, once asked again, the new.
type published struct{ now, later jwk.Set }

func (p *published) Keys(context.Context) (jwk.Set, error)    { return p.now, nil }
func (p *published) Refresh(context.Context) (jwk.Set, error) { p.now = p.later; return p.now, nil }

func set(t testing.TB, keys ...jwk.Key) jwk.Set {
	t.Helper()
	s := jwk.NewSet()
	for _, k := range keys {
		public, err := k.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.AddKey(public); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// forged is a token with another header.
func forged(token, header string) string {
	_, rest, _ := strings.Cut(token, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + rest
}

func TestATokenSaysWhatWasSigned(t *testing.T) {
	now := time.Now()
	first, second, strange := key(t, "one"), key(t, "two"), key(t, "one")
	want := seattoken.Claims{
		Seat: "subscribers/S/licences/L/seats/T", Account: "accounts/A", Company: "subscribers/S/companies/C", Device: "d", Product: "books",
		Slot: 3, Generation: 7<<32 + 5, Expires: now.Add(time.Minute).Truncate(time.Millisecond).UTC(),
	}
	sign := func(k jwk.Key, c seattoken.Claims) string {
		token, err := seattoken.Sign(k, c, now)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	over := want
	over.Expires = now.Add(-time.Hour).Truncate(time.Millisecond).UTC()
	access, err := authn.SignAccess(first, authn.Claims{Account: "accounts/A", Expires: now.Add(time.Minute)}, now)
	if err != nil {
		t.Fatal(err)
	}
	good := sign(first, want)
	cases := map[string]struct {
		token string
		want  seattoken.Claims
	}{
		"a good one":                       {good, want},
		"one that is over":                 {sign(first, over), over},
		"by a key published since":         {sign(second, want), want},
		"by a key nobody published":        {token: sign(strange, want)},
		"an access token":                  {token: access},
		"one that was altered":             {token: good[:len(good)-4] + "AAAA"},
		"no token":                         {token: "seat"},
		"one of four parts":                {token: good + ".AAAA"},
		"one without signature":            {token: good[:strings.LastIndexByte(good, '.')+1]},
		"one that chose no algorithm":      {token: forged(good, `{"alg":"none","kid":"one"}`)},
		"one that chose another algorithm": {token: forged(good, `{"alg":"HS256","kid":"one"}`)},
		"one with conditions":              {token: forged(good, `{"alg":"EdDSA","kid":"one","crit":["b64"],"b64":false}`)},
		"one that names no key":            {token: forged(good, `{"alg":"EdDSA"}`)},
		"a huge one":                       {token: strings.Repeat("a", 5000)},
		"none":                             {},
	}
	for name, c := range cases {
		keys := &published{now: set(t, first), later: set(t, first, second)}
		got, err := seattoken.Verify(t.Context(), keys, c.token)
		if got != c.want || (err != nil) != (c.want == seattoken.Claims{}) || err != nil && !errors.Is(err, seattoken.ErrInvalid) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if want.Over(now) || !over.Over(now) || !want.Over(want.Expires) {
		t.Error("a lease ends at its end")
	}
}

func claims(now time.Time) seattoken.Claims {
	return seattoken.Claims{
		Seat: "subscribers/S/licences/L/seats/T", Account: "accounts/A", Company: "subscribers/S/companies/C", Device: "d", Product: "books",
		Slot: 3, Generation: 5, Expires: now.Add(time.Minute).Truncate(time.Millisecond).UTC(),
	}
}

func TestOthersReadATokenAsAJSONWebToken(t *testing.T) {
	now, k := time.Now(), key(t, "one")
	token, err := seattoken.Sign(k, claims(now), now)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.Parse([]byte(token), jwt.WithKeySet(set(t, k), jws.WithRequireKid(true)),
		jwt.WithIssuer(seattoken.Issuer), jwt.WithAudience(seattoken.Audience), jwt.WithClaimValue("use", "seat"))
	if err != nil {
		t.Fatal(err)
	}
	ends, _ := parsed.Expiration()
	if account, _ := parsed.Subject(); account != "accounts/A" || !ends.Equal(claims(now).Expires.Truncate(time.Second)) {
		t.Errorf("%v", parsed)
	}
	signed, err := jwt.Sign(parsed, jwt.WithKey(jwa.EdDSA(), k))
	if err != nil {
		t.Fatal(err)
	}
	got, err := seattoken.Verify(t.Context(), &published{now: set(t, k)}, string(signed))
	if err != nil || got != claims(now) {
		t.Errorf("what others signed: %+v, %v", got, err)
	}
}

func TestOwnTokensAreKnownByTheirCodeInEveryCopy(t *testing.T) {
	now, k := time.Now(), key(t, "one")
	mine, err := seattoken.NewOwn("a new secret, which is long enough for that", "", "the secret before, which is long enough for that")
	if err != nil {
		t.Fatal(err)
	}
	before, err := seattoken.NewOwn("the secret before, which is long enough for that")
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := seattoken.NewOwn("another, which is long enough for that")
	if err != nil {
		t.Fatal(err)
	}
	token, err := before.Sign(k, claims(now), now)
	if err != nil {
		t.Fatal(err)
	}
	none, all := &published{now: set(t), later: set(t)}, &published{now: set(t, k), later: set(t, k)}
	for name, c := range map[string]struct {
		by    *seattoken.Own
		keys  *published
		token string
		good  bool
	}{
		"by its code, without a key":           {mine, none, token, true},
		"by its signature":                     {stranger, all, token, true},
		"neither":                              {stranger, none, token, false},
		"altered":                              {mine, all, altered(t, token), false},
		"signed elsewhere, known by signature": {mine, all, signed(t, k, now), true},
		"signed elsewhere and no key is there": {mine, none, signed(t, k, now), false},
		"a code without the rest":              {mine, all, "a." + strings.Split(token, ".")[1][:40] + ".b", false},
		"no token at all":                      {mine, all, "", false},
	} {
		got, err := c.by.Verify(t.Context(), c.keys, c.token)
		if (err == nil) != c.good || err != nil && !errors.Is(err, seattoken.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && got.Generation != claims(now).Generation {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if _, err := seattoken.NewOwn("short"); err == nil {
		t.Error("a short secret is enough")
	}
}

// altered gives a token another generation and leaves all else as it is.
func altered(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(string(raw), `"gen":`, `"gen":1`, 1)
	if other == string(raw) {
		t.Fatal("nothing was altered")
	}
	return parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(other)) + "." + parts[2]
}

func signed(t *testing.T, k jwk.Key, now time.Time) string {
	t.Helper()
	token, err := seattoken.Sign(k, claims(now), now)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func FuzzVerify(f *testing.F) {
	now, k := time.Now(), key(f, "one")
	token, err := seattoken.Sign(k, claims(now), now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add("a.b.c")
	keys := &published{now: set(f, k)}
	keys.later = keys.now
	f.Fuzz(func(t *testing.T, other string) {
		if _, err := seattoken.Verify(t.Context(), keys, other); err == nil && other != token {
			t.Errorf("%q was taken", other)
		}
	})
}

func BenchmarkSign(b *testing.B) {
	now, k := time.Now(), key(b, "one")
	for b.Loop() {
		if _, err := seattoken.Sign(k, claims(now), now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	now, k := time.Now(), key(b, "one")
	keys := &published{now: set(b, k)}
	own, err := seattoken.NewOwn("secret, which is long enough for that")
	if err != nil {
		b.Fatal(err)
	}
	token, err := own.Sign(k, claims(now), now)
	if err != nil {
		b.Fatal(err)
	}
	for name, verify := range map[string]func(context.Context, seattoken.Keys, string) (seattoken.Claims, error){
		"by signature": seattoken.Verify, "by code": own.Verify,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := verify(b.Context(), keys, token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
