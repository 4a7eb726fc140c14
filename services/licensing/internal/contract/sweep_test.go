package contract_test

import (
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"kontor.internal/libs/blob"
	"kontor.internal/libs/id"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/postgres/pgtest"
	"kontor.internal/services/licensing/internal/contract"
	"kontor.internal/services/licensing/migrations"
)

func TestADocumentWithoutAContractIsSweptOnceItIsOld(t *testing.T) {
	pool, folder := pgtest.New(t, migrations.FS), t.TempDir()
	objects, err := blob.Open(t.Context(), "file://"+folder)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, objects.Close()) })
	server := contract.NewServer(contract.Deps{DB: pool, Objects: objects})

	sum := sha256.Sum256([]byte("pdf"))
	kept := contract.Contract{
		ID: id.New(), Subscriber: id.New(), Number: "K-2026-000001", Plan: "books-trial", Language: "en", Customer: "X", Zone: "UTC",
		Key: "contracts/s/kept.pdf", SHA256: sum[:], Size: 3, Filename: "K-2026-000001.pdf", Created: time.Now(),
	}
	require.NoError(t, postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		return contract.Store{}.Insert(t.Context(), tx, kept)
	}))
	for _, key := range []string{kept.Key, "contracts/s/left.pdf", "contracts/s/fresh.pdf", "other/left.pdf"} {
		require.NoError(t, objects.Put(t.Context(), key, []byte("pdf"), ""))
		if key != "contracts/s/fresh.pdf" {
			old := time.Now().Add(-25 * time.Hour)
			require.NoError(t, os.Chtimes(filepath.Join(folder, key), old, old))
		}
	}
	require.NoError(t, server.Sweep(t.Context()))
	for key, there := range map[string]bool{
		kept.Key: true, "contracts/s/left.pdf": false, "contracts/s/fresh.pdf": true, "other/left.pdf": true,
	} {
		exists, err := objects.Exists(context.Background(), key)
		require.NoError(t, err)
		require.Equal(t, there, exists, key)
	}
}
