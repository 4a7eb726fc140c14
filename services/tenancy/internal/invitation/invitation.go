// Package invitation is how people are asked into a subscriber (C8).
package invitation

import (
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/member"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/text"
)

// validFor is how long an invitation can be accepted.
const validFor = 7 * 24 * time.Hour

// Longest values, in characters.
const (
	maxName    = 200
	maxMessage = 2000
)

// Invitation is an offer to one person to become a member.
type Invitation struct {
	ID, Subscriber uuid.UUID
	Email          string
	FullName       string
	Access         bool
	Held           member.Held
	Message        string
	// Language of the letter, BCP 47.
	Language string
	// Author is the account of who invites.
	Author uuid.UUID
	// ResentOf is the invitation it was made from; nil for a first one.
	ResentOf *uuid.UUID
	// Kept is the state that is stored: OPEN also after its time.
	Kept             tenancyv1.InvitationState
	Created, Expires time.Time
	// Ended is when it was accepted, withdrawn or replaced; nil while open.
	Ended *time.Time
	// AcceptedBy and Member are who accepted and became what; nil unless ACCEPTED.
	AcceptedBy, Member *uuid.UUID
}

// Name is `subscribers/S/invitations/I`.
func (i Invitation) Name() string { return names.Invitation(i.Subscriber, i.ID) }

// EmailKey is the e-mail without regard to case.
func (i Invitation) EmailKey() string { return strings.ToLower(i.Email) }

// State is what it is at a moment.
func (i Invitation) State(now time.Time) tenancyv1.InvitationState {
	if i.Kept == tenancyv1.InvitationState_INVITATION_STATE_OPEN && !now.Before(i.Expires) {
		return tenancyv1.InvitationState_INVITATION_STATE_EXPIRED
	}
	return i.Kept
}

// Acceptable refuses, with the reason, one that can't be accepted at a moment. Inviter is whom to ask for another.
func (i Invitation) Acceptable(now time.Time, inviter string) error {
	switch i.State(now) {
	case tenancyv1.InvitationState_INVITATION_STATE_OPEN:
		return nil
	case tenancyv1.InvitationState_INVITATION_STATE_EXPIRED:
		return failure.New(commonv1.Reason_REASON_INVITATION_EXPIRED,
			"expire_time", i.Expires.UTC().Format(time.RFC3339), "inviter", inviter)
	case tenancyv1.InvitationState_INVITATION_STATE_WITHDRAWN:
		return failure.New(commonv1.Reason_REASON_INVITATION_WITHDRAWN)
	case tenancyv1.InvitationState_INVITATION_STATE_REPLACED:
		return failure.New(commonv1.Reason_REASON_INVITATION_REPLACED)
	case tenancyv1.InvitationState_INVITATION_STATE_ACCEPTED:
		return failure.New(commonv1.Reason_REASON_INVITATION_ACCEPTED)
	default:
		return unknown()
	}
}

// fresh begins an invitation's 7 days.
func fresh(i Invitation, id uuid.UUID, now time.Time) Invitation {
	i.ID, i.Created, i.Expires = id, now, now.Add(validFor)
	i.Kept = tenancyv1.InvitationState_INVITATION_STATE_OPEN
	i.Ended, i.AcceptedBy, i.Member = nil, nil, nil
	return i
}

// parse reads what an author wants to send.
func parse(subscriber, author uuid.UUID, wanted *tenancyv1.Invitation) (Invitation, error) {
	i := Invitation{
		Subscriber: subscriber, Author: author, Email: strings.TrimSpace(wanted.GetEmail()), Access: wanted.GetAccess(),
		Language: wanted.GetLanguage(),
	}
	var err error
	if i.FullName, err = text.Line("invitation.full_name", wanted.GetFullName(), maxName); err != nil {
		return i, err
	}
	if i.FullName == "" {
		return i, failure.Invalid("invitation.full_name", "must not be empty")
	}
	if i.Message, err = text.Block("invitation.message", wanted.GetMessage(), maxMessage); err != nil {
		return i, err
	}
	i.Held, err = member.ParseHeld(subscriber, wanted.GetRoles(), wanted.GetCompanyRoles())
	return i, err
}

// ToProto shows an invitation as it is at a moment.
func ToProto(i Invitation, now time.Time) *tenancyv1.Invitation {
	shown := &tenancyv1.Invitation{
		Name: i.Name(), Email: i.Email, FullName: i.FullName, Access: i.Access, Roles: i.Held.Wide,
		CompanyRoles: member.HeldToProto(i.Subscriber, i.Held), Message: i.Message, Language: i.Language, State: i.State(now),
		Author: names.Account(i.Author), CreateTime: timestamppb.New(i.Created), ExpireTime: timestamppb.New(i.Expires),
	}
	if i.Member != nil {
		shown.Member = names.Member(i.Subscriber, *i.Member)
		shown.AcceptTime = timestamppb.New(*i.Ended)
	}
	return shown
}
