// Package operation is the one long-running operation: a row that says how far
// it is, a job that works on it, a way to watch it and to cancel it.
//
// Work may be killed at any point. Its worker gives a sign of life; when that
// stays away another worker begins the same work again, so work is idempotent.
package operation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/postgres"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// ErrCancelled is the cause with which work's context ends when somebody
// cancelled the operation: undo what was begun, then return an error.
var ErrCancelled = errors.New("the operation was cancelled")

// Kept is how long an operation stays readable after its end.
const Kept = 30 * 24 * time.Hour

// Request says what to start.
type Request struct {
	// Subscriber it belongs to, `subscribers/S`.
	Subscriber string
	// Kind of work, as registered.
	Kind string
	// Permission that seeing and cancelling it takes.
	Permission authv1.Permission
	// Scope of that permission, `subscribers/S/companies/C`; empty means Subscriber.
	Scope string
	// Input of the work.
	Input proto.Message
	// Total work units, 0 while unknown.
	Total int64
}

// Store keeps a service's operations.
type Store struct {
	service string
	river   *river.Client[pgx.Tx]
}

// NewStore returns the store of a service's operations on its database.
func NewStore(service string, pool *pgxpool.Pool) (*Store, error) {
	// A client without workers only inserts.
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Schema: jobs.Schema})
	if err != nil {
		return nil, fmt.Errorf("operation: %w", err)
	}
	return &Store{service: service, river: client}, nil
}

// job is one attempt at an operation.
type job struct {
	Operation string `json:"operation"`
	Run       int32  `json:"run"`
}

// Kind of the job.
func (job) Kind() string { return "operation" }

// InsertOpts: a lost attempt is begun again by this package, not by River.
func (job) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: 1} }

// Start writes an operation and its job into the caller's transaction; work
// begins after the commit.
func (s *Store) Start(ctx context.Context, tx pgx.Tx, r Request) (*commonv1.Operation, error) {
	input, err := anypb.New(r.Input)
	if err != nil {
		return nil, fmt.Errorf("operation: input: %w", err)
	}
	raw, err := proto.Marshal(input)
	if err != nil {
		return nil, fmt.Errorf("operation: input: %w", err)
	}
	if r.Scope == "" {
		r.Scope = r.Subscriber
	}
	who := caller.From(ctx)
	operation := s.service + "-" + id.NewString()
	_, err = tx.Exec(ctx, `
		INSERT INTO kontor.operation (id, subscriber, kind, permission, scope, state, total, input, account, locale)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		operation, r.Subscriber, r.Kind, int32(r.Permission), r.Scope, commonv1.Operation_STATE_QUEUED, r.Total, raw,
		who.Account, who.Locale)
	if err != nil {
		return nil, postgres.Constraints{}.Translate(err)
	}
	if _, err := s.river.InsertTx(ctx, tx, job{Operation: operation, Run: 1}, nil); err != nil {
		return nil, fmt.Errorf("operation: %w", err)
	}
	return s.Get(ctx, tx, r.Subscriber+"/operations/"+operation)
}

// Querier is a pool or a transaction.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Get reads an operation by name, `subscribers/S/operations/O`.
func (s *Store) Get(ctx context.Context, db Querier, name string) (*commonv1.Operation, error) {
	r, err := read(ctx, db, name)
	if err != nil {
		return nil, err
	}
	return r.toProto()
}

// record is a row.
type record struct {
	id, subscriber, kind, scope, step, stepKey, locale, account string
	permission, state, run                                      int32
	done, total, revision                                       int64
	input, result, failed                                       []byte
	created, updated                                            time.Time
	ended                                                       *time.Time
}

const columns = `id, subscriber, kind, scope, step, step_key, locale, account, permission, state, run,
	done, total, revision, input, result, error, created, updated, ended`

func (r *record) scan(row pgx.Row) error {
	return row.Scan(&r.id, &r.subscriber, &r.kind, &r.scope, &r.step, &r.stepKey, &r.locale, &r.account, &r.permission,
		&r.state, &r.run, &r.done, &r.total, &r.revision, &r.input, &r.result, &r.failed, &r.created, &r.updated, &r.ended)
}

func read(ctx context.Context, db Querier, name string) (record, error) {
	subscriber, operation, ok := strings.Cut(name, "/operations/")
	if !ok {
		return record{}, failure.NotFound(name)
	}
	var r record
	err := r.scan(db.QueryRow(ctx, `SELECT `+columns+` FROM kontor.operation WHERE id = $1 AND subscriber = $2`, operation, subscriber))
	if err != nil {
		return record{}, postgres.NotFound(err, name)
	}
	return r, nil
}

func (r *record) toProto() (*commonv1.Operation, error) {
	o := &commonv1.Operation{
		Name: r.subscriber + "/operations/" + r.id, Kind: r.kind, State: commonv1.Operation_State(r.state),
		Done: r.done, Total: r.total, Step: r.step, StepKey: r.stepKey,
		CreateTime: timestamppb.New(r.created), UpdateTime: timestamppb.New(r.updated),
	}
	if r.ended != nil {
		o.EndTime = timestamppb.New(*r.ended)
	}
	if r.result != nil {
		o.Result = &anypb.Any{}
		if err := proto.Unmarshal(r.result, o.Result); err != nil {
			return nil, fmt.Errorf("operation: result: %w", err)
		}
	}
	if r.failed != nil {
		o.Error = &spb.Status{}
		if err := proto.Unmarshal(r.failed, o.Error); err != nil {
			return nil, fmt.Errorf("operation: error: %w", err)
		}
	}
	return o, nil
}

// over says whether an operation has ended.
func over(state int32) bool {
	return commonv1.Operation_State(state) >= commonv1.Operation_STATE_SUCCEEDED
}
