package account

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/idempotency"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/identity/internal/link"
	"kontor.internal/services/identity/internal/password"
)

// RegisterAccount registers an e-mail. The answer is the same for all.
func (s *Server) RegisterAccount(ctx context.Context, req *identityv1.RegisterAccountRequest) (*identityv1.RegisterAccountResponse, error) {
	n, err := newcomer(req.GetEmail(), req.GetFullName(), req.GetLanguage())
	if err != nil {
		return nil, err
	}
	n.Self = true
	return idempotency.Create(ctx, s.DB, req, func(ctx context.Context, tx pgx.Tx) (*identityv1.RegisterAccountResponse, error) {
		return &identityv1.RegisterAccountResponse{}, s.Registry.Register(ctx, tx, n)
	})
}

func newcomer(email, fullName, language string) (n Newcomer, err error) {
	n = Newcomer{Kind: caller.KindPerson, Language: Language(language)}
	if n.Email, err = ParseEmail(email, "email"); err != nil {
		return n, err
	}
	n.FullName, err = FullName(fullName, "full_name")
	return n, err
}

// RegisterInvited registers somebody who followed an invitation's link.
func (s *Server) RegisterInvited(ctx context.Context, req *identityv1.RegisterInvitedRequest) (*identityv1.RegisterInvitedResponse, error) {
	n, err := newcomer(req.GetEmail(), req.GetFullName(), req.GetLanguage())
	if err != nil {
		return nil, err
	}
	if err := password.Check(req.GetPassword(), n.Email.Written, "password", s.locale(ctx)); err != nil {
		return nil, err
	}
	invitation, err := s.invitation(ctx, req.GetInvitationToken())
	if err != nil {
		return nil, err
	}
	if n.FullName == "" {
		n.FullName = invitation.GetFullName()
	}
	var hash string
	proven := IdentifierKey(invitation.GetEmail()) == n.Email.Key
	if proven {
		if hash, err = s.Hasher.Hash(ctx, req.GetPassword()); err != nil {
			return nil, err
		}
	}
	return idempotency.Create(ctx, s.DB, req, func(ctx context.Context, tx pgx.Tx) (*identityv1.RegisterInvitedResponse, error) {
		if !proven {
			return &identityv1.RegisterInvitedResponse{}, s.Registry.Register(ctx, tx, n)
		}
		a, err := s.registerProven(ctx, tx, n, hash)
		if err != nil {
			return nil, err
		}
		return &identityv1.RegisterInvitedResponse{Account: a.Proto()}, nil
	})
}

// invitation asks what an invitation's secret is for.
func (s *Server) invitation(ctx context.Context, token string) (*tenancyv1.LookupInvitationResponse, error) {
	found, err := s.Tenancy.LookupInvitation(ctx, &tenancyv1.LookupInvitationRequest{Token: token})
	if failure.Reason(err) == commonv1.Reason_REASON_NOT_FOUND {
		return nil, failure.New(commonv1.Reason_REASON_INVITATION_INVALID).Wrap(err)
	}
	return found, err
}

// registerProven makes or finds the account of an e-mail whose holder is
// behind the request, and makes it active.
func (s *Server) registerProven(ctx context.Context, tx pgx.Tx, n Newcomer, hash string) (Account, error) {
	a, found, err := s.store.LockKey(ctx, tx, n.Email.Key)
	if err != nil {
		return a, err
	}
	if !found {
		if a, err = s.Registry.create(ctx, tx, n); err != nil {
			return a, err
		}
	}
	switch {
	case a.Is(Closed):
		return a, failure.New(reasonClosed)
	case a.Is(Active):
		return a, failure.New(commonv1.Reason_REASON_ALREADY_REGISTERED)
	}
	a.FullName = n.FullName
	return s.activate(ctx, tx, a, hash)
}

// activate makes an account active, and its holder's address a known one.
func (s *Server) activate(ctx context.Context, tx pgx.Tx, a Account, hash string) (Account, error) {
	a, err := s.Registry.activate(ctx, tx, a, hash)
	if err != nil {
		return a, err
	}
	return a, translate(s.Attempts.Know(ctx, tx, a.ID, caller.From(ctx).Address))
}

// ResendActivation has the confirmation letter sent again.
func (s *Server) ResendActivation(ctx context.Context, req *identityv1.ResendActivationRequest) (*identityv1.ResendActivationResponse, error) {
	email, err := ParseEmail(req.GetEmail(), "email")
	if err != nil {
		return nil, err
	}
	err = s.forEmail(ctx, email, func(tx pgx.Tx, a Account) error {
		if !a.Is(Pending) {
			return s.Registry.writeAlreadyRegistered(ctx, tx, a)
		}
		return s.Registry.writeActivation(ctx, tx, a)
	})
	return &identityv1.ResendActivationResponse{}, err
}

// forEmail does something for the account of an e-mail, and nothing, just as
// well, when there is none.
func (s *Server) forEmail(ctx context.Context, email Email, do func(tx pgx.Tx, a Account) error) error {
	return translate(postgres.InTx(ctx, s.DB, func(tx pgx.Tx) error {
		a, found, err := s.store.LockKey(ctx, tx, email.Key)
		if err != nil || !found {
			return err
		}
		return do(tx, a)
	}))
}

// CheckLink answers what a link's page fills in.
func (s *Server) CheckLink(ctx context.Context, req *identityv1.CheckLinkRequest) (*identityv1.CheckLinkResponse, error) {
	purpose, v, err := s.Signer.Parse(req.GetToken())
	if err != nil {
		return nil, err
	}
	l, a, err := s.follow(ctx, purpose, v)
	if err != nil {
		return nil, err
	}
	return &identityv1.CheckLinkResponse{
		Purpose: purposeProto(purpose), Email: a.Email, FullName: a.FullName, ExpireTime: timestamppb.New(l.Expires),
	}, nil
}

func purposeProto(p link.Purpose) identityv1.LinkPurpose {
	if p == link.PasswordReset {
		return identityv1.LinkPurpose_LINK_PURPOSE_PASSWORD_RESET
	}
	return identityv1.LinkPurpose_LINK_PURPOSE_ACTIVATION
}

// follow finds a link that works and its account.
func (s *Server) follow(ctx context.Context, purpose link.Purpose, v uuid.UUID) (l link.Link, a Account, err error) {
	if l, err = s.Registry.Links.Get(ctx, s.DB, purpose, v); err != nil {
		return l, a, err
	}
	if err = l.Check(s.Registry.Clock.Now()); err != nil {
		return l, a, err
	}
	a, err = s.store.Get(ctx, s.DB, l.Account)
	return l, a, err
}

// parse reads a link's secret that must be of one purpose.
func (s *Server) parse(token string, want link.Purpose) (uuid.UUID, error) {
	purpose, v, err := s.Signer.Parse(token)
	if err == nil && purpose != want {
		err = failure.New(commonv1.Reason_REASON_LINK_INVALID)
	}
	return v, err
}

// ActivateAccount confirms an e-mail and sets the password.
func (s *Server) ActivateAccount(ctx context.Context, req *identityv1.ActivateAccountRequest) (*identityv1.ActivateAccountResponse, error) {
	v, err := s.parse(req.GetToken(), link.Activation)
	if err != nil {
		return nil, err
	}
	fullName, err := FullName(req.GetFullName(), "full_name")
	if err != nil {
		return nil, err
	}
	_, a, err := s.follow(ctx, link.Activation, v)
	if err != nil {
		return nil, err
	}
	if err := password.Check(req.GetPassword(), a.Email, "password", s.locale(ctx)); err != nil {
		return nil, err
	}
	hash, err := s.Hasher.Hash(ctx, req.GetPassword())
	if err != nil {
		return nil, err
	}
	err = s.once(ctx, link.Activation, v, func(tx pgx.Tx, locked Account) (err error) {
		if fullName != "" {
			locked.FullName = fullName
		}
		a, err = s.activate(ctx, tx, locked, hash)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &identityv1.ActivateAccountResponse{Account: a.Proto()}, nil
}

// once does what a link is for, with its account locked: of several that come
// at once with any of the account's links, the first does it and the others
// find it done.
func (s *Server) once(ctx context.Context, purpose link.Purpose, v uuid.UUID, do func(tx pgx.Tx, a Account) error) error {
	return translate(postgres.InTx(ctx, s.DB, func(tx pgx.Tx) error {
		l, err := s.Registry.Links.Get(ctx, tx, purpose, v)
		if err != nil {
			return err
		}
		a, err := s.store.Lock(ctx, tx, l.Account)
		if err != nil {
			return err
		}
		if l, err = s.Registry.Links.Get(ctx, tx, purpose, v); err != nil { // As it is now, under the lock.
			return err
		}
		if err := l.Check(s.Registry.Clock.Now()); err != nil {
			return err
		}
		return do(tx, a)
	}))
}
