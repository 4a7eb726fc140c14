package invitation

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/clock"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/idempotency"
	"kontor.internal/libs/paging"
	"kontor.internal/libs/postgres"
	"kontor.internal/libs/rights"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/member"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/people"
	"kontor.internal/services/tenancy/internal/subscriber"
)

// ServerDeps are what the servers are made of.
type ServerDeps struct {
	DB        *pgxpool.Pool
	Clock     clock.Clock
	NewID     id.Source
	Links     *Links
	Letters   *Letters
	Members   *member.Members
	Companies member.Companies
	People    *people.People
	Rights    *rights.Rights
	Pages     *paging.Codec
}

// Server is InvitationService.
type Server struct {
	tenancyv1.UnimplementedInvitationServiceServer
	d ServerDeps
}

// NewServer returns InvitationService.
func NewServer(d ServerDeps) *Server { return &Server{d: d} }

// PreviewInvitation writes the letter without sending it.
func (s *Server) PreviewInvitation(ctx context.Context, r *tenancyv1.PreviewInvitationRequest) (*tenancyv1.PreviewInvitationResponse, error) {
	draft, err := s.draft(ctx, r.GetParent(), r.GetInvitation())
	if err != nil {
		return nil, err
	}
	if err := s.check(ctx, draft.Invitation); err != nil {
		return nil, err
	}
	i := fresh(draft.Invitation, uuid.Nil, s.d.Clock.Now())
	letter, err := s.d.Letters.Write(facts(i, draft.subscriber, draft.author))
	if err != nil {
		return nil, err
	}
	return &tenancyv1.PreviewInvitationResponse{
		Subject: letter.Subject, Body: letter.Body, Language: letter.Language, ExpireTime: timestamppb.New(i.Expires),
	}, nil
}

// CreateInvitation makes an invitation; its letter follows by the event.
func (s *Server) CreateInvitation(ctx context.Context, r *tenancyv1.CreateInvitationRequest) (*tenancyv1.CreateInvitationResponse, error) {
	draft, err := s.draft(ctx, r.GetParent(), r.GetInvitation())
	if err != nil {
		return nil, err
	}
	refused := s.check(ctx, draft.Invitation)
	answer, err := idempotency.Create(ctx, s.d.DB, r, func(ctx context.Context, tx pgx.Tx) (*tenancyv1.CreateInvitationResponse, error) {
		if refused != nil { // Judged here, so that a repeated request gets its first answer.
			return nil, refused
		}
		made, err := s.make(ctx, tx, draft.Invitation)
		return &tenancyv1.CreateInvitationResponse{Invitation: made}, err
	})
	return answer, Constraints().Translate(err)
}

// ResendInvitation makes a fresh invitation of an earlier one.
func (s *Server) ResendInvitation(ctx context.Context, r *tenancyv1.ResendInvitationRequest) (*tenancyv1.ResendInvitationResponse, error) {
	subscriberID, invitation, err := names.ParseInvitation(r.GetName())
	if err != nil {
		return nil, err
	}
	if _, _, err := s.author(ctx, subscriberID); err != nil {
		return nil, err
	}
	earlier, err := get(ctx, s.d.DB, subscriberID, invitation)
	if err != nil {
		return nil, err
	}
	refused := s.check(ctx, earlier)
	answer, err := idempotency.Create(ctx, s.d.DB, r, func(ctx context.Context, tx pgx.Tx) (*tenancyv1.ResendInvitationResponse, error) {
		earlier, err := lock(ctx, tx, subscriberID, invitation)
		switch {
		case err != nil:
			return nil, err
		case earlier.Kept == tenancyv1.InvitationState_INVITATION_STATE_ACCEPTED:
			return nil, failure.New(commonv1.Reason_REASON_INVITATION_ACCEPTED)
		case refused != nil:
			return nil, refused
		}
		if earlier.Author, err = subscriber.CallerAccount(ctx); err != nil {
			return nil, err
		}
		earlier.ResentOf = &invitation
		made, err := s.make(ctx, tx, earlier)
		return &tenancyv1.ResendInvitationResponse{Invitation: made}, err
	})
	return answer, Constraints().Translate(err)
}

// make keeps a fresh invitation and tells of it.
func (s *Server) make(ctx context.Context, tx pgx.Tx, i Invitation) (*tenancyv1.Invitation, error) {
	now := s.d.Clock.Now()
	i = fresh(i, s.d.NewID(), now)
	if err := insert(ctx, tx, i); err != nil {
		return nil, err
	}
	return ToProto(i, now), tellMade(ctx, tx, now, i)
}

// WithdrawInvitation takes an open one back.
func (s *Server) WithdrawInvitation(ctx context.Context, r *tenancyv1.WithdrawInvitationRequest) (*tenancyv1.WithdrawInvitationResponse, error) {
	subscriberID, invitation, err := names.ParseInvitation(r.GetName())
	if err != nil {
		return nil, err
	}
	now := s.d.Clock.Now()
	var i Invitation
	err = postgres.InTx(ctx, s.d.DB, func(tx pgx.Tx) (err error) {
		if i, err = lock(ctx, tx, subscriberID, invitation); err != nil {
			return err
		}
		switch i.State(now) {
		case tenancyv1.InvitationState_INVITATION_STATE_ACCEPTED:
			return failure.New(commonv1.Reason_REASON_INVITATION_ACCEPTED)
		case tenancyv1.InvitationState_INVITATION_STATE_OPEN:
			i.Kept, i.Ended = tenancyv1.InvitationState_INVITATION_STATE_WITHDRAWN, &now
			if err := end(ctx, tx, i); err != nil {
				return err
			}
			return tellWithdrawn(ctx, tx, now, i)
		default:
			return nil
		}
	})
	if err != nil {
		return nil, Constraints().Translate(err)
	}
	return &tenancyv1.WithdrawInvitationResponse{Invitation: ToProto(i, now)}, nil
}

// ListInvitations pages through all ever made, the newest first.
func (s *Server) ListInvitations(ctx context.Context, r *tenancyv1.ListInvitationsRequest) (*tenancyv1.ListInvitationsResponse, error) {
	subscriberID, err := names.ParseSubscriber(r.GetParent())
	if err != nil {
		return nil, err
	}
	before := uuid.Max
	page, err := s.d.Pages.Start(tenancyv1.InvitationService_ListInvitations_FullMethodName, r, &before)
	if err != nil {
		return nil, err
	}
	rows, err := list(ctx, s.d.DB, subscriberID, before, page.Limit())
	if err != nil {
		return nil, Constraints().Translate(err)
	}
	shown, next, err := paging.Finish(page, rows, func(i Invitation) any { return i.ID })
	if err != nil {
		return nil, err
	}
	answer := &tenancyv1.ListInvitationsResponse{NextPageToken: next}
	for _, i := range shown {
		answer.Invitations = append(answer.Invitations, ToProto(i, s.d.Clock.Now()))
	}
	return answer, nil
}

// GetInvitation shows one.
func (s *Server) GetInvitation(ctx context.Context, r *tenancyv1.GetInvitationRequest) (*tenancyv1.GetInvitationResponse, error) {
	subscriberID, invitation, err := names.ParseInvitation(r.GetName())
	if err != nil {
		return nil, err
	}
	i, err := get(ctx, s.d.DB, subscriberID, invitation)
	if err != nil {
		return nil, err
	}
	return &tenancyv1.GetInvitationResponse{Invitation: ToProto(i, s.d.Clock.Now())}, nil
}

// draft is an invitation that is not made yet, with those it speaks of.
type draft struct {
	Invitation
	subscriber subscriber.Subscriber
	author     *identityv1.Account
}

// draft reads a request and makes sure that the caller may invite.
func (s *Server) draft(ctx context.Context, parent string, wanted *tenancyv1.Invitation) (draft, error) {
	subscriberID, err := names.ParseSubscriber(parent)
	if err != nil {
		return draft{}, err
	}
	to, author, err := s.author(ctx, subscriberID)
	if err != nil {
		return draft{}, err
	}
	i, err := parse(subscriberID, to.Owner, wanted)
	if err != nil {
		return draft{}, err
	}
	if i.Language == "" {
		i.Language = to.Language
	}
	return draft{Invitation: i, subscriber: to, author: author}, member.CheckCompanies(ctx, s.d.Companies, subscriberID, i.Held)
}

// author makes sure that the caller may invite: only the owner, with a confirmed e-mail (C8).
func (s *Server) author(ctx context.Context, subscriberID uuid.UUID) (subscriber.Subscriber, *identityv1.Account, error) {
	caller, err := subscriber.CallerAccount(ctx)
	if err != nil {
		return subscriber.Subscriber{}, nil, err
	}
	to, err := subscriber.Get(ctx, s.d.DB, subscriberID)
	if err != nil {
		return to, nil, err
	}
	if to.Owner != caller {
		return to, nil, subscriber.OwnerOnly(ctx, s.d.People, to)
	}
	account, err := s.d.People.Account(ctx, caller)
	if err != nil {
		return to, nil, err
	}
	if account.GetState() != identityv1.AccountState_ACCOUNT_STATE_ACTIVE || account.GetEmail() == "" {
		return to, nil, failure.New(commonv1.Reason_REASON_OWNER_EMAIL_UNCONFIRMED)
	}
	return to, account, nil
}

// check refuses to invite who is in already, and more than the subscriber may have.
func (s *Server) check(ctx context.Context, i Invitation) error {
	account, err := s.d.People.ByEmail(ctx, i.Email)
	if err != nil {
		return err
	}
	if account != nil {
		if err := s.checkAccount(ctx, i, account); err != nil {
			return err
		}
	}
	others, err := countOpen(ctx, s.d.DB, i, s.d.Clock.Now())
	if err != nil {
		return Constraints().Translate(err)
	}
	_, err = s.d.Members.FindRoom(ctx, s.d.DB, s.d.Rights, i.Subscriber, others)
	return err
}

func (s *Server) checkAccount(ctx context.Context, i Invitation, account *identityv1.Account) error {
	if account.GetKind() == identityv1.AccountKind_ACCOUNT_KIND_TECHNICAL {
		return failure.New(commonv1.Reason_REASON_ACCOUNT_TECHNICAL)
	}
	accountID, err := names.ParseAccount(account.GetName())
	if err != nil {
		return err
	}
	m, found, err := member.OfAccount(ctx, s.d.DB, i.Subscriber, accountID)
	if err != nil {
		return Constraints().Translate(err)
	}
	if found && m.Standing(s.d.Members.Today()) {
		return failure.New(commonv1.Reason_REASON_ALREADY_MEMBER, "email", i.Email, "member", m.Name())
	}
	return nil
}

func facts(i Invitation, to subscriber.Subscriber, author *identityv1.Account) Facts {
	return Facts{
		Inviter: people.Called(author), Subscriber: to.Title, Code: to.Code, Person: i.FullName, Access: i.Access,
		Message: i.Message, Until: i.Expires, Language: i.Language,
	}
}
