// Package seattoken is the proof of holding a seat: licensing signs it, tenancy opens companies for it, and with it a
// holder comes back to the seat after a loss of the seat store.
//
// It is a JSON Web Token (RFC 7519) signed with Ed25519 that ends with the seat's lease, in real time.
package seattoken

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

const (
	// Issuer of every seat token.
	Issuer = "kontor-licensing"
	// Audience of every seat token.
	Audience = "kontor"

	purpose     = "seat" // keeps tokens of one kind from being taken for another's
	maxBytes    = 4096
	claimUse    = "use"
	claimSeat   = "seat"
	claimWhere  = "cmp"
	claimDevice = "dev"
	claimWhat   = "prd"
	claimSlot   = "slot"
	claimGen    = "gen"
	claimEnds   = "exm" // milliseconds; exp has whole seconds
	claimMode   = "mod"
	claimRead   = "ro"
	claimPerson = "pp"
	claimUntil  = "cap" // milliseconds, 0 for none
)

// ErrInvalid is what every token is refused with that licensing did not sign for a seat.
var ErrInvalid = errors.New("seattoken: no valid seat token")

// Claims are what a seat token says.
type Claims struct {
	// Seat is `subscribers/S/licences/L/seats/T`.
	Seat string
	// Account is `accounts/A` that holds it.
	Account string
	// Company is `subscribers/S/companies/C` that it is for.
	Company string
	// Device and Product that hold it.
	Device  string
	Product string
	// Slot is which of the licence's seats it is, from 1.
	Slot int32
	// Generation grows with each claim of the licence's seats.
	Generation int64
	// Expires is when the lease ends.
	Expires time.Time
	// ReadOnly says that its holder may only read.
	ReadOnly bool
	// Mode, PerPerson and Until are licensing's own: how the seat counts, and beyond when no lease of it goes (zero for none).
	Mode      string
	PerPerson bool
	Until     time.Time
}

// Over says whether the lease has ended.
func (c Claims) Over(now time.Time) bool { return !c.Expires.After(now) }

// Sign signs a token with a private Ed25519 key that has a key id. Now is real time.
func Sign(key jwk.Key, c Claims, now time.Time) (string, error) {
	var until int64
	if !c.Until.IsZero() {
		until = c.Until.UnixMilli()
	}
	token, err := jwt.NewBuilder().
		Issuer(Issuer).Audience([]string{Audience}).Subject(c.Account).IssuedAt(now).Expiration(c.Expires).
		Claim(claimUse, purpose).Claim(claimSeat, c.Seat).Claim(claimWhere, c.Company).Claim(claimDevice, c.Device).
		Claim(claimWhat, c.Product).Claim(claimSlot, c.Slot).Claim(claimGen, c.Generation).Claim(claimEnds, c.Expires.UnixMilli()).
		Claim(claimMode, c.Mode).Claim(claimRead, c.ReadOnly).Claim(claimPerson, c.PerPerson).Claim(claimUntil, until).
		Build()
	if err != nil {
		return "", fmt.Errorf("seattoken: %w", err)
	}
	signed, err := jwt.Sign(token, jwt.WithKey(jwa.EdDSA(), key))
	if err != nil {
		return "", fmt.Errorf("seattoken: %w", err)
	}
	return string(signed), nil
}

// Keys are where the public keys come from; libs/authn's key sources are such.
type Keys interface {
	Keys(ctx context.Context) (jwk.Set, error)
}

// refresher looks for keys that it does not have yet.
type refresher interface {
	Refresh(ctx context.Context) (jwk.Set, error)
}

// Verify reads a token that licensing signed, one that is over too: whoever needs a running lease asks Claims.Over.
// ErrInvalid for anything else; other errors mean that the keys can't be had.
func Verify(ctx context.Context, keys Keys, token string) (Claims, error) {
	if len(token) > maxBytes {
		return Claims{}, ErrInvalid
	}
	set, err := keys.Keys(ctx)
	if err != nil {
		return Claims{}, err
	}
	if source, ok := keys.(refresher); ok && !signedBy(set, token) {
		if set, err = source.Refresh(ctx); err != nil {
			return Claims{}, err
		}
	}
	parsed, err := jwt.Parse([]byte(token), jwt.WithKeySet(set, jws.WithRequireKid(true)), jwt.WithValidate(false))
	if err != nil {
		return Claims{}, errors.Join(ErrInvalid, err)
	}
	return read(parsed)
}

// signedBy says whether the token names a key of the set.
func signedBy(set jwk.Set, token string) bool {
	message, err := jws.Parse([]byte(token))
	if err != nil || len(message.Signatures()) != 1 {
		return true // Another set would not help.
	}
	id, _ := message.Signatures()[0].ProtectedHeaders().KeyID()
	_, found := set.LookupKeyID(id)
	return found
}

func read(token jwt.Token) (Claims, error) {
	issuer, _ := token.Issuer()
	audience, _ := token.Audience()
	if issuer != Issuer || len(audience) != 1 || audience[0] != Audience {
		return Claims{}, ErrInvalid
	}
	var (
		c               Claims
		use             string
		slot, gen, ends float64
		until           float64
	)
	c.Account, _ = token.Subject()
	for name, into := range map[string]any{
		claimUse: &use, claimSeat: &c.Seat, claimWhere: &c.Company, claimDevice: &c.Device, claimWhat: &c.Product,
		claimSlot: &slot, claimGen: &gen, claimEnds: &ends,
		claimMode: &c.Mode, claimRead: &c.ReadOnly, claimPerson: &c.PerPerson, claimUntil: &until,
	} {
		if err := token.Get(name, into); err != nil {
			return Claims{}, errors.Join(ErrInvalid, err)
		}
	}
	c.Slot, c.Generation, c.Expires = int32(slot), int64(gen), time.UnixMilli(int64(ends)).UTC()
	if until > 0 {
		c.Until = time.UnixMilli(int64(until)).UTC()
	}
	if use != purpose || c.Account == "" {
		return Claims{}, ErrInvalid
	}
	return c, nil
}
