package signingkey_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"kontor.internal/libs/authn"
	"kontor.internal/services/identity/internal/signingkey"
)

const day = 24 * time.Hour

func policy() signingkey.Policy { return signingkey.Policy{Life: 30 * day, Lead: time.Hour} }

func on(d time.Duration) time.Time {
	return time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC).Add(d)
}

func key(id string, start time.Duration) signingkey.Key {
	return signingkey.Key{ID: id, Start: on(start)}
}

func TestTheNextKeyIsMadeBeforeItSigns(t *testing.T) {
	for _, c := range []struct {
		name  string
		keys  []signingkey.Key
		now   time.Duration
		start time.Time
		over  []string
	}{
		{"the first one signs at once", nil, 0, on(0), nil},
		{"a young one needs no other", []signingkey.Key{key("a", 0)}, 29 * day, time.Time{}, nil},
		{"the next one is published an hour ahead", []signingkey.Key{key("a", 0)}, 30*day - time.Hour, on(30 * day), nil},
		{"after a long stop it still waits its hour", []signingkey.Key{key("a", 0)}, 50 * day, on(50*day + time.Hour), nil},
		{"one that waits is enough", []signingkey.Key{key("a", 0), key("b", 30*day)}, 30*day - time.Minute, time.Time{}, nil},
		{"the former stays while its tokens live", []signingkey.Key{key("a", 0), key("b", 30*day)}, 30*day + time.Hour, time.Time{}, nil},
		{"then it goes", []signingkey.Key{key("a", 0), key("b", 30*day)}, 30*day + time.Hour + 1, time.Time{}, []string{"a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			start, over := policy().Plan(c.keys, on(c.now))
			require.Equal(t, c.start, start)
			require.Equal(t, c.over, over)
		})
	}
}

func TestAKeyIsPublishedBeforeDuringAndAfterItSigns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var keys []signingkey.Key
		published := map[string]time.Time{} // since when
		now, signedUntil := on(0), map[string]time.Time{}
		for range 200 {
			start, over := policy().Plan(keys, now)
			for _, id := range over {
				require.True(t, now.After(signedUntil[id].Add(authn.Lifetime)), "a token of %s may still live", id)
				for i, k := range keys {
					if k.ID == id {
						keys = append(keys[:i:i], keys[i+1:]...)
						break
					}
				}
			}
			if !start.IsZero() {
				id := start.String()
				if len(keys) > 0 {
					require.GreaterOrEqual(t, start.Sub(now), policy().Lead)
				}
				keys, published[id] = append(keys, signingkey.Key{ID: id, Start: start}), now
			}
			signing := keys[signingkey.Signing(keys, now)]
			require.False(t, signing.Start.After(now))
			signedUntil[signing.ID] = now
			now = now.Add(time.Duration(rapid.IntRange(1, 100).Draw(t, "hours")) * time.Hour)
		}
	})
}

func TestASealedKeyOpensOnlyAsWhatItIs(t *testing.T) {
	s, err := signingkey.NewSealer(strings.Repeat("a", 32))
	require.NoError(t, err)
	sealed, err := s.Seal("key-1", []byte("private"))
	require.NoError(t, err)
	require.NotContains(t, string(sealed), "private")

	private, err := s.Open("key-1", s.Current(), sealed)
	require.NoError(t, err)
	require.Equal(t, "private", string(private))

	_, err = s.Open("key-2", s.Current(), sealed)
	require.Error(t, err, "bound to its id")
	sealed[len(sealed)-1] ^= 1
	_, err = s.Open("key-1", s.Current(), sealed)
	require.Error(t, err, "altered")
	_, err = s.Open("key-1", s.Current(), nil)
	require.Error(t, err, "cut short")
}

func TestAFormerKeyEncryptionKeyStillOpens(t *testing.T) {
	former, err := signingkey.NewSealer(strings.Repeat("a", 32))
	require.NoError(t, err)
	sealed, err := former.Seal("key-1", []byte("private"))
	require.NoError(t, err)

	both, err := signingkey.NewSealer(strings.Repeat("b", 32), strings.Repeat("a", 32), "")
	require.NoError(t, err)
	_, err = both.Open("key-1", former.Current(), sealed)
	require.NoError(t, err)

	other, err := signingkey.NewSealer(strings.Repeat("b", 32))
	require.NoError(t, err)
	_, err = other.Open("key-1", former.Current(), sealed)
	require.ErrorContains(t, err, "key_encryption_key_previous")

	_, err = signingkey.NewSealer("short")
	require.Error(t, err)
}
