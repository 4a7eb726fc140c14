package member

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/civil"
	"kontor.internal/libs/postgres"
	"kontor.internal/services/tenancy/internal/member/memberdb"
	"kontor.internal/services/tenancy/internal/names"
)

// row is what every query of members reads.
type row = memberdb.GetMemberRow

func fromRow(r row) Member {
	return Member{
		ID: r.ID, Subscriber: r.SubscriberID, Account: r.AccountID, Owner: r.Owner, Access: r.Access, End: r.EndDate,
		Excluded: r.Excluded, Created: r.Created, Revision: r.Revision, Held: Held{Companies: map[uuid.UUID][]string{}},
	}
}

// Get reads one member of a subscriber. NOT_FOUND when there is none.
func Get(ctx context.Context, db memberdb.DBTX, subscriber, member uuid.UUID) (Member, error) {
	r, err := memberdb.New(db).GetMember(ctx, memberdb.GetMemberParams{SubscriberID: subscriber, ID: member})
	if err != nil {
		return Member{}, postgres.NotFound(err, names.Member(subscriber, member))
	}
	return one(ctx, db, r)
}

// Lock reads one member and keeps others from changing it until the transaction ends.
func Lock(ctx context.Context, tx pgx.Tx, subscriber, member uuid.UUID) (Member, error) {
	r, err := memberdb.New(tx).LockMember(ctx, memberdb.LockMemberParams{SubscriberID: subscriber, ID: member})
	if err != nil {
		return Member{}, postgres.NotFound(err, names.Member(subscriber, member))
	}
	return one(ctx, tx, row(r))
}

// OfAccount reads an account's membership of a subscriber, an excluded one too; found is false when it never was one.
func OfAccount(ctx context.Context, db memberdb.DBTX, subscriber, account uuid.UUID) (m Member, found bool, err error) {
	r, err := memberdb.New(db).GetMemberOfAccount(ctx, memberdb.GetMemberOfAccountParams{SubscriberID: subscriber, AccountID: account})
	return maybe(ctx, db, row(r), err)
}

// lockOfAccount is OfAccount for a transaction that changes it.
func lockOfAccount(ctx context.Context, tx pgx.Tx, subscriber, account uuid.UUID) (m Member, found bool, err error) {
	r, err := memberdb.New(tx).LockMemberOfAccount(ctx, memberdb.LockMemberOfAccountParams{SubscriberID: subscriber, AccountID: account})
	return maybe(ctx, tx, row(r), err)
}

func maybe(ctx context.Context, db memberdb.DBTX, r row, err error) (Member, bool, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return Member{}, false, nil
	}
	if err != nil {
		return Member{}, false, err
	}
	m, err := one(ctx, db, r)
	return m, err == nil, err
}

// List reads a page of a subscriber's members in the order they came.
func List(ctx context.Context, db memberdb.DBTX, subscriber, after uuid.UUID, limit int32) ([]Member, error) {
	rows, err := memberdb.New(db).ListMembers(ctx, memberdb.ListMembersParams{SubscriberID: subscriber, ID: after, Limit: limit})
	if err != nil {
		return nil, err
	}
	members := make([]Member, len(rows))
	for i, r := range rows {
		members[i] = fromRow(row(r))
	}
	return members, fillRoles(ctx, db, members)
}

// ListOfAccount reads a page of an account's memberships in the order of their subscribers, without those it was
// excluded from.
func ListOfAccount(ctx context.Context, db memberdb.DBTX, account, afterSubscriber uuid.UUID, limit int32) ([]Member, error) {
	rows, err := memberdb.New(db).ListOfAccount(ctx, memberdb.ListOfAccountParams{AccountID: account, SubscriberID: afterSubscriber, Limit: limit})
	if err != nil {
		return nil, err
	}
	members := make([]Member, len(rows))
	for i, r := range rows {
		members[i] = fromRow(row(r))
	}
	return members, fillRoles(ctx, db, members)
}

// CountStanding counts the members that are neither excluded nor ended on a day.
func CountStanding(ctx context.Context, db memberdb.DBTX, subscriber uuid.UUID, today civil.Date) (int, error) {
	count, err := memberdb.New(db).CountStanding(ctx, memberdb.CountStandingParams{SubscriberID: subscriber, Today: today})
	return int(count), err
}

func one(ctx context.Context, db memberdb.DBTX, r row) (Member, error) {
	members := []Member{fromRow(r)}
	err := fillRoles(ctx, db, members)
	return members[0], err
}

func fillRoles(ctx context.Context, db memberdb.DBTX, members []Member) error {
	if len(members) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, len(members))
	at := make(map[uuid.UUID]*Held, len(members))
	for i := range members {
		ids[i] = members[i].ID
		at[ids[i]] = &members[i].Held
	}
	rows, err := memberdb.New(db).ListRoles(ctx, ids)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if held := at[r.MemberID]; r.CompanyID == nil {
			held.Wide = append(held.Wide, r.Role)
		} else {
			held.Companies[*r.CompanyID] = append(held.Companies[*r.CompanyID], r.Role)
		}
	}
	return nil
}

func insert(ctx context.Context, tx pgx.Tx, m Member) error {
	q := memberdb.New(tx)
	if err := q.InsertMember(ctx, memberdb.InsertMemberParams{
		ID: m.ID, SubscriberID: m.Subscriber, AccountID: m.Account, Access: m.Access, EndDate: m.End, Created: m.Created,
	}); err != nil {
		return err
	}
	return insertRoles(ctx, q, m)
}

// update writes a member back and answers it with its new revision.
func update(ctx context.Context, tx pgx.Tx, m Member) (Member, error) {
	q := memberdb.New(tx)
	if err := q.UpdateMember(ctx, memberdb.UpdateMemberParams{ID: m.ID, Access: m.Access, EndDate: m.End, Excluded: m.Excluded}); err != nil {
		return m, err
	}
	if err := q.DeleteRoles(ctx, m.ID); err != nil {
		return m, err
	}
	m.Revision++
	return m, insertRoles(ctx, q, m)
}

func insertRoles(ctx context.Context, q *memberdb.Queries, m Member) error {
	for _, key := range m.Held.Wide {
		if err := q.InsertRole(ctx, memberdb.InsertRoleParams{MemberID: m.ID, Role: key}); err != nil {
			return err
		}
	}
	for _, company := range m.Held.CompanyIDs() {
		for _, key := range m.Held.Companies[company] {
			if err := q.InsertRole(ctx, memberdb.InsertRoleParams{MemberID: m.ID, CompanyID: &company, Role: key}); err != nil {
				return err
			}
		}
	}
	return nil
}
