package blob_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"kontor.internal/libs/blob"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

func open(t *testing.T, folder string) *blob.Bucket {
	t.Helper()
	bucket, err := blob.Open(context.Background(), "file://"+folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bucket.Close(); err != nil {
			t.Error(err)
		}
	})
	return bucket
}

func TestAFolderKeepsWhatWasPutAndNothingElse(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new", "objects")
	bucket := open(t, folder)
	ctx := context.Background()
	key := "contracts/0192/K-2026-000001 ā:?.pdf"
	for _, content := range []string{"first", "second"} {
		if err := bucket.Put(ctx, key, []byte(content), "application/pdf"); err != nil {
			t.Fatal(err)
		}
		got, err := bucket.ReadAll(ctx, key)
		if err != nil || string(got) != content {
			t.Fatalf("read %q, %v", got, err)
		}
	}
	var files []string
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) != 1 {
		t.Errorf("files %q, %v", files, err)
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder is open to others: %v, %v", info, err)
	}
}

func TestSyncWorksAfterAWriterAndOnAnEmptyObject(t *testing.T) {
	bucket := open(t, t.TempDir())
	ctx := context.Background()
	writer, err := bucket.NewWriter(ctx, "a/b/c", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	if err := bucket.Sync(ctx, "a/b/c"); err != nil {
		t.Fatal(err)
	}
	if err := bucket.Sync(ctx, "absent"); err == nil {
		t.Error("an absent object was flushed")
	}
}

func TestKeysCannotLeaveTheFolder(t *testing.T) {
	parent := t.TempDir()
	bucket := open(t, filepath.Join(parent, "objects"))
	for _, key := range []string{"../outside", "a/../../outside", "/outside"} {
		_ = bucket.Put(context.Background(), key, []byte("x"), "") // Refused, or kept inside under an escaped name.
	}
	entries, err := os.ReadDir(parent)
	if err != nil || len(entries) != 1 {
		t.Errorf("outside the folder: %v, %v", entries, err)
	}
}

func TestOpenRefusesWhatIsNoStore(t *testing.T) {
	for _, address := range []string{"", "objects", "file://host/folder", "file:///folder?metadata=", "ftp://x", "mem://", "file://%zz"} {
		if bucket, err := blob.Open(context.Background(), address); err == nil {
			_ = bucket.Close()
			t.Errorf("%q opened", address)
		}
	}
}

func TestOpenOfABucketNeedsNoNetwork(t *testing.T) {
	bucket, err := blob.Open(context.Background(), "s3://kontor?region=eu-north-1&endpoint=http://127.0.0.1:1&use_path_style=true&prefix=a/")
	if err != nil {
		t.Fatal(err)
	}
	if err := bucket.Close(); err != nil {
		t.Error(err)
	}
}

func TestErrorsAreTyped(t *testing.T) {
	bucket := open(t, t.TempDir())
	_, err := bucket.ReadAll(context.Background(), "absent")
	typed := blob.Translate(err, "subscribers/S/contracts/K")
	if failure.Reason(typed) != commonv1.Reason_REASON_NOT_FOUND || !strings.Contains(typed.Error(), "contracts/K") {
		t.Errorf("absent object: %v", typed)
	}
	if r := failure.Reason(blob.Translate(errors.New("disk full"), "x")); r != commonv1.Reason_REASON_UNAVAILABLE {
		t.Errorf("other error: %v", r)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = bucket.ReadAll(ctx, "absent")
	if r := failure.Reason(blob.Translate(err, "x")); r != commonv1.Reason_REASON_CANCELLED && r != commonv1.Reason_REASON_NOT_FOUND {
		t.Errorf("cancelled: %v", r)
	}
	if blob.Translate(nil, "x") != nil {
		t.Error("no error became one")
	}
}

func TestOfManyThatPutANewObjectOneDoes(t *testing.T) {
	bucket := open(t, t.TempDir())
	for round := range 50 {
		key := fmt.Sprintf("eu-north/%d.key", round)
		var wrote atomic.Int32
		var winner atomic.Value
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				content := fmt.Sprintf("content %d", i)
				switch err := bucket.PutNew(t.Context(), key, []byte(content), ""); {
				case err == nil:
					wrote.Add(1)
					winner.Store(content)
				case !errors.Is(err, blob.ErrExists):
					t.Errorf("neither written nor there: %v", err)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, wrote.Load())
		content, err := bucket.ReadAll(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, winner.Load(), string(content))
	}
	list := bucket.List(nil)
	for range 50 {
		object, err := list.Next(t.Context())
		require.NoError(t, err)
		require.True(t, strings.HasSuffix(object.Key, ".key"), "%s is left", object.Key)
	}
	_, err := list.Next(t.Context())
	require.ErrorIs(t, err, io.EOF)
}
