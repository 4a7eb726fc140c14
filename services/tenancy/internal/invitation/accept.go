package invitation

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/postgres"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/member"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/people"
	"kontor.internal/services/tenancy/internal/subscriber"
)

// LookupInvitationByToken says what the link's page shows.
func (s *Server) LookupInvitationByToken(ctx context.Context, r *tenancyv1.LookupInvitationByTokenRequest) (*tenancyv1.LookupInvitationByTokenResponse, error) {
	i, to, err := s.ofLink(ctx, r.GetToken())
	if err != nil {
		return nil, err
	}
	known, err := s.d.People.ByEmail(ctx, i.Email)
	if err != nil {
		return nil, err
	}
	author, err := s.d.People.Account(ctx, i.Author)
	if err != nil {
		return nil, err
	}
	return &tenancyv1.LookupInvitationByTokenResponse{
		State: i.State(s.d.Clock.Now()), Email: i.Email, FullName: i.FullName, Inviter: people.Called(author),
		Registered:      known.GetState() == identityv1.AccountState_ACCOUNT_STATE_ACTIVE,
		SubscriberTitle: to.Title, ExpireTime: timestamppb.New(i.Expires),
	}, nil
}

func (s *Server) ofLink(ctx context.Context, token string) (Invitation, subscriber.Subscriber, error) {
	invitation, err := s.d.Links.Read(token)
	if err != nil {
		return Invitation{}, subscriber.Subscriber{}, err
	}
	i, err := find(ctx, s.d.DB, invitation)
	if err != nil {
		return i, subscriber.Subscriber{}, err
	}
	to, err := subscriber.Get(ctx, s.d.DB, i.Subscriber)
	return i, to, err
}

// AcceptInvitation makes the caller a member, once.
func (s *Server) AcceptInvitation(ctx context.Context, r *tenancyv1.AcceptInvitationRequest) (*tenancyv1.AcceptInvitationResponse, error) {
	account, err := subscriber.CallerAccount(ctx)
	if err != nil {
		return nil, err
	}
	if caller.From(ctx).Kind == caller.KindTechnical {
		return nil, failure.New(commonv1.Reason_REASON_ACCOUNT_TECHNICAL)
	}
	i, to, err := s.ofLink(ctx, r.GetToken())
	if err != nil {
		return nil, err
	}
	inviter := s.d.People.Name(ctx, i.Author)
	var room member.Room
	if !i.acceptedBy(account) {
		if err := i.Acceptable(s.d.Clock.Now(), inviter); err != nil {
			return nil, err
		}
		if room, err = s.room(ctx, i, account); err != nil {
			return nil, err
		}
	}
	var m member.Member
	err = postgres.InTx(ctx, s.d.DB, func(tx pgx.Tx) (err error) {
		m, err = s.accept(ctx, tx, i, account, inviter, room)
		return err
	})
	if err != nil {
		return nil, Constraints().Translate(err)
	}
	return s.welcome(ctx, to, m)
}

func (i Invitation) acceptedBy(account uuid.UUID) bool {
	return i.AcceptedBy != nil && *i.AcceptedBy == account
}

// room finds room for somebody who is not a member yet. ALREADY_MEMBER for the owner, who has everything.
func (s *Server) room(ctx context.Context, i Invitation, account uuid.UUID) (member.Room, error) {
	m, found, err := member.OfAccount(ctx, s.d.DB, i.Subscriber, account)
	switch {
	case err != nil:
		return member.Room{}, Constraints().Translate(err)
	case m.Owner:
		return member.Room{}, failure.New(commonv1.Reason_REASON_ALREADY_MEMBER, "email", i.Email, "member", m.Name())
	case found && m.Standing(s.d.Members.Today()):
		return member.Room{}, nil
	default:
		return s.d.Members.FindRoom(ctx, s.d.DB, s.d.Rights, i.Subscriber, 0)
	}
}

func (s *Server) accept(ctx context.Context, tx pgx.Tx, i Invitation, account uuid.UUID, inviter string, room member.Room) (member.Member, error) {
	i, err := lock(ctx, tx, i.Subscriber, i.ID)
	if err != nil {
		return member.Member{}, err
	}
	if i.acceptedBy(account) {
		return member.Get(ctx, tx, i.Subscriber, *i.Member)
	}
	now := s.d.Clock.Now()
	if err := i.Acceptable(now, inviter); err != nil {
		return member.Member{}, err
	}
	m, err := s.d.Members.Add(ctx, tx, member.Addition{
		Subscriber: i.Subscriber, Account: account, Access: i.Access, Held: i.Held, Invitation: i.Name(), Merge: true, Room: room,
		Origin: tenancyv1.MemberOrigin_MEMBER_ORIGIN_INVITATION,
	})
	if err != nil {
		return member.Member{}, err
	}
	i.Kept, i.Ended, i.AcceptedBy, i.Member = tenancyv1.InvitationState_INVITATION_STATE_ACCEPTED, &now, &account, &m.ID
	if err := end(ctx, tx, i); err != nil {
		return member.Member{}, err
	}
	return m, tellAccepted(ctx, tx, now, i)
}

// welcome says what a new member may use and whom to ask for more.
func (s *Server) welcome(ctx context.Context, to subscriber.Subscriber, m member.Member) (*tenancyv1.AcceptInvitationResponse, error) {
	known, err := s.d.People.Accounts(ctx, []uuid.UUID{m.Account, to.Owner})
	if err != nil {
		return nil, err
	}
	titles, err := s.d.Companies.Titles(ctx, m.Subscriber, m.Held.CompanyIDs())
	if err != nil {
		return nil, err
	}
	rights := m.Rights(s.d.Members.Today())
	answer := &tenancyv1.AcceptInvitationResponse{
		Subscriber: to.Name(), SubscriberTitle: to.Title, Member: member.ToProto(m, known[m.Account], s.d.Members.Today()),
		Permissions: rights.Wide, Administrator: people.Called(known[to.Owner]), AdministratorEmail: known[to.Owner].GetEmail(),
	}
	for _, company := range m.Held.CompanyIDs() {
		if len(rights.Companies[company]) > 0 {
			answer.Companies = append(answer.Companies, &tenancyv1.UsableCompany{
				Company: names.Company(m.Subscriber, company), Title: titles[company], Permissions: rights.Companies[company],
			})
		}
	}
	return answer, nil
}
