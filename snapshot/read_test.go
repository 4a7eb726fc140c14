package snapshot

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"kontor.internal/libs/blob"
)

// broken is a store whose connections end early.
type broken struct{ shelf }

func (b broken) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	from, err := b.shelf.Open(ctx, key, offset, length)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(io.MultiReader(io.LimitReader(from, 3), iotest.ErrReader(io.ErrUnexpectedEOF))), nil
}

// TestABrokenConnectionIsNoDamage: only an object that is shorter than what lies in it is damaged.
func TestABrokenConnectionIsNoDamage(t *testing.T) {
	repo := Repository{Folder: "company", Keys: keysOf(1)}
	key := repo.inner().pack(Pack{1})
	for bytes, damage := range map[int]bool{headBytes: false, headBytes - 1: true, 0: true} {
		repo.Store = broken{shelf{key: make([]byte, bytes), key + ".other": make([]byte, 999)}}
		r, err := repo.reader()
		require.NoError(t, err)
		_, err = r.cipher(t.Context(), Pack{1})
		require.Error(t, err)
		require.NotEqual(t, io.EOF, err)
		require.Equal(t, damage, errors.Is(err, ErrDamaged), "%d bytes: %v", bytes, err)
	}
}

// TestABucketsRefusalToReadBehindAnEndIsDamage: S3 answers 416 (RFC 9110, 15.5.17) where a file has nothing to read.
func TestABucketsRefusalToReadBehindAnEndIsDamage(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "x")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
	repo := Repository{Folder: "company", Keys: keysOf(1)}
	key := repo.inner().pack(Pack{1})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		if r.URL.Query().Has("list-type") {
			_, _ = io.WriteString(w, `<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>`+key+`</Key><Size>0</Size>`+
				`<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"d41d8cd98f00b204e9800998ecf8427e"</ETag></Contents></ListBucketResult>`)
			return
		}
		if !strings.HasSuffix(r.URL.Path, key) {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		_, _ = io.WriteString(w, `<Error><Code>InvalidRange</Code><Message>The requested range is not satisfiable</Message></Error>`)
	}))
	defer server.Close()
	bucket, err := blob.Open(t.Context(), "s3://books?region=eu-north-1&use_path_style=true&endpoint="+server.URL)
	require.NoError(t, err)
	defer func() { require.NoError(t, bucket.Close()) }()
	repo.Store = In(bucket)
	r, err := repo.reader()
	require.NoError(t, err)
	_, err = r.cipher(t.Context(), Pack{1})
	require.ErrorIs(t, err, ErrDamaged)
}
