package session

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/events"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	"kontor.internal/services/identity/internal/session/sessiondb"
)

// keptAfterEnd is how long ended sessions stay in the table.
const keptAfterEnd = 30 * 24 * time.Hour

// Session is one sign-in.
type Session struct {
	ID, Account         uuid.UUID
	Kind                caller.Kind
	DeviceName, Address string
	Company             string
	Created, Refreshed  time.Time
	State
}

// Name is its resource name.
func (s Session) Name() string { return Name(s.Account, s.ID) }

// Proto is the session as the contract has it.
func (s Session) Proto(current string) *identityv1.Session {
	return &identityv1.Session{
		Name: s.Name(), DeviceName: s.DeviceName, Address: s.Address, Company: s.Company, Current: s.Name() == current,
		CreateTime: timestamppb.New(s.Created), RefreshTime: timestamppb.New(s.Refreshed), ExpireTime: timestamppb.New(s.IdleExpires),
	}
}

// Alive says whether a session has neither ended nor expired.
func (s Session) Alive(now time.Time) bool {
	return !s.Ended && now.Before(s.IdleExpires) && now.Before(s.Expires)
}

// Store keeps sessions.
type Store struct {
	// Real is the real clock, by which sessions live.
	Real clock.Clock
	// Clock is the suite's, by which events happen.
	Clock clock.Clock
}

func translate(err error) error { return postgres.Constraints(nil).Translate(err) }

// Insert begins a session.
func (st *Store) Insert(ctx context.Context, tx pgx.Tx, s Session) error {
	hash := s.Hash
	err := sessiondb.New(tx).InsertSession(ctx, sessiondb.InsertSessionParams{
		ID: s.ID, AccountID: s.Account, DeviceName: s.DeviceName, Address: s.Address, TokenHash: hash[:],
		CreateTime: s.Created, IdleExpireTime: s.IdleExpires, ExpireTime: s.Expires,
	})
	if err != nil {
		return translate(err)
	}
	return events.Append(ctx, tx, events.Event{
		Subject: "kontor.identity.session.started", Aggregate: s.Name(), Time: st.Clock.Now(),
		Payload: &identityv1.SessionStarted{Session: s.Name(), Account: accountName(s.Account)},
	})
}

func accountName(account uuid.UUID) string { return "accounts/" + account.String() }

// Lock finds a session with all that decides about a refresh, and keeps others
// from changing it; found is false when there is none.
func (st *Store) Lock(ctx context.Context, tx pgx.Tx, id uuid.UUID) (s Session, found bool, err error) {
	q := sessiondb.New(tx)
	row, err := q.LockSession(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, false, nil
	}
	if err != nil {
		return s, false, translate(err)
	}
	s = Session{
		ID: row.ID, Account: row.AccountID, Kind: caller.Kind(row.Kind), DeviceName: row.DeviceName, Address: row.Address,
		Company: row.Company, Created: row.CreateTime, Refreshed: row.RefreshTime,
		State: State{
			Generation: row.Generation, Hash: [sha256.Size]byte(row.TokenHash), Ended: row.EndTime != nil,
			IdleExpires: row.IdleExpireTime, Expires: row.ExpireTime,
		},
	}
	used, err := q.ListRotations(ctx, id)
	if err != nil {
		return s, false, translate(err)
	}
	for _, u := range used {
		s.Used = append(s.Used, Rotation{Generation: u.Generation, Hash: [sha256.Size]byte(u.TokenHash), At: u.RotateTime})
	}
	return s, true, nil
}

// Get finds a session.
func (st *Store) Get(ctx context.Context, db sessiondb.DBTX, id uuid.UUID) (Session, error) {
	row, err := sessiondb.New(db).GetSession(ctx, id)
	if err != nil {
		return Session{}, postgres.NotFound(err, "session")
	}
	return sessionOf(sessiondb.ListSessionsRow(row)), nil
}

// rotate makes the successor the good one and remembers the used one for a moment.
func (st *Store) rotate(ctx context.Context, tx pgx.Tx, s *Session, next Token, now time.Time) error {
	q := sessiondb.New(tx)
	if err := q.DropRotations(ctx, sessiondb.DropRotationsParams{SessionID: s.ID, Before: now.Add(-Grace)}); err != nil {
		return translate(err)
	}
	used, hash := s.Hash, next.Hash()
	err := q.InsertRotation(ctx, sessiondb.InsertRotationParams{
		SessionID: s.ID, Generation: s.Generation, TokenHash: used[:], RotateTime: now,
	})
	if err != nil {
		return translate(err)
	}
	s.Generation, s.Hash, s.Refreshed, s.IdleExpires = next.Generation, hash, now, idleUntil(now, s.Expires)
	return translate(q.RotateSession(ctx, sessiondb.RotateSessionParams{
		ID: s.ID, Generation: s.Generation, TokenHash: hash[:], RefreshTime: now, IdleExpireTime: s.IdleExpires,
	}))
}

// End ends a session; one that ended before stays as it is.
func (st *Store) End(ctx context.Context, tx pgx.Tx, account, session uuid.UUID, end identityv1.SessionEnd) error {
	now, why := st.Real.Now(), cause(end)
	ended, err := sessiondb.New(tx).EndSession(ctx, sessiondb.EndSessionParams{
		ID: session, AccountID: account, EndTime: &now, EndCause: &why,
	})
	if err != nil || ended == 0 {
		return translate(err)
	}
	return st.revoked(ctx, tx, account, session, end)
}

// EndAll ends an account's sessions but the spared one (the nil UUID spares none).
func (st *Store) EndAll(ctx context.Context, tx pgx.Tx, account, spared uuid.UUID, end identityv1.SessionEnd) error {
	now, why := st.Real.Now(), cause(end)
	ended, err := sessiondb.New(tx).EndSessions(ctx, sessiondb.EndSessionsParams{
		AccountID: account, Spared: spared, EndTime: &now, EndCause: &why,
	})
	if err != nil {
		return translate(err)
	}
	for _, session := range ended {
		if err := st.revoked(ctx, tx, account, session, end); err != nil {
			return err
		}
	}
	return nil
}

func (st *Store) revoked(ctx context.Context, tx pgx.Tx, account, session uuid.UUID, end identityv1.SessionEnd) error {
	name := Name(account, session)
	return events.Append(ctx, tx, events.Event{
		Subject: "kontor.identity.session.revoked", Aggregate: name, Time: st.Clock.Now(),
		Payload: &identityv1.SessionRevoked{Session: name, Account: accountName(account), End: end},
	})
}

// setCompany notes the chosen company.
func (st *Store) setCompany(ctx context.Context, tx pgx.Tx, session uuid.UUID, company string) error {
	return translate(sessiondb.New(tx).SetCompany(ctx, sessiondb.SetCompanyParams{ID: session, Company: company}))
}

// list finds an account's living sessions, latest first, before one of them.
func (st *Store) list(ctx context.Context, db sessiondb.DBTX, account, before uuid.UUID, limit int32) ([]Session, error) {
	rows, err := sessiondb.New(db).ListSessions(ctx, sessiondb.ListSessionsParams{
		AccountID: account, AliveAt: st.Real.Now(), BeforeID: before, PageLimit: limit,
	})
	if err != nil {
		return nil, translate(err)
	}
	list := make([]Session, 0, len(rows))
	for _, row := range rows {
		list = append(list, sessionOf(row))
	}
	return list, nil
}

// stillSignsIn checks, under a lock that keeps it so, that an account is active
// and its password the one that was compared.
func (st *Store) stillSignsIn(ctx context.Context, tx pgx.Tx, account uuid.UUID, hash string) (caller.Kind, error) {
	row, err := sessiondb.New(tx).LockForSignIn(ctx, account)
	if err != nil {
		return "", translate(err)
	}
	if row.State != "active" || row.PasswordHash != hash {
		return "", failure.New(commonv1.Reason_REASON_SIGN_IN_REFUSED)
	}
	return caller.Kind(row.Kind), nil
}

// Purge forgets sessions that ended long ago.
func (st *Store) Purge(ctx context.Context, db sessiondb.DBTX) error {
	_, err := sessiondb.New(db).PurgeSessions(ctx, st.Real.Now().Add(-keptAfterEnd))
	return err
}

func sessionOf(row sessiondb.ListSessionsRow) Session {
	return Session{
		ID: row.ID, Account: row.AccountID, DeviceName: row.DeviceName, Address: row.Address, Company: row.Company,
		Created: row.CreateTime, Refreshed: row.RefreshTime,
		State: State{Ended: row.EndTime != nil, IdleExpires: row.IdleExpireTime, Expires: row.ExpireTime},
	}
}
