package session

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/authn"
	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/identity/internal/account"
	"kontor.internal/services/identity/internal/attempt"
	"kontor.internal/services/identity/internal/password"
)

// Keys give the private key that access tokens are signed with.
type Keys interface {
	Signing(ctx context.Context) (jwk.Key, error)
}

// Rights say what the caller in a context may do.
type Rights interface {
	Allowed(ctx context.Context, permission authv1.Permission, name string) error
}

// Deps is what the server is made of.
type Deps struct {
	DB       *pgxpool.Pool
	Store    *Store
	Tokens   *Tokens
	Keys     Keys
	Hasher   *password.Hasher
	Attempts *attempt.Store
	Rights   Rights
	// Tenancy knows companies.
	Tenancy tenancyv1.DirectoryServiceClient
	Pages   *paging.Codec
	NewID   id.Source
}

// Server answers sign-ins.
type Server struct {
	identityv1.UnimplementedSessionServiceServer
	Deps
	accounts account.Store
}

// NewServer returns a server.
func NewServer(d Deps) *Server { return &Server{Deps: d} }

// SignIn begins a session.
func (s *Server) SignIn(ctx context.Context, req *identityv1.SignInRequest) (*identityv1.SignInResponse, error) {
	device, err := account.FullName(req.GetDeviceName(), "device_name")
	if err != nil {
		return nil, err
	}
	key := account.IdentifierKey(req.GetIdentifier())
	found, ok, err := s.accounts.Credential(ctx, s.DB, key)
	if err != nil {
		return nil, err
	}
	tried, err := s.Attempts.Begin(ctx, attempt.Target{Account: found.Account, Key: key, Address: caller.From(ctx).Address})
	if err != nil {
		return nil, err
	}
	matches, outdated, err := s.Hasher.Matches(ctx, req.GetPassword(), found.Hash)
	switch {
	case err != nil:
		return nil, errors.Join(err, tried.Withdraw(context.WithoutCancel(ctx)))
	case !ok || !matches:
		return nil, failure.New(commonv1.Reason_REASON_SIGN_IN_REFUSED)
	case found.State == account.Closed:
		return nil, failure.New(commonv1.Reason_REASON_ACCOUNT_CLOSED)
	}
	began, token, err := s.begin(account.ActAs(ctx, found.Account), found, tried, device)
	if err != nil {
		return nil, err
	}
	if outdated {
		s.rehash(ctx, found, req.GetPassword())
	}
	return s.signedIn(ctx, began, token)
}

// begin stores a session for who has proven to be its account's holder.
func (s *Server) begin(ctx context.Context, found account.Credential, tried *attempt.Attempt, device string) (Session, Token, error) {
	now := s.Store.Real.Now()
	began := Session{
		ID: s.NewID(), Account: found.Account, DeviceName: device, Address: caller.From(ctx).Address, Created: now, Refreshed: now,
		State: State{IdleExpires: idleUntil(now, now.Add(Life)), Expires: now.Add(Life)},
	}
	token, err := s.Tokens.First(began.ID)
	if err != nil {
		return began, token, err
	}
	began.Hash = token.Hash()
	err = postgres.InTx(ctx, s.DB, func(tx pgx.Tx) (err error) {
		if began.Kind, err = s.Store.stillSignsIn(ctx, tx, found.Account, found.Hash); err != nil {
			return err
		}
		if err := tried.Succeed(ctx, tx); err != nil {
			return err
		}
		return s.Store.Insert(ctx, tx, began)
	})
	return began, token, translate(err)
}

// rehash brings an old hash up to today's parameters. Failing costs nothing:
// the next sign-in tries again.
func (s *Server) rehash(ctx context.Context, found account.Credential, password string) {
	if hash, err := s.Hasher.Hash(ctx, password); err == nil {
		_ = s.accounts.ReplaceHash(ctx, s.DB, found.Account, found.Hash, hash)
	}
}

func (s *Server) signedIn(ctx context.Context, began Session, token Token) (*identityv1.SignInResponse, error) {
	a, err := s.accounts.Get(ctx, s.DB, began.Account)
	if err != nil {
		return nil, err
	}
	tokens, err := s.issue(ctx, began, token)
	if err != nil {
		return nil, err
	}
	return &identityv1.SignInResponse{Tokens: tokens, Session: began.Proto(began.Name()), Account: a.Proto()}, nil
}

// issue makes the pair of tokens of a session.
func (s *Server) issue(ctx context.Context, of Session, refresh Token) (*identityv1.SessionTokens, error) {
	access, expires, err := s.access(ctx, of)
	if err != nil {
		return nil, err
	}
	return &identityv1.SessionTokens{
		AccessToken: access, AccessTokenExpireTime: timestamppb.New(expires),
		RefreshToken: s.Tokens.Text(refresh), RefreshTokenExpireTime: timestamppb.New(of.IdleExpires),
	}, nil
}

// access signs an access token.
func (s *Server) access(ctx context.Context, of Session) (token string, expires time.Time, err error) {
	key, err := s.Keys.Signing(ctx)
	if err != nil {
		return "", expires, err
	}
	now := s.Store.Real.Now()
	expires = now.Add(authn.Lifetime)
	token, err = authn.SignAccess(key, authn.Claims{
		Account: accountName(of.Account), Session: of.Name(), Company: of.Company, Kind: of.Kind, Expires: expires,
	}, now)
	return token, expires, err
}

// RefreshSession gives the next pair of tokens.
func (s *Server) RefreshSession(ctx context.Context, req *identityv1.RefreshSessionRequest) (*identityv1.RefreshSessionResponse, error) {
	token, err := s.Tokens.Parse(req.GetRefreshToken())
	if err != nil {
		return nil, err
	}
	var of Session
	verdict := Invalid
	err = postgres.InTx(ctx, s.DB, func(tx pgx.Tx) error {
		var found bool
		of, found, err = s.Store.Lock(ctx, tx, token.Session)
		if err != nil || !found {
			return err
		}
		now := s.Store.Real.Now()
		switch verdict = of.Decide(token, now); verdict {
		case Rotate:
			return s.Store.rotate(ctx, tx, &of, s.Tokens.Successor(token), now)
		case Reused: // Committed, though the answer is a refusal.
			return s.Store.End(ctx, tx, of.Account, of.ID, identityv1.SessionEnd_SESSION_END_TOKEN_REUSED)
		}
		return nil
	})
	if err != nil {
		return nil, translate(err)
	}
	if verdict != Rotate && verdict != Repeat {
		return nil, verdict.refusal()
	}
	tokens, err := s.issue(ctx, of, s.Tokens.Successor(token))
	if err != nil {
		return nil, err
	}
	return &identityv1.RefreshSessionResponse{Tokens: tokens, Session: of.Proto(of.Name())}, nil
}

// SignOut ends the session of a refresh token, or the caller's.
func (s *Server) SignOut(ctx context.Context, req *identityv1.SignOutRequest) (*identityv1.SignOutResponse, error) {
	var err error
	if text := req.GetRefreshToken(); text != "" {
		err = s.signOutByToken(ctx, text)
	} else {
		err = s.signOutCaller(ctx)
	}
	if err != nil {
		return nil, translate(err)
	}
	return &identityv1.SignOutResponse{}, nil
}

// signOutByToken ends the session of any refresh token it ever had: whoever
// holds one may end it, if nothing else.
func (s *Server) signOutByToken(ctx context.Context, text string) error {
	token, err := s.Tokens.Parse(text)
	if err != nil {
		return err
	}
	return postgres.InTx(ctx, s.DB, func(tx pgx.Tx) error {
		of, found, err := s.Store.Lock(ctx, tx, token.Session)
		if err != nil || !found {
			return err
		}
		return s.Store.End(account.ActAs(ctx, of.Account), tx, of.Account, of.ID, identityv1.SessionEnd_SESSION_END_SIGNED_OUT)
	})
}

func (s *Server) signOutCaller(ctx context.Context) error {
	who := caller.From(ctx)
	if !who.SignedIn() {
		return failure.New(commonv1.Reason_REASON_TOKEN_MISSING)
	}
	own, current, err := ParseName(who.Session)
	if err != nil {
		return err
	}
	return postgres.InTx(ctx, s.DB, func(tx pgx.Tx) error {
		return s.Store.End(ctx, tx, own, current, identityv1.SessionEnd_SESSION_END_SIGNED_OUT)
	})
}

// ChooseCompany makes the caller's session work for a company.
func (s *Server) ChooseCompany(ctx context.Context, req *identityv1.ChooseCompanyRequest) (*identityv1.ChooseCompanyResponse, error) {
	who := caller.From(ctx)
	if err := s.mayChoose(ctx, req.GetCompany()); err != nil {
		return nil, err
	}
	_, current, err := ParseName(who.Session)
	if err != nil {
		return nil, err
	}
	var of Session
	err = postgres.InTx(ctx, s.DB, func(tx pgx.Tx) error {
		var found bool
		of, found, err = s.Store.Lock(ctx, tx, current)
		if err != nil {
			return err
		}
		if !found || !of.Alive(s.Store.Real.Now()) {
			return failure.New(commonv1.Reason_REASON_SESSION_REVOKED)
		}
		of.Company = req.GetCompany()
		return s.Store.setCompany(ctx, tx, current, of.Company)
	})
	if err != nil {
		return nil, translate(err)
	}
	access, expires, err := s.access(ctx, of)
	if err != nil {
		return nil, err
	}
	return &identityv1.ChooseCompanyResponse{
		AccessToken: access, AccessTokenExpireTime: timestamppb.New(expires), Session: of.Proto(who.Session),
	}, nil
}

// mayChoose says whether the caller is let into a company; none is open to all.
func (s *Server) mayChoose(ctx context.Context, company string) error {
	if company == "" {
		return nil
	}
	parts := strings.Split(company, "/")
	if len(parts) != 4 || parts[0] != "subscribers" || parts[2] != "companies" {
		return failure.Invalid("company", "is not subscribers/…/companies/…")
	}
	if err := s.Rights.Allowed(ctx, authv1.Permission_PERMISSION_COMPANIES_READ, company); err != nil {
		return err
	}
	_, err := s.Tenancy.LookupCompany(ctx, &tenancyv1.LookupCompanyRequest{Name: company})
	return err
}

// latest is where a list of sessions begins.
var latest = uuid.Max //nolint:gochecknoglobals // A constant.

// ListSessions answers the caller's living sessions.
func (s *Server) ListSessions(ctx context.Context, req *identityv1.ListSessionsRequest) (*identityv1.ListSessionsResponse, error) {
	own, err := account.Own(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	before := latest
	page, err := s.Pages.Start("ListSessions", req, &before, own.String())
	if err != nil {
		return nil, err
	}
	list, err := s.Store.list(ctx, s.DB, own, before, page.Limit())
	if err != nil {
		return nil, err
	}
	list, next, err := paging.Finish(page, list, func(of Session) any { return of.ID })
	if err != nil {
		return nil, err
	}
	reply := &identityv1.ListSessionsResponse{NextPageToken: next}
	for _, of := range list {
		reply.Sessions = append(reply.Sessions, of.Proto(caller.From(ctx).Session))
	}
	return reply, nil
}

// RevokeSession ends one of the caller's sessions.
func (s *Server) RevokeSession(ctx context.Context, req *identityv1.RevokeSessionRequest) (*identityv1.RevokeSessionResponse, error) {
	parent, last, ok := strings.Cut(req.GetName(), "/sessions/")
	if !ok {
		return nil, failure.NotFound(req.GetName())
	}
	own, err := account.Own(ctx, parent)
	if err != nil {
		return nil, failure.NotFound(req.GetName())
	}
	session, err := id.Parse(last)
	if err != nil {
		return nil, failure.NotFound(req.GetName())
	}
	of, err := s.Store.Get(ctx, s.DB, session)
	if err != nil {
		return nil, err
	}
	if of.Account != own {
		return nil, failure.NotFound(req.GetName())
	}
	err = postgres.InTx(ctx, s.DB, func(tx pgx.Tx) error {
		return s.Store.End(ctx, tx, own, session, identityv1.SessionEnd_SESSION_END_REVOKED)
	})
	if err != nil {
		return nil, translate(err)
	}
	return &identityv1.RevokeSessionResponse{}, nil
}
