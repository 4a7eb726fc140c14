package upload

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	gcblob "gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/id"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/postgres"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/upload/uploaddb"
)

const (
	purgeEvery = time.Minute
	// orphanAge is how old (real time) an object without a row must be before it is taken for one that nobody will name.
	orphanAge   = 24 * time.Hour
	sweepEvery  = 6 * time.Hour
	purgeAtOnce = 100
)

// Periodic deletes uploads whose time is over, and objects that no row names.
func (s *Uploads) Periodic() []jobs.Periodic {
	return []jobs.Periodic{
		{Name: "purge-uploads", Every: purgeEvery, AtStart: true, Run: s.Purge},
		{Name: "sweep-upload-objects", Every: sweepEvery, Run: func(ctx context.Context) error {
			return s.Sweep(ctx, clock.System{}.Now().Add(-orphanAge))
		}},
	}
}

// Purge deletes uploads whose time is over. Of one that a company was made of the bytes go and the row stays.
func (s *Uploads) Purge(ctx context.Context) error {
	expired, err := uploaddb.New(s.d.DB).ListExpired(ctx, uploaddb.ListExpiredParams{Limit: purgeAtOnce, Now: s.d.Clock.Now()})
	if err != nil {
		return err
	}
	for _, u := range expired {
		if err := s.purge(ctx, u); err != nil {
			return err
		}
	}
	return nil
}

// purge deletes the rows first: objects that a crash leaves behind are swept.
func (s *Uploads) purge(ctx context.Context, u row) error {
	var gone []uuid.UUID
	err := postgres.InTx(ctx, s.d.DB, func(tx pgx.Tx) (err error) {
		gone = nil
		q := uploaddb.New(tx)
		var now row
		if now, err = q.LockAny(ctx, u.ID); err != nil {
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			return err
		}
		if now.Expires.After(s.d.Clock.Now()) { // It was used or given back meanwhile.
			return nil
		}
		if gone, err = q.DeleteParts(ctx, u.ID); err != nil {
			return err
		}
		if state(now) == tenancyv1.UploadState_UPLOAD_STATE_USED {
			return nil
		}
		return q.DeleteUpload(ctx, u.ID)
	})
	if err != nil {
		return err
	}
	for _, object := range gone {
		remove(ctx, s.d, objectKey(u.ID, object))
	}
	return nil
}

// remove deletes an object; one that stays is swept later.
func remove(ctx context.Context, d Deps, key string) {
	if err := d.Store.Delete(ctx, key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		d.Log.WarnContext(ctx, "an upload's object can't be deleted", "key", key, "error", err)
	}
}

// Sweep deletes objects from before a time that no row names: their writer died between object and row.
func (s *Uploads) Sweep(ctx context.Context, before time.Time) error {
	list := s.d.Store.List(&gcblob.ListOptions{Prefix: objects})
	keys := map[uuid.UUID]string{}
	for {
		object, err := list.Next(ctx)
		if errors.Is(err, io.EOF) {
			return s.sweep(ctx, keys)
		}
		if err != nil {
			return err
		}
		name, err := id.Parse(object.Key[strings.LastIndexByte(object.Key, '/')+1:])
		if err != nil || !object.ModTime.Before(before) {
			continue
		}
		if keys[name] = object.Key; len(keys) == purgeAtOnce {
			if err := s.sweep(ctx, keys); err != nil {
				return err
			}
			clear(keys)
		}
	}
}

func (s *Uploads) sweep(ctx context.Context, keys map[uuid.UUID]string) error {
	var asked []uuid.UUID
	for object := range keys {
		asked = append(asked, object)
	}
	known, err := uploaddb.New(s.d.DB).KnownObjects(ctx, asked)
	if err != nil {
		return err
	}
	for _, object := range known {
		delete(keys, object)
	}
	for _, key := range keys {
		remove(ctx, s.d, key)
	}
	return nil
}
