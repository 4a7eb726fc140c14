package keys_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/stretchr/testify/require"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/postgres/pgtest"
	"kontor.internal/libs/seal"
	"kontor.internal/services/licensing/internal/keys"
	"kontor.internal/services/licensing/migrations"
)

func start() time.Time { return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC) }

func TestAKeyIsMadeBeforeTheOneBeforeItStops(t *testing.T) {
	p := keys.Policy{Life: 10 * time.Hour, Lead: time.Hour, Keep: 2 * time.Hour}
	first, due := p.Next(nil, start())
	require.True(t, due)
	require.Equal(t, keys.Window{From: start(), Until: start().Add(10 * time.Hour), Published: start().Add(12 * time.Hour)}, first)
	for _, c := range []struct {
		after time.Duration
		due   bool
		from  time.Duration
	}{
		{0, false, 0},
		{9*time.Hour - 1, false, 0},
		{9 * time.Hour, true, 10 * time.Hour},
		{10*time.Hour - 1, true, 10 * time.Hour},
		{50 * time.Hour, true, 50 * time.Hour}, // After a long stop it signs at once.
	} {
		window, due := p.Next([]keys.Window{first}, start().Add(c.after))
		require.Equal(t, c.due, due, c.after)
		if due {
			require.Equal(t, start().Add(c.from), window.From, c.after)
		}
	}
}

func TestTheLatestKeyThatHasBegunSigns(t *testing.T) {
	windows := []keys.Window{{From: start()}, {From: start().Add(time.Hour)}}
	require.Equal(t, -1, keys.Signing(windows, start().Add(-1)))
	require.Equal(t, 0, keys.Signing(windows, start()))
	require.Equal(t, 0, keys.Signing(windows, start().Add(time.Hour-1)))
	require.Equal(t, 1, keys.Signing(windows, start().Add(time.Hour)))
}

func open(t *testing.T, pool *pgxpool.Pool, now clock.Clock, secrets ...string) (*keys.Ring, error) {
	t.Helper()
	sealer, err := seal.New("tried keys", secrets[0], secrets[1:]...)
	require.NoError(t, err)
	return keys.Open(t.Context(), keys.Deps{
		DB: pool, Sealer: sealer, Policy: keys.DefaultPolicy(), Real: now, Log: slog.New(slog.DiscardHandler),
	})
}

func kidsOf(t *testing.T, ring *keys.Ring) []string {
	t.Helper()
	set, err := ring.Public()
	require.NoError(t, err)
	var kids []string
	for i := range set.Len() {
		key, _ := set.Key(i)
		kid, _ := key.KeyID()
		kids = append(kids, kid)
	}
	return kids
}

func TestCopiesThatStartTogetherShareOneKeyAndRotateTogether(t *testing.T) {
	pool, now, secret := pgtest.New(t, migrations.FS), clock.NewFake(start()), strings.Repeat("s", 40)
	rings := make([]*keys.Ring, 4)
	var wait sync.WaitGroup
	for i := range rings {
		wait.Go(func() {
			ring, err := open(t, pool, now, secret)
			if err != nil {
				t.Error(err)
			}
			rings[i] = ring
		})
	}
	wait.Wait()
	if t.Failed() {
		return
	}
	first := kidsOf(t, rings[0])
	require.Len(t, first, 1)
	for _, ring := range rings {
		require.NoError(t, ring.Refresh(t.Context()))
		require.Equal(t, first, kidsOf(t, ring))
	}
	require.NotContains(t, string(rings[0].JWKS()), `"d"`, "a private part is published")

	signing, err := rings[1].Signing()
	require.NoError(t, err)
	signed, err := jws.Sign([]byte("seat"), jws.WithKey(jwa.EdDSA(), signing))
	require.NoError(t, err)

	now.Advance(89*24*time.Hour + time.Hour) // Within the lead: the next key is published, the first still signs.
	require.NoError(t, rings[0].Refresh(t.Context()))
	require.Len(t, kidsOf(t, rings[0]), 2)
	still, err := rings[0].Signing()
	require.NoError(t, err)
	kid, _ := still.KeyID()
	require.Equal(t, first[0], kid)

	now.Advance(24 * time.Hour)
	next, err := rings[0].Signing()
	require.NoError(t, err)
	kid, _ = next.KeyID()
	require.NotEqual(t, first[0], kid)
	set, err := rings[0].Public()
	require.NoError(t, err)
	payload, err := jws.Verify(signed, jws.WithKeySet(set))
	require.NoError(t, err, "what the first key signed is still good")
	require.Equal(t, "seat", string(payload))

	now.Advance(36 * 24 * time.Hour)
	require.NoError(t, rings[0].Refresh(t.Context()))
	require.NotContains(t, kidsOf(t, rings[0]), first[0])
}

func TestKeysSurviveARestartAndAChangeOfTheSecret(t *testing.T) {
	pool, now := pgtest.New(t, migrations.FS), clock.NewFake(start())
	a, b := strings.Repeat("a", 32), strings.Repeat("b", 32)
	ring, err := open(t, pool, now, a)
	require.NoError(t, err)
	before := ring.JWKS()
	_, err = open(t, pool, now, b)
	require.ErrorContains(t, err, "key_encryption_key")
	changed, err := open(t, pool, now, b, a)
	require.NoError(t, err)
	require.JSONEq(t, string(before), string(changed.JWKS()))
	alone, err := open(t, pool, now, b)
	require.NoError(t, err, "the first start with the new secret has sealed the keys anew")
	key, err := alone.Signing()
	require.NoError(t, err)
	var private jwk.OKPPrivateKey
	require.Implements(t, &private, key)
}
