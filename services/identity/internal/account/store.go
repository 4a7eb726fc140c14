package account

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/postgres"
	"kontor.internal/services/identity/internal/account/accountdb"
)

// Store keeps accounts. Its zero value is ready.
type Store struct{}

// Credential is what signing in compares with.
type Credential struct {
	Account uuid.UUID
	State   State
	Hash    string
}

// translate types an error of the database.
func translate(err error) error { return postgres.Constraints(nil).Translate(err) }

// Get finds an account.
func (Store) Get(ctx context.Context, db accountdb.DBTX, account uuid.UUID) (Account, error) {
	row, err := accountdb.New(db).GetAccount(ctx, account)
	if err != nil {
		return Account{}, postgres.NotFound(err, Name(account))
	}
	return Account(row), nil
}

// Lock finds an account and keeps others from changing it.
func (Store) Lock(ctx context.Context, tx pgx.Tx, account uuid.UUID) (Account, error) {
	row, err := accountdb.New(tx).LockAccount(ctx, account)
	if err != nil {
		return Account{}, postgres.NotFound(err, Name(account))
	}
	return Account(row), nil
}

// Find finds the account that an identifier names, verified or not.
func (Store) Find(ctx context.Context, db accountdb.DBTX, key string) (Account, error) {
	row, err := accountdb.New(db).GetAccountByKey(ctx, key)
	if err != nil {
		return Account{}, postgres.NotFound(err, "account")
	}
	return Account(row), nil
}

// LockKey finds the account that an identifier names and keeps others from
// changing it, or from registering the identifier when there is none.
func (Store) LockKey(ctx context.Context, tx pgx.Tx, key string) (_ Account, found bool, err error) {
	q := accountdb.New(tx)
	if err := q.LockKey(ctx, key); err != nil {
		return Account{}, false, translate(err)
	}
	row, err := q.LockAccountByKey(ctx, key)
	if errors.Is(err, pgx.ErrNoRows) {
		return Account{}, false, nil
	}
	return Account(row), err == nil, translate(err)
}

// List finds some accounts; unknown ones are left out.
func (Store) List(ctx context.Context, db accountdb.DBTX, ids []uuid.UUID) ([]Account, error) {
	rows, err := accountdb.New(db).ListAccounts(ctx, ids)
	if err != nil {
		return nil, translate(err)
	}
	list := make([]Account, 0, len(rows))
	for _, row := range rows {
		list = append(list, Account(row))
	}
	return list, nil
}

// Credential finds what a verified identifier lets sign in with; ok is false
// when it lets nobody in.
func (Store) Credential(ctx context.Context, db accountdb.DBTX, key string) (_ Credential, ok bool, err error) {
	row, err := accountdb.New(db).FindCredential(ctx, key)
	if errors.Is(err, pgx.ErrNoRows) {
		return Credential{}, false, nil
	}
	return Credential{Account: row.ID, State: State(row.State), Hash: row.PasswordHash}, err == nil, translate(err)
}

// Hash finds an account's password hash.
func (Store) Hash(ctx context.Context, db accountdb.DBTX, account uuid.UUID) (string, error) {
	hash, err := accountdb.New(db).GetCredential(ctx, account)
	if err != nil {
		return "", postgres.NotFound(err, Name(account))
	}
	return hash, nil
}

// ReplaceHash keeps the same password under newer parameters.
func (Store) ReplaceHash(ctx context.Context, db accountdb.DBTX, account uuid.UUID, former, hash string) error {
	return translate(accountdb.New(db).ReplaceHash(ctx, accountdb.ReplaceHashParams{AccountID: account, OldHash: former, NewHash: hash}))
}

func (Store) insert(ctx context.Context, tx pgx.Tx, a Account, identifier uuid.UUID, email Email) error {
	q := accountdb.New(tx)
	err := q.InsertAccount(ctx, accountdb.InsertAccountParams{
		ID: a.ID, Kind: a.Kind, State: a.State, FullName: a.FullName, Language: a.Language,
		SelfRegistered: a.SelfRegistered, CreateTime: a.CreateTime,
	})
	if err != nil {
		return translate(err)
	}
	return translate(q.InsertIdentifier(ctx, accountdb.InsertIdentifierParams{
		ID: identifier, AccountID: a.ID, Kind: "email", Value: email.Written, Key: email.Key, Main: true, CreateTime: a.CreateTime,
	}))
}

func (Store) activate(ctx context.Context, tx pgx.Tx, a Account, hash string, now time.Time) error {
	q := accountdb.New(tx)
	if err := q.Activate(ctx, accountdb.ActivateParams{ID: a.ID, FullName: a.FullName, ActivateTime: &now}); err != nil {
		return translate(err)
	}
	if err := q.VerifyMain(ctx, accountdb.VerifyMainParams{AccountID: a.ID, VerifyTime: &now}); err != nil {
		return translate(err)
	}
	return Store{}.setPassword(ctx, tx, a.ID, hash, now)
}

func (Store) setPassword(ctx context.Context, tx pgx.Tx, account uuid.UUID, hash string, now time.Time) error {
	return translate(accountdb.New(tx).PutCredential(ctx, accountdb.PutCredentialParams{
		AccountID: account, PasswordHash: hash, ChangeTime: now,
	}))
}

func (Store) updatePending(ctx context.Context, tx pgx.Tx, account uuid.UUID, fullName string, self bool) error {
	return translate(accountdb.New(tx).UpdatePending(ctx, accountdb.UpdatePendingParams{ID: account, FullName: fullName, SelfRegistered: self}))
}

func (Store) updateProfile(ctx context.Context, tx pgx.Tx, a Account) error {
	return translate(accountdb.New(tx).UpdateProfile(ctx, accountdb.UpdateProfileParams{ID: a.ID, FullName: a.FullName, Language: a.Language}))
}

// letter is a kind of letter that visitors make us write.
type letter string

const (
	activationLetter        letter = "activation"
	passwordResetLetter     letter = "password_reset"
	alreadyRegisteredLetter letter = "already_registered"
)

// post says whether a letter may go out now: none of its kind did within the pause.
func (Store) post(ctx context.Context, tx pgx.Tx, account uuid.UUID, l letter, now time.Time, pause time.Duration) (bool, error) {
	posted, err := accountdb.New(tx).PostLetter(ctx, accountdb.PostLetterParams{
		AccountID: account, Kind: string(l), Now: now, NotAfter: now.Add(-pause),
	})
	return posted == 1, translate(err)
}

// identifiers lists what an account is called, after one of them.
func (Store) identifiers(ctx context.Context, db accountdb.DBTX, account, after uuid.UUID, limit int32) ([]accountdb.ListIdentifiersRow, error) {
	rows, err := accountdb.New(db).ListIdentifiers(ctx, accountdb.ListIdentifiersParams{AccountID: account, After: after, PageLimit: limit})
	return rows, translate(err)
}

// notPending is why an account can't be activated.
func notPending(a Account) error {
	if a.Is(Closed) {
		return failure.New(reasonClosed)
	}
	return failure.New(reasonUsed)
}
