// Package directory answers the other services about accounts, links and sessions.
package directory

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	"kontor.internal/services/identity/internal/account"
	"kontor.internal/services/identity/internal/link"
	"kontor.internal/services/identity/internal/session"
)

// Deps is what the server is made of.
type Deps struct {
	DB       *pgxpool.Pool
	Registry *account.Registry
	Signer   *link.Signer
	Sessions *session.Store
}

// Server answers the other services.
type Server struct {
	identityv1.UnimplementedDirectoryServiceServer
	Deps
	accounts account.Store
}

// NewServer returns a server.
func NewServer(d Deps) *Server { return &Server{Deps: d} }

// BatchGetAccounts answers those of some accounts that exist.
func (s *Server) BatchGetAccounts(ctx context.Context, req *identityv1.BatchGetAccountsRequest) (*identityv1.BatchGetAccountsResponse, error) {
	ids := make([]uuid.UUID, 0, len(req.GetNames()))
	for _, name := range req.GetNames() {
		if one, err := account.ParseName(name); err == nil { // What is no name is unknown, and unknown ones are left out.
			ids = append(ids, one)
		}
	}
	found, err := s.accounts.List(ctx, s.DB, ids)
	if err != nil {
		return nil, err
	}
	reply := &identityv1.BatchGetAccountsResponse{}
	for _, a := range found {
		reply.Accounts = append(reply.Accounts, a.Proto())
	}
	return reply, nil
}

// FindAccount answers the account that has an e-mail.
func (s *Server) FindAccount(ctx context.Context, req *identityv1.FindAccountRequest) (*identityv1.FindAccountResponse, error) {
	email, err := account.ParseEmail(req.GetEmail(), "email")
	if err != nil {
		return nil, err
	}
	a, err := s.accounts.Find(ctx, s.DB, email.Key)
	if err != nil {
		return nil, err
	}
	return &identityv1.FindAccountResponse{Account: a.Proto()}, nil
}

// EnsureAccount finds the account of an e-mail or makes one that waits.
func (s *Server) EnsureAccount(ctx context.Context, req *identityv1.EnsureAccountRequest) (*identityv1.EnsureAccountResponse, error) {
	n := account.Newcomer{Language: account.Language(req.GetLanguage()), Kind: account.KindOf(req.GetKind())}
	var err error
	if n.Email, err = account.ParseEmail(req.GetEmail(), "email"); err != nil {
		return nil, err
	}
	if n.FullName, err = account.FullName(req.GetFullName(), "full_name"); err != nil {
		return nil, err
	}
	reply := &identityv1.EnsureAccountResponse{}
	err = postgres.InTx(ctx, s.DB, func(tx pgx.Tx) error {
		a, created, activation, err := s.Registry.Ensure(ctx, tx, n)
		reply.Account, reply.Created, reply.Activation = a.Proto(), created, activation
		return err
	})
	if err != nil {
		return nil, postgres.Constraints(nil).Translate(err)
	}
	return reply, nil
}

// GetAccountLink derives the secret of a link for the letter that carries it.
func (s *Server) GetAccountLink(ctx context.Context, req *identityv1.GetAccountLinkRequest) (*identityv1.GetAccountLinkResponse, error) {
	purpose, v, err := link.ParseName(req.GetName())
	if err != nil {
		return nil, err
	}
	l, err := s.Registry.Links.Get(ctx, s.DB, purpose, v)
	if failure.Reason(err) == commonv1.Reason_REASON_LINK_INVALID {
		return nil, failure.NotFound(req.GetName()).Wrap(err)
	}
	if err != nil {
		return nil, err
	}
	if err := l.Check(s.Registry.Clock.Now()); err != nil {
		return nil, failure.NotFound(req.GetName()).Wrap(err)
	}
	a, err := s.accounts.Get(ctx, s.DB, l.Account)
	if err != nil {
		return nil, err
	}
	return &identityv1.GetAccountLinkResponse{
		Token: s.Signer.Token(purpose, v), Account: a.Proto(), ExpireTime: timestamppb.New(l.Expires),
	}, nil
}

// CheckSession says whether a session lives.
func (s *Server) CheckSession(ctx context.Context, req *identityv1.CheckSessionRequest) (*identityv1.CheckSessionResponse, error) {
	active, err := Alive(ctx, s.DB, s.Sessions, req.GetSession())
	if err != nil {
		return nil, err
	}
	return &identityv1.CheckSessionResponse{Active: active}, nil
}

// Alive says whether a session lives; what is no session does not.
func Alive(ctx context.Context, db *pgxpool.Pool, sessions *session.Store, name string) (bool, error) {
	owner, v, err := session.ParseName(name)
	if err != nil {
		return false, nil //nolint:nilerr // Nothing by that name lives.
	}
	found, err := sessions.Get(ctx, db, v)
	if failure.Reason(err) == commonv1.Reason_REASON_NOT_FOUND {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return found.Account == owner && found.Alive(sessions.Real.Now()), nil
}
