package contract

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"

	"kontor.internal/libs/blob"
	"kontor.internal/libs/caller"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/idempotency"
	"kontor.internal/libs/paging"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/licensing/internal/catalogue"
	"kontor.internal/services/licensing/internal/licence"
)

// Server answers ContractService, and GetContractCopy of RightService.
type Server struct {
	licensingv1.UnimplementedContractServiceServer
	deps Deps
}

// Deps are what a Server needs.
type Deps struct {
	DB        *pgxpool.Pool
	Store     Store
	Licences  *licence.Store
	Library   Library
	Catalogue *catalogue.Catalogue
	Clock     clock.Clock
	IDs       id.Source
	Pages     *paging.Codec
	Tenancy   tenancyv1.DirectoryServiceClient
	Objects   *blob.Bucket
	// Changed hears of each subscriber whose contracts or licences changed.
	Changed func(subscriber uuid.UUID)
}

// NewServer returns a server.
func NewServer(deps Deps) *Server { return &Server{deps: deps} }

// cursor is the last entry shown.
type cursor struct {
	ID uuid.UUID `json:"i"`
}

// CreateContract makes a contract's document.
func (s *Server) CreateContract(ctx context.Context, req *licensingv1.CreateContractRequest) (*licensingv1.CreateContractResponse, error) {
	subscriber, err := licence.ParseSubscriber(req.GetParent())
	if err != nil {
		return nil, err
	}
	d, err := s.plan(ctx, subscriber, req)
	if err != nil {
		return nil, err
	}
	answer, err := idempotency.Create(ctx, s.deps.DB, req, func(ctx context.Context, tx pgx.Tx) (*licensingv1.CreateContractResponse, error) {
		c, err := s.write(ctx, tx, subscriber, d)
		if err != nil {
			return nil, err
		}
		return &licensingv1.CreateContractResponse{Contract: c.Proto()}, nil
	})
	if err == nil {
		s.deps.Changed(subscriber)
	}
	return answer, err
}

// plan checks what is asked for and gathers what the document says, all but its number.
func (s *Server) plan(ctx context.Context, subscriber uuid.UUID, req *licensingv1.CreateContractRequest) (Document, error) {
	now := s.deps.Clock.Now()
	found, err := s.deps.Tenancy.LookupSubscriber(ctx, &tenancyv1.LookupSubscriberRequest{Name: req.GetParent()})
	if err != nil {
		return Document{}, err
	}
	country := found.GetSubscriber().GetCountry()
	d := Document{Catalogue: s.deps.Catalogue, Created: now, Zone: s.deps.Catalogue.Zone(country), Date: s.deps.Catalogue.Today(now, country)}
	if d.Plan, err = PlanFor(s.deps.Catalogue, req.GetPlan(), d.Date); err != nil {
		return Document{}, err
	}
	if d.Language, err = LanguageOf(req.GetLanguage(), found.GetSubscriber().GetLanguage(), s.deps.Library); err != nil {
		return Document{}, err
	}
	if d.Customer, err = CustomerOf(found.GetSubscriber()); err != nil {
		return Document{}, err
	}
	had, err := s.deps.Licences.Of(ctx, s.deps.DB, subscriber)
	if err != nil {
		return Document{}, err
	}
	return d, CheckTrial(d.Plan, had, now)
}

// write numbers, renders and stores a contract. The document is durable before the row that names it; a document without
// a row, left by a crash, is swept.
func (s *Server) write(ctx context.Context, tx pgx.Tx, subscriber uuid.UUID, d Document) (Contract, error) {
	year := s.deps.Catalogue.Today(d.Created, "").Year // The seller's year, whichever the customer's is.
	serial, err := s.deps.Store.NextSerial(ctx, tx, year)
	if err != nil {
		return Contract{}, err
	}
	d.Number = Number(year, serial)
	pdf, err := Render(d, s.deps.Library[d.Language])
	if err != nil {
		return Contract{}, err
	}
	sum := sha256.Sum256(pdf)
	c := Contract{
		ID: s.deps.IDs(), Subscriber: subscriber, Number: d.Number, Plan: d.Plan.ID, Language: string(d.Language),
		Customer: d.Customer.Name, Zone: d.Zone, SHA256: sum[:], Size: int64(len(pdf)), Filename: d.Number + ".pdf", Created: d.Created,
	}
	c.Key = documentKey(c)
	if err := s.deps.Objects.Put(ctx, c.Key, pdf, contentType); err != nil {
		return Contract{}, blob.Translate(err, Name(subscriber, c.ID))
	}
	if err := s.deps.Store.Insert(ctx, tx, c); err != nil {
		return Contract{}, err
	}
	replaced, err := s.deps.Store.SupersedeWaiting(ctx, tx, c)
	if err != nil {
		return Contract{}, err
	}
	if err := s.tellSuperseded(ctx, tx, subscriber, replaced, d.Created); err != nil {
		return Contract{}, err
	}
	return c, tell(ctx, tx, c, SubjectCreated, d.Created, &licensingv1.ContractCreated{Contract: c.Proto()})
}

// ListContracts lists a subscriber's contracts.
func (s *Server) ListContracts(ctx context.Context, req *licensingv1.ListContractsRequest) (*licensingv1.ListContractsResponse, error) {
	subscriber, err := licence.ParseSubscriber(req.GetParent())
	if err != nil {
		return nil, err
	}
	var after cursor
	page, err := s.deps.Pages.Start(licensingv1.ContractService_ListContracts_FullMethodName, req, &after)
	if err != nil {
		return nil, err
	}
	rows, err := s.deps.Store.List(ctx, s.deps.DB, subscriber, after.ID, page.Limit())
	if err != nil {
		return nil, err
	}
	shown, next, err := paging.Finish(page, rows, func(c Contract) any { return cursor{ID: c.ID} })
	if err != nil {
		return nil, err
	}
	answer := &licensingv1.ListContractsResponse{NextPageToken: next}
	for _, c := range shown {
		answer.Contracts = append(answer.Contracts, c.Proto())
	}
	return answer, nil
}

// GetContract answers one contract.
func (s *Server) GetContract(ctx context.Context, req *licensingv1.GetContractRequest) (*licensingv1.GetContractResponse, error) {
	c, err := s.find(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	return &licensingv1.GetContractResponse{Contract: c.Proto()}, nil
}

func (s *Server) find(ctx context.Context, name string) (Contract, error) {
	subscriber, contract, err := ParseName(name)
	if err != nil {
		return Contract{}, err
	}
	return s.deps.Store.Get(ctx, s.deps.DB, subscriber, contract)
}

// AcceptContract accepts a contract.
func (s *Server) AcceptContract(ctx context.Context, req *licensingv1.AcceptContractRequest) (*licensingv1.AcceptContractResponse, error) {
	subscriber, contract, err := ParseName(req.GetName())
	if err != nil {
		return nil, err
	}
	who := caller.From(ctx)
	account, err := licence.ParseAccount(who.Account)
	if err != nil {
		return nil, err
	}
	a := Acceptance{Account: account, Address: who.Address, SHA256: req.GetDocumentSha256()}
	answer, err := idempotency.Create(ctx, s.deps.DB, req, func(ctx context.Context, tx pgx.Tx) (*licensingv1.AcceptContractResponse, error) {
		if err := s.deps.Store.Lock(ctx, tx, subscriber); err != nil {
			return nil, err
		}
		c, err := s.deps.Store.Get(ctx, tx, subscriber, contract)
		if err != nil {
			return nil, err
		}
		if err := c.CheckAcceptance(a.SHA256); err != nil {
			return nil, err
		}
		if c.Acceptance == nil {
			if c, err = s.accept(ctx, tx, c, a); err != nil {
				return nil, err
			}
		}
		return &licensingv1.AcceptContractResponse{Contract: c.Proto()}, nil
	})
	if err == nil {
		s.deps.Changed(subscriber)
	}
	return answer, err
}

// accept records the acceptance, begins what it begins, and ends what it replaces. The subscriber's contracts are locked.
func (s *Server) accept(ctx context.Context, tx pgx.Tx, c Contract, a Acceptance) (Contract, error) {
	a.Time = s.deps.Clock.Now()
	var err error
	if a.Licence, err = s.begin(ctx, tx, c, a); err != nil {
		return c, err
	}
	if err := s.deps.Store.Accept(ctx, tx, c.ID, a); err != nil {
		return c, err
	}
	replaced, err := s.deps.Store.SupersedeOthers(ctx, tx, c)
	if err != nil {
		return c, err
	}
	if err := s.tellSuperseded(ctx, tx, c.Subscriber, replaced, a.Time); err != nil {
		return c, err
	}
	c.Acceptance = &a
	return c, tell(ctx, tx, c, SubjectAccepted, a.Time, &licensingv1.ContractAccepted{Contract: c.Proto()})
}

// begin starts the trial that the contract is about, or takes one that runs over to the contract's plan, with its term
// and all data kept (B1). Other plans begin with a payment, or by staff.
func (s *Server) begin(ctx context.Context, tx pgx.Tx, c Contract, a Acceptance) (uuid.UUID, error) {
	plan, ok := s.deps.Catalogue.Plan(c.Plan) // Also when it is no longer sold: it was when the contract was made.
	if !ok {
		return uuid.Nil, failure.New(commonv1.Reason_REASON_PLAN_UNKNOWN, "plan", catalogue.PlanName(c.Plan))
	}
	if plan.Kind != catalogue.Trial {
		return uuid.Nil, nil
	}
	had, found, err := s.deps.Licences.LockTrial(ctx, tx, c.Subscriber)
	if err != nil {
		return uuid.Nil, err
	}
	if !found {
		return s.startTrial(ctx, tx, c, plan, a)
	}
	if err := CheckTrial(plan, []licence.Licence{had}, a.Time); err != nil {
		return uuid.Nil, err
	}
	if had.Plan == plan.ID {
		return had.ID, nil
	}
	change := licence.Change{
		ID: s.deps.IDs(), Field: licence.FieldPlan, Old: had.Plan, New: plan.ID, Reason: c.Number, Author: a.Account, Created: a.Time,
	}
	had.TakePlan(s.deps.Catalogue, plan, a.Time)
	if err := errors.Join(s.deps.Licences.InsertChange(ctx, tx, had.ID, change), s.deps.Licences.Update(ctx, tx, &had, a.Time)); err != nil {
		return uuid.Nil, err
	}
	return had.ID, licence.TellUpdated(ctx, tx, had, []licence.Change{change}, a.Time)
}

func (s *Server) startTrial(ctx context.Context, tx pgx.Tx, c Contract, plan catalogue.Plan, a Acceptance) (uuid.UUID, error) {
	zone, err := s.deps.Licences.Zone(c.Zone)
	if err != nil {
		return uuid.Nil, err
	}
	l := licence.Licence{
		ID: s.deps.IDs(), Subscriber: c.Subscriber, Kind: catalogue.Trial, Plan: plan.ID, Terms: licence.TermsOf(s.deps.Catalogue, plan),
		TermsSince: a.Time, Zone: zone, Contract: c.ID, Started: true, Revision: 1, Created: a.Time,
	}
	l.Start, l.End = licence.TrialTerm(plan, a.Time, zone)
	if err := s.deps.Licences.Insert(ctx, tx, l, licence.Given{}, a.Time); err != nil {
		return uuid.Nil, err
	}
	return l.ID, licence.TellBegun(ctx, tx, l, a.Time)
}

// DownloadContract streams a contract's PDF.
func (s *Server) DownloadContract(req *licensingv1.DownloadContractRequest, stream grpc.ServerStreamingServer[licensingv1.DownloadContractResponse]) error {
	c, err := s.find(stream.Context(), req.GetName())
	if err != nil {
		return err
	}
	if req.GetOffset() > c.Size {
		return failure.Invalid("offset", "lies behind the end of the file")
	}
	return s.send(stream, c, req.GetOffset(), req.GetLength())
}
