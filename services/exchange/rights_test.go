package exchange_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"kontor.internal/libs/events"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/service/servicetest"
	authv1 "kontor.internal/proto/gen/go/kontor/auth/v1"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

// another is somebody else who manages a subscriber's connections.
func (h *house) another(subscriber string) string {
	account := h.NewAccount(uuid.NewString() + "@liepa.example")
	h.Access.Grant(account, subscriber, authv1.Permission_PERMISSION_CONNECTIONS_MANAGE, authv1.Permission_PERMISSION_CONNECTIONS_READ)
	return account
}

// Who made a connection has no more say in it than any other who manages the subscriber's, and none when they left.
func TestAConnectionOutlivesTheMembershipOfWhoMadeIt(t *testing.T) {
	h := setup(t)
	manager, subscriber := h.manager()
	made, err := h.connections(manager).CreateConnection(t.Context(), h.wanted(subscriber))
	must(t, err)
	c := made.GetConnection()
	h.Access.Exclude(manager, subscriber)
	other := h.another(subscriber)
	_, err = h.connections(other).PauseConnection(t.Context(), &exchangev1.PauseConnectionRequest{Name: c.GetName()})
	must(t, err)
	h.Publish(events.Event{
		Subject: "kontor.tenancy.access.changed", Aggregate: manager, Time: time.Now(),
		Payload: &tenancyv1.AccessChanged{Account: manager, Scope: subscriber},
	})
	servicetest.Eventually(t, "who left reads nothing", func() bool {
		_, err := h.documents(manager).ListDocuments(t.Context(), &exchangev1.ListDocumentsRequest{Parent: c.GetName()})
		return failure.Reason(err) == commonv1.Reason_REASON_PERMISSION_DENIED
	})
	_, err = h.connections(other).RemoveConnection(t.Context(), &exchangev1.RemoveConnectionRequest{Name: c.GetName()})
	must(t, err)
}

// A program that repeats its request after the connection was removed gives nobody their rights back.
func TestARepeatedRequestDoesNotReviveARemovedConnection(t *testing.T) {
	h := setup(t)
	manager, subscriber := h.manager()
	r := h.wanted(subscriber)
	made, err := h.connections(manager).CreateConnection(t.Context(), r)
	must(t, err)
	c := made.GetConnection()
	_, err = h.connections(manager).RemoveConnection(t.Context(), &exchangev1.RemoveConnectionRequest{Name: c.GetName()})
	must(t, err)
	_, err = h.connections(manager).CreateConnection(t.Context(), r)
	must(t, err)
	for _, end := range []string{c.GetSender().GetAccount(), c.GetReceiver().GetAccount()} {
		_, err = h.documents(end).ListDocuments(t.Context(), &exchangev1.ListDocumentsRequest{Parent: c.GetName()})
		servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	}
}

// Who made the connection and sends over it goes on managing it when the other side agrees.
func TestAgreeingTakesNothingFromWhoAsked(t *testing.T) {
	h := setup(t)
	subscriber := "subscribers/" + uuid.NewString()
	manager := h.NewAccount("ilze@liepa.example")
	h.Access.Grant(manager, subscriber, authv1.Permission_PERMISSION_CONNECTIONS_MANAGE, authv1.Permission_PERMISSION_CONNECTIONS_READ)
	office, officeSubscriber := h.manager()
	r := h.wanted(subscriber)
	r.ReceiverCompany, r.SenderEmail = h.company(officeSubscriber, taxNumber), "ilze@liepa.example"
	made, err := h.connections(manager).CreateConnection(t.Context(), r)
	must(t, err)
	c := made.GetConnection()
	if c.GetSender().GetAccount() != manager {
		t.Fatal(c.GetSender())
	}
	_, err = h.connections(office).AcceptConnection(t.Context(), &exchangev1.AcceptConnectionRequest{Parent: officeSubscriber, Connection: c.GetName()})
	must(t, err)
	_, err = h.documents(manager).SendDocument(t.Context(), message(c.GetName(), "m", invoice(t, "1")))
	must(t, err)
	_, err = h.connections(manager).PauseConnection(t.Context(), &exchangev1.PauseConnectionRequest{Name: c.GetName()})
	must(t, err)
	_, err = h.connections(h.another(officeSubscriber)).RemoveConnection(t.Context(), &exchangev1.RemoveConnectionRequest{Name: c.GetName()})
	must(t, err)
}

// Another company's tax number is nobody's business before it agreed.
func TestATestOfAConnectionTellsNothingOfWhoDidNotAgree(t *testing.T) {
	h := setup(t)
	manager, subscriber := h.manager()
	_, officeSubscriber := h.manager()
	r := h.wanted(subscriber)
	r.ReceiverCompany = h.company(officeSubscriber, taxNumber)
	made, err := h.connections(manager).CreateConnection(t.Context(), r)
	must(t, err)
	const changed = "LV40003999999"
	h.companies.mu.Lock()
	h.companies.known[r.GetReceiverCompany()].TaxNumber = changed
	h.companies.mu.Unlock()
	answer, err := h.connections(manager).TestConnection(t.Context(), &exchangev1.TestConnectionRequest{Name: made.GetConnection().GetName()})
	must(t, err)
	for _, check := range answer.GetChecks() {
		if strings.Contains(check.GetText(), changed) {
			t.Errorf("%s says %q", check.GetKey(), check.GetText())
		}
	}
}

// A number that changed between the question and the answer is noticed by whoever agrees (S4).
func TestWhoAgreesIsToldOfNumbersThatDifferByNow(t *testing.T) {
	h := setup(t)
	manager, subscriber := h.manager()
	office, officeSubscriber := h.manager()
	r := h.wanted(subscriber)
	r.ReceiverCompany = h.company(officeSubscriber, taxNumber)
	made, err := h.connections(manager).CreateConnection(t.Context(), r)
	must(t, err)
	h.companies.mu.Lock()
	h.companies.known[r.GetReceiverCompany()].TaxNumber = "LV40003999999"
	h.companies.mu.Unlock()
	_, err = h.connections(office).AcceptConnection(t.Context(), &exchangev1.AcceptConnectionRequest{
		Parent: officeSubscriber, Connection: made.GetConnection().GetName(),
	})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_TAX_NUMBERS_DIFFER)
}

// Who has not bought the exchange learns no number of another company.
func TestWithoutTheAddOnNothingIsLearntOfOtherCompanies(t *testing.T) {
	h := setup(t)
	manager, subscriber := h.manager()
	_, officeSubscriber := h.manager()
	h.paid.refuse(true)
	r := h.wanted(subscriber)
	r.ReceiverCompany = h.company(officeSubscriber, "LV40003999999")
	_, err := h.connections(manager).CreateConnection(t.Context(), r)
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RIGHT_MISSING)
}
