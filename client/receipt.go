package client

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
)

// Receipt is the signed proof that a document was delivered.
type Receipt struct {
	Document   string    `json:"document"`
	MessageID  string    `json:"message_id"`
	SHA256     string    `json:"sha256"` // of the document's bytes, in lower-case hexadecimal
	Connection string    `json:"connection"`
	Sender     string    `json:"sender"`   // company
	Receiver   string    `json:"receiver"` // company
	Sent       time.Time `json:"sent"`
	Delivered  time.Time `json:"delivered"`
	Account    string    `json:"account"` // who acknowledged

	// Signed is the receipt as it was signed, to be kept: a compact JWS (RFC 7515).
	Signed string `json:"-"`
}

// ErrReceipt is what every receipt wraps that can't be trusted.
var ErrReceipt = errors.New("the receipt can't be trusted")

// Receipt gets the receipt of a delivered document and checks its signature. RECEIPT_MISSING before the delivery.
func (c *Channel) Receipt(ctx context.Context, document string) (*Receipt, error) {
	answer, err := c.documents.GetReceipt(ctx, &exchangev1.GetReceiptRequest{Name: document})
	if err != nil {
		return nil, err
	}
	keys, err := c.keys.GetJwks(ctx, &exchangev1.GetJwksRequest{})
	if err != nil {
		return nil, err
	}
	receipt, err := VerifyReceipt(answer.GetReceipt(), keys.GetJwks())
	if err != nil {
		return nil, err
	}
	if receipt.Document != document {
		return nil, fmt.Errorf("%w: it is of %s", ErrReceipt, receipt.Document)
	}
	return receipt, nil
}

// VerifyReceipt checks a receipt against Kontor's keys, a JSON Web Key Set, and reads it. It takes Ed25519 (RFC 8037) only.
func VerifyReceipt(signed string, keys []byte) (*Receipt, error) {
	parts := strings.Split(signed, ".")
	if len(parts) != 3 { // header, payload, signature
		return nil, fmt.Errorf("%w: it is no compact JWS", ErrReceipt)
	}
	var header struct {
		Algorithm string   `json:"alg"`
		Key       string   `json:"kid"`
		Critical  []string `json:"crit"`
	}
	if err := decodePart(parts[0], &header); err != nil {
		return nil, err
	}
	if header.Algorithm != "EdDSA" || len(header.Critical) > 0 {
		return nil, fmt.Errorf("%w: it is signed by %q", ErrReceipt, header.Algorithm)
	}
	key, err := findKey(keys, header.Key)
	if err != nil {
		return nil, err
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !ed25519.Verify(key, []byte(parts[0]+"."+parts[1]), signature) {
		return nil, fmt.Errorf("%w: its signature is wrong", ErrReceipt)
	}
	receipt := &Receipt{Signed: signed}
	return receipt, decodePart(parts[1], receipt)
}

func decodePart(part string, into any) error {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	return nil
}

// findKey finds an Ed25519 key in a set by its id.
func findKey(keys []byte, id string) (ed25519.PublicKey, error) {
	var set struct {
		Keys []struct {
			ID    string `json:"kid"`
			Type  string `json:"kty"`
			Curve string `json:"crv"`
			X     string `json:"x"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(keys, &set); err != nil {
		return nil, fmt.Errorf("%w: the keys: %w", ErrReceipt, err)
	}
	for _, k := range set.Keys {
		if k.ID != id || k.Type != "OKP" || k.Curve != "Ed25519" {
			continue
		}
		key, err := base64.RawURLEncoding.DecodeString(k.X)
		if err == nil && len(key) == ed25519.PublicKeySize {
			return key, nil
		}
	}
	return nil, fmt.Errorf("%w: Kontor has no key %q", ErrReceipt, id)
}
