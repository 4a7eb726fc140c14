package subscriber

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/postgres"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/subscriber/subscriberdb"
)

// row is what every query of subscribers reads.
type row = subscriberdb.GetSubscriberRow

func fromRow(r row) Subscriber {
	return Subscriber{
		ID: r.ID, Code: r.Code, Title: r.Title, LegalForm: tenancyv1.LegalForm(r.LegalForm), FirstName: r.FirstName,
		LastName: r.LastName, RegistrationNumber: r.RegistrationNumber, PostalAddress: r.PostalAddress, Region: r.Region,
		Language: r.Language, Country: r.Country, Owner: r.OwnerAccount, Pending: r.PendingOwner, Completed: r.Completed,
		Created: r.Created, Revision: r.Revision,
	}
}

// Get reads one. NOT_FOUND when there is none.
func Get(ctx context.Context, db subscriberdb.DBTX, subscriber uuid.UUID) (Subscriber, error) {
	r, err := subscriberdb.New(db).GetSubscriber(ctx, subscriber)
	if err != nil {
		return Subscriber{}, postgres.NotFound(err, names.Subscriber(subscriber))
	}
	return fromRow(r), nil
}

// Lock reads one and keeps others from changing it until the transaction ends.
func Lock(ctx context.Context, tx pgx.Tx, subscriber uuid.UUID) (Subscriber, error) {
	r, err := subscriberdb.New(tx).LockSubscriber(ctx, subscriber)
	if err != nil {
		return Subscriber{}, postgres.NotFound(err, names.Subscriber(subscriber))
	}
	return fromRow(row(r)), nil
}

// list reads several by id.
func list(ctx context.Context, db subscriberdb.DBTX, ids []uuid.UUID) (map[uuid.UUID]Subscriber, error) {
	rows, err := subscriberdb.New(db).ListSubscribers(ctx, ids)
	if err != nil {
		return nil, err
	}
	found := make(map[uuid.UUID]Subscriber, len(rows))
	for _, r := range rows {
		found[r.ID] = fromRow(row(r))
	}
	return found, nil
}

func listOwned(ctx context.Context, db subscriberdb.DBTX, account uuid.UUID) ([]Subscriber, error) {
	rows, err := subscriberdb.New(db).ListOwned(ctx, account)
	if err != nil {
		return nil, err
	}
	owned := make([]Subscriber, len(rows))
	for i, r := range rows {
		owned[i] = fromRow(row(r))
	}
	return owned, nil
}

// update writes a subscriber back and answers it with its new revision.
func update(ctx context.Context, tx pgx.Tx, s Subscriber) (Subscriber, error) {
	err := subscriberdb.New(tx).UpdateSubscriber(ctx, subscriberdb.UpdateSubscriberParams{
		ID: s.ID, Title: s.Title, LegalForm: int16(s.LegalForm), FirstName: s.FirstName, LastName: s.LastName,
		RegistrationNumber: s.RegistrationNumber, PostalAddress: s.PostalAddress, Region: s.Region, Language: s.Language,
		Country: s.Country, OwnerAccount: s.Owner, PendingOwner: s.Pending, Completed: s.Completed,
	})
	s.Revision++
	return s, err
}
