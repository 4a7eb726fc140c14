package seattoken_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"

	"kontor.internal/libs/authn"
	"kontor.internal/libs/seattoken"
)

func key(t *testing.T, id string) jwk.Key {
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

func set(t *testing.T, keys ...jwk.Key) jwk.Set {
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
		"a good one":                {good, want},
		"one that is over":          {sign(first, over), over},
		"by a key published since":  {sign(second, want), want},
		"by a key nobody published": {token: sign(strange, want)},
		"an access token":           {token: access},
		"one that was altered":      {token: good[:len(good)-4] + "AAAA"},
		"no token":                  {token: "seat"},
		"a huge one":                {token: strings.Repeat("a", 5000)},
		"none":                      {},
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
