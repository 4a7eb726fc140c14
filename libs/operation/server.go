package operation

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/postgres"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// glance is how often a watched operation is looked at.
const glance = 250 * time.Millisecond

// Authorizer says whether the caller holds a permission in a scope.
type Authorizer interface {
	Allowed(ctx context.Context, permission authv1.Permission, scope string) error
}

// Server shows and cancels operations.
type Server struct {
	commonv1.UnimplementedOperationServiceServer
	pool *pgxpool.Pool
	auth Authorizer
}

// NewServer returns a service's OperationService.
func NewServer(pool *pgxpool.Pool, auth Authorizer) *Server { return &Server{pool: pool, auth: auth} }

// find reads an operation that the caller may see. Whoever may not see the
// kind learns only that there is none.
func (s *Server) find(ctx context.Context, name string) (record, error) {
	r, err := read(ctx, s.pool, name)
	if err != nil {
		return record{}, err
	}
	if err := s.auth.Allowed(ctx, authv1.Permission(r.permission), r.scope); err != nil {
		if failure.Reason(err) == commonv1.Reason_REASON_PERMISSION_DENIED {
			return record{}, failure.NotFound(name)
		}
		return record{}, err
	}
	return r, nil
}

// GetOperation shows one operation.
func (s *Server) GetOperation(ctx context.Context, request *commonv1.GetOperationRequest) (*commonv1.GetOperationResponse, error) {
	r, err := s.find(ctx, request.GetName())
	if err != nil {
		return nil, err
	}
	o, err := r.toProto()
	return &commonv1.GetOperationResponse{Operation: o}, err
}

// WatchOperation follows one operation to its end.
func (s *Server) WatchOperation(request *commonv1.WatchOperationRequest, stream grpc.ServerStreamingServer[commonv1.WatchOperationResponse]) error {
	ctx := stream.Context()
	r, err := s.find(ctx, request.GetName())
	tick := time.NewTicker(glance)
	defer tick.Stop()
	sent := int64(-1)
	for {
		if err != nil {
			return err
		}
		if r.revision != sent {
			o, err := r.toProto()
			if err != nil {
				return err
			}
			if err := stream.Send(&commonv1.WatchOperationResponse{Operation: o}); err != nil {
				return err
			}
			sent = r.revision
		}
		if over(r.state) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			r, err = read(ctx, s.pool, request.GetName())
		}
	}
}

// CancelOperation asks for the end of one operation.
func (s *Server) CancelOperation(ctx context.Context, request *commonv1.CancelOperationRequest) (*commonv1.CancelOperationResponse, error) {
	r, err := s.find(ctx, request.GetName())
	if err != nil {
		return nil, err
	}
	if over(r.state) {
		return nil, failure.New(commonv1.Reason_REASON_OPERATION_DONE)
	}
	// One that nobody has begun is over at once; of one that was begun, its
	// worker undoes what it did.
	tag, err := s.pool.Exec(ctx, `
		UPDATE kontor.operation SET revision = revision + 1, updated = clock_timestamp(),
			state = CASE WHEN state = $2 THEN $3::integer ELSE $4::integer END,
			ended = CASE WHEN state = $2 THEN clock_timestamp() END
		WHERE id = $1 AND ended IS NULL`,
		r.id, commonv1.Operation_STATE_QUEUED, commonv1.Operation_STATE_CANCELLED, commonv1.Operation_STATE_CANCELLING)
	if err != nil {
		return nil, postgres.Constraints{}.Translate(err)
	}
	if tag.RowsAffected() == 0 {
		return nil, failure.New(commonv1.Reason_REASON_OPERATION_DONE)
	}
	if r, err = read(ctx, s.pool, request.GetName()); err != nil {
		return nil, err
	}
	o, err := r.toProto()
	return &commonv1.CancelOperationResponse{Operation: o}, err
}
