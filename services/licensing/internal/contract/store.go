package contract

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/postgres"
	"kontor.internal/services/licensing/internal/contract/contractdb"
)

// Store keeps contracts in PostgreSQL. Its methods work on the pool or in a transaction.
type Store struct{}

// translate types the database's errors. No constraint of contracts can be broken by a request.
func translate(err error) error { return postgres.Constraints(nil).Translate(err) }

// NextSerial counts a year's contracts. Others who count wait until the transaction ends, so numbers have no gaps.
func (Store) NextSerial(ctx context.Context, tx pgx.Tx, year int) (int, error) {
	serial, err := contractdb.New(tx).NextSerial(ctx, int32(year))
	return int(serial), translate(err)
}

// Insert writes a contract.
func (Store) Insert(ctx context.Context, tx pgx.Tx, c Contract) error {
	return translate(contractdb.New(tx).InsertContract(ctx, contractdb.InsertContractParams{
		ID: c.ID, Subscriber: c.Subscriber, Number: c.Number, Plan: c.Plan, Language: c.Language, Customer: c.Customer,
		TimeZone: c.Zone, DocumentKey: c.Key, DocumentSha256: c.SHA256, DocumentSize: c.Size, Filename: c.Filename, Created: c.Created,
	}))
}

// SupersedeWaiting puts a contract in the place of those that wait for acceptance, and returns their ids.
func (Store) SupersedeWaiting(ctx context.Context, tx pgx.Tx, by Contract) ([]uuid.UUID, error) {
	ids, err := contractdb.New(tx).SupersedeWaiting(ctx, contractdb.SupersedeWaitingParams{Subscriber: by.Subscriber, SupersededBy: by.ID})
	return ids, translate(err)
}

// SupersedeOthers puts a contract in the place of all others, and returns their ids.
func (Store) SupersedeOthers(ctx context.Context, tx pgx.Tx, by Contract) ([]uuid.UUID, error) {
	ids, err := contractdb.New(tx).SupersedeOthers(ctx, contractdb.SupersedeOthersParams{Subscriber: by.Subscriber, SupersededBy: by.ID})
	return ids, translate(err)
}

// Lock keeps others from accepting or superseding a subscriber's contracts until the transaction ends.
func (Store) Lock(ctx context.Context, tx pgx.Tx, subscriber uuid.UUID) error {
	_, err := contractdb.New(tx).LockContracts(ctx, subscriber)
	return translate(err)
}

// Accept records an acceptance.
func (Store) Accept(ctx context.Context, tx pgx.Tx, contract uuid.UUID, a Acceptance) error {
	return translate(contractdb.New(tx).InsertAcceptance(ctx, contractdb.InsertAcceptanceParams{
		Contract: contract, Account: a.Account, Address: a.Address, DocumentSha256: a.SHA256, Licence: optional(a.Licence), Accepted: a.Time,
	}))
}

// Get reads a contract.
func (Store) Get(ctx context.Context, db contractdb.DBTX, subscriber, id uuid.UUID) (Contract, error) {
	row, err := contractdb.New(db).GetContract(ctx, contractdb.GetContractParams{Subscriber: subscriber, ID: id})
	if err != nil {
		return Contract{}, postgres.NotFound(err, Name(subscriber, id))
	}
	return contractOf(row), nil
}

// Of reads all contracts of a subscriber, the oldest first.
func (Store) Of(ctx context.Context, db contractdb.DBTX, subscriber uuid.UUID) ([]Contract, error) {
	rows, err := contractdb.New(db).ContractsOf(ctx, subscriber)
	return contractsOf(rows), translate(err)
}

// List reads a page of a subscriber's contracts, the newest first; those made before one, if one is named.
func (Store) List(ctx context.Context, db contractdb.DBTX, subscriber, before uuid.UUID, count int32) ([]Contract, error) {
	rows, err := contractdb.New(db).ListContracts(ctx, contractdb.ListContractsParams{
		Subscriber: subscriber, Before: optional(before), Count: count,
	})
	return contractsOf(rows), translate(err)
}

// Known picks the keys of documents that belong to a contract.
func (Store) Known(ctx context.Context, db contractdb.DBTX, keys []string) ([]string, error) {
	known, err := contractdb.New(db).KnownDocuments(ctx, keys)
	return known, translate(err)
}

func contractsOf(rows []contractdb.ContractAndAcceptance) []Contract {
	all := make([]Contract, 0, len(rows))
	for _, row := range rows {
		all = append(all, contractOf(row))
	}
	return all
}

func contractOf(row contractdb.ContractAndAcceptance) Contract {
	c := Contract{
		ID: row.ID, Subscriber: row.Subscriber, Number: row.Number, Plan: row.Plan, Language: row.Language, Customer: row.Customer,
		Zone: row.TimeZone, Key: row.DocumentKey, SHA256: row.DocumentSha256, Size: row.DocumentSize, Filename: row.Filename,
		Created: row.Created.UTC(), SupersededBy: value(row.SupersededBy),
	}
	if row.Account != nil && row.Accepted != nil {
		c.Acceptance = &Acceptance{
			Account: *row.Account, SHA256: row.AcceptedSha256, Licence: value(row.Licence), Time: row.Accepted.UTC(),
		}
		if row.Address != nil {
			c.Acceptance.Address = *row.Address
		}
	}
	return c
}

func optional(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

func value(id *uuid.UUID) uuid.UUID {
	if id == nil {
		return uuid.Nil
	}
	return *id
}
