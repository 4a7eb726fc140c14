package release

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/licensing/internal/release/releasedb"
)

// Store keeps releases in PostgreSQL. Its methods work on the pool or in a transaction.
type Store struct{}

func translate(err error, pairs ...string) error {
	return postgres.Constraints{"release_once": commonv1.Reason_REASON_RELEASE_EXISTS}.Translate(err, pairs...)
}

// Insert writes a draft.
func (Store) Insert(ctx context.Context, tx pgx.Tx, r Release, author uuid.UUID) error {
	texts, err := json.Marshal(r.Texts)
	if err != nil {
		return fmt.Errorf("release: texts: %w", err)
	}
	return translate(releasedb.New(tx).InsertRelease(ctx, releasedb.InsertReleaseParams{
		ID: r.ID, Kind: string(r.Kind), Subject: r.Subject, Version: r.Version.parts(), ReleaseDate: r.Date, Platform: r.Platform,
		PlatformVersion: r.PlatformVersion.String(), Issue: r.Issue, Texts: texts, Author: author, Created: r.Created,
	}), "subject", r.Subject, "version", r.Version.String())
}

// Update writes what staff say of a release, if it is still as they read it.
func (Store) Update(ctx context.Context, tx pgx.Tx, r Release) error {
	texts, err := json.Marshal(r.Texts)
	if err != nil {
		return fmt.Errorf("release: texts: %w", err)
	}
	rows, err := releasedb.New(tx).UpdateRelease(ctx, releasedb.UpdateReleaseParams{
		ID: r.ID, Revision: r.Revision, ReleaseDate: r.Date, Platform: r.Platform, PlatformVersion: r.PlatformVersion.String(),
		Issue: r.Issue, Texts: texts,
	})
	if err == nil && rows == 0 {
		return failure.New(commonv1.Reason_REASON_ETAG_MISMATCH, "resource", Name(r.ID))
	}
	return translate(err)
}

// Get reads a release with its kits.
func (s Store) Get(ctx context.Context, db releasedb.DBTX, release uuid.UUID) (Release, error) {
	row, err := releasedb.New(db).GetRelease(ctx, release)
	if err != nil {
		return Release{}, postgres.NotFound(err, Name(release))
	}
	return s.one(ctx, db, row)
}

// Lock reads a release with its kits and keeps others from changing it until the transaction ends.
func (s Store) Lock(ctx context.Context, tx pgx.Tx, release uuid.UUID) (Release, error) {
	row, err := releasedb.New(tx).LockRelease(ctx, release)
	if err != nil {
		return Release{}, postgres.NotFound(err, Name(release))
	}
	return s.one(ctx, tx, row)
}

func (s Store) one(ctx context.Context, db releasedb.DBTX, row releasedb.Release) (Release, error) {
	all, err := s.many(ctx, db, []releasedb.Release{row})
	if err != nil {
		return Release{}, err
	}
	return all[0], nil
}

func (Store) many(ctx context.Context, db releasedb.DBTX, rows []releasedb.Release) ([]Release, error) {
	ids := make([]uuid.UUID, 0, len(rows))
	for _, row := range rows {
		ids = append(ids, row.ID)
	}
	found, err := releasedb.New(db).KitsOf(ctx, ids)
	if err != nil {
		return nil, translate(err)
	}
	kitsOf := map[uuid.UUID][]Kit{}
	for _, k := range found {
		kitsOf[k.Release] = append(kitsOf[k.Release], kitOf(k))
	}
	all := make([]Release, 0, len(rows))
	for _, row := range rows {
		r, err := releaseOf(row)
		if err != nil {
			return nil, err
		}
		r.Kits = kitsOf[r.ID]
		all = append(all, r)
	}
	return all, nil
}

// ListAll reads a page of all releases, the newest first; those made before one, if one is named.
func (s Store) ListAll(ctx context.Context, db releasedb.DBTX, before uuid.UUID, count int32) ([]Release, error) {
	rows, err := releasedb.New(db).ListAllReleases(ctx, releasedb.ListAllReleasesParams{Before: optional(before), Count: count})
	if err != nil {
		return nil, translate(err)
	}
	return s.many(ctx, db, rows)
}

// ListPublished reads a page of a subject's published releases, the newest version first; those older than one, if one is given.
func (s Store) ListPublished(ctx context.Context, db releasedb.DBTX, kind Kind, subject string, before Version, count int32) ([]Release, error) {
	rows, err := releasedb.New(db).ListPublished(ctx, releasedb.ListPublishedParams{
		Kind: string(kind), Subject: subject, Further: before != Version{}, Before: before.parts(), Count: count,
	})
	if err != nil {
		return nil, translate(err)
	}
	return s.many(ctx, db, rows)
}

// newerLimit bounds how many releases are looked through for one that may be had; who is further behind updates in steps.
const newerLimit = 500

// Newer reads the published releases that are newer than a version, the newest first.
func (s Store) Newer(ctx context.Context, db releasedb.DBTX, kind Kind, subject string, than Version) ([]Release, error) {
	rows, err := releasedb.New(db).ListNewer(ctx, releasedb.ListNewerParams{
		Kind: string(kind), Subject: subject, After: than.parts(), Count: newerLimit,
	})
	if err != nil {
		return nil, translate(err)
	}
	return s.many(ctx, db, rows)
}

// Newest is the newest published version of a product; zero when there is none.
func (s Store) Newest(ctx context.Context, db releasedb.DBTX, product string) (Version, error) {
	found, err := s.ListPublished(ctx, db, Product, product, Version{}, 1)
	if err != nil || len(found) == 0 {
		return Version{}, err
	}
	return found[0].Version, nil
}

// Kit reads a kit.
func (Store) Kit(ctx context.Context, db releasedb.DBTX, release, kit uuid.UUID) (Kit, error) {
	row, err := releasedb.New(db).GetKit(ctx, releasedb.GetKitParams{Release: release, ID: kit})
	if err != nil {
		return Kit{}, postgres.NotFound(err, KitName(release, kit))
	}
	return kitOf(row), nil
}

func kitOf(row releasedb.ReleaseKit) Kit {
	return Kit{
		ID: row.ID, Release: row.Release, Target: row.Target, Filename: row.Filename, Size: row.SizeBytes, SHA256: row.Sha256,
		Received: row.Received, Signature: row.Signature, Key: row.ObjectKey,
	}
}

func releaseOf(row releasedb.Release) (Release, error) {
	platform, err := ParseVersion(row.PlatformVersion)
	if err != nil {
		return Release{}, err
	}
	r := Release{
		ID: row.ID, Kind: Kind(row.Kind), Subject: row.Subject, Version: versionOf(row.Version), Date: row.ReleaseDate,
		Platform: row.Platform, PlatformVersion: platform, Issue: row.Issue, Created: row.Created.UTC(), Published: instant(row.Published),
		Withdrawn: instant(row.Withdrawn), WithdrawReason: row.WithdrawReason, Revision: row.Revision,
	}
	if row.ToldUntil != nil {
		r.ToldUntil = *row.ToldUntil
	}
	if err := json.Unmarshal(row.Texts, &r.Texts); err != nil {
		return Release{}, fmt.Errorf("release: texts: %w", err)
	}
	return r, nil
}

// ListProblems reads a page of a subject's problems, the newest first.
func (Store) ListProblems(
	ctx context.Context, db releasedb.DBTX, kind Kind, subject string, version Version, before uuid.UUID, count int32,
) ([]Problem, error) {
	rows, err := releasedb.New(db).ListProblems(ctx, releasedb.ListProblemsParams{
		Kind: string(kind), Subject: subject, Version: version.parts(), Before: optional(before), Count: count,
	})
	if err != nil {
		return nil, translate(err)
	}
	all := make([]Problem, 0, len(rows))
	for _, row := range rows {
		p, err := problemOf(row)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func problemOf(row releasedb.KnownProblem) (Problem, error) {
	p := Problem{
		ID: row.ID, Kind: Kind(row.Kind), Subject: row.Subject, From: versionOf(row.FromVersion), Fixed: versionOf(row.FixedVersion),
		Created: row.Created.UTC(), Revision: row.Revision,
	}
	if err := json.Unmarshal(row.Texts, &p.Texts); err != nil {
		return Problem{}, fmt.Errorf("release: problem's texts: %w", err)
	}
	return p, nil
}

func optional(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

func instant(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
