package snapshot

import (
	"context"
	"errors"
	"io"

	gcblob "gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"kontor.internal/libs/blob"
)

// Store is where a repository lies: a folder or a bucket.
type Store interface {
	// Create begins an object. It is there, whole and durable, when Commit returned without an error, and not at all before.
	// Where there is one already, Commit fails. Nobody writes under another's name: packs' are random, manifests' of one attempt.
	Create(ctx context.Context, key string) (Object, error)
	// Open reads length bytes from an offset; a negative length reads to the end. ErrMissing when there is no such object.
	Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)
	// List tells each object whose key begins with a prefix, in the order of keys.
	List(ctx context.Context, prefix string, each func(key string, bytes int64) error) error
	// Delete removes an object. One that is not there is no error.
	Delete(ctx context.Context, key string) error
}

// Object is being written.
type Object interface {
	io.Writer
	// Commit makes it exist.
	Commit() error
	// Abort leaves nothing of it.
	Abort()
}

// ErrMissing says that the store has no such object.
var ErrMissing = errors.New("snapshot: object missing")

// In keeps repositories in a bucket.
func In(bucket *blob.Bucket) Store { return bucketStore{bucket} }

type bucketStore struct{ bucket *blob.Bucket }

func (s bucketStore) Create(ctx context.Context, key string) (Object, error) {
	writing, abort := context.WithCancel(ctx) // A writer whose context ended stores nothing.
	w, err := s.bucket.NewWriter(writing, key, &gcblob.WriterOptions{ContentType: "application/octet-stream", DisableContentTypeDetection: true, IfNotExist: true})
	if err != nil {
		abort()
		return nil, translate(err)
	}
	return &bucketObject{Writer: w, abort: abort, sync: func() error { return translate(s.bucket.Sync(ctx, key)) }}, nil
}

type bucketObject struct {
	*gcblob.Writer
	abort context.CancelFunc
	sync  func() error
}

func (o *bucketObject) Commit() error {
	defer o.abort()
	if err := o.Close(); err != nil {
		return translate(err)
	}
	return o.sync()
}

func (o *bucketObject) Abort() {
	o.abort()
	_ = o.Close() // It fails on purpose.
}

func (s bucketStore) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	r, err := s.bucket.NewRangeReader(ctx, key, offset, length, nil)
	if err != nil {
		return nil, translate(err)
	}
	return r, nil
}

func (s bucketStore) List(ctx context.Context, prefix string, each func(key string, bytes int64) error) error {
	list := s.bucket.List(&gcblob.ListOptions{Prefix: prefix})
	for {
		object, err := list.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return translate(err)
		}
		if err := each(object.Key, object.Size); err != nil {
			return err
		}
	}
}

func (s bucketStore) Delete(ctx context.Context, key string) error {
	err := s.bucket.Delete(ctx, key)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil
	}
	return translate(err)
}

// translate keeps the cause for the log.
func translate(err error) error {
	if gcerrors.Code(err) == gcerrors.NotFound {
		return errors.Join(ErrMissing, err)
	}
	return err
}

// repository is where a company's objects lie in a store.
type repository struct {
	store  Store
	folder string // ends with a slash
}

func (r repository) pack(id Pack) string { return r.packs() + id.String() }

func (r repository) packs() string { return r.folder + "packs/" }

func (r repository) manifests() string { return r.folder + "manifests/" }
