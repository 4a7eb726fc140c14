package company

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/kits/kit"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/idempotency"
	"kontor.internal/libs/operation"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/rights"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/cluster"
	"kontor.internal/services/tenancy/internal/database"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/subscriber"
)

// plan is a company that is to be made, with all that was found out before the transaction.
type plan struct {
	company Company
	kit     *kit.Kit
	// counted are the companies that licensing's word was given for.
	counted int
}

// CreateCompany adds a company and starts the making of its database.
func (s *Server) CreateCompany(ctx context.Context, r *tenancyv1.CreateCompanyRequest) (*tenancyv1.CreateCompanyResponse, error) {
	p, err := s.plan(ctx, r)
	if err != nil {
		return nil, err
	}
	refused := s.mayAdd(ctx, &p)
	answer, err := idempotency.Create(ctx, s.d.DB, r, func(ctx context.Context, tx pgx.Tx) (*tenancyv1.CreateCompanyResponse, error) {
		if refused != nil { // Judged here, so that a repeated request gets its first answer.
			return nil, refused
		}
		return s.begin(ctx, tx, p, r)
	})
	return answer, postgres.Constraints{}.Translate(err)
}

// plan checks what can be checked of the request alone.
func (s *Server) plan(ctx context.Context, r *tenancyv1.CreateCompanyRequest) (p plan, err error) {
	owner, err := names.ParseSubscriber(r.GetParent())
	if err != nil {
		return p, err
	}
	of, err := subscriber.Get(ctx, s.d.DB, owner)
	if err != nil {
		return p, err
	}
	p.company = Company{
		ID: s.d.NewID(), Subscriber: owner, Country: r.GetCountry(), Region: of.Region,
		State: tenancyv1.CompanyState_COMPANY_STATE_CREATING, Created: s.d.Clock.Now(), Revision: 1,
	}
	if p.company.Title, err = readTitle("title", r.GetTitle()); err != nil {
		return p, err
	}
	number, country, err := NormaliseTaxNumber(r.GetTaxNumber())
	if err != nil {
		return p, err
	}
	p.company.TaxNumber = number
	if p.company.Country == "" {
		p.company.Country = country
	}
	if wanted := r.GetHeadCompany(); wanted != "" {
		if p.company.Head, err = s.head(ctx, owner, p.company.ID, wanted); err != nil {
			return p, err
		}
	}
	return p, s.planBooks(r, &p)
}

// planBooks chooses what the books are made of. With an upload the kit is known once the upload is taken.
func (s *Server) planBooks(r *tenancyv1.CreateCompanyRequest, p *plan) (err error) {
	if r.GetUpload() != "" {
		if r.GetActivity() != "" {
			return failure.Invalid("activity", "comes with the upload")
		}
		p.company.Upload, err = uploadOf(p.company.Subscriber, r.GetUpload())
		return err
	}
	if p.kit, err = s.newest(r.GetProduct()); err != nil {
		return err
	}
	if a := r.GetActivity(); a != "" && !slices.Contains(p.kit.Charts.Activities, a) {
		return failure.New(commonv1.Reason_REASON_ACTIVITY_UNKNOWN, "activity", a, "known", strings.Join(p.kit.Charts.Activities, ", ")).
			WithField(failure.Field{Path: "activity", Text: "is none of the product's"})
	}
	return nil
}

func uploadOf(owner uuid.UUID, name string) (*uuid.UUID, error) {
	of, id, err := names.ParseUpload(name)
	if err == nil && of != owner {
		err = failure.NotFound(name)
	}
	return &id, err
}

// newest is the kit of a product's newest release.
func (s *Server) newest(product string) (*kit.Kit, error) {
	if product == "" {
		product = booksProduct
	}
	if k := s.d.Kits.Newest(product); k != nil {
		return k, nil
	}
	return nil, failure.New(commonv1.Reason_REASON_KIT_UNKNOWN, "product", product, "known", strings.Join(s.d.Kits.Products(), ", ")).
		WithField(failure.Field{Path: "product", Text: "has no kit"})
}

// mayAdd asks licensing whether there may be one company more, outside of any transaction.
func (s *Server) mayAdd(ctx context.Context, p *plan) (err error) {
	if p.counted, err = countStanding(ctx, s.d.DB, p.company.Subscriber); err != nil {
		return postgres.Constraints{}.Translate(err)
	}
	return s.d.Rights.Require(ctx, rights.Question{
		Subscriber: names.Subscriber(p.company.Subscriber), Action: licensingv1.Action_ACTION_ADD_COMPANY, CountAfter: p.counted + 1,
	})
}

// begin writes the company, the names of what is to be made, and the operation that makes it.
func (s *Server) begin(ctx context.Context, tx pgx.Tx, p plan, r *tenancyv1.CreateCompanyRequest) (*tenancyv1.CreateCompanyResponse, error) {
	if err := s.take(ctx, tx, &p); err != nil {
		return nil, err
	}
	d, err := s.place(ctx, tx, p.company)
	if err != nil {
		return nil, err
	}
	started, err := s.d.Operations.Start(ctx, tx, operation.Request{
		Subscriber: names.Subscriber(p.company.Subscriber), Kind: KindCreate,
		Permission: authv1.Permission_PERMISSION_COMPANIES_MANAGE, Scope: p.company.Name(), Input: r,
	})
	if err != nil {
		return nil, err
	}
	p.company.Operation, p.company.Live = started.GetName(), &d.ID
	if p.company, err = update(ctx, tx, p.company); err != nil {
		return nil, err
	}
	shown := ToProto(p.company, nil)
	err = Tell(ctx, tx, p.company, "created", s.d.Clock.Now(), &tenancyv1.CompanyCreated{Company: shown})
	return &tenancyv1.CreateCompanyResponse{Company: shown, Operation: started}, err
}

// take makes sure that nobody took the room meanwhile (CONFLICT when somebody did), and takes the upload.
func (s *Server) take(ctx context.Context, tx pgx.Tx, p *plan) error {
	if _, err := subscriber.Lock(ctx, tx, p.company.Subscriber); err != nil {
		return err
	}
	standing, err := countStanding(ctx, tx, p.company.Subscriber)
	if err != nil {
		return err
	}
	if standing > p.counted {
		return failure.New(commonv1.Reason_REASON_CONFLICT)
	}
	if p.company.Upload == nil {
		return nil
	}
	_, err = s.d.Copies.Use(ctx, tx, p.company.Subscriber, *p.company.Upload)
	return err
}

// place writes the company and the database that is to be made, on the cluster that has most room in its region.
func (s *Server) place(ctx context.Context, tx pgx.Tx, c Company) (database.Database, error) {
	clusters, err := cluster.InRegion(ctx, tx, c.Region)
	if err != nil {
		return database.Database{}, err
	}
	chosen, err := cluster.Place(c.Region, clusters)
	if err != nil {
		return database.Database{}, err
	}
	if err := insert(ctx, tx, c); err != nil {
		return database.Database{}, err
	}
	d := database.New(s.d.NewID(), c.ID, chosen.ID, database.Made, s.d.Clock.Now())
	return d, database.Insert(ctx, tx, d)
}
