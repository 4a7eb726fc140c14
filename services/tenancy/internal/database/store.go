package database

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/postgres"
	"kontor.internal/services/tenancy/internal/database/databasedb"
	"kontor.internal/services/tenancy/internal/names"
)

// row is what every query of databases reads.
type row = databasedb.CompanyDatabase

func fromRow(r row) Database {
	d := Database{
		ID: r.ID, Company: r.CompanyID, Cluster: r.ClusterID, Name: r.DatabaseName, Owner: r.OwnerRole, Prefix: r.GroupPrefix,
		Purpose: Purpose(r.Purpose), State: State(r.State), Created: r.Created, DropAfter: r.DropAfter,
	}
	if r.RestoreKey != nil {
		d.Key = *r.RestoreKey
	}
	return d
}

// Insert writes the row of a database that is to be made.
func Insert(ctx context.Context, tx pgx.Tx, d Database) error {
	var key *string
	if d.Key != "" {
		key = &d.Key
	}
	return databasedb.New(tx).InsertDatabase(ctx, databasedb.InsertDatabaseParams{
		ID: d.ID, CompanyID: d.Company, ClusterID: d.Cluster, DatabaseName: d.Name, OwnerRole: d.Owner, GroupPrefix: d.Prefix,
		Purpose: int16(d.Purpose), State: int16(d.State), RestoreKey: key, Created: d.Created,
	})
}

// Get reads one with its areas. NOT_FOUND when there is none.
func Get(ctx context.Context, db databasedb.DBTX, id uuid.UUID) (Database, error) {
	r, err := databasedb.New(db).GetDatabase(ctx, id)
	if err != nil {
		return Database{}, postgres.NotFound(err, names.Target(id))
	}
	return withAreas(ctx, db, fromRow(r))
}

// Lock reads one and keeps others from changing it until the transaction ends.
func Lock(ctx context.Context, tx pgx.Tx, id uuid.UUID) (Database, error) {
	r, err := databasedb.New(tx).LockDatabase(ctx, id)
	if err != nil {
		return Database{}, postgres.NotFound(err, names.Target(id))
	}
	return withAreas(ctx, tx, fromRow(r))
}

// FindRestore reads the database that a restore asked for under a key. NOT_FOUND when there is none.
func FindRestore(ctx context.Context, db databasedb.DBTX, company uuid.UUID, key string) (Database, error) {
	r, err := databasedb.New(db).FindRestore(ctx, databasedb.FindRestoreParams{CompanyID: company, Key: key})
	if err != nil {
		return Database{}, postgres.NotFound(err, "targets/"+key)
	}
	return withAreas(ctx, db, fromRow(r))
}

func withAreas(ctx context.Context, db databasedb.DBTX, d Database) (Database, error) {
	areas, err := AreasOf(ctx, db, []uuid.UUID{d.ID})
	d.Areas = areas[d.ID]
	return d, err
}

// AreasOf reads the areas of several databases, by name.
func AreasOf(ctx context.Context, db databasedb.DBTX, ids []uuid.UUID) (map[uuid.UUID][]Area, error) {
	rows, err := databasedb.New(db).ListAreas(ctx, ids)
	if err != nil {
		return nil, postgres.Constraints{}.Translate(err)
	}
	areas := map[uuid.UUID][]Area{}
	for _, r := range rows {
		areas[r.DatabaseID] = append(areas[r.DatabaseID], Area{Area: r.Area, Product: r.Product, Edition: r.Edition, Version: r.Version})
	}
	return areas, nil
}

// PutArea writes down an area's release.
func PutArea(ctx context.Context, tx pgx.Tx, id uuid.UUID, a Area) error {
	return databasedb.New(tx).PutArea(ctx, databasedb.PutAreaParams{
		DatabaseID: id, Area: a.Area, Product: a.Product, Edition: a.Edition, Version: a.Version,
	})
}

// SetState writes down how far a database is. DropAfter belongs to Replaced.
func SetState(ctx context.Context, tx pgx.Tx, id uuid.UUID, state State, dropAfter *time.Time) error {
	return databasedb.New(tx).SetState(ctx, databasedb.SetStateParams{ID: id, State: int16(state), DropAfter: dropAfter})
}

func toDrop(ctx context.Context, db databasedb.DBTX, now time.Time, limit int32) ([]Database, error) {
	rows, err := databasedb.New(db).ListToDrop(ctx, databasedb.ListToDropParams{Now: now, Limit: limit})
	if err != nil {
		return nil, postgres.Constraints{}.Translate(err)
	}
	list := make([]Database, len(rows))
	for i, r := range rows {
		list[i] = fromRow(r)
	}
	return list, nil
}

// remove deletes the row of a database that was dropped, and of everything in it.
func remove(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	q := databasedb.New(tx)
	for _, step := range []func(context.Context, uuid.UUID) error{q.DeleteSessions, q.DeleteSlots, q.DeleteBorrowed, q.DeleteDatabase} {
		if err := step(ctx, id); err != nil {
			return err
		}
	}
	return nil
}
