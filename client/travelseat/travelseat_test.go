package travelseat_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kontor.internal/client/travelseat"
)

var update = flag.Bool("update", false, "write the test vectors anew")

// The vectors' key is made of a seed that everybody knows: it signs nothing else.
var private = ed25519.NewKeyFromSeed([]byte("a seed for these vectors alone.."))

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// sign makes a file of a header and a payload.
func sign(head, payload string) string {
	signed := encode([]byte(head)) + "." + encode([]byte(payload))
	return travelseat.Header + "\n" + signed + "." + encode(ed25519.Sign(private, []byte(signed))) + "\n"
}

const (
	head    = `{"alg":"EdDSA","kid":"vectors-1","typ":"kontor-travel-seat"}`
	payload = `{"iss":"kontor-licensing","use":"travel-seat","name":"subscribers/S/licences/L/travelSeats/T","account":"accounts/A",` +
		`"company":"subscribers/S/companies/C","product":"books","device":"laptop-7","slot":3,"iat":1795000000,"nbf":1795000000,"exp":1795259200}`
)

// vectors are the files, by name, with what becomes of them at 1795100000 on laptop-7.
func vectors() map[string]struct {
	file string
	want error
} {
	good := sign(head, payload)
	return map[string]struct {
		file string
		want error
	}{
		"good":             {good, nil},
		"over":             {sign(head, strings.Replace(payload, `"exp":1795259200`, `"exp":1795100000`, 1)), travelseat.ErrOver},
		"early":            {sign(head, strings.Replace(payload, `"nbf":1795000000`, `"nbf":1795200000`, 1)), travelseat.ErrEarly},
		"other-device":     {sign(head, strings.Replace(payload, "laptop-7", "laptop-8", 1)), travelseat.ErrOtherDevice},
		"from-the-future":  {sign(head, strings.Replace(payload, `"iat":1795000000`, `"iat":1795200000`, 1)), travelseat.ErrClock},
		"unknown-key":      {sign(strings.Replace(head, "vectors-1", "vectors-2", 1), payload), travelseat.ErrUnknownKey},
		"changed":          {strings.Replace(good, encode([]byte(payload)), encode([]byte(strings.Replace(payload, "1795259200", "1895259200", 1))), 1), travelseat.ErrSignature},
		"other-version":    {strings.Replace(good, travelseat.Header, "kontor-travel-seat 2", 1), travelseat.ErrMalformed},
		"other-algorithm":  {sign(strings.Replace(head, "EdDSA", "none", 1), payload), travelseat.ErrMalformed},
		"other-kind":       {sign(strings.Replace(head, "kontor-travel-seat", "JWT", 1), payload), travelseat.ErrMalformed},
		"unknown-member":   {sign(head, strings.Replace(payload, `"slot":3`, `"slot":3,"more":1`, 1)), travelseat.ErrMalformed},
		"something-behind": {good + "more\n", travelseat.ErrMalformed},
		"cut-off":          {good[:len(good)-20], travelseat.ErrMalformed},
		"line-ends":        {strings.ReplaceAll(good, "\n", "\r\n"), travelseat.ErrMalformed},
		"other-spelling":   {good[:len(good)-4] + "\r" + good[len(good)-4:], travelseat.ErrMalformed},
		"twice":            {sign(head, strings.Replace(payload, `"slot":3`, `"slot":4,"slot":3`, 1)), travelseat.ErrMalformed},
		"other-case":       {sign(head, strings.Replace(payload, `"slot"`, `"SLOT"`, 1)), travelseat.ErrMalformed},
		"white-space":      {sign(head, payload+" "), travelseat.ErrMalformed},
		"member-missing":   {sign(head, strings.Replace(payload, `"product":"books",`, "", 1)), travelseat.ErrMalformed},
		"empty":            {"", travelseat.ErrMalformed},
	}
}

func keys(t testing.TB) travelseat.Keys {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	k, err := travelseat.ParseKeys(raw)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestVectors(t *testing.T) {
	now := time.Unix(1795100000, 0)
	if *update {
		public, _ := private.Public().(ed25519.PublicKey)
		set, err := json.MarshalIndent(map[string]any{"keys": []map[string]string{
			{"kty": "OKP", "crv": "Ed25519", "kid": "vectors-1", "x": encode(public)},
		}}, "", "  ")
		if err == nil {
			err = os.WriteFile(filepath.Join("testdata", "keys.json"), append(set, '\n'), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, v := range vectors() {
		path := filepath.Join("testdata", name+".seat")
		if *update {
			if err := os.WriteFile(path, []byte(v.file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(file) != v.file {
			t.Errorf("%s is not what it was made as", name)
		}
		s, err := travelseat.Check(file, keys(t), "laptop-7", now, time.Time{})
		if !errors.Is(err, v.want) || v.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, v.want)
		}
		if name == "good" && (s.Slot != 3 || s.Product != "books" || !s.Expire.Equal(time.Unix(1795259200, 0))) {
			t.Errorf("%+v", s)
		}
	}
}

func TestAClockThatIsTurnedBackIsFound(t *testing.T) {
	file, now := []byte(sign(head, payload)), time.Unix(1795100000, 0)
	if _, err := travelseat.Check(file, keys(t), "laptop-7", now, now.Add(5*time.Minute)); err != nil {
		t.Errorf("a few minutes are nothing: %v", err)
	}
	if _, err := travelseat.Check(file, keys(t), "laptop-7", now, now.Add(time.Hour)); !errors.Is(err, travelseat.ErrClock) {
		t.Error(err)
	}
}

func TestASeatWhoseEndWasSeenStaysOver(t *testing.T) {
	file, end := []byte(sign(head, payload)), time.Unix(1795259200, 0)
	if _, err := travelseat.Check(file, keys(t), "laptop-7", end.Add(-9*time.Minute), end); !errors.Is(err, travelseat.ErrOver) {
		t.Error(err)
	}
}

func TestAKeyOfAnotherLengthIsNoKey(t *testing.T) {
	if _, err := travelseat.Open([]byte(sign(head, payload)), travelseat.Keys{"vectors-1": []byte("short")}); !errors.Is(err, travelseat.ErrUnknownKey) {
		t.Error(err)
	}
}

func FuzzOnlyWhatWasSignedIsGood(f *testing.F) {
	good := sign(head, payload)
	f.Add([]byte(good))
	f.Add([]byte(good + " "))
	known := keys(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		if _, err := travelseat.Open(file, known); err == nil && string(file) != good {
			for _, v := range vectors() {
				if v.file == string(file) {
					return
				}
			}
			t.Errorf("%q was never signed", file)
		}
	})
}
