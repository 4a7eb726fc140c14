package subscriber

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/names"
)

// Directory is the part of DirectoryService that is about subscribers.
type Directory struct{ db *pgxpool.Pool }

// NewDirectory returns that part.
func NewDirectory(db *pgxpool.Pool) *Directory { return &Directory{db: db} }

// LookupSubscriber shows one to another service.
func (d *Directory) LookupSubscriber(ctx context.Context, r *tenancyv1.LookupSubscriberRequest) (*tenancyv1.LookupSubscriberResponse, error) {
	id, err := names.ParseSubscriber(r.GetName())
	if err != nil {
		return nil, err
	}
	found, err := Get(ctx, d.db, id)
	if err != nil {
		return nil, err
	}
	return &tenancyv1.LookupSubscriberResponse{Subscriber: ToProto(found)}, nil
}

// ListOwnedSubscribers tells identity what an account owns.
func (d *Directory) ListOwnedSubscribers(ctx context.Context, r *tenancyv1.ListOwnedSubscribersRequest) (*tenancyv1.ListOwnedSubscribersResponse, error) {
	account, err := names.ParseAccount(r.GetAccount())
	if err != nil {
		return nil, err
	}
	owned, err := listOwned(ctx, d.db, account)
	if err != nil {
		return nil, translate(err)
	}
	answer := &tenancyv1.ListOwnedSubscribersResponse{}
	for _, s := range owned {
		answer.Subscribers = append(answer.Subscribers, ToProto(s))
	}
	return answer, nil
}
