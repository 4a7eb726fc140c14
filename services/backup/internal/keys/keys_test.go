package keys

import (
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"kontor.internal/libs/blob"
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
	made := make([][]byte, 8)
	var all sync.WaitGroup
	for i := range made {
		all.Go(func() { made[i], _ = k.GetOrMake(t.Context(), "eu-north", company) })
	}
	all.Wait()
	for _, one := range made {
		require.Len(t, one, 32)
		require.Equal(t, made[0], one)
	}
	stored, err := os.ReadFile(folder + "/eu-north/" + company.String() + ".key")
	require.NoError(t, err)
	require.NotContains(t, string(stored), string(made[0]))
	other, err := k.GetOrMake(t.Context(), "eu-north", uuid.New())
	require.NoError(t, err)
	require.NotEqual(t, made[0], other)
}

func TestAKeyOpensOnlyForItsCompanyItsRegionAndItsSecret(t *testing.T) {
	k, folder := setup(t)
	company, thief := uuid.New(), uuid.New()
	key, err := k.GetOrMake(t.Context(), "eu-north", company)
	require.NoError(t, err)
	stored, err := os.ReadFile(folder + "/eu-north/" + company.String() + ".key")
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
