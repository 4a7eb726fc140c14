package invitation

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/invitation/invitationdb"
	"kontor.internal/services/tenancy/internal/member"
	"kontor.internal/services/tenancy/internal/names"
)

// Constraints are the rules that the database keeps about invitations, and about the members they make.
func Constraints() postgres.Constraints {
	all := member.Constraints()
	all["invitation_open_once"] = commonv1.Reason_REASON_CONFLICT // Two to one e-mail were made at once.
	return all
}

// row is what every query of invitations reads.
type row = invitationdb.GetInvitationRow

func fromRow(r row) Invitation {
	return Invitation{
		ID: r.ID, Subscriber: r.SubscriberID, Email: r.Email, FullName: r.FullName, Access: r.Access, Message: r.Message,
		Language: r.Language, Author: r.AuthorAccount, Kept: tenancyv1.InvitationState(r.State), Created: r.Created,
		Expires: r.Expires, Ended: r.Ended, AcceptedBy: r.AcceptedBy, Member: r.MemberID,
		Held: member.Held{Companies: map[uuid.UUID][]string{}},
	}
}

// get reads one of a subscriber. NOT_FOUND when there is none.
func get(ctx context.Context, db invitationdb.DBTX, subscriber, id uuid.UUID) (Invitation, error) {
	r, err := invitationdb.New(db).GetInvitation(ctx, invitationdb.GetInvitationParams{SubscriberID: subscriber, ID: id})
	if err != nil {
		return Invitation{}, postgres.NotFound(err, names.Invitation(subscriber, id))
	}
	return one(ctx, db, r)
}

// lock reads one and keeps others from changing it until the transaction ends.
func lock(ctx context.Context, tx pgx.Tx, subscriber, id uuid.UUID) (Invitation, error) {
	r, err := invitationdb.New(tx).LockInvitation(ctx, invitationdb.LockInvitationParams{SubscriberID: subscriber, ID: id})
	if err != nil {
		return Invitation{}, postgres.NotFound(err, names.Invitation(subscriber, id))
	}
	return one(ctx, tx, row(r))
}

// find reads the invitation of a link. INVITATION_UNKNOWN when there is none.
func find(ctx context.Context, db invitationdb.DBTX, id uuid.UUID) (Invitation, error) {
	r, err := invitationdb.New(db).FindInvitation(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return Invitation{}, unknown()
	}
	if err != nil {
		return Invitation{}, Constraints().Translate(err)
	}
	return one(ctx, db, row(r))
}

func list(ctx context.Context, db invitationdb.DBTX, subscriber, before uuid.UUID, limit int32) ([]Invitation, error) {
	rows, err := invitationdb.New(db).ListInvitations(ctx, invitationdb.ListInvitationsParams{SubscriberID: subscriber, ID: before, Limit: limit})
	if err != nil {
		return nil, err
	}
	invitations := make([]Invitation, len(rows))
	for i, r := range rows {
		invitations[i] = fromRow(row(r))
	}
	return invitations, fillRoles(ctx, db, invitations)
}

func one(ctx context.Context, db invitationdb.DBTX, r row) (Invitation, error) {
	invitations := []Invitation{fromRow(r)}
	err := fillRoles(ctx, db, invitations)
	return invitations[0], err
}

func fillRoles(ctx context.Context, db invitationdb.DBTX, invitations []Invitation) error {
	if len(invitations) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, len(invitations))
	at := make(map[uuid.UUID]*member.Held, len(invitations))
	for i := range invitations {
		ids[i] = invitations[i].ID
		at[ids[i]] = &invitations[i].Held
	}
	rows, err := invitationdb.New(db).ListRoles(ctx, ids)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if held := at[r.InvitationID]; r.CompanyID == nil {
			held.Wide = append(held.Wide, r.Role)
		} else {
			held.Companies[*r.CompanyID] = append(held.Companies[*r.CompanyID], r.Role)
		}
	}
	return nil
}

// insert writes a fresh invitation in place of the open ones to the same e-mail.
func insert(ctx context.Context, tx pgx.Tx, i Invitation) error {
	q := invitationdb.New(tx)
	if err := q.ReplaceOpen(ctx, invitationdb.ReplaceOpenParams{SubscriberID: i.Subscriber, EmailKey: i.EmailKey(), Ended: i.Created}); err != nil {
		return err
	}
	if err := q.InsertInvitation(ctx, invitationdb.InsertInvitationParams{
		ID: i.ID, SubscriberID: i.Subscriber, Email: i.Email, EmailKey: i.EmailKey(), FullName: i.FullName, Access: i.Access,
		Message: i.Message, Language: i.Language, AuthorAccount: i.Author, ResentOf: i.ResentOf, Created: i.Created, Expires: i.Expires,
	}); err != nil {
		return err
	}
	for _, key := range i.Held.Wide {
		if err := q.InsertRole(ctx, invitationdb.InsertRoleParams{InvitationID: i.ID, Role: key}); err != nil {
			return err
		}
	}
	for _, company := range i.Held.CompanyIDs() {
		for _, key := range i.Held.Companies[company] {
			if err := q.InsertRole(ctx, invitationdb.InsertRoleParams{InvitationID: i.ID, CompanyID: &company, Role: key}); err != nil {
				return err
			}
		}
	}
	return nil
}

// end writes how an open one ended.
func end(ctx context.Context, tx pgx.Tx, i Invitation) error {
	return invitationdb.New(tx).EndInvitation(ctx, invitationdb.EndInvitationParams{
		ID: i.ID, State: int16(i.Kept), AcceptedBy: i.AcceptedBy, MemberID: i.Member, Ended: *i.Ended,
	})
}

// countOpen counts the invitations that can still be accepted, beside those to one e-mail.
func countOpen(ctx context.Context, db invitationdb.DBTX, i Invitation, now time.Time) (int, error) {
	count, err := invitationdb.New(db).CountOpen(ctx, invitationdb.CountOpenParams{SubscriberID: i.Subscriber, Now: now, EmailKey: i.EmailKey()})
	return int(count), err
}
