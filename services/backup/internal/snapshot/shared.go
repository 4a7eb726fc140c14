package snapshot

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/id"
	"kontor.internal/libs/idempotency"
	"kontor.internal/libs/operation"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/backup/internal/archive"
	"kontor.internal/services/backup/internal/names"
	"kontor.internal/services/backup/internal/vault"
	engine "kontor.internal/snapshot"
)

// This file is what the service's other concepts build on.

// Stored is a finished snapshot.
type Stored = row

// IsArchive tells the two forms apart.
func IsArchive(s Stored) bool { return backupv1.SnapshotForm(s.Form) == archived }

// Find reads a finished snapshot.
func (e *Engine) Find(ctx context.Context, of names.Company, snapshot uuid.UUID) (Stored, error) {
	return e.find(ctx, of, snapshot)
}

// Require refuses with RIGHT_MISSING what the subscriber's conditions do not allow.
func (e *Engine) Require(ctx context.Context, of names.Company, action licensingv1.Action) error {
	return e.require(ctx, of, action)
}

// Tell announces something about a company.
func (e *Engine) Tell(ctx context.Context, tx pgx.Tx, of names.Company, subject string, payload proto.Message) error {
	return e.tell(ctx, tx, of, subject, payload)
}

// Asked is an operation that is asked for.
type Asked struct {
	Of   names.Company
	Kind string
	// Permission of whoever may see the operation.
	Permission authv1.Permission
}

// Begin begins an operation on a company, once a request id.
func Begin[Req idempotency.Request, Resp proto.Message](
	ctx context.Context, e *Engine, asked Asked, req Req, answer func(*commonv1.Operation) Resp,
) (Resp, error) {
	return idempotency.Create(ctx, e.DB, req, func(ctx context.Context, tx pgx.Tx) (Resp, error) {
		begun, err := e.Operations.Start(ctx, tx, operation.Request{
			Subscriber: asked.Of.SubscriberName(), Kind: asked.Kind, Permission: asked.Permission, Scope: asked.Of.Name(), Input: req,
		})
		if err != nil {
			var none Resp
			return none, err
		}
		return answer(begun), nil
	})
}

// OperationID is the UUID in an operation's name: what its work is known by.
func OperationID(name string) (uuid.UUID, error) {
	_, own, _ := strings.Cut(name, "/operations/backup-")
	return id.Parse(own)
}

// ErrTaken says that another attempt has taken over.
var ErrTaken = errTaken

// KeepAlive renews a lease until the returned function is called; the context ends with ErrTaken when no row is renewed.
func KeepAlive(ctx context.Context, renew func(context.Context) (rows int64, err error)) (context.Context, func()) {
	return keepAlive(ctx, func(ctx context.Context) error {
		rows, err := renew(ctx)
		if err == nil && rows == 0 {
			return errTaken
		}
		return err
	})
}

// Vault is where archives and exports lie.
func (e *Engine) Vault() vault.Vault { return vault.Vault{Stores: e.Repositories.Stores, Keys: e.Keys} }

// OpenArchive reads an ARCHIVE from an offset on. Its errors are for NoteDamage.
func (e *Engine) OpenArchive(ctx context.Context, s Stored, offset int64) (*archive.Reader, error) {
	return e.open(ctx, s, offset)
}

// OpenRepository is where a snapshot IN_REPOSITORY lies, and what it must be. Its errors, and those of reading in it, are for NoteDamage.
func (e *Engine) OpenRepository(ctx context.Context, s Stored) (engine.Repository, engine.Known, error) {
	repo, err := e.Repositories.Open(ctx, whereOf(s))
	return repo, knownOf(s), err
}

// NoteDamage marks a snapshot when an error says that it can't be read, and gives the typed error.
func (e *Engine) NoteDamage(ctx context.Context, s Stored, err error) error {
	found := damage(err)
	if found == "" {
		return err
	}
	if _, gone := e.find(ctx, companyOf(s), s.ID); has(gone, commonv1.Reason_REASON_NOT_FOUND) {
		return errors.Join(gone, err) // It was taken away while it was read.
	}
	if _, err := e.noteVerified(ctx, s, found); err != nil {
		e.Log.WarnContext(ctx, "a damaged snapshot could not be marked", "err", err)
	}
	return damaged(err)
}
