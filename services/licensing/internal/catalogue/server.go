package catalogue

import (
	"context"
	"slices"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/civil"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/paging"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// Server answers CatalogueService.
type Server struct {
	licensingv1.UnimplementedCatalogueServiceServer
	deps Deps
}

// Deps are what a Server needs.
type Deps struct {
	Catalogue *Catalogue
	Clock     clock.Clock
	Pages     *paging.Codec
}

// NewServer returns a server.
func NewServer(deps Deps) *Server { return &Server{deps: deps} }

// cursor is the place in the vendor's order, of this version of the catalogue.
type cursor struct {
	Next int `json:"n"`
}

// ListProducts lists the products.
func (s *Server) ListProducts(ctx context.Context, req *licensingv1.ListProductsRequest) (*licensingv1.ListProductsResponse, error) {
	var after cursor
	page, err := s.deps.Pages.Start(licensingv1.CatalogueService_ListProducts_FullMethodName, req, &after, s.deps.Catalogue.Version)
	if err != nil {
		return nil, err
	}
	shown, next, err := cut(page, after, s.deps.Catalogue.Products)
	if err != nil {
		return nil, err
	}
	answer := &licensingv1.ListProductsResponse{NextPageToken: next}
	for _, p := range shown {
		answer.Products = append(answer.Products, s.deps.Catalogue.product(p, caller.From(ctx).Locale))
	}
	return answer, nil
}

// ListPlans lists the plans that can be had on a date.
func (s *Server) ListPlans(ctx context.Context, req *licensingv1.ListPlansRequest) (*licensingv1.ListPlansResponse, error) {
	on, err := s.date(req.GetDate())
	if err != nil {
		return nil, err
	}
	var after cursor
	page, err := s.deps.Pages.Start(licensingv1.CatalogueService_ListPlans_FullMethodName, req, &after, s.deps.Catalogue.Version)
	if err != nil {
		return nil, err
	}
	var plans []Plan
	for _, p := range s.deps.Catalogue.Plans {
		if p.Sold(on) && (req.GetProduct() == "" || p.Holds(productID(req.GetProduct()))) {
			plans = append(plans, p)
		}
	}
	shown, next, err := cut(page, after, plans)
	if err != nil {
		return nil, err
	}
	answer := &licensingv1.ListPlansResponse{NextPageToken: next}
	for _, p := range shown {
		answer.Plans = append(answer.Plans, s.deps.Catalogue.plan(p, caller.From(ctx).Locale, on, req.GetCurrencyCode()))
	}
	return answer, nil
}

// GetPlan answers one plan.
func (s *Server) GetPlan(ctx context.Context, req *licensingv1.GetPlanRequest) (*licensingv1.GetPlanResponse, error) {
	on, err := s.date(req.GetDate())
	if err != nil {
		return nil, err
	}
	plan, ok := s.deps.Catalogue.Plan(PlanID(req.GetName()))
	if !ok {
		return nil, failure.NotFound(req.GetName())
	}
	return &licensingv1.GetPlanResponse{Plan: s.deps.Catalogue.plan(plan, caller.From(ctx).Locale, on, "")}, nil
}

func (s *Server) date(text string) (civil.Date, error) {
	if text == "" {
		return civil.DateOf(s.deps.Clock.Now(), s.deps.Clock.Now().Location()), nil
	}
	date, err := civil.ParseDate(text)
	if err != nil {
		return date, failure.Invalid("date", "is no date of the calendar").Wrap(err)
	}
	return date, nil
}

// cut takes a page out of a list in memory.
func cut[T any](page paging.Page, after cursor, all []T) ([]T, string, error) {
	begin := min(max(after.Next, 0), len(all))
	rest := all[begin:]
	end := begin + int(page.Size)
	return paging.Finish(page, rest[:min(len(rest), int(page.Limit()))], func(T) any { return cursor{Next: end} })
}

func (c *Catalogue) product(p Product, locale string) *licensingv1.Product {
	out := &licensingv1.Product{
		Name: "products/" + p.ID, Title: p.Title.In(locale), Description: p.Description.In(locale), DataArea: p.DataArea,
	}
	for _, e := range p.Editions {
		edition := &licensingv1.Edition{Id: e.ID, Title: e.Title.In(locale)}
		for _, m := range e.Modules {
			edition.Modules = append(edition.Modules, &licensingv1.Module{Id: m, Title: c.Modules[m].In(locale)})
		}
		out.Editions = append(out.Editions, edition)
	}
	return out
}

func (c *Catalogue) plan(p Plan, locale string, on civil.Date, currency string) *licensingv1.Plan {
	out := &licensingv1.Plan{
		Name: PlanName(p.ID), Title: p.Title.In(locale), Kind: p.Kind.Proto(),
		Limits: p.Limits.Proto(), TrialDays: int32(p.TrialDays),
		Prices: prices(p.Prices, on, currency),
	}
	for _, r := range p.Products {
		product, _ := c.Product(r.Product)
		edition, _ := product.Edition(r.Edition)
		out.Products = append(out.Products, &licensingv1.PlanProduct{
			Product: "products/" + r.Product, Edition: r.Edition, Modules: edition.Modules,
		})
	}
	for _, a := range c.AddOns {
		if slices.Contains(p.AddOns, a.ID) {
			out.AddOns = append(out.AddOns, a.proto(locale))
		} else {
			out.AddOnOffers = append(out.AddOnOffers, &licensingv1.AddOnOffer{AddOn: a.proto(locale), Prices: prices(a.Prices, on, currency)})
		}
	}
	return out
}

func (a AddOn) proto(locale string) *licensingv1.AddOn {
	return &licensingv1.AddOn{Id: a.ID, Title: a.Title.In(locale)}
}

func prices(all []Price, on civil.Date, currency string) []*licensingv1.Price {
	var out []*licensingv1.Price
	for _, p := range PricesOn(all, on) {
		if currency != "" && p.Currency != currency {
			continue
		}
		out = append(out, &licensingv1.Price{
			Amount:   &commonv1.Money{CurrencyCode: p.Currency, MinorUnits: p.Minor},
			FromDate: p.From.String(),
		})
	}
	return out
}
