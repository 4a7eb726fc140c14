package tenancy

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/kits/kit"
	"kontor.internal/libs/blob"
	"kontor.internal/libs/service"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/company"
	"kontor.internal/services/tenancy/internal/load"
	"kontor.internal/services/tenancy/internal/pgrestore"
	"kontor.internal/services/tenancy/internal/upload"
)

// Copies are the settings of taking copies of on-premises databases in.
type Copies struct {
	BlobURL          string `koanf:"blob_url" doc:"Object store for uploads: file:///folder or s3://bucket?region=…" required:"true"`
	UploadMaxBytes   int64  `koanf:"upload_max_bytes" doc:"Size of the largest copy that is taken." default:"21474836480"`
	UploadShareBytes int64  `koanf:"upload_share_bytes" doc:"How many bytes one subscriber's uploads may have together: those that no company was made of, and those whose bytes are still kept." default:"64424509440"`
	CopyMaxBytes     int64  `koanf:"copy_max_bytes" doc:"How many bytes of rows a copy may unpack to." default:"68719476736"`
	PgRestore        string `koanf:"pg_restore" doc:"PostgreSQL's pg_restore, which reads copies, by name or path." default:"pg_restore"`
}

// copies are uploads as companies are filled from them.
type copies struct {
	*upload.Uploads
	loader *load.Loader
}

// serveUploads wires UploadService and what companies take of it.
func serveUploads(ctx context.Context, s *service.Service, cfg Copies, deps company.Deps, kits *kit.Set) (copies, error) {
	limits := pgrestore.DefaultLimits
	limits.Bytes = cfg.CopyMaxBytes
	restore, err := pgrestore.Find(cfg.PgRestore, limits)
	if err != nil {
		return copies{}, err
	}
	store, err := blob.Open(ctx, cfg.BlobURL)
	if err != nil {
		return copies{}, err
	}
	uploads := upload.New(upload.Deps{
		DB: deps.DB, Clock: deps.Clock, NewID: deps.NewID, Store: store, Kits: kits, Restore: restore,
		MaxBytes: cfg.UploadMaxBytes, ShareBytes: cfg.UploadShareBytes, Log: s.Log,
	})
	s.OnClose("uploads", func(context.Context) error {
		uploads.Close()
		return store.Close()
	})
	tenancyv1.RegisterUploadServiceServer(s.GRPC(), uploads)
	return copies{Uploads: uploads, loader: load.NewLoader(restore)}, nil
}

// Get reads an upload that was found good.
func (c copies) Get(ctx context.Context, subscriber, id uuid.UUID) (company.Copy, error) {
	return copyOf(c.Uploads.Get(ctx, subscriber, id))
}

// Use takes an upload for a company.
func (c copies) Use(ctx context.Context, tx pgx.Tx, subscriber, id uuid.UUID) (company.Copy, error) {
	return copyOf(c.Uploads.Use(ctx, tx, subscriber, id))
}

func copyOf(v upload.Verified, err error) (company.Copy, error) {
	return company.Copy{Upload: v.ID, Product: v.Product, Version: v.Version, Size: v.Size}, err
}

// Load fills an area that its kit has just made.
func (c copies) Load(ctx context.Context, from company.Copy, conn *pgx.Conn, k *kit.Kit, progress func(done, total int64)) error {
	_, err := c.loader.Load(ctx, load.Source{Open: c.Opener(from.Upload), Size: from.Size}, conn, k, progress)
	return err
}
