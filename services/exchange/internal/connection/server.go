package connection

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/idempotency"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/rights"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/exchange/internal/names"
)

// usualInterval is how often programs synchronise unless somebody says otherwise.
const usualInterval = 15 * time.Minute

// Deps are what the server is made of.
type Deps struct {
	DB        *pgxpool.Pool
	Clock     clock.Clock
	NewID     id.Source
	Ends      Ends
	Rights    *rights.Rights
	Companies tenancyv1.DirectoryServiceClient
	Pages     *paging.Codec
	Texts     *failure.Texts
	// TryStore writes, reads and deletes something in the document store.
	TryStore func(ctx context.Context) error
}

// Server is ConnectionService.
type Server struct {
	exchangev1.UnimplementedConnectionServiceServer
	d Deps
}

// NewServer returns ConnectionService.
func NewServer(d Deps) *Server { return &Server{d: d} }

// CreateConnection makes a connection, and the accounts at those ends that the caller may decide about.
func (s *Server) CreateConnection(ctx context.Context, r *exchangev1.CreateConnectionRequest) (*exchangev1.CreateConnectionResponse, error) {
	manager, err := names.ParseSubscriber(r.GetParent())
	if err != nil {
		return nil, err
	}
	var (
		c    Connection
		ends ends
	)
	refused := s.paid(ctx, Connection{Manager: manager})
	if refused == nil { // Who may not connect learns nothing of other companies.
		if c, err = s.plan(ctx, r); err != nil {
			return nil, err
		}
		if ends, err = s.seatEnds(ctx, &c); err != nil {
			return nil, err
		}
	}
	answer, err := idempotency.Create(ctx, s.d.DB, r, func(ctx context.Context, tx pgx.Tx) (*exchangev1.CreateConnectionResponse, error) {
		if refused != nil { // Judged here, so that a repeated request gets its first answer.
			return nil, refused
		}
		if err := insert(ctx, tx, c); err != nil {
			return nil, err
		}
		if err := s.tell(ctx, tx, c, "created", &exchangev1.ConnectionCreated{Connection: ToProto(c)}); err != nil {
			return nil, err
		}
		return &exchangev1.CreateConnectionResponse{Connection: ToProto(c), Warnings: ends.warnings}, s.invite(ctx, tx, c, ends)
	})
	if err != nil {
		return nil, Constraints().Translate(err)
	}
	return answer, s.grantAll(ctx, answer.GetConnection().GetName())
}

// paid refuses with RIGHT_MISSING, and the way to get it, where the exchange of documents was not bought (S2).
func (s *Server) paid(ctx context.Context, c Connection) error {
	return s.d.Rights.Require(ctx, rights.Question{
		Subscriber: names.Subscriber(c.Manager), Action: licensingv1.Action_ACTION_EXCHANGE_DOCUMENTS,
	})
}

// plan checks what is wanted against the rules.
func (s *Server) plan(ctx context.Context, r *exchangev1.CreateConnectionRequest) (c Connection, err error) {
	now := s.d.Clock.Now()
	c = Connection{ID: s.d.NewID(), Interval: usualInterval, Created: now, Updated: now, Revision: 1}
	if c.Manager, err = names.ParseSubscriber(r.GetParent()); err != nil {
		return c, err
	}
	if r.GetSyncInterval() != nil {
		c.Interval = r.GetSyncInterval().AsDuration()
	}
	if err := CheckInterval(c.Interval); err != nil {
		return c, err
	}
	if r.GetSenderCompany() == r.GetReceiverCompany() {
		return c, failure.New(commonv1.Reason_REASON_COMPANY_ENDS_SAME)
	}
	from, err := s.party(ctx, &c.Sender, r.GetSenderCompany(), r.GetSenderProgram(), r.GetSenderEmail())
	if err != nil {
		return c, err
	}
	if c.Sender.Subscriber != c.Manager {
		return c, failure.NotFound(r.GetSenderCompany())
	}
	to, err := s.party(ctx, &c.Receiver, r.GetReceiverCompany(), r.GetReceiverProgram(), r.GetReceiverEmail())
	if err != nil {
		return c, err
	}
	if err := CheckEnds(from, to); err != nil {
		return c, err
	}
	if c.Receiver.Subscriber != c.Manager { // What the other company is called is not told before it agrees.
		c.Receiver.Title = ""
	}
	c.TaxNumber, c.State = Normal(from.TaxNumber), First(c.Receiver.Subscriber == c.Manager)
	return c, nil
}

// party reads an end's company.
func (s *Server) party(ctx context.Context, p *Party, company string, program exchangev1.Program, email string) (End, error) {
	subscriber, err := names.SubscriberOf(company)
	if err != nil {
		return End{}, err
	}
	found, err := s.d.Companies.LookupCompany(ctx, &tenancyv1.LookupCompanyRequest{Name: company})
	if err != nil {
		return End{}, err
	}
	*p = Party{Subscriber: subscriber, Company: company, Title: found.GetCompany().GetTitle(), Program: program, Email: email}
	return End{TaxNumber: found.GetCompany().GetTaxNumber(), Program: program}, nil
}

// ends are the accounts that were found or made for a connection.
type ends struct {
	sender, receiver *seated
	warnings         []string
}

// seatEnds finds or makes the accounts of the ends that may have one: the receiver's only once its side has agreed.
func (s *Server) seatEnds(ctx context.Context, c *Connection) (e ends, err error) {
	if e.sender, err = s.seatEnd(ctx, &c.Sender, &e); err != nil {
		return e, err
	}
	if c.State == exchangev1.ConnectionState_CONNECTION_STATE_ACTIVE {
		e.receiver, err = s.seatEnd(ctx, &c.Receiver, &e)
	}
	return e, err
}

func (s *Server) seatEnd(ctx context.Context, p *Party, e *ends) (*seated, error) {
	who, err := s.d.Ends.seat(ctx, p.Email)
	if err != nil {
		return nil, err
	}
	p.Account = who.account
	if who.wide {
		e.warnings = append(e.warnings, warning(ctx, p.Email))
	}
	return &who, nil
}

func (s *Server) invite(ctx context.Context, tx pgx.Tx, c Connection, e ends) error {
	for side, who := range map[exchangev1.Side]*seated{exchangev1.Side_SIDE_SENDER: e.sender, exchangev1.Side_SIDE_RECEIVER: e.receiver} {
		if who == nil {
			continue
		}
		if err := s.tellInvited(ctx, tx, c, side, *who); err != nil {
			return err
		}
	}
	return nil
}

// grantAll gives the ends and their subscribers their rights, after the row stands: rights without a connection would open
// nothing, a connection without rights is mended by asking again. Of a connection that is removed, also just now, the ends
// have none.
func (s *Server) grantAll(ctx context.Context, name string) error {
	c, err := s.find(ctx, name)
	if err != nil || c.State == exchangev1.ConnectionState_CONNECTION_STATE_REMOVED {
		return err
	}
	parties := []string{names.Subscriber(c.Manager)}
	if c.State != exchangev1.ConnectionState_CONNECTION_STATE_PENDING {
		parties = append(parties, names.Subscriber(c.Receiver.Subscriber))
	}
	if err := s.d.Ends.join(ctx, name, parties...); err != nil {
		return err
	}
	if err := s.d.Ends.grantAll(ctx, name, rightsOf(c)); err != nil {
		return err
	}
	if c, err = s.find(ctx, name); err != nil || c.State != exchangev1.ConnectionState_CONNECTION_STATE_REMOVED {
		return err
	}
	return s.revokeAll(ctx, c)
}

// rightsOf is what each end's account may in a connection: one that is at both ends may what both may.
func rightsOf(c Connection) map[string][]authv1.Permission {
	held := map[string][]authv1.Permission{}
	for _, part := range []struct {
		account string
		may     []authv1.Permission
	}{{c.Sender.Account, toSend}, {c.Receiver.Account, toReceive}} {
		if part.account != "" {
			held[part.account] = slices.Compact(slices.Sorted(slices.Values(slices.Concat(held[part.account], part.may))))
		}
	}
	return held
}

// revokeAll ends the rights of the accounts at the ends.
func (s *Server) revokeAll(ctx context.Context, c Connection) error {
	for _, account := range []string{c.Sender.Account, c.Receiver.Account} {
		if err := s.d.Ends.revoke(ctx, account, c.Name()); err != nil {
			return err
		}
	}
	return nil
}

// ListConnections pages through a subscriber's.
func (s *Server) ListConnections(ctx context.Context, r *exchangev1.ListConnectionsRequest) (*exchangev1.ListConnectionsResponse, error) {
	subscriber, err := names.ParseSubscriber(r.GetParent())
	if err != nil {
		return nil, err
	}
	var after uuid.UUID
	page, err := s.d.Pages.Start(exchangev1.ConnectionService_ListConnections_FullMethodName, r, &after)
	if err != nil {
		return nil, err
	}
	rows, err := list(ctx, s.d.DB, subscriber, after, page.Limit())
	if err != nil {
		return nil, err
	}
	shown, next, err := paging.Finish(page, rows, func(c Connection) any { return c.ID })
	if err != nil {
		return nil, err
	}
	answer := &exchangev1.ListConnectionsResponse{NextPageToken: next}
	for _, c := range shown {
		answer.Connections = append(answer.Connections, ToProto(c))
	}
	return answer, nil
}

// GetConnection shows one.
func (s *Server) GetConnection(ctx context.Context, r *exchangev1.GetConnectionRequest) (*exchangev1.GetConnectionResponse, error) {
	c, err := s.find(ctx, r.GetName())
	if err != nil {
		return nil, err
	}
	return &exchangev1.GetConnectionResponse{Connection: ToProto(c)}, nil
}

func (s *Server) find(ctx context.Context, name string) (Connection, error) {
	id, err := names.ParseConnection(name)
	if err != nil {
		return Connection{}, err
	}
	return Get(ctx, s.d.DB, id)
}

// AcceptConnection agrees for the receiving company's subscriber.
func (s *Server) AcceptConnection(ctx context.Context, r *exchangev1.AcceptConnectionRequest) (*exchangev1.AcceptConnectionResponse, error) {
	subscriber, err := names.ParseSubscriber(r.GetParent())
	if err != nil {
		return nil, err
	}
	c, err := s.find(ctx, r.GetConnection())
	if err != nil {
		return nil, err
	}
	if c.Receiver.Subscriber != subscriber {
		return nil, failure.NotFound(r.GetConnection())
	}
	var e ends
	if c.State == exchangev1.ConnectionState_CONNECTION_STATE_PENDING {
		if e, err = s.agree(ctx, &c); err != nil {
			return nil, err
		}
	}
	if err := c.Travels(); err != nil {
		return nil, err
	}
	err = s.grantAll(ctx, c.Name())
	return &exchangev1.AcceptConnectionResponse{Connection: ToProto(c), Warnings: e.warnings}, err
}

// agree makes a connection active. The companies' numbers are compared once more: they may have changed since it was asked
// for (S4).
func (s *Server) agree(ctx context.Context, c *Connection) (e ends, err error) {
	if err := s.compare(ctx, *c); err != nil {
		return e, err
	}
	company, err := s.d.Companies.LookupCompany(ctx, &tenancyv1.LookupCompanyRequest{Name: c.Receiver.Company})
	if err != nil {
		return e, err
	}
	if e.receiver, err = s.seatEnd(ctx, &c.Receiver, &e); err != nil {
		return e, err
	}
	account := c.Receiver.Account
	err = s.change(ctx, c, func(locked *Connection) (fields []string, err error) {
		locked.Receiver.Account, locked.Receiver.Title = account, company.GetCompany().GetTitle()
		locked.State, err = Next(locked.State, Accept)
		return []string{"state"}, err
	}, func(tx pgx.Tx) error { return s.tellInvited(ctx, tx, *c, exchangev1.Side_SIDE_RECEIVER, *e.receiver) })
	return e, err
}

// change alters a connection under its lock, with the events that tell of it.
func (s *Server) change(ctx context.Context, c *Connection, alter func(*Connection) ([]string, error), more ...func(pgx.Tx) error) error {
	err := postgres.InTx(ctx, s.d.DB, func(tx pgx.Tx) error {
		locked, err := Lock(ctx, tx, c.ID)
		if err != nil {
			return err
		}
		fields, err := alter(&locked)
		if err != nil || len(fields) == 0 {
			*c = locked
			return err
		}
		locked.Updated = s.d.Clock.Now()
		if *c, err = update(ctx, tx, locked); err != nil {
			return err
		}
		if err := s.tellUpdated(ctx, tx, *c, fields...); err != nil {
			return err
		}
		for _, also := range more {
			if err := also(tx); err != nil {
				return err
			}
		}
		return nil
	})
	return Constraints().Translate(err)
}

// UpdateConnection changes how often the programs synchronise.
func (s *Server) UpdateConnection(ctx context.Context, r *exchangev1.UpdateConnectionRequest) (*exchangev1.UpdateConnectionResponse, error) {
	interval := r.GetConnection().GetSyncInterval().AsDuration()
	if err := CheckInterval(interval); err != nil {
		return nil, err
	}
	c, err := s.find(ctx, r.GetConnection().GetName())
	if err != nil {
		return nil, err
	}
	err = s.change(ctx, &c, func(locked *Connection) ([]string, error) {
		if etag := r.GetConnection().GetEtag(); etag != "" && etag != locked.Etag() {
			return nil, failure.New(commonv1.Reason_REASON_ETAG_MISMATCH)
		}
		if locked.Interval == interval {
			return nil, nil
		}
		locked.Interval = interval
		return []string{"sync_interval"}, nil
	})
	return &exchangev1.UpdateConnectionResponse{Connection: ToProto(c)}, err
}

// PauseConnection stops one for now.
func (s *Server) PauseConnection(ctx context.Context, r *exchangev1.PauseConnectionRequest) (*exchangev1.PauseConnectionResponse, error) {
	c, err := s.do(ctx, r.GetName(), Pause)
	return &exchangev1.PauseConnectionResponse{Connection: ToProto(c)}, err
}

// ResumeConnection lets documents travel again.
func (s *Server) ResumeConnection(ctx context.Context, r *exchangev1.ResumeConnectionRequest) (*exchangev1.ResumeConnectionResponse, error) {
	c, err := s.do(ctx, r.GetName(), Resume)
	return &exchangev1.ResumeConnectionResponse{Connection: ToProto(c)}, err
}

func (s *Server) do(ctx context.Context, name string, action Action) (Connection, error) {
	c, err := s.find(ctx, name)
	if err != nil {
		return c, err
	}
	err = s.change(ctx, &c, func(locked *Connection) (fields []string, err error) {
		locked.State, err = Next(locked.State, action)
		return []string{"state"}, err
	})
	return c, err
}

// RemoveConnection ends one for good, and the rights of the accounts at its ends. Its subscribers' members go on seeing the
// history.
func (s *Server) RemoveConnection(ctx context.Context, r *exchangev1.RemoveConnectionRequest) (*exchangev1.RemoveConnectionResponse, error) {
	c, err := s.find(ctx, r.GetName())
	if err != nil {
		return nil, err
	}
	if c.State != exchangev1.ConnectionState_CONNECTION_STATE_REMOVED {
		if c, err = s.do(ctx, r.GetName(), Remove); err != nil {
			return nil, err
		}
	}
	if err := s.revokeAll(ctx, c); err != nil {
		return nil, err
	}
	return &exchangev1.RemoveConnectionResponse{Connection: ToProto(c)}, nil
}
