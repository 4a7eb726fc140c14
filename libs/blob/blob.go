// Package blob opens the object store in which documents, uploads and kits lie: a folder, or a bucket of an S3 service.
package blob

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	_ "gocloud.dev/blob/s3blob" // Registers s3:// with blob.OpenBucket.
	"gocloud.dev/gcerrors"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// Bucket is an open object store. Everything of gocloud.dev/blob works on it; Put and Sync add what Kontor promises: that
// an object which a row names is on the disk.
type Bucket struct {
	*blob.Bucket

	folder string // empty unless the store is a folder
}

// Open opens the store that an URL names. It must be closed.
//
//	file:///var/lib/kontor/objects                 a folder, made when it is missing
//	s3://bucket?region=eu-north-1&prefix=kontor/   a bucket; also endpoint=, use_path_style=, disable_https=
//
// Credentials for S3 come from the environment or the machine, as the AWS SDK finds them.
func Open(ctx context.Context, address string) (*Bucket, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("blob: the store's URL is malformed") // The cause may quote a secret.
	}
	switch parsed.Scheme {
	case "file":
		return openFolder(parsed)
	case "s3":
		bucket, err := blob.OpenBucket(ctx, address)
		if err != nil {
			return nil, fmt.Errorf("blob: open bucket %s: %w", parsed.Host, err)
		}
		return &Bucket{Bucket: bucket}, nil
	default:
		return nil, fmt.Errorf("blob: a store is file:///folder or s3://bucket, not %q", parsed.Scheme)
	}
}

func openFolder(address *url.URL) (*Bucket, error) {
	if address.Host != "" || address.RawQuery != "" || !filepath.IsAbs(address.Path) {
		return nil, errors.New("blob: a folder is written file:///absolute/path")
	}
	folder := filepath.Clean(address.Path)
	bucket, err := fileblob.OpenBucket(folder, &fileblob.Options{
		CreateDir: true, DirFileMode: 0o700,
		// Content types stand in the rows that name the objects.
		Metadata: fileblob.MetadataDontWrite,
		// Beside the object, so that the rename never crosses file systems.
		NoTempDir: true,
	})
	if err != nil {
		return nil, fmt.Errorf("blob: open folder: %w", err)
	}
	return &Bucket{Bucket: bucket, folder: folder}, nil
}

// Put writes a whole object and returns when it is durable. An object of the same key is replaced in one step.
func (b *Bucket) Put(ctx context.Context, key string, content []byte, contentType string) error {
	if err := b.WriteAll(ctx, key, content, &blob.WriterOptions{ContentType: contentType}); err != nil {
		return fmt.Errorf("blob: write %s: %w", key, err)
	}
	return b.Sync(ctx, key)
}

// ErrExists says that there is an object of the key already.
var ErrExists = errors.New("blob: there is one already")

// PutNew writes a whole object that must not be there yet, and returns when it is durable. Of several at once one writes, and the
// others get ErrExists. (gocloud's own IfNotExist looks and then renames in a folder, so that two may write.) Killed, it may leave an object
// beside, whose key begins with this one's and ends in ".new".
func (b *Bucket) PutNew(ctx context.Context, key string, content []byte, contentType string) error {
	if b.folder != "" {
		return b.linkNew(ctx, key, content, contentType)
	}
	err := b.WriteAll(ctx, key, content, &blob.WriterOptions{ContentType: contentType, IfNotExist: true})
	switch {
	case gcerrors.Code(err) == gcerrors.FailedPrecondition:
		return ErrExists
	case err != nil:
		return fmt.Errorf("blob: write %s: %w", key, err)
	}
	return nil
}

// linkNew writes beside the object and gives it its name by a link, which is made once only.
func (b *Bucket) linkNew(ctx context.Context, key string, content []byte, contentType string) (err error) {
	suffix := "." + id.NewString() + ".new"
	if err := b.Put(ctx, key+suffix, content, contentType); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Delete(context.WithoutCancel(ctx), key+suffix)) }()
	path, err := b.flushFile(ctx, key+suffix)
	if err != nil {
		return fmt.Errorf("blob: flush %s: %w", key, err)
	}
	switch err := os.Link(path, strings.TrimSuffix(path, suffix)); {
	case errors.Is(err, os.ErrExist):
		return ErrExists
	case err != nil:
		return fmt.Errorf("blob: write %s: %w", key, err)
	}
	return b.Sync(ctx, key)
}

// Sync returns when a written object is durable: in a folder its file and the folders above it are flushed to the disk;
// S3 answers a write only then. Call it after a writer of gocloud's was closed.
func (b *Bucket) Sync(ctx context.Context, key string) error {
	if b.folder == "" {
		return nil
	}
	path, err := b.flushFile(ctx, key)
	if err != nil {
		return fmt.Errorf("blob: flush %s: %w", key, err)
	}
	for folder := filepath.Dir(path); ; folder = filepath.Dir(folder) {
		if err := flushFolder(folder); err != nil {
			return fmt.Errorf("blob: flush %s: %w", key, err)
		}
		if folder == b.folder || folder == filepath.Dir(folder) {
			return nil
		}
	}
}

// flushFile asks the driver for the object's file, because it escapes keys in a way of its own.
func (b *Bucket) flushFile(ctx context.Context, key string) (path string, err error) {
	var file *os.File
	reader, err := b.NewRangeReader(ctx, key, 0, 0, &blob.ReaderOptions{
		BeforeRead: func(as func(any) bool) error {
			if !as(&file) {
				return errors.New("the driver shows no file")
			}
			return file.Sync()
		},
	})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	return file.Name(), nil
}

func flushFolder(path string) (err error) {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	return folder.Sync()
}

// Translate turns an error of the store into a typed one: an absent object is NOT_FOUND of the resource it belongs to,
// everything else UNAVAILABLE. A context's end and typed errors stay what they are.
func Translate(err error, resource string) error {
	var typed *failure.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &typed):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return failure.From(err)
	case gcerrors.Code(err) == gcerrors.NotFound:
		return failure.NotFound(resource).Wrap(err)
	default:
		return failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", "object store").Wrap(err)
	}
}
