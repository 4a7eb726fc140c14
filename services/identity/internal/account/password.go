package account

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	"kontor.internal/services/identity/internal/attempt"
	"kontor.internal/services/identity/internal/link"
	"kontor.internal/services/identity/internal/password"
)

// GetPasswordRules answers the rules in the caller's language.
func (s *Server) GetPasswordRules(ctx context.Context, _ *identityv1.GetPasswordRulesRequest) (*identityv1.GetPasswordRulesResponse, error) {
	reply := &identityv1.GetPasswordRulesResponse{MinLength: password.MinLength, MaxLength: password.MaxLength}
	for _, rule := range password.Rules() {
		reply.Rules = append(reply.Rules, &identityv1.PasswordRule{Key: string(rule), Text: rule.Text(s.locale(ctx))})
	}
	return reply, nil
}

// CheckPassword refuses a password that breaks rules, naming all of them.
func (s *Server) CheckPassword(ctx context.Context, req *identityv1.CheckPasswordRequest) (*identityv1.CheckPasswordResponse, error) {
	if err := password.Check(req.GetPassword(), req.GetEmail(), "password", s.locale(ctx)); err != nil {
		return nil, err
	}
	return &identityv1.CheckPasswordResponse{}, nil
}

// ChangePassword sets a new password for who knows the present one.
func (s *Server) ChangePassword(ctx context.Context, req *identityv1.ChangePasswordRequest) (*identityv1.ChangePasswordResponse, error) {
	own, err := Own(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	a, err := s.store.Get(ctx, s.DB, own)
	if err != nil {
		return nil, err
	}
	if err := password.Check(req.GetPassword(), a.Email, "password", s.locale(ctx)); err != nil {
		return nil, err
	}
	tried, former, err := s.confirm(ctx, own, req.GetCurrentPassword())
	if err != nil {
		return nil, err
	}
	hash, err := s.Hasher.Hash(ctx, req.GetPassword())
	if err != nil {
		return nil, err
	}
	err = postgres.InTx(ctx, s.DB, func(tx pgx.Tx) error {
		if _, err := s.store.Lock(ctx, tx, own); err != nil {
			return err
		}
		now, err := s.store.Hash(ctx, tx, own)
		if err != nil {
			return err
		}
		if now != former { // Changed this instant by somebody else.
			return failure.New(commonv1.Reason_REASON_CONFLICT)
		}
		if err := tried.Succeed(ctx, tx); err != nil {
			return err
		}
		spared := sessionOf(caller.From(ctx))
		return s.replacePassword(ctx, tx, own, replacement{hash: hash, spared: spared})
	})
	if err != nil {
		return nil, translate(err)
	}
	return &identityv1.ChangePasswordResponse{}, nil
}

// confirm checks the present password, as one more attempt at it, and answers
// the hash that it is.
func (s *Server) confirm(ctx context.Context, own uuid.UUID, present string) (*attempt.Attempt, string, error) {
	tried, err := s.Attempts.Begin(ctx, attempt.Target{Account: own, Address: caller.From(ctx).Address})
	if err != nil {
		return nil, "", err
	}
	hash, err := s.store.Hash(ctx, s.DB, own)
	var matches bool
	if err == nil {
		matches, _, err = s.Hasher.Matches(ctx, present, hash)
	}
	if err != nil {
		return nil, "", errors.Join(err, tried.Withdraw(context.WithoutCancel(ctx)))
	}
	if !matches {
		return nil, "", failure.New(commonv1.Reason_REASON_PASSWORD_WRONG).WithField(failure.Field{
			Path: "current_password", Text: "is not the present password",
		})
	}
	return tried, hash, nil
}

// sessionOf is the id of the caller's session.
func sessionOf(who caller.Caller) uuid.UUID {
	session, err := id.Parse(who.Session[strings.LastIndexByte(who.Session, '/')+1:])
	if err != nil {
		return uuid.Nil // A caller without a session spares none.
	}
	return session
}

// replacement is a new password and what goes with it.
type replacement struct {
	hash string
	// spared is the session that stays.
	spared uuid.UUID
	// reset says whether a link did it.
	reset bool
}

// replacePassword sets a password, ends sessions that the former one began and
// links that would replace it. The account's row is locked.
func (s *Server) replacePassword(ctx context.Context, tx pgx.Tx, account uuid.UUID, r replacement) error {
	now := s.Registry.Clock.Now()
	if err := s.store.setPassword(ctx, tx, account, r.hash, now); err != nil {
		return err
	}
	if err := s.Registry.Links.Use(ctx, tx, link.PasswordReset, account, now); err != nil {
		return err
	}
	if err := s.Registry.passwordChanged(ctx, tx, account, r.reset); err != nil {
		return err
	}
	return s.Sessions.EndAll(ctx, tx, account, r.spared, identityv1.SessionEnd_SESSION_END_PASSWORD_CHANGED)
}

// RequestPasswordReset has a letter with a reset link sent. The answer is the same for all.
func (s *Server) RequestPasswordReset(ctx context.Context, req *identityv1.RequestPasswordResetRequest) (*identityv1.RequestPasswordResetResponse, error) {
	email, err := ParseEmail(req.GetEmail(), "email")
	if err != nil {
		return nil, err
	}
	err = s.forEmail(ctx, email, func(tx pgx.Tx, a Account) error {
		switch {
		case a.Is(Pending):
			return s.Registry.writeActivation(ctx, tx, a)
		case a.Is(Active):
			return s.Registry.writePasswordReset(ctx, tx, a)
		default:
			return s.Registry.writeAlreadyRegistered(ctx, tx, a)
		}
	})
	return &identityv1.RequestPasswordResetResponse{}, err
}

// ResetPassword sets a new password by a reset link.
func (s *Server) ResetPassword(ctx context.Context, req *identityv1.ResetPasswordRequest) (*identityv1.ResetPasswordResponse, error) {
	v, err := s.parse(req.GetToken(), link.PasswordReset)
	if err != nil {
		return nil, err
	}
	_, a, err := s.follow(ctx, link.PasswordReset, v)
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
	err = s.once(ctx, link.PasswordReset, v, func(tx pgx.Tx, locked Account) error {
		if !locked.Is(Active) {
			return failure.New(reasonClosed)
		}
		if err := s.Attempts.Know(ctx, tx, locked.ID, caller.From(ctx).Address); err != nil {
			return err
		}
		return s.replacePassword(ActAs(ctx, locked.ID), tx, locked.ID, replacement{hash: hash, reset: true})
	})
	if err != nil {
		return nil, err
	}
	return &identityv1.ResetPasswordResponse{}, nil
}
