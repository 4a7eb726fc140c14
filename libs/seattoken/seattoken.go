// Package seattoken is the proof of holding a seat: licensing signs it, tenancy opens companies for it, and with it a
// holder comes back to the seat after a loss of the seat store.
//
// It is a JSON Web Token (RFC 7519) signed with Ed25519 that ends with the seat's lease, in real time. Signing and checking
// take little more than the signature itself: both stand in the way of every claim and renewal.
package seattoken

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
)

const (
	// Issuer of every seat token.
	Issuer = "kontor-licensing"
	// Audience of every seat token.
	Audience = "kontor"

	purpose  = "seat" // keeps tokens of one kind from being taken for another's
	maxBytes = 4096
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

// payload is what is signed. What is missing in it can be told from what is empty.
type payload struct {
	Issuer     string   `json:"iss"`
	Audience   []string `json:"aud"`
	Account    string   `json:"sub"`
	IssuedAt   int64    `json:"iat"`
	Expires    int64    `json:"exp"`
	Use        string   `json:"use"`
	Seat       *string  `json:"seat"`
	Company    *string  `json:"cmp"`
	Device     *string  `json:"dev"`
	Product    *string  `json:"prd"`
	Slot       *int32   `json:"slot"`
	Generation *int64   `json:"gen"`
	Ends       *int64   `json:"exm"` // milliseconds; exp has whole seconds
	Mode       string   `json:"mod,omitempty"`
	ReadOnly   bool     `json:"ro,omitempty"`
	PerPerson  bool     `json:"pp,omitempty"`
	Until      int64    `json:"cap,omitempty"` // milliseconds
}

// Sign signs a token with a private Ed25519 key that has a key id. Now is real time.
func Sign(key jwk.Key, c Claims, now time.Time) (string, error) {
	raw, err := json.Marshal(payloadOf(c, now))
	if err != nil {
		return "", fmt.Errorf("seattoken: %w", err)
	}
	return sign(key, raw)
}

func payloadOf(c Claims, now time.Time) payload {
	ends, until := c.Expires.UnixMilli(), int64(0)
	if !c.Until.IsZero() {
		until = c.Until.UnixMilli()
	}
	return payload{
		Issuer: Issuer, Audience: []string{Audience}, Account: c.Account, IssuedAt: now.Unix(), Expires: c.Expires.Unix(),
		Use: purpose, Seat: &c.Seat, Company: &c.Company, Device: &c.Device, Product: &c.Product,
		Slot: &c.Slot, Generation: &c.Generation, Ends: &ends,
		Mode: c.Mode, ReadOnly: c.ReadOnly, PerPerson: c.PerPerson, Until: until,
	}
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
	t, err := open(token)
	if err != nil {
		return Claims{}, err
	}
	set, err := keys.Keys(ctx)
	if err != nil {
		return Claims{}, err
	}
	if source, ok := keys.(refresher); ok && !t.named(set) {
		if set, err = source.Refresh(ctx); err != nil {
			return Claims{}, err
		}
	}
	if !t.signedBy(set) {
		return Claims{}, ErrInvalid
	}
	return read(t.payload)
}

func read(raw []byte) (Claims, error) {
	var p payload
	if err := json.Unmarshal(raw, &p); err != nil {
		return Claims{}, errors.Join(ErrInvalid, err)
	}
	if p.Issuer != Issuer || len(p.Audience) != 1 || p.Audience[0] != Audience || p.Use != purpose || p.Account == "" {
		return Claims{}, ErrInvalid
	}
	if p.Seat == nil || p.Company == nil || p.Device == nil || p.Product == nil || p.Slot == nil || p.Generation == nil || p.Ends == nil {
		return Claims{}, ErrInvalid
	}
	c := Claims{
		Seat: *p.Seat, Account: p.Account, Company: *p.Company, Device: *p.Device, Product: *p.Product,
		Slot: *p.Slot, Generation: *p.Generation, Expires: time.UnixMilli(*p.Ends).UTC(),
		Mode: p.Mode, ReadOnly: p.ReadOnly, PerPerson: p.PerPerson,
	}
	if p.Until > 0 {
		c.Until = time.UnixMilli(p.Until).UTC()
	}
	return c, nil
}
