package licence

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/civil"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/idempotency"
	"kontor.internal/libs/money"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/licensing/internal/catalogue"
)

// Server answers LicenceService.
type Server struct {
	licensingv1.UnimplementedLicenceServiceServer
	deps Deps
}

// Deps are what a Server needs.
type Deps struct {
	DB        *pgxpool.Pool
	Store     *Store
	Catalogue *catalogue.Catalogue
	Clock     clock.Clock
	IDs       id.Source
	Pages     *paging.Codec
	Tenancy   tenancyv1.DirectoryServiceClient
	// Changed hears of each subscriber whose licences changed.
	Changed func(subscriber uuid.UUID)
}

// NewServer returns a server.
func NewServer(deps Deps) *Server { return &Server{deps: deps} }

// cursor is the last entry shown.
type cursor struct {
	ID uuid.UUID `json:"i"`
}

// ListLicences lists a subscriber's licences.
func (s *Server) ListLicences(ctx context.Context, req *licensingv1.ListLicencesRequest) (*licensingv1.ListLicencesResponse, error) {
	subscriber, err := ParseSubscriber(req.GetParent())
	if err != nil {
		return nil, err
	}
	var after cursor
	page, err := s.deps.Pages.Start(licensingv1.LicenceService_ListLicences_FullMethodName, req, &after)
	if err != nil {
		return nil, err
	}
	rows, err := s.deps.Store.List(ctx, s.deps.DB, subscriber, after.ID, page.Limit())
	if err != nil {
		return nil, err
	}
	shown, next, err := paging.Finish(page, rows, func(l Licence) any { return cursor{ID: l.ID} })
	if err != nil {
		return nil, err
	}
	answer := &licensingv1.ListLicencesResponse{NextPageToken: next}
	for _, l := range shown {
		answer.Licences = append(answer.Licences, s.show(ctx, l))
	}
	return answer, nil
}

// GetLicence answers one licence.
func (s *Server) GetLicence(ctx context.Context, req *licensingv1.GetLicenceRequest) (*licensingv1.GetLicenceResponse, error) {
	subscriber, licence, err := ParseName(req.GetName())
	if err != nil {
		return nil, err
	}
	l, err := s.deps.Store.Get(ctx, s.deps.DB, subscriber, licence)
	if err != nil {
		return nil, err
	}
	return &licensingv1.GetLicenceResponse{Licence: s.show(ctx, l)}, nil
}

// CreateLicence gives a licence.
func (s *Server) CreateLicence(ctx context.Context, req *licensingv1.CreateLicenceRequest) (*licensingv1.CreateLicenceResponse, error) {
	made, given, err := s.planLicence(ctx, req)
	if err != nil {
		return nil, err
	}
	answer, err := idempotency.Create(ctx, s.deps.DB, req, func(ctx context.Context, tx pgx.Tx) (*licensingv1.CreateLicenceResponse, error) {
		if made.Kind == catalogue.Trial {
			if had, found, err := s.deps.Store.LockTrial(ctx, tx, made.Subscriber); err != nil {
				return nil, err
			} else if found {
				return nil, TrialUsed(had)
			}
		}
		if err := s.deps.Store.Insert(ctx, tx, made, given, made.Created); err != nil {
			return nil, err
		}
		if err := TellBegun(ctx, tx, made, made.Created); err != nil {
			return nil, err
		}
		return &licensingv1.CreateLicenceResponse{Licence: s.show(ctx, made)}, nil
	})
	if err == nil {
		s.deps.Changed(made.Subscriber)
	}
	return answer, err
}

// planLicence is the licence that a request asks for.
func (s *Server) planLicence(ctx context.Context, req *licensingv1.CreateLicenceRequest) (Licence, Given, error) {
	subscriber, err := ParseSubscriber(req.GetParent())
	if err != nil {
		return Licence{}, Given{}, err
	}
	author, err := ParseAccount(caller.From(ctx).Account)
	if err != nil {
		return Licence{}, Given{}, err
	}
	plan, err := planOf(s.deps.Catalogue, req.GetPlan())
	if err != nil {
		return Licence{}, Given{}, err
	}
	price, err := priceOf(req.GetPrice())
	if err != nil {
		return Licence{}, Given{}, err
	}
	zone, err := s.zoneOf(ctx, req.GetParent())
	if err != nil {
		return Licence{}, Given{}, err
	}
	now := s.deps.Clock.Now()
	l := Licence{
		ID: s.deps.IDs(), Subscriber: subscriber, Kind: catalogue.KindOf(req.GetKind()), Plan: plan.ID,
		Terms: TermsOf(s.deps.Catalogue, plan), TermsSince: now, Revision: 1, Created: now,
	}
	if l.Kind == "" {
		l.Kind = plan.Kind
	}
	if (l.Kind == catalogue.Trial) != (plan.Kind == catalogue.Trial) {
		return Licence{}, Given{}, failure.Invalid("kind", "a trial has a trial plan, and a trial plan is for trials")
	}
	if l.Zone, err = s.deps.Store.Zone(zone); err != nil {
		return Licence{}, Given{}, err
	}
	if err := l.setTerm(plan, req); err != nil {
		return Licence{}, Given{}, err
	}
	if err := l.Terms.overlay(req.GetLimits()); err != nil {
		return Licence{}, Given{}, err
	}
	l.Started = l.State(now) != Upcoming
	return l, Given{Author: author, Reason: req.GetReason(), Price: price}, nil
}

func (l *Licence) setTerm(plan catalogue.Plan, req *licensingv1.CreateLicenceRequest) error {
	l.Start, l.End = TrialTerm(plan, l.Created, l.Zone)
	if l.Kind != catalogue.Trial {
		l.End = civil.Date{}
	}
	for _, d := range []struct {
		field, text string
		into        *civil.Date
	}{{"start_date", req.GetStartDate(), &l.Start}, {"end_date", req.GetEndDate(), &l.End}} {
		if d.text == "" {
			continue
		}
		parsed, err := civil.ParseDate(d.text)
		if err != nil {
			return failure.Invalid(d.field, "is no date of the calendar").Wrap(err)
		}
		*d.into = parsed
	}
	if l.Kind == catalogue.Trial && req.GetEndDate() == "" {
		l.End = l.Start.AddDays(plan.TrialDays)
	}
	if !l.End.IsZero() && l.End.Before(l.Start) {
		return termInvalid(l.Start, l.End)
	}
	return nil
}

// overlay takes the limits that are not 0.
func (t *Terms) overlay(l *licensingv1.Limits) error {
	want := Terms{Limits: limitsOf(l)}
	for _, field := range []string{FieldSeats, FieldCompanies, FieldSeatsPerCompany, FieldAccounts, FieldLeaseSeconds} {
		value := *want.limit(field)
		if value == 0 {
			continue
		}
		if low, high := bounds(field); value < low || value > high {
			return failure.Invalid("limits."+field, "is out of bounds")
		}
		*t.limit(field) = value
	}
	return nil
}

func (s *Server) zoneOf(ctx context.Context, subscriber string) (string, error) {
	answer, err := s.deps.Tenancy.LookupSubscriber(ctx, &tenancyv1.LookupSubscriberRequest{Name: subscriber})
	if err != nil {
		return "", err
	}
	return s.deps.Catalogue.Zone(answer.GetSubscriber().GetCountry()), nil
}

// UpdateLicence changes a licence.
func (s *Server) UpdateLicence(ctx context.Context, req *licensingv1.UpdateLicenceRequest) (*licensingv1.UpdateLicenceResponse, error) {
	subscriber, licence, err := ParseName(req.GetLicence().GetName())
	if err != nil {
		return nil, err
	}
	edit, err := s.editOf(ctx, req)
	if err != nil {
		return nil, err
	}
	var l Licence
	err = postgres.InTx(ctx, s.deps.DB, func(tx pgx.Tx) (err error) {
		if l, err = s.deps.Store.Lock(ctx, tx, subscriber, licence); err != nil {
			return err
		}
		if etag := req.GetLicence().GetEtag(); etag != "" && etag != l.etag() {
			return failure.New(commonv1.Reason_REASON_ETAG_MISMATCH, "resource", req.GetLicence().GetName())
		}
		return s.change(ctx, tx, &l, edit)
	})
	if err != nil {
		return nil, constraints().Translate(err)
	}
	s.deps.Changed(subscriber)
	return &licensingv1.UpdateLicenceResponse{Licence: s.show(ctx, l)}, nil
}

func (s *Server) editOf(ctx context.Context, req *licensingv1.UpdateLicenceRequest) (Edit, error) {
	author, err := ParseAccount(caller.From(ctx).Account)
	if err != nil {
		return Edit{}, err
	}
	price, err := priceOf(req.GetPrice())
	if err != nil {
		return Edit{}, err
	}
	edit := Edit{
		Paths: req.GetUpdateMask().GetPaths(), Want: req.GetLicence(), Reason: req.GetReason(), Price: price,
		Author: author, At: s.deps.Clock.Now(), IDs: s.deps.IDs,
	}
	if len(edit.Paths) == 0 {
		return Edit{}, failure.Invalid("update_mask", "names no field")
	}
	if err := edit.Until.UnmarshalText([]byte(req.GetUntilDate())); err != nil {
		return Edit{}, failure.Invalid("until_date", "is no date of the calendar").Wrap(err)
	}
	return edit, nil
}

func (s *Server) change(ctx context.Context, tx pgx.Tx, l *Licence, edit Edit) error {
	changes, err := l.Apply(s.deps.Catalogue, edit)
	if err != nil || len(changes) == 0 {
		return err
	}
	for _, c := range changes {
		if err := s.deps.Store.InsertChange(ctx, tx, l.ID, c); err != nil {
			return err
		}
	}
	if err := s.deps.Store.Update(ctx, tx, l, edit.At); err != nil {
		return err
	}
	return TellUpdated(ctx, tx, *l, changes, edit.At)
}

// ListLicenceChanges lists what staff changed of a licence.
func (s *Server) ListLicenceChanges(ctx context.Context, req *licensingv1.ListLicenceChangesRequest) (*licensingv1.ListLicenceChangesResponse, error) {
	subscriber, licence, err := ParseName(req.GetParent())
	if err != nil {
		return nil, err
	}
	if _, err := s.deps.Store.Get(ctx, s.deps.DB, subscriber, licence); err != nil {
		return nil, err
	}
	var after cursor
	page, err := s.deps.Pages.Start(licensingv1.LicenceService_ListLicenceChanges_FullMethodName, req, &after)
	if err != nil {
		return nil, err
	}
	rows, err := s.deps.Store.ListChanges(ctx, s.deps.DB, subscriber, licence, after.ID, page.Limit())
	if err != nil {
		return nil, err
	}
	shown, next, err := paging.Finish(page, rows, func(c Change) any { return cursor{ID: c.ID} })
	if err != nil {
		return nil, err
	}
	answer := &licensingv1.ListLicenceChangesResponse{NextPageToken: next}
	for _, c := range shown {
		answer.Changes = append(answer.Changes, c.proto())
	}
	return answer, nil
}

// show is the licence as its reader sees it now.
func (s *Server) show(ctx context.Context, l Licence) *licensingv1.Licence {
	out := l.Proto(s.deps.Clock.Now())
	if plan, ok := s.deps.Catalogue.Plan(l.Plan); ok {
		out.PlanTitle = plan.Title.In(caller.From(ctx).Locale)
	}
	return out
}

func priceOf(m *commonv1.Money) (Price, error) {
	if m == nil {
		return Price{}, nil
	}
	amount, err := money.FromProto(m)
	if err != nil {
		return Price{}, failure.Invalid("price", "is no amount of money").Wrap(err)
	}
	if amount.Sign() < 0 {
		return Price{}, failure.Invalid("price", "is negative")
	}
	return Price{Currency: amount.Currency, Minor: amount.Minor}, nil
}
