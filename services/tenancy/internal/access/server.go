package access

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/access/accessdb"
	"kontor.internal/services/tenancy/internal/changed"
	"kontor.internal/services/tenancy/internal/names"
)

// Server is AccessService.
type Server struct {
	tenancyv1.UnimplementedAccessServiceServer
	r *Resolver
}

// NewServer returns AccessService over a resolver.
func NewServer(r *Resolver) *Server { return &Server{r: r} }

// ResolveAccess tells another service what an account may do.
func (s *Server) ResolveAccess(ctx context.Context, r *tenancyv1.ResolveAccessRequest) (*tenancyv1.ResolveAccessResponse, error) {
	return s.r.answer(ctx, r.GetAccount(), r.GetScope())
}

// GrantConnectionAccess lets an account act in a connection.
func (s *Server) GrantConnectionAccess(ctx context.Context, r *tenancyv1.GrantConnectionAccessRequest) (*tenancyv1.GrantConnectionAccessResponse, error) {
	account, connection, err := parse(r.GetAccount(), r.GetConnection())
	if err != nil {
		return nil, err
	}
	err = s.change(ctx, account, r.GetConnection(), func(q *accessdb.Queries) (int64, error) {
		return q.GrantConnection(ctx, accessdb.GrantConnectionParams{
			AccountID: account, ConnectionID: connection, Permissions: stored(r.GetPermissions()), Created: s.r.d.Clock.Now(),
		})
	})
	return &tenancyv1.GrantConnectionAccessResponse{}, err
}

// AddConnectionSubscriber makes a subscriber one of a connection's.
func (s *Server) AddConnectionSubscriber(ctx context.Context, r *tenancyv1.AddConnectionSubscriberRequest) (*tenancyv1.AddConnectionSubscriberResponse, error) {
	connection, err := names.ParseConnection(r.GetConnection())
	if err != nil {
		return nil, err
	}
	subscriber, err := names.ParseSubscriber(r.GetSubscriber())
	if err != nil {
		return nil, err
	}
	err = accessdb.New(s.r.d.DB).AddConnectionSubscriber(ctx, accessdb.AddConnectionSubscriberParams{
		ConnectionID: connection, SubscriberID: subscriber, Created: s.r.d.Clock.Now(),
	})
	return &tenancyv1.AddConnectionSubscriberResponse{}, postgres.Constraints{
		"connection_subscriber_is_one": commonv1.Reason_REASON_NOT_FOUND,
	}.Translate(err)
}

// RevokeConnectionAccess ends an account's rights in a connection.
func (s *Server) RevokeConnectionAccess(ctx context.Context, r *tenancyv1.RevokeConnectionAccessRequest) (*tenancyv1.RevokeConnectionAccessResponse, error) {
	account, connection, err := parse(r.GetAccount(), r.GetConnection())
	if err != nil {
		return nil, err
	}
	err = s.change(ctx, account, r.GetConnection(), func(q *accessdb.Queries) (int64, error) {
		return q.RevokeConnection(ctx, accessdb.RevokeConnectionParams{AccountID: account, ConnectionID: connection})
	})
	return &tenancyv1.RevokeConnectionAccessResponse{}, err
}

// change writes and, where that made a difference, tells of it.
func (s *Server) change(ctx context.Context, account uuid.UUID, scope string, write func(*accessdb.Queries) (int64, error)) error {
	return translate(postgres.InTx(ctx, s.r.d.DB, func(tx pgx.Tx) error {
		rows, err := write(accessdb.New(tx))
		if err != nil || rows == 0 {
			return err
		}
		return changed.Access(ctx, tx, s.r.d.Clock.Now(), account, scope)
	}))
}

func parse(accountName, connectionName string) (account, connection uuid.UUID, err error) {
	if account, err = names.ParseAccount(accountName); err != nil {
		return account, connection, err
	}
	connection, err = names.ParseConnection(connectionName)
	return account, connection, err
}
