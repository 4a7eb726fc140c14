package seal_test

import (
	"bytes"
	"strings"
	"testing"

	"kontor.internal/libs/seal"
)

func TestASecretOpensOnlyForItsPurposeItsIDAndItsKey(t *testing.T) {
	first, second := strings.Repeat("a", 32), strings.Repeat("b", 32)
	s := sealer(t, "passwords", first)
	sealed, err := s.Seal("one", []byte("secret"))
	if err != nil || bytes.Contains(sealed, []byte("secret")) {
		t.Fatal(sealed, err)
	}
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	cases := map[string]struct {
		s      *seal.Sealer
		id     string
		sealed []byte
		opens  bool
		old    bool
	}{
		"as it was sealed":              {s: s, id: "one", sealed: sealed, opens: true},
		"under another id":              {s: s, id: "two", sealed: sealed},
		"for another purpose":           {s: sealer(t, "keys", first), id: "one", sealed: sealed},
		"with another key":              {s: sealer(t, "passwords", second), id: "one", sealed: sealed},
		"with its key as the former":    {s: sealer(t, "passwords", second, first), id: "one", sealed: sealed, opens: true, old: true},
		"with one bit changed":          {s: s, id: "one", sealed: flipped},
		"cut short":                     {s: s, id: "one", sealed: sealed[:5]},
		"with an empty former key left": {s: sealer(t, "passwords", first, ""), id: "one", sealed: sealed, opens: true},
	}
	for name, c := range cases {
		got, old, err := c.s.Open(c.id, c.sealed)
		if (err == nil) != c.opens || old != c.old || c.opens && string(got) != "secret" {
			t.Errorf("%s: %q, %v, %v", name, got, old, err)
		}
	}
	if _, err := seal.New("passwords", "short"); err == nil {
		t.Error("a short key was taken")
	}
}

func sealer(t *testing.T, purpose, secret string, earlier ...string) *seal.Sealer {
	t.Helper()
	s, err := seal.New(purpose, secret, earlier...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
