package opening

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/tenancy/internal/database"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/opening/openingdb"
)

// constraints are the rules that the database keeps about sessions. Both mean that two were opened at once.
func constraints() postgres.Constraints {
	return postgres.Constraints{
		"session_slot_open_once": commonv1.Reason_REASON_CONFLICT,
		"session_seat_open_once": commonv1.Reason_REASON_CONFLICT,
	}
}

// row is what every query of sessions reads.
type row = openingdb.GetSessionRow

func fromRow(r row) Session {
	return Session{
		ID: r.ID, Subscriber: r.SubscriberID, Company: r.CompanyID, Account: r.AccountID, Seat: r.Seat, Area: r.Area,
		ReadOnly: r.ReadOnly, Created: r.Created, LeaseEnd: r.LeaseEnd,
	}
}

// get reads one. NOT_FOUND when there is none.
func get(ctx context.Context, db openingdb.DBTX, subscriber, company, id uuid.UUID) (Session, error) {
	r, err := openingdb.New(db).GetSession(ctx, openingdb.GetSessionParams{ID: id, CompanyID: company, SubscriberID: subscriber})
	if err != nil {
		return Session{}, postgres.NotFound(err, names.Session(subscriber, company, id))
	}
	return fromRow(r), nil
}

// list reads a page of a company's open sessions in the order they were opened.
func list(ctx context.Context, db openingdb.DBTX, subscriber, company, after uuid.UUID, limit int32) ([]Session, error) {
	rows, err := openingdb.New(db).ListSessions(ctx, openingdb.ListSessionsParams{
		CompanyID: company, SubscriberID: subscriber, After: after, Limit: limit,
	})
	if err != nil {
		return nil, translate(err)
	}
	sessions := make([]Session, len(rows))
	for i, r := range rows {
		sessions[i] = fromRow(row(r))
	}
	return sessions, nil
}

// takeSlot takes a free login role, best the one that is bound so already, or names another one. Limit is how many the
// company may have; OPENINGS_FULL beyond it.
func (s *Sessions) takeSlot(ctx context.Context, tx pgx.Tx, d database.Database, b binding) (slot, error) {
	q := openingdb.New(tx)
	r, err := q.TakeSlot(ctx, openingdb.TakeSlotParams{DatabaseID: d.ID, Account: b.Account, YearFrom: b.YearFrom, YearTo: b.YearTo})
	if err == nil {
		return slot{
			ID: r.ID, Role: r.RoleName, Made: r.Made, Groups: r.Groups, ReadOnly: r.ReadOnly,
			BoundTo: r.BoundTo, YearFrom: r.YearFrom, YearTo: r.YearTo,
		}, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return slot{}, err
	}
	count, err := q.CountSlots(ctx, d.Company)
	if err != nil {
		return slot{}, err
	}
	if count >= int64(s.d.Limits.Logins) {
		return slot{}, failure.New(commonv1.Reason_REASON_OPENINGS_FULL, "limit", decimal(s.d.Limits.Logins))
	}
	made := slot{ID: s.d.NewID(), Role: d.LoginName()}
	return made, q.InsertSlot(ctx, openingdb.InsertSlotParams{ID: made.ID, DatabaseID: d.ID, RoleName: made.Role})
}

// share is how many connections one more login may have. A subscriber whose logins have their share of the cluster gets
// one for each further login, so that its people work on and others' too.
func (s *Sessions) share(ctx context.Context, q *openingdb.Queries, subscriber, cluster uuid.UUID) (int, error) {
	given, err := q.ConnectionsGiven(ctx, openingdb.ConnectionsGivenParams{SubscriberID: subscriber, ClusterID: cluster})
	return max(1, min(s.d.Limits.Connections, s.d.Limits.Share-int(given))), err
}
