// Package travelseat checks the file of a seat that is out with a device without a network. It needs nothing but the file,
// the public keys of Kontor's licensing, and the device's id and clock. The format is described in
// docs/travel-seat-format.md.
package travelseat

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// Header is the first line of a file.
	Header = "kontor-travel-seat 1"
	// MaxBytes is how long a file may be.
	MaxBytes = 16 << 10
	// skew is by how much a device's clock may go behind what it showed before.
	skew = 10 * time.Minute
)

// Why a file is no good. Each is told apart with errors.Is.
var (
	ErrMalformed   = errors.New("travelseat: not a travel seat's file of version 1")
	ErrUnknownKey  = errors.New("travelseat: signed with a key that is not among the known ones")
	ErrSignature   = errors.New("travelseat: the signature is wrong")
	ErrOtherDevice = errors.New("travelseat: for another device")
	ErrEarly       = errors.New("travelseat: not good yet")
	ErrOver        = errors.New("travelseat: its time is over")
	ErrClock       = errors.New("travelseat: the device's clock was turned back")
)

// Seat is what a file says.
type Seat struct {
	// Name is `subscribers/S/licences/L/travelSeats/T`.
	Name string
	// Account is `accounts/A` that took it.
	Account string
	// Company is `subscribers/S/companies/C` that it is for.
	Company string
	// Product that works, and Device that it works on.
	Product string
	Device  string
	// Slot is which of the licence's seats it is.
	Slot int32
	// Issued, Start and Expire are instants in whole seconds.
	Issued, Start, Expire time.Time
	// KeyID names the key that signed it.
	KeyID string
}

// Keys are Ed25519 public keys by their ids.
type Keys map[string]ed25519.PublicKey

// ParseKeys reads a JSON Web Key Set (RFC 7517), as licensing's GetJwks gives it. Keys of other kinds are passed over.
func ParseKeys(jwks []byte) (Keys, error) {
	var set struct {
		Keys []struct {
			Type  string `json:"kty"`
			Curve string `json:"crv"`
			ID    string `json:"kid"`
			X     string `json:"x"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(jwks, &set); err != nil {
		return nil, fmt.Errorf("travelseat: no key set: %w", err)
	}
	keys := Keys{}
	for _, k := range set.Keys {
		raw, err := base64.RawURLEncoding.DecodeString(k.X)
		if k.Type == "OKP" && k.Curve == "Ed25519" && k.ID != "" && err == nil && len(raw) == ed25519.PublicKeySize {
			keys[k.ID] = raw
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("travelseat: the key set has no Ed25519 key")
	}
	return keys, nil
}

// Check says whether a file lets a device work now. LastSeen is the latest instant that the device's clock ever showed to
// the program, which keeps it; the zero time for none. The seat is answered with every error but the first three.
func Check(file []byte, keys Keys, device string, now, lastSeen time.Time) (Seat, error) {
	s, err := Open(file, keys)
	switch {
	case err != nil:
		return Seat{}, err
	case s.Device != device:
		return s, ErrOtherDevice
	case now.Add(skew).Before(lastSeen), now.Add(skew).Before(s.Issued):
		return s, ErrClock
	case now.Add(skew).Before(s.Start):
		return s, ErrEarly
	case !now.Before(s.Expire), !lastSeen.Before(s.Expire):
		return s, ErrOver
	}
	return s, nil
}

// Open reads a file whose signature is good, whatever its time and device. ErrMalformed, ErrUnknownKey, ErrSignature.
func Open(file []byte, keys Keys) (Seat, error) {
	t, err := split(file)
	if err != nil {
		return Seat{}, err
	}
	key, known := keys[t.keyID]
	if !known || len(key) != ed25519.PublicKeySize {
		return Seat{}, ErrUnknownKey
	}
	if !ed25519.Verify(key, []byte(t.signed), t.signature) {
		return Seat{}, ErrSignature
	}
	return t.seat()
}

// Show reads a file without trusting it: nothing says that Kontor signed it.
func Show(file []byte) (Seat, error) {
	t, err := split(file)
	if err != nil {
		return Seat{}, err
	}
	return t.seat()
}

// token is a file that was taken apart.
type token struct {
	keyID     string
	signed    string
	payload   []byte
	signature []byte
}

// split takes a file apart: the header's line, and a line with a compact JWS (RFC 7515).
func split(file []byte) (t token, err error) {
	if len(file) > MaxBytes {
		return t, ErrMalformed
	}
	first, rest, _ := strings.Cut(string(file), "\n")
	line, after, ended := strings.Cut(rest, "\n")
	parts := strings.Split(line, ".")
	if first != Header || !ended || after != "" || len(parts) != 3 {
		return t, ErrMalformed
	}
	head, err := decode(parts[0])
	if err != nil {
		return t, err
	}
	var h struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
		Type      string `json:"typ"`
	}
	if canonical(head, &h) != nil || h.Algorithm != "EdDSA" || h.Type != "kontor-travel-seat" || h.KeyID == "" {
		return t, ErrMalformed
	}
	t = token{keyID: h.KeyID, signed: parts[0] + "." + parts[1]}
	if t.payload, err = decode(parts[1]); err != nil {
		return t, err
	}
	if t.signature, err = decode(parts[2]); err != nil || len(t.signature) != ed25519.SignatureSize {
		return t, ErrMalformed
	}
	return t, nil
}

// decode reads base64url in its one spelling; Go's own reader passes over line ends.
func decode(part string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil || base64.RawURLEncoding.EncodeToString(raw) != part {
		return nil, ErrMalformed
	}
	return raw, nil
}

// canonical reads a JSON object that is written as the format demands: just these members, in this order, each once, without
// white space.
func canonical[T any](raw []byte, into *T) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if d.Decode(into) != nil {
		return ErrMalformed
	}
	again, err := json.Marshal(into)
	if err != nil || !bytes.Equal(again, raw) {
		return ErrMalformed
	}
	return nil
}

func (t token) seat() (Seat, error) {
	var p struct {
		Issuer  string `json:"iss"`
		Use     string `json:"use"`
		Name    string `json:"name"`
		Account string `json:"account"`
		Company string `json:"company"`
		Product string `json:"product"`
		Device  string `json:"device"`
		Slot    int32  `json:"slot"`
		Issued  int64  `json:"iat"`
		Start   int64  `json:"nbf"`
		Expire  int64  `json:"exp"`
	}
	if canonical(t.payload, &p) != nil || p.Issuer != "kontor-licensing" || p.Use != "travel-seat" || p.Expire <= p.Start ||
		p.Name == "" || p.Account == "" || p.Company == "" || p.Product == "" || p.Device == "" || p.Slot < 1 {
		return Seat{}, ErrMalformed
	}
	instant := func(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }
	return Seat{
		Name: p.Name, Account: p.Account, Company: p.Company, Product: p.Product, Device: p.Device, Slot: p.Slot,
		Issued: instant(p.Issued), Start: instant(p.Start), Expire: instant(p.Expire), KeyID: t.keyID,
	}, nil
}
