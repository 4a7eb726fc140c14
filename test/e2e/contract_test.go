package e2e

import (
	"bytes"
	"crypto/sha256"
	"net/http"
	"slices"
	"testing"

	"kontor.internal/libs/id"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/test/harness"
)

func subscriberOf(t *testing.T, p *harness.Person) *tenancyv1.Subscriber {
	t.Helper()
	s, err := p.Subscriber(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWhoRegistersAloneOwnsASubscriberNamedAfterThem(t *testing.T) {
	t.Parallel()
	s := suite(t)
	s.Needs(t, "tenancy")
	p := s.NewPerson(t, "Jānis Bērziņš")
	mine := subscriberOf(t, p)
	if mine.GetTitle() != "Jānis Bērziņš" || mine.GetOwner() != p.Account.GetName() {
		t.Errorf("got %v", mine)
	}
	if code := mine.GetCode(); len(code) != len("CL-1234567") || code[:3] != "CL-" {
		t.Errorf("its code is %q", code)
	}
}

func TestAForeignSubscriberDoesNotExistForOthers(t *testing.T) {
	t.Parallel()
	s := suite(t)
	s.Needs(t, "tenancy")
	owner, stranger := s.NewPerson(t, "Īpašniece"), s.NewPerson(t, "Svešinieks")
	theirs := subscriberOf(t, owner).GetName()

	refused := map[string]error{
		"read":    stranger.Get(t.Context(), "/v1/"+theirs, nil),
		"members": stranger.Get(t.Context(), "/v1/"+theirs+"/members", nil),
		"change":  stranger.Patch(t.Context(), "/v1/"+theirs, map[string]string{"title": "Mine now"}, nil),
		"invite": stranger.Post(t.Context(), "/v1/"+theirs+"/invitations", &tenancyv1.CreateInvitationRequest{
			Invitation: &tenancyv1.Invitation{Email: stranger.Email, FullName: "Me"}, RequestId: id.NewString(),
		}, nil),
	}
	if s.Has("licensing") {
		_, refused["contract"] = stranger.CreateContract(t.Context(), theirs, harness.Trial)
		_, refused["rights"] = stranger.Explain(t.Context(), theirs, licensingv1.Action_ACTION_USE)
	}
	for what, err := range refused {
		if reason := harness.Reason(err); reason != "PERMISSION_DENIED" && reason != "NOT_FOUND" {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if subscriberOf(t, owner).GetTitle() != "Īpašniece" {
		t.Error("the stranger's change was done")
	}
}

func TestAContractIsReadThenAcceptedAndNothingIsUsableBefore(t *testing.T) {
	t.Parallel()
	s := suite(t)
	s.Needs(t, "tenancy", "licensing")
	p := s.NewPerson(t, "Līga Liepa")
	name := subscriberOf(t, p).GetName()

	_, err := p.CreateContract(t.Context(), name, harness.Trial)
	harness.WantReason(t, err, "SUBSCRIBER_INCOMPLETE")
	described, err := p.Describe(t.Context(), name, harness.LegalEntity("SIA Liepa"))
	if err != nil {
		t.Fatal(err)
	}
	if !described.GetComplete() {
		t.Fatalf("after all was said the subscriber is not complete: %v", described)
	}
	contract, err := p.CreateContract(t.Context(), name, harness.Trial)
	if err != nil {
		t.Fatal(err)
	}

	wantRight(t, p, name, licensingv1.Action_ACTION_USE, "contract_accepted")
	wantRight(t, p, name, licensingv1.Action_ACTION_ADD_COMPANY, "contract_accepted")

	pdf, err := p.Download(t.Context(), contract.GetName(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(pdf)
	if !bytes.HasPrefix(pdf, []byte("%PDF-")) || !bytes.Equal(sum[:], contract.GetDocumentSha256()) || int64(len(pdf)) != contract.GetDocumentSizeBytes() {
		t.Errorf("the document of %d bytes is not the contract's PDF of %d", len(pdf), contract.GetDocumentSizeBytes())
	}

	other := sha256.Sum256([]byte("another document"))
	_, err = p.Accept(t.Context(), contract.GetName(), other[:])
	harness.WantReason(t, err, "DOCUMENT_MISMATCH")
	accepted, err := p.Accept(t.Context(), contract.GetName(), sum[:])
	if err != nil {
		t.Fatal(err)
	}
	if a := accepted.GetAcceptance(); a.GetAccount() != p.Account.GetName() || a.GetAddress() != p.Address() || !bytes.Equal(a.GetDocumentSha256(), sum[:]) {
		t.Errorf("the acceptance says %v", a)
	}
	wantRight(t, p, name, licensingv1.Action_ACTION_USE, "")
	wantRight(t, p, name, licensingv1.Action_ACTION_ADD_COMPANY, "")

	mail := s.WaitMail(t, p.Email, contract.GetNumber())
	if !slices.ContainsFunc(mail.Attachments, func(a harness.Attachment) bool { return bytes.Equal(a.Content, pdf) }) {
		t.Error("the letter has no copy of the contract")
	}
}

// wantRight fails the test unless the action is refused for a condition, or
// allowed when that is empty.
func wantRight(t *testing.T, p *harness.Person, subscriber string, action licensingv1.Action, unmet string) {
	t.Helper()
	decision, err := p.Explain(t.Context(), subscriber, action)
	if err != nil {
		t.Fatal(err)
	}
	if decision.GetAllowed() != (unmet == "") {
		t.Errorf("%s: %v", action, decision)
	}
	if unmet != "" && !slices.ContainsFunc(decision.GetConditions(), func(c *licensingv1.Condition) bool { return c.GetKey() == unmet && !c.GetMet() }) {
		t.Errorf("%s is not refused for %s: %v", action, unmet, decision)
	}
}

func TestARangeBeyondTheContractIsRefused(t *testing.T) {
	t.Parallel()
	s := suite(t)
	s.Needs(t, "tenancy", "licensing")
	p := s.NewPerson(t, "Diapazons")
	name := subscriberOf(t, p).GetName()
	if _, err := p.Describe(t.Context(), name, harness.LegalEntity("SIA Diapazons")); err != nil {
		t.Fatal(err)
	}
	contract, err := p.CreateContract(t.Context(), name, harness.Trial)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := p.Raw(t.Context(), http.MethodGet, "/v1/"+contract.GetName()+":download", http.Header{"Range": {"bytes=99999999-"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode < http.StatusBadRequest || answer.StatusCode >= http.StatusInternalServerError {
		t.Errorf("got %s", answer.Status)
	}
}

func TestAnInvitedPersonJoinsOnceByTheLatestLink(t *testing.T) {
	t.Parallel()
	s := suite(t)
	s.Needs(t, "tenancy", "licensing")
	owner := s.NewPerson(t, "Uzaicinātāja")
	name, err := owner.StartTrial(t.Context(), "SIA Uzaicina")
	if err != nil {
		t.Fatal(err)
	}
	guest := s.NewPerson(t, "Viesis")
	invite := func() (string, harness.Mail) {
		var answer tenancyv1.CreateInvitationResponse
		if err := owner.Post(t.Context(), "/v1/"+name+"/invitations", &tenancyv1.CreateInvitationRequest{
			Invitation: &tenancyv1.Invitation{Email: guest.Email, FullName: "Viesis", Access: true, Roles: []string{"viewer"}, Message: "Welcome!", Language: "en"},
			RequestId:  id.NewString(),
		}, &answer); err != nil {
			t.Fatal(err)
		}
		return answer.GetInvitation().GetName(), s.WaitMail(t, guest.Email, "SIA Uzaicina")
	}
	_, earlier := invite()
	var answer tenancyv1.CreateInvitationResponse
	if err := owner.Post(t.Context(), "/v1/"+name+"/invitations", &tenancyv1.CreateInvitationRequest{
		Invitation: &tenancyv1.Invitation{Email: guest.Email, FullName: "Viesis", Access: true, Roles: []string{"viewer"}, Language: "en"},
		RequestId:  id.NewString(),
	}, &answer); err != nil {
		t.Fatal(err)
	}
	latest, err := s.Inbox().Wait(t.Context(), harness.Query{To: guest.Email, Subject: "SIA Uzaicina", After: earlier.ID})
	if err != nil {
		t.Fatal(err)
	}

	old, err := earlier.Token()
	if err != nil {
		t.Fatal(err)
	}
	harness.WantReason(t, guest.Post(t.Context(), "/v1/invitations:accept", &tenancyv1.AcceptInvitationRequest{Token: old}, nil), "INVITATION_REPLACED")
	token, err := latest.Token()
	if err != nil {
		t.Fatal(err)
	}
	var joined tenancyv1.AcceptInvitationResponse
	if err := guest.Post(t.Context(), "/v1/invitations:accept", &tenancyv1.AcceptInvitationRequest{Token: token}, &joined); err != nil {
		t.Fatal(err)
	}
	if joined.GetSubscriber() != name || joined.GetAdministratorEmail() != owner.Email || len(joined.GetPermissions()) == 0 {
		t.Errorf("what the person reads on joining: %v", &joined)
	}
	other := s.NewPerson(t, "Trešais")
	harness.WantReason(t, other.Post(t.Context(), "/v1/invitations:accept", &tenancyv1.AcceptInvitationRequest{Token: token}, nil), "INVITATION_ACCEPTED")
	if err := guest.Get(t.Context(), "/v1/"+name, nil); err != nil {
		t.Errorf("the member can't read the subscriber: %v", err)
	}
	// A member who is not the owner invites nobody.
	err = guest.Post(t.Context(), "/v1/"+name+"/invitations", &tenancyv1.CreateInvitationRequest{
		Invitation: &tenancyv1.Invitation{Email: other.Email, FullName: "Trešais"}, RequestId: id.NewString(),
	}, nil)
	if reason := harness.Reason(err); reason != "PERMISSION_DENIED" && reason != "OWNER_ONLY" {
		t.Errorf("a viewer's invitation: %v", err)
	}
}
