package company

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/postgres"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/company/companydb"
	"kontor.internal/services/tenancy/internal/names"
)

// row is what every query of companies reads.
type row = companydb.Company

func fromRow(r row) Company {
	return Company{
		ID: r.ID, Subscriber: r.SubscriberID, Title: r.Title, TaxNumber: r.TaxNumber, Country: r.Country, Region: r.Region,
		Head: r.HeadID, Upload: r.UploadID, State: tenancyv1.CompanyState(r.State), Operation: r.Operation, Failure: r.FailureReason, Live: r.LiveID,
		Created: r.Created, Revision: r.Revision,
	}
}

func fromRows(rows []row, err error) ([]Company, error) {
	if err != nil {
		return nil, postgres.Constraints{}.Translate(err)
	}
	companies := make([]Company, len(rows))
	for i, r := range rows {
		companies[i] = fromRow(r)
	}
	return companies, nil
}

// Get reads one of a subscriber. NOT_FOUND when there is none.
func Get(ctx context.Context, db companydb.DBTX, subscriber, id uuid.UUID) (Company, error) {
	r, err := companydb.New(db).GetCompany(ctx, companydb.GetCompanyParams{SubscriberID: subscriber, ID: id})
	if err != nil {
		return Company{}, postgres.NotFound(err, names.Company(subscriber, id))
	}
	return fromRow(r), nil
}

// ByID reads one, whosesoever it is.
func ByID(ctx context.Context, db companydb.DBTX, id uuid.UUID) (Company, error) {
	r, err := companydb.New(db).GetCompanyByID(ctx, id)
	if err != nil {
		return Company{}, postgres.NotFound(err, "companies/"+id.String())
	}
	return fromRow(r), nil
}

// Lock reads one and keeps others from changing it, and from opening it, until the transaction ends.
func Lock(ctx context.Context, tx pgx.Tx, id uuid.UUID) (Company, error) {
	r, err := companydb.New(tx).LockCompany(ctx, id)
	if err != nil {
		return Company{}, postgres.NotFound(err, "companies/"+id.String())
	}
	return fromRow(r), nil
}

// LockOpen reads one that is to be opened, and keeps it from maintenance until the transaction ends. COMPANY_NOT_READY
// when it can't be opened now.
func LockOpen(ctx context.Context, tx pgx.Tx, subscriber, id uuid.UUID) (Company, error) {
	r, err := companydb.New(tx).ShareCompany(ctx, companydb.ShareCompanyParams{SubscriberID: subscriber, ID: id})
	if err != nil {
		return Company{}, postgres.NotFound(err, names.Company(subscriber, id))
	}
	c := fromRow(r)
	return c, c.Ready()
}

func ofOperation(ctx context.Context, db companydb.DBTX, subscriber uuid.UUID, operation string) (Company, error) {
	r, err := companydb.New(db).CompanyOfOperation(ctx, companydb.CompanyOfOperationParams{SubscriberID: subscriber, Operation: operation})
	if err != nil {
		return Company{}, postgres.NotFound(err, operation)
	}
	return fromRow(r), nil
}

// visible are the companies of a subscriber that somebody may see.
type visible struct {
	all  bool
	some []uuid.UUID
}

func list(ctx context.Context, db companydb.DBTX, subscriber uuid.UUID, v visible, after uuid.UUID, limit int32) ([]Company, error) {
	return fromRows(companydb.New(db).ListCompanies(ctx, companydb.ListCompaniesParams{
		SubscriberID: subscriber, AllOfThem: v.all, Chosen: v.some, After: after, Limit: limit,
	}))
}

func insert(ctx context.Context, tx pgx.Tx, c Company) error {
	return companydb.New(tx).InsertCompany(ctx, companydb.InsertCompanyParams{
		ID: c.ID, SubscriberID: c.Subscriber, Title: c.Title, TaxNumber: c.TaxNumber, Country: c.Country, Region: c.Region,
		HeadID: c.Head, UploadID: c.Upload, State: int16(c.State), Created: c.Created,
	})
}

// update writes a company back and answers it with its new revision.
func update(ctx context.Context, tx pgx.Tx, c Company) (Company, error) {
	err := companydb.New(tx).UpdateCompany(ctx, companydb.UpdateCompanyParams{
		ID: c.ID, Title: c.Title, HeadID: c.Head, State: int16(c.State), Operation: c.Operation, FailureReason: c.Failure, LiveID: c.Live,
	})
	c.Revision++
	return c, err
}

// countStanding counts the companies of a subscriber that did not fail.
func countStanding(ctx context.Context, db companydb.DBTX, subscriber uuid.UUID) (int, error) {
	count, err := companydb.New(db).CountStanding(ctx, subscriber)
	return int(count), err
}

// Titles names companies of a subscriber, for those who show roles in them. Unknown ones are left out.
type Titles struct{ DB companydb.DBTX }

// Titles reads them.
func (t Titles) Titles(ctx context.Context, subscriber uuid.UUID, companies []uuid.UUID) (map[uuid.UUID]string, error) {
	rows, err := companydb.New(t.DB).ListTitles(ctx, companydb.ListTitlesParams{SubscriberID: subscriber, Ids: companies})
	if err != nil {
		return nil, postgres.Constraints{}.Translate(err)
	}
	titles := make(map[uuid.UUID]string, len(rows))
	for _, r := range rows {
		titles[r.ID] = r.Title
	}
	return titles, nil
}

func listCreating(ctx context.Context, db companydb.DBTX, limit int32) ([]Company, error) {
	return fromRows(companydb.New(db).ListCreating(ctx, limit))
}

// TakeLive opens another database for a company from now on.
func TakeLive(ctx context.Context, tx pgx.Tx, c Company, live uuid.UUID) (Company, error) {
	c.Live = &live
	return update(ctx, tx, c)
}
