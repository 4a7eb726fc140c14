package keys

import (
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"kontor.internal/libs/blob"
	"kontor.internal/snapshot"
)

func setup(t *testing.T) (*Keys, string) {
	t.Helper()
	folder := t.TempDir()
	store, err := blob.Open(t.Context(), "file://"+folder)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	kms, err := NewLocal(strings.Repeat("k", 32), "")
	require.NoError(t, err)
	return &Keys{KMS: kms, Store: store}, folder
}

func TestACompanyHasOneKeyHoweverManyMakeItAtOnce(t *testing.T) {
	k, folder := setup(t)
	company := uuid.New()
	_, err := k.Get(t.Context(), "eu-north", company)
	require.ErrorIs(t, err, ErrGone)
	made := make([]snapshot.Keys, 8)
	var all sync.WaitGroup
	for i := range made {
		all.Go(func() { made[i], _ = k.GetOrMake(t.Context(), "eu-north", company) })
	}
	all.Wait()
	for _, one := range made {
		require.Len(t, one.Data[1], snapshot.KeyBytes)
		require.Equal(t, made[0], one)
	}
	stored, err := os.ReadFile(folder + "/eu-north/" + company.String() + ".keys")
	require.NoError(t, err)
	require.NotContains(t, string(stored), string(made[0].Names))
	require.NotContains(t, string(stored), "names")
	other, err := k.GetOrMake(t.Context(), "eu-north", uuid.New())
	require.NoError(t, err)
	require.NotEqual(t, made[0], other)
}

func TestAKeyOpensOnlyForItsCompanyItsRegionAndItsSecret(t *testing.T) {
	k, folder := setup(t)
	company, thief := uuid.New(), uuid.New()
	key, err := k.GetOrMake(t.Context(), "eu-north", company)
	require.NoError(t, err)
	stored, err := os.ReadFile(folder + "/eu-north/" + company.String() + ".keys")
	require.NoError(t, err)
	require.NoError(t, k.Store.WriteAll(t.Context(), object("eu-north", thief), stored, nil))
	_, err = k.Get(t.Context(), "eu-north", thief)
	require.Error(t, err)
	require.NoError(t, k.Store.WriteAll(t.Context(), object("eu-south", company), stored, nil))
	_, err = k.Get(t.Context(), "eu-south", company)
	require.Error(t, err)

	k.KMS, err = NewLocal(strings.Repeat("n", 32), "")
	require.NoError(t, err)
	_, err = k.Get(t.Context(), "eu-north", company)
	require.Error(t, err)
	k.KMS, err = NewLocal(strings.Repeat("n", 32), strings.Repeat("k", 32))
	require.NoError(t, err)
	again, err := k.Get(t.Context(), "eu-north", company)
	require.NoError(t, err)
	require.Equal(t, key, again)
}

func TestARenewedKeyLeavesWhatWasWrittenReadable(t *testing.T) {
	k, _ := setup(t)
	company := uuid.New()
	first, err := k.GetOrMake(t.Context(), "eu-north", company)
	require.NoError(t, err)
	renewed, err := k.Renew(t.Context(), "eu-north", company)
	require.NoError(t, err)
	require.Equal(t, uint32(2), renewed.Current)
	require.Equal(t, first.Data[1], renewed.Data[1])
	require.NotEqual(t, renewed.Data[1], renewed.Data[2])
	require.Equal(t, first.Names, renewed.Names, "a renewal stores nothing anew")
	found, err := k.Get(t.Context(), "eu-north", company)
	require.NoError(t, err)
	require.Equal(t, renewed, found)
	_, err = k.Renew(t.Context(), "eu-north", uuid.New())
	require.ErrorIs(t, err, ErrGone)
}

func TestKeysAreWrappedAnewUnderTheNewKeyEncryptionKey(t *testing.T) {
	k, _ := setup(t)
	company := uuid.New()
	was, err := k.GetOrMake(t.Context(), "eu-north", company)
	require.NoError(t, err)
	did, err := k.Rewrap(t.Context(), "eu-north", company)
	require.NoError(t, err)
	require.False(t, did)
	k.KMS, err = NewLocal(strings.Repeat("n", 32), strings.Repeat("k", 32))
	require.NoError(t, err)
	did, err = k.Rewrap(t.Context(), "eu-north", company)
	require.NoError(t, err)
	require.True(t, did)
	k.KMS, err = NewLocal(strings.Repeat("n", 32), "")
	require.NoError(t, err)
	found, err := k.Get(t.Context(), "eu-north", company)
	require.NoError(t, err)
	require.Equal(t, was, found)
}

func TestDestroyedKeysAreGoneWithWhatWasLeftOfMakingThem(t *testing.T) {
	k, folder := setup(t)
	company, other := uuid.New(), uuid.New()
	for _, one := range []uuid.UUID{company, other} {
		_, err := k.GetOrMake(t.Context(), "eu-north", one)
		require.NoError(t, err)
	}
	require.NoError(t, k.Store.Put(t.Context(), object("eu-north", company)+".left.new", []byte("wrapped"), ""))
	for range 2 {
		require.NoError(t, k.Destroy(t.Context(), "eu-north", company))
	}
	_, err := k.Get(t.Context(), "eu-north", company)
	require.ErrorIs(t, err, ErrGone)
	left, err := os.ReadDir(folder + "/eu-north")
	require.NoError(t, err)
	require.Len(t, left, 1)
	_, err = k.Get(t.Context(), "eu-north", other)
	require.NoError(t, err)
}
