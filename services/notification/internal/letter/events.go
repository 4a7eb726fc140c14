package letter

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/events"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	notificationv1 "kontor.internal/proto/gen/go/kontor/notification/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

// Filters are the concepts whose events order letters.
func Filters() []string {
	return []string{
		"kontor.identity.account.>", "kontor.tenancy.invitation.>", "kontor.tenancy.member.>",
		"kontor.licensing.contract.>", "kontor.licensing.trial.>", "kontor.exchange.connection.>",
	}
}

// OrderOf says which letter an event orders; ok is false when none.
func OrderOf(e events.Received) (order Order, ok bool, err error) {
	for _, r := range rules() {
		if !e.Is(r.message) {
			continue
		}
		message := proto.Clone(r.message)
		if err := e.Decode(message); err != nil {
			return Order{}, false, fmt.Errorf("letter: event %s: %w", e.Envelope.GetId(), err)
		}
		order, ok = r.order(e, message)
		order.About.At = e.Envelope.GetTime().AsTime()
		return order, ok, nil
	}
	return Order{}, false, nil
}

// rule makes a letter of one type of event.
type rule struct {
	message proto.Message
	order   func(e events.Received, m proto.Message) (Order, bool)
}

// on is a rule for one type of event.
func on[M proto.Message](message M, order func(e events.Received, m M) (Order, bool)) rule {
	return rule{message: message, order: func(e events.Received, m proto.Message) (Order, bool) {
		typed, ok := m.(M)
		if !ok {
			return Order{}, false
		}
		return order(e, typed)
	}}
}

func rules() []rule {
	return []rule{
		on(&identityv1.AccountActivationRequested{}, func(_ events.Received, m *identityv1.AccountActivationRequested) (Order, bool) {
			return Order{notificationv1.LetterKind_LETTER_KIND_ACTIVATION, About{Account: m.GetAccount(), Link: m.GetActivation()}}, true
		}),
		on(&identityv1.AccountAlreadyRegistered{}, func(_ events.Received, m *identityv1.AccountAlreadyRegistered) (Order, bool) {
			return Order{notificationv1.LetterKind_LETTER_KIND_ALREADY_REGISTERED, About{Account: m.GetAccount()}}, true
		}),
		on(&identityv1.AccountPasswordResetRequested{}, func(_ events.Received, m *identityv1.AccountPasswordResetRequested) (Order, bool) {
			return Order{notificationv1.LetterKind_LETTER_KIND_PASSWORD_RESET, About{Account: m.GetAccount(), Link: m.GetPasswordReset()}}, true
		}),
		on(&identityv1.AccountPasswordChanged{}, func(_ events.Received, m *identityv1.AccountPasswordChanged) (Order, bool) {
			return Order{notificationv1.LetterKind_LETTER_KIND_PASSWORD_CHANGED, About{Account: m.GetAccount()}}, true
		}),
		on(&tenancyv1.InvitationCreated{}, func(_ events.Received, m *tenancyv1.InvitationCreated) (Order, bool) {
			return Order{notificationv1.LetterKind_LETTER_KIND_INVITATION, About{Invitation: m.GetInvitation()}}, true
		}),
		on(&tenancyv1.InvitationResent{}, func(_ events.Received, m *tenancyv1.InvitationResent) (Order, bool) {
			return Order{notificationv1.LetterKind_LETTER_KIND_INVITATION, About{Invitation: m.GetInvitation()}}, true
		}),
		on(&tenancyv1.MemberAdded{}, memberAdded),
		on(&licensingv1.ContractAccepted{}, func(e events.Received, m *licensingv1.ContractAccepted) (Order, bool) {
			return Order{notificationv1.LetterKind_LETTER_KIND_CONTRACT_ACCEPTED, About{
				Account: m.GetContract().GetAcceptance().GetAccount(), Contract: m.GetContract().GetName(),
				Subscriber: e.Envelope.GetSubscriber(), Language: m.GetContract().GetLanguage(),
			}}, true
		}),
		on(&licensingv1.TrialEnding{}, func(e events.Received, m *licensingv1.TrialEnding) (Order, bool) {
			return Order{notificationv1.LetterKind_LETTER_KIND_TRIAL_ENDING, About{
				Account: m.GetAccount(), Subscriber: e.Envelope.GetSubscriber(), Language: m.GetLanguage(),
				Days: m.GetDaysLeft(), End: m.GetEndDate(),
			}}, true
		}),
		on(&licensingv1.TrialEnded{}, func(e events.Received, m *licensingv1.TrialEnded) (Order, bool) {
			return Order{notificationv1.LetterKind_LETTER_KIND_TRIAL_ENDED, About{
				Account: m.GetAccount(), Subscriber: e.Envelope.GetSubscriber(), Language: m.GetLanguage(),
				KeptUntil: m.GetKeptUntilDate(),
			}}, true
		}),
		on(&exchangev1.ConnectionInvited{}, connectionInvited),
	}
}

// memberAdded writes to people that somebody else made members; who came by
// registration or invitation knows.
func memberAdded(e events.Received, m *tenancyv1.MemberAdded) (Order, bool) {
	switch m.GetOrigin() {
	case tenancyv1.MemberOrigin_MEMBER_ORIGIN_ADDED, tenancyv1.MemberOrigin_MEMBER_ORIGIN_PREPARED:
		return Order{notificationv1.LetterKind_LETTER_KIND_MEMBER_ADDED, About{
			Account: m.GetAccount(), Link: m.GetActivation(), Subscriber: e.Envelope.GetSubscriber(), LocalUser: m.GetLocalUser(),
		}}, true
	default:
		return Order{}, false
	}
}

// connectionInvited writes to the holder of an account that was made an end. The sending company is the one that is
// named: the receiving one may be another subscriber's, who has not agreed yet.
func connectionInvited(_ events.Received, m *exchangev1.ConnectionInvited) (Order, bool) {
	return Order{notificationv1.LetterKind_LETTER_KIND_CONNECTION_INVITED, About{
		Account: m.GetAccount(), Link: m.GetActivation(), Connection: m.GetConnection().GetName(),
		Company: m.GetConnection().GetSender().GetCompanyTitle(), Sender: m.GetSide() == exchangev1.Side_SIDE_SENDER,
	}}, true
}
