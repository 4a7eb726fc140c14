package seat

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/seattoken"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/licence"
)

// Entitled says what a subscriber's licences allow.
type Entitled interface {
	// ToWork finds the pool and its limits for a product, or the refusal with every condition that fails.
	ToWork(ctx context.Context, subscriber, product string) (Pool, Limits, error)
	// Of is the limits of a pool for a product, or for none. NOT_FOUND for a licence that is not the subscriber's.
	Of(ctx context.Context, of Pool, product string) (Limits, error)
	// Licences are the pools of a subscriber.
	Licences(ctx context.Context, subscriber string) ([]Pool, error)
}

// Signer has the key that tokens are signed with, and those they are checked with.
type Signer interface {
	Signing() (jwk.Key, error)
	Public() (jwk.Set, error)
}

// Authorizer says whether the caller holds a permission in a scope.
type Authorizer interface {
	Allowed(ctx context.Context, p authv1.Permission, scope string) error
}

// Deps are what a Server needs.
type Deps struct {
	Pools      *Pools
	Diary      *Diary
	Entitled   Entitled
	Signer     Signer
	Authorizer Authorizer
	People     *People
	Pages      *paging.Codec
	Stamps     *Stamps
	Tokens     *seattoken.Own
	Hub        *Hub
	// Real is the machine's clock: leases do not follow the suite's.
	Real clock.Clock
}

// Server answers SeatService, and BatchGetSeatStates of RightService.
type Server struct {
	licensingv1.UnimplementedSeatServiceServer
	deps Deps
}

// NewServer returns a server.
func NewServer(deps Deps) *Server {
	return &Server{deps: deps}
}

// ClaimSeat takes a seat for the caller.
func (s *Server) ClaimSeat(ctx context.Context, req *licensingv1.ClaimSeatRequest) (*licensingv1.ClaimSeatResponse, error) {
	r, err := s.request(ctx, req)
	if err != nil {
		return nil, err
	}
	of, limits, err := s.deps.Entitled.ToWork(ctx, req.GetParent(), req.GetProduct())
	if err != nil {
		return nil, err
	}
	if req.GetReadOnly() {
		if of, err = s.toRead(ctx, of, limits, &r); err != nil {
			return nil, err
		}
	}
	if r.TakeBack, err = ownSeat(of, req.GetTakeBack()); err != nil {
		return nil, err
	}
	held, err := s.deps.Pools.Claim(ctx, of, r, limits)
	if full := (*Full)(nil); errors.As(err, &full) {
		return nil, s.exhausted(ctx, of, r, limits, full)
	}
	if err != nil {
		return nil, err
	}
	token, err := s.sign(of, held)
	return &licensingv1.ClaimSeatResponse{Seat: held.message(of, ""), Token: token, LeaseSeconds: held.lease()}, err
}

// toRead lets a guest in beside the seats, or whoever reads where the plan lets them.
func (s *Server) toRead(ctx context.Context, of Pool, limits Limits, r *Request) (Pool, error) {
	at, until, invited, err := s.deps.Pools.Invited(ctx, of.Subscriber, *r)
	switch {
	case err != nil:
		return of, err
	case invited:
		r.Mode, r.Cap = Guest, until
		return at, nil
	case limits.Reading:
		r.Mode = Reading
		return of, nil
	default:
		return of, failure.New(commonv1.Reason_REASON_SEAT_READING_REFUSED)
	}
}

// ownSeat reads the name of a seat that is to be taken back: one of this pool.
func ownSeat(of Pool, name string) (uuid.UUID, error) {
	if name == "" {
		return uuid.Nil, nil
	}
	at, seat, err := parseName(name)
	if err == nil && at != of {
		err = failure.New(commonv1.Reason_REASON_SEAT_NOT_OWN)
	}
	return seat, err
}

// asking is who asks for a seat where: claims, waiting and travel have it in common.
type asking interface {
	GetParent() string
	GetCompany() string
	GetProduct() string
	GetDeviceId() string
	GetDeviceTitle() string
}

// request checks what somebody asks for: the company must be one that they may open.
func (s *Server) request(ctx context.Context, req asking) (Request, error) {
	who := caller.From(ctx)
	account, err := licence.ParseAccount(who.Account)
	if err != nil {
		return Request{}, err
	}
	company, err := companyOf(req.GetParent(), req.GetCompany())
	if err != nil {
		return Request{}, err
	}
	return Request{
		Account: account, Company: company, Product: req.GetProduct(), Device: req.GetDeviceId(), Title: req.GetDeviceTitle(),
		Mode: InPool, By: by(who),
	}, s.deps.Authorizer.Allowed(ctx, authv1.Permission_PERMISSION_COMPANIES_OPEN, req.GetCompany())
}

// companyOf reads a company's name. NOT_FOUND for another subscriber's.
func companyOf(parent, name string) (uuid.UUID, error) {
	subscriber, company, err := licence.ParseChild(name, "/companies/")
	if err != nil || licence.SubscriberName(subscriber) != parent {
		return uuid.Nil, failure.NotFound(name)
	}
	return company, nil
}

// mayWork refuses somebody else who may not open a company.
func (s *Server) mayWork(ctx context.Context, account, company string) error {
	them := caller.With(ctx, caller.Caller{Account: account, Kind: caller.KindPerson})
	err := s.deps.Authorizer.Allowed(them, authv1.Permission_PERMISSION_COMPANIES_OPEN, company)
	if failure.Reason(err) == commonv1.Reason_REASON_PERMISSION_DENIED {
		return failure.New(commonv1.Reason_REASON_SEAT_PERSON_UNFIT)
	}
	return err
}

func by(who caller.Caller) By { return byCaller(who.Account, who.Address) }

// exhausted names who holds the seats, so that people know whom to ask (J7), and what else they can do.
func (s *Server) exhausted(ctx context.Context, of Pool, r Request, limits Limits, full *Full) error {
	shown := full.Holders[:min(len(full.Holders), maxNamed)]
	return failure.New(full.Why, "limit", decimal(int64(full.Limit)),
		"holders", described(shown, s.deps.People.titles(ctx, shown), full.Limit, s.deps.Real.Now()),
		"licence", licence.Name(of.Subscriber, of.Licence), "waiting", decimal(int64(full.Waiting)),
		"offers", strings.Join(offers(full.Holders, r.Account, limits), ",")).WithRetry(full.Frees)
}

// offers are what somebody can do who got no seat.
func offers(holders []Seat, account uuid.UUID, limits Limits) []string {
	offers := []string{"wait", "ask"}
	if slices.ContainsFunc(holders, func(held Seat) bool { return held.Account == account }) {
		offers = append(offers, "take_back")
	}
	if limits.Reading {
		offers = append(offers, "read_only")
	}
	return offers
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

func (s *Server) sign(of Pool, held Seat) (string, error) {
	key, err := s.deps.Signer.Signing()
	if err != nil {
		return "", err
	}
	return s.deps.Tokens.Sign(key, held.claims(of), s.deps.Real.Now())
}

// ReleaseSeat gives the caller's seat back.
func (s *Server) ReleaseSeat(ctx context.Context, req *licensingv1.ReleaseSeatRequest) (*licensingv1.ReleaseSeatResponse, error) {
	of, mine, err := s.own(ctx, req.GetName(), req.GetToken())
	if err != nil {
		return nil, err
	}
	return &licensingv1.ReleaseSeatResponse{}, s.deps.Pools.Release(ctx, of, mine, by(caller.From(ctx)))
}

// own reads the token of a seat. SEAT_TOKEN_WRONG for one that is not the caller's for this seat.
func (s *Server) own(ctx context.Context, name, token string) (Pool, Seat, error) {
	claims, err := s.deps.Tokens.Verify(ctx, published{s.deps.Signer}, token)
	if err == nil && (claims.Seat != name || claims.Account != caller.From(ctx).Account) {
		err = seattoken.ErrInvalid
	}
	if errors.Is(err, seattoken.ErrInvalid) {
		err = failure.New(commonv1.Reason_REASON_SEAT_TOKEN_WRONG).Wrap(err)
	}
	if err != nil {
		return Pool{}, Seat{}, err
	}
	return fromClaims(claims)
}

// published are the signer's own keys.
type published struct{ signer Signer }

// Keys are those published now.
func (p published) Keys(context.Context) (jwk.Set, error) { return p.signer.Public() }

// grace is how long a holder has to save unless something else is asked for.
const grace = time.Minute

// TakeSeat takes somebody's seat away.
func (s *Server) TakeSeat(ctx context.Context, req *licensingv1.TakeSeatRequest) (*licensingv1.TakeSeatResponse, error) {
	of, seat, err := parseName(req.GetName())
	if err != nil {
		return nil, err
	}
	if _, err := s.deps.Entitled.Of(ctx, of, ""); err != nil {
		return nil, err
	}
	wait := grace
	if req.GraceSeconds != nil {
		wait = time.Duration(req.GetGraceSeconds()) * time.Second
	}
	at, err := s.deps.Pools.Take(ctx, of, seat, wait, req.GetReason(), by(caller.From(ctx)))
	if err != nil {
		return nil, err
	}
	return &licensingv1.TakeSeatResponse{TakeTime: timestamppb.New(at)}, s.deps.Diary.WriteDown(ctx, of.Licence)
}

// board reads all seats of a licence, by slot, with its limits.
func (s *Server) board(ctx context.Context, of Pool, known string) (Board, Limits, error) {
	limits, err := s.deps.Entitled.Of(ctx, of, "")
	if err != nil {
		return Board{}, limits, err
	}
	board, err := s.deps.Pools.List(ctx, of.Licence, math.MaxInt32, known)
	slices.SortFunc(board.Seats, func(a, b Seat) int { return cmp.Compare(a.Slot, b.Slot) })
	return board, limits, err
}

func (s *Server) messages(ctx context.Context, of Pool, seats []Seat) []*licensingv1.Seat {
	titles := s.deps.People.titles(ctx, seats)
	shown := make([]*licensingv1.Seat, len(seats))
	for i, held := range seats {
		shown[i] = held.message(of, titles[held.Account])
	}
	return shown
}

func parsePool(name string) (Pool, error) {
	subscriber, of, err := licence.ParseName(name)
	return Pool{Subscriber: subscriber, Licence: of}, err
}

// ListSeats pages through those who hold seats.
func (s *Server) ListSeats(ctx context.Context, req *licensingv1.ListSeatsRequest) (*licensingv1.ListSeatsResponse, error) {
	of, err := parsePool(req.GetParent())
	if err != nil {
		return nil, err
	}
	after := int32(math.MinInt32)
	page, err := s.deps.Pages.Start(licensingv1.SeatService_ListSeats_FullMethodName, req, &after)
	if err != nil {
		return nil, err
	}
	board, limits, err := s.board(ctx, of, "")
	if err != nil {
		return nil, err
	}
	rest := slices.DeleteFunc(slices.Clone(board.Seats), func(held Seat) bool { return held.Slot <= after })
	shown, next, err := paging.Finish(page, rest[:min(len(rest), int(page.Limit()))], func(held Seat) any { return held.Slot })
	if err != nil {
		return nil, err
	}
	return &licensingv1.ListSeatsResponse{
		Seats: s.messages(ctx, of, shown), NextPageToken: next, Limit: limits.Seats, Held: board.Held,
	}, nil
}
