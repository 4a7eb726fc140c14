package invitation

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/failure"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/people"
	"kontor.internal/services/tenancy/internal/subscriber"
)

// Directory is the part of DirectoryService that is about invitations.
type Directory struct{ d ServerDeps }

// NewDirectory returns that part.
func NewDirectory(d ServerDeps) *Directory { return &Directory{d: d} }

// LookupInvitation tells identity whose mailbox a link's holder has proved to hold.
func (s *Directory) LookupInvitation(ctx context.Context, r *tenancyv1.LookupInvitationRequest) (*tenancyv1.LookupInvitationResponse, error) {
	invitation, err := s.d.Links.Read(r.GetToken())
	if err != nil {
		return nil, err
	}
	i, err := find(ctx, s.d.DB, invitation)
	if err != nil {
		return nil, err
	}
	if i.State(s.d.Clock.Now()) != tenancyv1.InvitationState_INVITATION_STATE_OPEN {
		return nil, unknown()
	}
	return &tenancyv1.LookupInvitationResponse{Invitation: i.Name(), Email: i.Email, FullName: i.FullName}, nil
}

// GetInvitationLink gives notification the letter and the secret for its link. NOT_FOUND once the invitation is over.
func (s *Directory) GetInvitationLink(ctx context.Context, r *tenancyv1.GetInvitationLinkRequest) (*tenancyv1.GetInvitationLinkResponse, error) {
	subscriberID, invitation, err := names.ParseInvitation(r.GetName())
	if err != nil {
		return nil, err
	}
	i, err := get(ctx, s.d.DB, subscriberID, invitation)
	if err != nil {
		return nil, err
	}
	if i.State(s.d.Clock.Now()) != tenancyv1.InvitationState_INVITATION_STATE_OPEN {
		return nil, failure.NotFound(r.GetName())
	}
	to, err := subscriber.Get(ctx, s.d.DB, subscriberID)
	if err != nil {
		return nil, err
	}
	author, err := s.d.People.Account(ctx, i.Author)
	if err != nil {
		return nil, err
	}
	letter, err := s.d.Letters.Write(facts(i, to, author))
	if err != nil {
		return nil, err
	}
	return &tenancyv1.GetInvitationLinkResponse{
		Token: s.d.Links.Token(i.ID), Email: i.Email, FullName: i.FullName, Inviter: people.Called(author),
		SubscriberTitle: to.Title, ExpireTime: timestamppb.New(i.Expires), Language: letter.Language, Message: i.Message,
		Subject: letter.Subject, Body: letter.Body,
	}, nil
}
