package client_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"kontor.internal/client"
)

// signer is a Kontor that signs receipts.
type signer struct{ key ed25519.PrivateKey }

func newSigner(t *testing.T) signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key}
}

func encode(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func (s signer) sign(header, payload map[string]any) string {
	text := encode(header) + "." + encode(payload)
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(s.key, []byte(text)))
}

func (s signer) keys() []byte {
	x := base64.RawURLEncoding.EncodeToString(s.key.Public().(ed25519.PublicKey))
	raw, err := json.Marshal(map[string]any{"keys": []map[string]any{
		{"kid": "old", "kty": "OKP", "crv": "Ed25519", "x": "AAAA"}, {"kid": "k1", "kty": "OKP", "crv": "Ed25519", "x": x},
	}})
	if err != nil {
		panic(err)
	}
	return raw
}

func TestAReceiptIsReadWhenItsSignatureIsKontors(t *testing.T) {
	s := newSigner(t)
	header := map[string]any{"alg": "EdDSA", "kid": "k1"}
	signed := s.sign(header, map[string]any{"document": "connections/x/documents/d", "sha256": "00ff", "delivered": "2026-03-02T10:00:00Z"})
	receipt, err := client.VerifyReceipt(signed, s.keys())
	if err != nil || receipt.Document != "connections/x/documents/d" || receipt.SHA256 != "00ff" || receipt.Delivered.Hour() != 10 || receipt.Signed != signed {
		t.Fatalf("got %+v, %v", receipt, err)
	}
}

func TestAReceiptThatIsNotKontorsIsRefused(t *testing.T) {
	s, stranger := newSigner(t), newSigner(t)
	header := map[string]any{"alg": "EdDSA", "kid": "k1"}
	payload := map[string]any{"document": "connections/x/documents/d"}
	good := strings.Split(s.sign(header, payload), ".")
	for name, signed := range map[string]string{
		"a stranger's":         stranger.sign(header, payload),
		"another payload":      good[0] + "." + encode(map[string]any{"document": "another"}) + "." + good[2],
		"an unknown key":       s.sign(map[string]any{"alg": "EdDSA", "kid": "k2"}, payload),
		"a key of wrong size":  s.sign(map[string]any{"alg": "EdDSA", "kid": "old"}, payload),
		"no algorithm":         s.sign(map[string]any{"alg": "none", "kid": "k1"}, payload),
		"a critical extension": s.sign(map[string]any{"alg": "EdDSA", "kid": "k1", "crit": []string{"b64"}}, payload),
		"no signature":         good[0] + "." + good[1] + ".",
		"two parts":            good[0] + "." + good[1],
		"nothing":              "",
		"no base64":            "é." + good[1] + "." + good[2],
	} {
		if _, err := client.VerifyReceipt(signed, s.keys()); !errors.Is(err, client.ErrReceipt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := client.VerifyReceipt(strings.Join(good, "."), []byte("no keys")); !errors.Is(err, client.ErrReceipt) {
		t.Errorf("keys that are none: %v", err)
	}
}
