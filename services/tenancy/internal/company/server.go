package company

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/kits/kit"
	"kontor.internal/libs/caller"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/operation"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/rights"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/database"
	"kontor.internal/services/tenancy/internal/member"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/subscriber"
)

// Deps are what companies are made of.
type Deps struct {
	DB          *pgxpool.Pool
	Clock       clock.Clock
	NewID       id.Source
	Kits        *kit.Set
	Provisioner *database.Provisioner
	Copies      Copies
	Members     *member.Members
	Rights      *rights.Rights
	Operations  *operation.Store
	Pages       *paging.Codec
}

// Server is CompanyService.
type Server struct {
	tenancyv1.UnimplementedCompanyServiceServer
	d Deps
}

// NewServer returns CompanyService.
func NewServer(d Deps) *Server { return &Server{d: d} }

// ListCompanies pages through the companies that the caller may see.
func (s *Server) ListCompanies(ctx context.Context, r *tenancyv1.ListCompaniesRequest) (*tenancyv1.ListCompaniesResponse, error) {
	owner, err := names.ParseSubscriber(r.GetParent())
	if err != nil {
		return nil, err
	}
	seen, err := s.visible(ctx, owner)
	if err != nil {
		return nil, err
	}
	var after uuid.UUID
	page, err := s.d.Pages.Start(tenancyv1.CompanyService_ListCompanies_FullMethodName, r, &after, caller.From(ctx).Account)
	if err != nil {
		return nil, err
	}
	rows, err := list(ctx, s.d.DB, owner, seen, after, page.Limit())
	if err != nil {
		return nil, err
	}
	shown, next, err := paging.Finish(page, rows, func(c Company) any { return c.ID })
	if err != nil {
		return nil, err
	}
	companies, err := withAreas(ctx, s.d.DB, shown)
	return &tenancyv1.ListCompaniesResponse{Companies: companies, NextPageToken: next}, err
}

// visible are the companies in which the caller may see something; NOT_FOUND for a subscriber that is not the caller's.
func (s *Server) visible(ctx context.Context, owner uuid.UUID) (visible, error) {
	account, err := subscriber.CallerAccount(ctx)
	if err != nil {
		return visible{}, err
	}
	m, found, err := member.OfAccount(ctx, s.d.DB, owner, account)
	if err != nil {
		return visible{}, member.Constraints().Translate(err)
	}
	held := m.Rights(s.d.Members.Today())
	if !found || len(held.Wide) == 0 {
		return visible{}, failure.NotFound(names.Subscriber(owner))
	}
	const read = authv1.Permission_PERMISSION_COMPANIES_READ
	v := visible{all: slices.Contains(held.Wide, read), some: []uuid.UUID{}}
	for company, permissions := range held.Companies {
		if slices.Contains(permissions, read) {
			v.some = append(v.some, company)
		}
	}
	return v, nil
}

func withAreas(ctx context.Context, db *pgxpool.Pool, companies []Company) ([]*tenancyv1.Company, error) {
	var databases []uuid.UUID
	for _, c := range companies {
		if c.Live != nil {
			databases = append(databases, *c.Live)
		}
	}
	areas, err := database.AreasOf(ctx, db, databases)
	if err != nil {
		return nil, err
	}
	shown := make([]*tenancyv1.Company, len(companies))
	for i, c := range companies {
		shown[i] = ToProto(c, nil)
		if c.Live != nil {
			shown[i].DataAreas = AreasToProto(areas[*c.Live])
		}
	}
	return shown, nil
}

// GetCompany shows one with its checklist.
func (s *Server) GetCompany(ctx context.Context, r *tenancyv1.GetCompanyRequest) (*tenancyv1.GetCompanyResponse, error) {
	owner, company, err := names.ParseCompany(r.GetName())
	if err != nil {
		return nil, err
	}
	c, err := Get(ctx, s.d.DB, owner, company)
	if err != nil {
		return nil, err
	}
	shown, err := withAreas(ctx, s.d.DB, []Company{c})
	if err != nil {
		return nil, err
	}
	if c.Ready() == nil {
		shown[0].Checklist, err = s.checklist(ctx, c)
	}
	return &tenancyv1.GetCompanyResponse{Company: shown[0]}, err
}

// checklist looks into the books for the steps that are done.
func (s *Server) checklist(ctx context.Context, c Company) ([]*tenancyv1.ChecklistItem, error) {
	d, err := database.Get(ctx, s.d.DB, *c.Live)
	if err != nil {
		return nil, err
	}
	var items []*tenancyv1.ChecklistItem
	language := caller.From(ctx).Locale
	err = s.d.Provisioner.InDatabase(ctx, d, func(conn *pgx.Conn) error {
		for _, area := range d.Areas {
			k, err := s.kitOf(area)
			if err != nil {
				return err
			}
			steps, err := k.Steps(ctx, conn)
			if err != nil {
				return err
			}
			for _, step := range steps {
				items = append(items, &tenancyv1.ChecklistItem{Key: step.Key, Title: step.Title.In(language), Done: step.Finished})
			}
		}
		return nil
	})
	return items, err
}

// kitOf is the kit of the release that an area is at.
func (s *Server) kitOf(area database.Area) (*kit.Kit, error) {
	return database.KitOf(s.d.Kits, area)
}

// UpdateCompany changes what people may say of a company.
func (s *Server) UpdateCompany(ctx context.Context, r *tenancyv1.UpdateCompanyRequest) (*tenancyv1.UpdateCompanyResponse, error) {
	owner, company, err := names.ParseCompany(r.GetCompany().GetName())
	if err != nil {
		return nil, err
	}
	change := Change{Wanted: r.GetCompany(), Fields: r.GetUpdateMask().GetPaths()}
	if wanted := r.GetCompany().GetHeadCompany(); wanted != "" && slices.Contains(change.Fields, fieldHead) {
		if change.Head, err = s.head(ctx, owner, company, wanted); err != nil {
			return nil, err
		}
	}
	var after Company
	err = postgres.InTx(ctx, s.d.DB, func(tx pgx.Tx) (err error) {
		after, err = s.change(ctx, tx, owner, company, r.GetCompany().GetEtag(), change)
		return err
	})
	if err != nil {
		return nil, postgres.Constraints{}.Translate(err)
	}
	shown, err := withAreas(ctx, s.d.DB, []Company{after})
	if err != nil {
		return nil, err
	}
	return &tenancyv1.UpdateCompanyResponse{Company: shown[0]}, nil
}

func (s *Server) change(ctx context.Context, tx pgx.Tx, owner, company uuid.UUID, etag string, change Change) (Company, error) {
	before, err := Lock(ctx, tx, company)
	if err != nil {
		return Company{}, err
	}
	if before.Subscriber != owner {
		return Company{}, failure.NotFound(names.Company(owner, company))
	}
	if etag != "" && etag != before.Etag() {
		return Company{}, failure.New(commonv1.Reason_REASON_ETAG_MISMATCH)
	}
	after, fields, err := change.Apply(before)
	if err != nil || len(fields) == 0 {
		return before, err
	}
	if after, err = update(ctx, tx, after); err != nil {
		return Company{}, err
	}
	told := &tenancyv1.CompanyUpdated{Company: ToProto(after, nil), Fields: fields}
	return after, Tell(ctx, tx, after, "updated", s.d.Clock.Now(), told)
}

// head reads a head company that is wanted for a company; a zero company is not there yet.
func (s *Server) head(ctx context.Context, owner, company uuid.UUID, wanted string) (*uuid.UUID, error) {
	of, id, err := names.ParseCompany(wanted)
	if err != nil || of != owner {
		return nil, failure.New(commonv1.Reason_REASON_HEAD_COMPANY_INVALID)
	}
	head, err := Get(ctx, s.d.DB, owner, id)
	if err != nil {
		return nil, failure.New(commonv1.Reason_REASON_HEAD_COMPANY_INVALID).Wrap(err)
	}
	return &head.ID, CheckHead(company, head)
}
