package link_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/identity/internal/link"
)

func signer(t testing.TB, letters ...string) *link.Signer {
	t.Helper()
	var keys [][]byte
	for _, letter := range letters {
		keys = append(keys, []byte(strings.Repeat(letter, 32)))
	}
	s, err := link.NewSigner(keys...)
	require.NoError(t, err)
	return s
}

func TestATokenLeadsBackToItsLink(t *testing.T) {
	s := signer(t, "a")
	for _, p := range []link.Purpose{link.Activation, link.PasswordReset} {
		v := id.New()
		token := s.Token(p, v)
		require.Len(t, token, 64)
		purpose, got, err := s.Parse(token)
		require.NoError(t, err)
		require.Equal(t, p, purpose)
		require.Equal(t, v, got)
		require.Equal(t, token, s.Token(p, v), "derived anew it is the same")
	}
}

func TestTokensOfOtherKeysAreRefusedUnlessTheKeyIsKept(t *testing.T) {
	v := id.New()
	token := signer(t, "a").Token(link.Activation, v)
	_, _, err := signer(t, "b").Parse(token)
	require.Equal(t, commonv1.Reason_REASON_LINK_INVALID, failure.Reason(err))

	_, got, err := signer(t, "b", "a").Parse(token)
	require.NoError(t, err)
	require.Equal(t, v, got)
}

func TestATokenChangedAnywhereIsRefused(t *testing.T) {
	s := signer(t, "a")
	rapid.Check(t, func(t *rapid.T) {
		token := []byte(s.Token(link.Activation, id.New()))
		at := rapid.IntRange(0, len(token)-1).Draw(t, "at")
		other := rapid.Byte().Draw(t, "byte")
		if token[at] == other {
			return
		}
		token[at] = other
		_, _, err := s.Parse(string(token))
		require.Equal(t, commonv1.Reason_REASON_LINK_INVALID, failure.Reason(err))
	})
}

func TestShortKeysAreRefused(t *testing.T) {
	_, err := link.NewSigner([]byte("short"))
	require.Error(t, err)
	_, err = link.NewSigner()
	require.Error(t, err)
}

func TestALinkWorksUntilUsedOrOver(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name string
		link link.Link
		want commonv1.Reason
	}{
		{"an open one works", link.Link{Expires: now.Add(time.Second)}, commonv1.Reason_REASON_UNSPECIFIED},
		{"at its end it is over", link.Link{Expires: now}, commonv1.Reason_REASON_LINK_EXPIRED},
		{"a used one says so", link.Link{Expires: now.Add(time.Hour), Used: &now}, commonv1.Reason_REASON_LINK_USED},
		{"a used one says so even when over", link.Link{Expires: now.Add(-time.Hour), Used: &now}, commonv1.Reason_REASON_LINK_USED},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, failure.Reason(c.link.Check(now))) })
	}
}

func TestLinksAreNamedByTheirPurpose(t *testing.T) {
	v := uuid.MustParse("0192f3a0-0000-7000-8000-000000000001")
	for _, p := range []link.Purpose{link.Activation, link.PasswordReset} {
		purpose, got, err := link.ParseName(p.Name(v))
		require.NoError(t, err)
		require.Equal(t, p, purpose)
		require.Equal(t, v, got)
	}
	for _, bad := range []string{"", "activations/", "activations/x", "accounts/" + v.String(), "activations/" + strings.ToUpper(v.String())} {
		_, _, err := link.ParseName(bad)
		require.Equal(t, commonv1.Reason_REASON_NOT_FOUND, failure.Reason(err), bad)
	}
}

func FuzzParse(f *testing.F) {
	s := signer(f, "a")
	f.Add(s.Token(link.Activation, id.New()))
	f.Add(s.Token(link.PasswordReset, id.New()) + "=")
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		p, v, err := s.Parse(token)
		if err == nil && s.Token(p, v) != token {
			t.Errorf("%q and %q are one link", token, s.Token(p, v))
		}
	})
}
