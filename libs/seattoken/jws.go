package seattoken

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

// algorithm is the only one (RFC 8037); a token cannot choose.
const algorithm = "EdDSA"

// header is the protected header of a token (RFC 7515).
type header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ,omitempty"`
	// Critical names what a reader must know. There is nothing of that kind.
	Critical json.RawMessage `json:"crit,omitempty"`
}

// encoding is base64url without padding, in its one canonical form.
var encoding = base64.RawURLEncoding.Strict()

func sign(key jwk.Key, payload []byte) (string, error) {
	private, id, err := privateOf(key)
	if err != nil {
		return "", err
	}
	head, err := json.Marshal(header{Algorithm: algorithm, KeyID: id, Type: "JWT"})
	if err != nil {
		return "", err
	}
	e := encoding
	token := make([]byte, 0, e.EncodedLen(len(head))+e.EncodedLen(len(payload))+e.EncodedLen(ed25519.SignatureSize)+2)
	token = e.AppendEncode(token, head)
	token = e.AppendEncode(append(token, '.'), payload)
	signature := ed25519.Sign(private, token)
	return string(e.AppendEncode(append(token, '.'), signature)), nil
}

func privateOf(key jwk.Key) (ed25519.PrivateKey, string, error) {
	id, named := key.KeyID()
	pair, ok := key.(jwk.OKPPrivateKey)
	if !ok || !named || id == "" {
		return nil, "", errors.New("seattoken: tokens are signed with a private Ed25519 key that has a key id")
	}
	curve, _ := pair.Crv()
	seed, _ := pair.D()
	public, _ := pair.X()
	if curve != jwa.Ed25519() || len(seed) != ed25519.SeedSize || len(public) != ed25519.PublicKeySize {
		return nil, "", errors.New("seattoken: the key is no private Ed25519 key")
	}
	return append(append(make(ed25519.PrivateKey, 0, ed25519.PrivateKeySize), seed...), public...), id, nil
}

// signed is a token that was taken apart and not checked yet.
type signed struct {
	keyID     string
	content   string // what the signature is of
	payload   []byte
	signature []byte
}

func open(token string) (signed, error) {
	if len(token) > maxBytes || strings.ContainsAny(token, "\r\n") { // The decoder passes over line ends.
		return signed{}, ErrInvalid
	}
	dot := strings.LastIndexByte(token, '.')
	if dot < 0 {
		return signed{}, ErrInvalid
	}
	t := signed{content: token[:dot]}
	first, second, ok := strings.Cut(t.content, ".")
	if !ok {
		return signed{}, ErrInvalid
	}
	e := encoding
	head, err := e.DecodeString(first)
	if err != nil {
		return signed{}, errors.Join(ErrInvalid, err)
	}
	if t.payload, err = e.DecodeString(second); err != nil { // A third dot is not in the alphabet.
		return signed{}, errors.Join(ErrInvalid, err)
	}
	if t.signature, err = e.DecodeString(token[dot+1:]); err != nil {
		return signed{}, errors.Join(ErrInvalid, err)
	}
	var h header
	if err := json.Unmarshal(head, &h); err != nil {
		return signed{}, errors.Join(ErrInvalid, err)
	}
	if h.Algorithm != algorithm || h.KeyID == "" || h.Critical != nil || len(t.signature) != ed25519.SignatureSize {
		return signed{}, ErrInvalid
	}
	t.keyID = h.KeyID
	return t, nil
}

// payloadIn is what a token says, without any check.
func payloadIn(token string) ([]byte, error) {
	if len(token) > maxBytes || strings.ContainsAny(token, "\r\n") {
		return nil, ErrInvalid
	}
	_, rest, _ := strings.Cut(token, ".")
	middle, _, ok := strings.Cut(rest, ".")
	if !ok {
		return nil, ErrInvalid
	}
	return encoding.DecodeString(middle)
}

// named says whether the token's key is in the set.
func (t signed) named(set jwk.Set) bool {
	_, found := set.LookupKeyID(t.keyID)
	return found
}

// signedBy says whether a key of the set signed the token.
func (t signed) signedBy(set jwk.Set) bool {
	key, _ := set.LookupKeyID(t.keyID)
	okp, ok := key.(jwk.OKPPublicKey)
	if !ok {
		return false
	}
	if meant, ok := key.Algorithm(); ok && meant.String() != algorithm {
		return false
	}
	curve, _ := okp.Crv()
	public, _ := okp.X()
	return curve == jwa.Ed25519() && len(public) == ed25519.PublicKeySize &&
		ed25519.Verify(public, []byte(t.content), t.signature)
}
