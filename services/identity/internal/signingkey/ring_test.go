package signingkey_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/stretchr/testify/require"

	"kontor.internal/libs/authn"
	"kontor.internal/libs/caller"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/postgres/pgtest"
	"kontor.internal/services/identity/internal/signingkey"
	"kontor.internal/services/identity/migrations"
)

func ring(t *testing.T, pool *pgxpool.Pool, now clock.Clock, secret string, earlier ...string) *signingkey.Ring {
	t.Helper()
	sealer, err := signingkey.NewSealer(secret, earlier...)
	require.NoError(t, err)
	return signingkey.NewRing(signingkey.Deps{
		DB: pool, Sealer: sealer, Policy: policy(), Real: now, Log: slog.New(slog.DiscardHandler),
	})
}

func published(t *testing.T, r *signingkey.Ring) []string {
	t.Helper()
	text, err := r.JSON(t.Context())
	require.NoError(t, err)
	require.NotContains(t, string(text), `"d"`, "no private half is published")
	var set struct {
		Keys []struct{ Kid, Kty, Crv, Alg, Use string }
	}
	require.NoError(t, json.Unmarshal(text, &set))
	var ids []string
	for _, k := range set.Keys {
		require.Equal(t, "OKP Ed25519 EdDSA sig", strings.Join([]string{k.Kty, k.Crv, k.Alg, k.Use}, " "))
		ids = append(ids, k.Kid)
	}
	return ids
}

func signing(t *testing.T, r *signingkey.Ring) string {
	t.Helper()
	key, err := r.Signing(t.Context())
	require.NoError(t, err)
	id, ok := key.KeyID()
	require.True(t, ok)
	return id
}

func TestCopiesThatStartTogetherAgreeOnOneKey(t *testing.T) {
	pool, now := pgtest.New(t, migrations.FS), clock.NewFake(on(0))
	var all sync.WaitGroup
	ids := make([]string, 5)
	for i := range ids {
		r := ring(t, pool, now, strings.Repeat("a", 32))
		all.Go(func() {
			if err := r.Open(context.Background()); err != nil {
				t.Error(err)
				return
			}
			ids[i] = signing(t, r)
		})
	}
	all.Wait()
	for _, id := range ids {
		require.Equal(t, ids[0], id)
	}
}

func TestKeysFollowEachOtherAcrossCopies(t *testing.T) {
	pool, now := pgtest.New(t, migrations.FS), clock.NewFake(on(0))
	a, b := ring(t, pool, now, strings.Repeat("a", 32)), ring(t, pool, now, strings.Repeat("a", 32))
	first := signing(t, a)
	require.Equal(t, first, signing(t, b))

	now.Advance(30*day - time.Hour)
	both := published(t, a)
	require.Len(t, both, 2)
	require.ElementsMatch(t, both, published(t, b))
	require.Equal(t, first, signing(t, b), "published, not yet signing")

	now.Advance(time.Hour)
	second := signing(t, b)
	require.NotEqual(t, first, second)
	require.Equal(t, second, signing(t, a))

	now.Advance(2 * time.Hour)
	require.Equal(t, []string{second}, published(t, a))
}

func TestATokenSignedIsVerifiedByThePublishedSet(t *testing.T) {
	pool := pgtest.New(t, migrations.FS)
	r := ring(t, pool, clock.System{}, strings.Repeat("a", 32))
	key, err := r.Signing(t.Context())
	require.NoError(t, err)
	token, err := authn.SignAccess(key, authn.Claims{
		Account: "accounts/a", Session: "accounts/a/sessions/n", Kind: caller.KindPerson, Expires: time.Now().Add(authn.Lifetime),
	}, time.Now())
	require.NoError(t, err)
	text, err := r.JSON(t.Context())
	require.NoError(t, err)
	set, err := jwk.Parse(text)
	require.NoError(t, err)
	claims, err := authn.NewVerifier(fixed{set}).Verify(t.Context(), token, time.Now())
	require.NoError(t, err)
	require.Equal(t, "accounts/a", claims.Account)
}

type fixed struct{ set jwk.Set }

func (f fixed) Keys(context.Context) (jwk.Set, error) { return f.set, nil }

func TestKeysMoveToANewKeyEncryptionKey(t *testing.T) {
	pool, now := pgtest.New(t, migrations.FS), clock.NewFake(on(0))
	first := signing(t, ring(t, pool, now, strings.Repeat("a", 32)))

	require.ErrorContains(t, ring(t, pool, now, strings.Repeat("b", 32)).Open(t.Context()), "key_encryption_key_previous")
	require.Equal(t, first, signing(t, ring(t, pool, now, strings.Repeat("b", 32), strings.Repeat("a", 32))))
	require.Equal(t, first, signing(t, ring(t, pool, now, strings.Repeat("b", 32))), "the former one is no longer needed")
}

func TestNoPrivateKeyStandsInTheTable(t *testing.T) {
	pool := pgtest.New(t, migrations.FS)
	r := ring(t, pool, clock.System{}, strings.Repeat("a", 32))
	key, err := r.Signing(t.Context())
	require.NoError(t, err)
	var seed []byte
	require.NoError(t, key.Get("d", &seed))
	var row string
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT k::text || encode(sealed_key, 'escape') FROM signing_key k").Scan(&row))
	require.NotContains(t, row, string(seed))
}
