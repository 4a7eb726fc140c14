// Package idempotency makes creates repeatable: a request that comes again
// with the same request id gets the same answer and changes nothing twice.
package idempotency

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// Kept is how long answers are kept.
const Kept = 7 * 24 * time.Hour

// Request is a create's request.
type Request interface {
	proto.Message
	GetRequestId() string
}

// Create runs fn once for a caller's request id, in one transaction with the
// answer, and gives the kept answer when the request comes again. A request
// that meets its first try under way waits for it. Nothing is kept of a
// request that failed, so it may be tried again. The same id with other
// content is REQUEST_ID_REUSED.
func Create[Req Request, Resp proto.Message](
	ctx context.Context, pool *pgxpool.Pool, req Req, fn func(ctx context.Context, tx pgx.Tx) (Resp, error),
) (Resp, error) {
	var answer Resp
	content, err := contentOf(req)
	if err != nil {
		return answer, err
	}
	who := caller.From(ctx)
	who.RequestID = req.GetRequestId()
	ctx = caller.With(ctx, who)
	k := key{caller: who.Actor(), message: string(req.ProtoReflect().Descriptor().FullName()), request: req.GetRequestId()}
	err = postgres.InTx(ctx, pool, func(tx pgx.Tx) error {
		kept, again, err := k.begin(ctx, tx, content)
		if err != nil {
			return err
		}
		if again {
			answer, err = decode[Resp](kept)
			return err
		}
		if answer, err = fn(ctx, tx); err != nil {
			return err
		}
		return k.keep(ctx, tx, answer)
	})
	if err != nil {
		var none Resp
		return none, err
	}
	return answer, nil
}

// contentOf is a hash of what is wanted, to tell another request under the same id. Secrets are not part of it: a hash
// that stays could be used to guess them.
func contentOf(req Request) ([]byte, error) {
	plain := proto.Clone(req)
	dropSecrets(plain.ProtoReflect())
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(plain)
	if err != nil {
		return nil, fmt.Errorf("idempotency: %w", err)
	}
	sum := sha256.Sum256(raw)
	return sum[:], nil
}

// dropSecrets clears the fields marked debug_redact, in nested messages too.
func dropSecrets(m protoreflect.Message) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		options, _ := field.Options().(*descriptorpb.FieldOptions)
		switch {
		case options.GetDebugRedact():
			m.Clear(field)
		case field.Message() == nil || field.IsMap():
		case field.IsList():
			for i := range value.List().Len() {
				dropSecrets(value.List().Get(i).Message())
			}
		default:
			dropSecrets(value.Message())
		}
		return true
	})
}

// key is whose request it is. Visitors share one caller: their request ids are
// random, and a stranger's answer is given only for the very same content.
type key struct{ caller, message, request string }

// begin claims the key. The insert waits for another transaction that holds
// it; when that one commits, its answer is there to be given.
func (k key) begin(ctx context.Context, tx pgx.Tx, content []byte) (kept []byte, again bool, err error) {
	tag, err := tx.Exec(ctx, `
		INSERT INTO kontor.idempotency (caller, message, request_id, content) VALUES ($1, $2, $3, $4)
		ON CONFLICT ON CONSTRAINT idempotency_pk DO NOTHING`, k.caller, k.message, k.request, content)
	if err != nil {
		return nil, false, postgres.Constraints{}.Translate(err)
	}
	if tag.RowsAffected() == 1 {
		return nil, false, nil
	}
	var was []byte
	err = tx.QueryRow(ctx, `
		SELECT content, response FROM kontor.idempotency WHERE caller = $1 AND message = $2 AND request_id = $3`,
		k.caller, k.message, k.request).Scan(&was, &kept)
	if errors.Is(err, pgx.ErrNoRows) { // Purged this instant.
		return nil, false, failure.New(commonv1.Reason_REASON_CONFLICT)
	}
	if err != nil {
		return nil, false, postgres.Constraints{}.Translate(err)
	}
	if !bytes.Equal(was, content) {
		return nil, false, failure.New(commonv1.Reason_REASON_REQUEST_ID_REUSED, "request_id", k.request)
	}
	return kept, true, nil
}

func (k key) keep(ctx context.Context, tx pgx.Tx, answer proto.Message) error {
	raw, err := proto.Marshal(answer)
	if err != nil {
		return fmt.Errorf("idempotency: %w", err)
	}
	if raw == nil {
		raw = []byte{}
	}
	_, err = tx.Exec(ctx, `
		UPDATE kontor.idempotency SET response = $4 WHERE caller = $1 AND message = $2 AND request_id = $3`,
		k.caller, k.message, k.request, raw)
	return postgres.Constraints{}.Translate(err)
}

func decode[Resp proto.Message](raw []byte) (Resp, error) {
	var none Resp
	answer, ok := none.ProtoReflect().New().Interface().(Resp)
	if !ok {
		return none, fmt.Errorf("idempotency: %T can't be made", none)
	}
	if err := proto.Unmarshal(raw, answer); err != nil {
		return none, fmt.Errorf("idempotency: kept answer: %w", err)
	}
	return answer, nil
}

// Purge forgets answers older than Kept.
func Purge(ctx context.Context, pool *pgxpool.Pool) error {
	_, err := pool.Exec(ctx, `DELETE FROM kontor.idempotency WHERE created < clock_timestamp() - $1::interval`, Kept)
	return postgres.Constraints{}.Translate(err)
}

// Periodic is the timer that purges.
func Periodic(pool *pgxpool.Pool) []jobs.Periodic {
	return []jobs.Periodic{{
		Name: "purge-idempotency", Every: time.Hour,
		Run: func(ctx context.Context) error { return Purge(ctx, pool) },
	}}
}
