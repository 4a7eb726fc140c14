package vault_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"kontor.internal/libs/blob"
	"kontor.internal/services/backup/internal/archive"
	"kontor.internal/services/backup/internal/keys"
	"kontor.internal/services/backup/internal/region"
	"kontor.internal/services/backup/internal/vault"
	"kontor.internal/snapshot"
)

const north = "eu-north"

type bundle struct {
	vault.Vault
	folder string
	object vault.Object
	keys   snapshot.Keys
}

func setup(t *testing.T) bundle {
	t.Helper()
	b := bundle{folder: t.TempDir()}
	open := func(folder string) *blob.Bucket {
		bucket, err := blob.Open(t.Context(), "file://"+folder)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, bucket.Close()) })
		return bucket
	}
	kms, err := keys.NewLocal(strings.Repeat("k", 32), "")
	require.NoError(t, err)
	stores, err := region.Open(t.Context(), region.Rules{Shared: "file://" + t.TempDir(), Own: []string{north + "=file://" + b.folder}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stores.Close()) })
	b.Vault = vault.Vault{Stores: stores, Keys: &keys.Keys{KMS: kms, Store: open(t.TempDir())}}
	b.object = vault.Object{Key: "exports/eu-north/a", ID: archive.ID{Company: uuid.New(), Snapshot: uuid.New()}, Region: north, Resource: "exports/A"}
	b.keys, err = b.Keys.GetOrMake(t.Context(), north, b.object.ID.Company)
	require.NoError(t, err)
	return b
}

// files are the store's objects.
func (b bundle) files(t *testing.T) (names []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(b.folder, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !strings.HasSuffix(path, ".attrs") {
			names = append(names, strings.TrimPrefix(path, b.folder+"/"))
		}
		return err
	}))
	return names
}

func (b bundle) write(t *testing.T, content string) vault.Written {
	t.Helper()
	w, err := b.Write(t.Context(), b.object, b.keys, func(to io.Writer) error {
		_, err := io.WriteString(to, content)
		return err
	})
	require.NoError(t, err)
	return w
}

func TestAnObjectIsReadBackAlsoAfterItsCompanysKeyWasRenewedAndNotAfterItWasDestroyed(t *testing.T) {
	b := setup(t)
	content := strings.Repeat("books", 500_000)
	w := b.write(t, content)
	require.EqualValues(t, len(content), w.Size)
	_, err := b.Keys.Renew(t.Context(), north, b.object.ID.Company)
	require.NoError(t, err)
	from, err := b.Open(t.Context(), b.object, w.Stored, w.KeyVersion, 7)
	require.NoError(t, err)
	got, err := io.ReadAll(from)
	require.NoError(t, err)
	require.NoError(t, from.Close())
	require.Equal(t, content[7:], string(got))
	require.NoError(t, b.Keys.Destroy(t.Context(), north, b.object.ID.Company))
	_, err = b.Open(t.Context(), b.object, w.Stored, w.KeyVersion, 0)
	require.ErrorIs(t, err, keys.ErrGone)
}

func TestWhatCouldNotBeWrittenWholeIsNotThere(t *testing.T) {
	b := setup(t)
	broken := errors.New("the source broke off")
	_, err := b.Write(t.Context(), b.object, b.keys, func(to io.Writer) error {
		_, err := to.Write(bytes.Repeat([]byte("x"), 5<<20))
		return errors.Join(err, broken)
	})
	require.ErrorIs(t, err, broken)
	require.Empty(t, b.files(t))
}

func TestOnlyOldObjectsThatNothingNamesAreSwept(t *testing.T) {
	b := setup(t)
	for _, key := range []string{"exports/eu-north/old", "exports/eu-north/named", "exports/eu-north/young", "snapshots/eu-north/old"} {
		require.NoError(t, b.Stores.Of(north).Put(t.Context(), key, []byte("x"), ""))
	}
	before := time.Now().Add(-time.Hour)
	for _, key := range []string{"exports/eu-north/old", "exports/eu-north/named", "snapshots/eu-north/old"} {
		require.NoError(t, os.Chtimes(filepath.Join(b.folder, key), before, before.Add(-time.Minute)))
	}
	named := func(_ context.Context, key string) (bool, error) { return key == "exports/eu-north/named", nil }
	require.NoError(t, b.Sweep(t.Context(), "exports/", before, named))
	require.ElementsMatch(t, []string{"exports/eu-north/named", "exports/eu-north/young", "snapshots/eu-north/old"}, b.files(t))
	require.NoError(t, b.Remove(t.Context(), "exports/eu-north/old"), "what is not there is removed")
}

func TestPartsOfAFile(t *testing.T) {
	for _, c := range []struct{ offset, length, want int64 }{{0, 0, 10}, {3, 0, 7}, {3, 2, 2}, {3, 100, 7}, {10, 0, 0}} {
		got, err := vault.Part(c.offset, c.length, 10)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	_, err := vault.Part(11, 0, 10)
	require.Error(t, err)
}

func TestAFileIsSentInPiecesAndABrokenOneIsNotPassedOffAsWhole(t *testing.T) {
	var got bytes.Buffer
	sent := func(piece []byte) error { got.Write(piece); return nil }
	content := bytes.Repeat([]byte("ab"), 300_000)
	require.NoError(t, vault.Send(bytes.NewReader(content), 500_001, sent))
	require.Equal(t, content[:500_001], got.Bytes())
	broken := io.MultiReader(bytes.NewReader(content), failing{})
	require.ErrorIs(t, vault.Send(broken, 700_000, sent), archive.ErrAltered)
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, archive.ErrAltered }
