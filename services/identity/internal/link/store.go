package link

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/identity/internal/link/linkdb"
)

// Store keeps links.
type Store struct {
	newID id.Source
}

// NewStore returns a store that names links from a source.
func NewStore(newID id.Source) *Store { return &Store{newID: newID} }

// Create makes a link for an account. Earlier ones stay valid.
func (s *Store) Create(ctx context.Context, tx pgx.Tx, p Purpose, account uuid.UUID, now time.Time) (Link, error) {
	l := Link{ID: s.newID(), Account: account, Purpose: p, Expires: now.Add(p.Life())}
	err := linkdb.New(tx).InsertLink(ctx, linkdb.InsertLinkParams{
		ID: l.ID, AccountID: account, Purpose: string(p), CreateTime: now, ExpireTime: l.Expires,
	})
	return l, postgres.Constraints(nil).Translate(err)
}

// Get finds a link. LINK_INVALID when there is none any more.
func (s *Store) Get(ctx context.Context, db linkdb.DBTX, p Purpose, v uuid.UUID) (Link, error) {
	row, err := linkdb.New(db).GetLink(ctx, linkdb.GetLinkParams{ID: v, Purpose: string(p)})
	if errors.Is(err, pgx.ErrNoRows) {
		return Link{}, failure.New(commonv1.Reason_REASON_LINK_INVALID).Wrap(err)
	}
	return linkOf(linkdb.LatestOpenLinkRow(row)), postgres.Constraints(nil).Translate(err)
}

// EnsureOpen finds the open link of an account that works longest, or makes
// one when none works for at least the given time.
func (s *Store) EnsureOpen(ctx context.Context, tx pgx.Tx, p Purpose, account uuid.UUID, now time.Time, least time.Duration) (Link, error) {
	row, err := linkdb.New(tx).LatestOpenLink(ctx, linkdb.LatestOpenLinkParams{AccountID: account, Purpose: string(p)})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return s.Create(ctx, tx, p, account, now)
	case err != nil:
		return Link{}, postgres.Constraints(nil).Translate(err)
	case row.ExpireTime.Before(now.Add(least)):
		return s.Create(ctx, tx, p, account, now)
	}
	return linkOf(row), nil
}

// Use marks all open links of an account to one purpose as used: what they do is done.
func (s *Store) Use(ctx context.Context, tx pgx.Tx, p Purpose, account uuid.UUID, now time.Time) error {
	return postgres.Constraints(nil).Translate(
		linkdb.New(tx).UseLinks(ctx, linkdb.UseLinksParams{UseTime: &now, AccountID: account, Purpose: string(p)}))
}

// Purge removes links that ended before a time.
func (s *Store) Purge(ctx context.Context, db linkdb.DBTX, before time.Time) error {
	_, err := linkdb.New(db).PurgeLinks(ctx, before)
	return err
}

func linkOf(row linkdb.LatestOpenLinkRow) Link {
	return Link{ID: row.ID, Account: row.AccountID, Purpose: Purpose(row.Purpose), Expires: row.ExpireTime, Used: row.UseTime}
}
