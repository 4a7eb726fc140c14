package upload

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"

	"kontor.internal/libs/blob"
	"kontor.internal/services/tenancy/internal/pgrestore"
	"kontor.internal/services/tenancy/internal/upload/uploaddb"
)

// objects is the folder of all uploads in the object store.
const objects = "uploads/"

func objectKey(upload, object uuid.UUID) string {
	return objects + upload.String() + "/" + object.String()
}

// Opener gives an upload's bytes from the start.
func (s *Uploads) Opener(upload uuid.UUID) pgrestore.Open { return opener(s.d, upload) }

func opener(d Deps, upload uuid.UUID) pgrestore.Open {
	return func(ctx context.Context) (io.ReadCloser, error) {
		parts, err := uploaddb.New(d.DB).ListParts(ctx, upload)
		if err != nil {
			return nil, err
		}
		return &partReader{ctx: ctx, store: d.Store, parts: parts}, nil
	}
}

// partReader is the parts one after another.
type partReader struct {
	ctx   context.Context
	store *blob.Bucket
	parts []uploaddb.UploadPart
	at    io.ReadCloser
}

// Read opens each part when the one before is over.
func (r *partReader) Read(p []byte) (int, error) {
	for {
		if r.at == nil {
			if len(r.parts) == 0 {
				return 0, io.EOF
			}
			part, err := r.store.NewReader(r.ctx, objectKey(r.parts[0].UploadID, r.parts[0].ObjectID), nil)
			if err != nil {
				return 0, blob.Translate(err, "upload part")
			}
			if part.Size() != r.parts[0].SizeBytes {
				return 0, errors.Join(fmt.Errorf("upload part %s has %d bytes", r.parts[0].ObjectID, part.Size()), part.Close())
			}
			r.at, r.parts = part, r.parts[1:]
		}
		n, err := r.at.Read(p)
		if errors.Is(err, io.EOF) {
			err = r.at.Close()
			r.at = nil
		}
		if n > 0 || err != nil {
			return n, blob.Translate(err, "upload part")
		}
	}
}

// Close leaves the part that is open.
func (r *partReader) Close() error {
	if r.at == nil {
		return nil
	}
	err := r.at.Close()
	r.at = nil
	return err
}
