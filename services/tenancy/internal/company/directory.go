package company

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/libs/paging"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/company/companydb"
	"kontor.internal/services/tenancy/internal/names"
)

// Directory is the part of DirectoryService that is about companies.
type Directory struct {
	db    *pgxpool.Pool
	pages *paging.Codec
}

// NewDirectory returns that part.
func NewDirectory(db *pgxpool.Pool, pages *paging.Codec) *Directory {
	return &Directory{db: db, pages: pages}
}

// LookupCompany shows one to another service.
func (d *Directory) LookupCompany(ctx context.Context, r *tenancyv1.LookupCompanyRequest) (*tenancyv1.LookupCompanyResponse, error) {
	owner, company, err := names.ParseCompany(r.GetName())
	if err != nil {
		return nil, err
	}
	c, err := Get(ctx, d.db, owner, company)
	if err != nil {
		return nil, err
	}
	shown, err := withAreas(ctx, d.db, []Company{c})
	if err != nil {
		return nil, err
	}
	return &tenancyv1.LookupCompanyResponse{Company: shown[0]}, nil
}

// cursor is the last company on a page.
type cursor struct{ Subscriber, Company uuid.UUID }

// ScanCompanies pages through the companies whose database is ready.
func (d *Directory) ScanCompanies(ctx context.Context, r *tenancyv1.ScanCompaniesRequest) (*tenancyv1.ScanCompaniesResponse, error) {
	var after cursor
	page, err := d.pages.Start(tenancyv1.DirectoryService_ScanCompanies_FullMethodName, r, &after)
	if err != nil {
		return nil, err
	}
	rows, err := fromRows(companydb.New(d.db).ScanReady(ctx, companydb.ScanReadyParams{
		AfterSubscriber: after.Subscriber, After: after.Company, Limit: page.Limit(),
	}))
	if err != nil {
		return nil, err
	}
	shown, next, err := paging.Finish(page, rows, func(c Company) any { return cursor{c.Subscriber, c.ID} })
	if err != nil {
		return nil, err
	}
	companies, err := withAreas(ctx, d.db, shown)
	return &tenancyv1.ScanCompaniesResponse{Companies: companies, NextPageToken: next}, err
}
