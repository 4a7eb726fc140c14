package invitation_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/tenancy/internal/invitation"
)

func newLinks(t testing.TB, key string) *invitation.Links {
	t.Helper()
	links, err := invitation.NewLinks([]byte(strings.Repeat(key, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return links
}

func TestALinkIsReadBackOnlyAsItWasMade(t *testing.T) {
	links, one := newLinks(t, "k"), id.New()
	token := links.Token(one)
	if got, err := links.Read(token); err != nil || got != one {
		t.Fatalf("%v, %v", got, err)
	}
	flipped := []byte(token)
	flipped[3] ^= 1
	for name, bad := range map[string]string{
		"nothing": "", "no base64": "!!!", "a bare id": one.String(), "cut short": token[:len(token)-4], "longer": token + "AAAA",
		"another id with this MAC": string(flipped), "made with another key": newLinks(t, "x").Token(one),
		"spelled with padding": token + "=",
	} {
		if got, err := links.Read(bad); failure.Reason(err) != commonv1.Reason_REASON_INVITATION_UNKNOWN || got != uuid.Nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestAShortKeyIsRefused(t *testing.T) {
	if _, err := invitation.NewLinks([]byte("short")); err == nil {
		t.Error("taken")
	}
}

func FuzzLink(f *testing.F) {
	links := newLinks(f, "k")
	f.Add(links.Token(id.New()))
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		if got, err := links.Read(token); err == nil && links.Token(got) != token {
			t.Errorf("%q is another spelling of %s", token, got)
		}
	})
}
