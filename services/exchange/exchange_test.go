package exchange_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"google.golang.org/protobuf/types/known/durationpb"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/service/servicetest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
)

func TestAConnectionIsMadeWithAccountsThatMayTheLeast(t *testing.T) {
	h := setup(t)
	told := h.Events("kontor.exchange.connection.>")
	manager, c := h.connect()
	if c.GetState() != exchangev1.ConnectionState_CONNECTION_STATE_ACTIVE || c.GetSender().GetTaxNumber() != taxNumber {
		t.Fatal(c)
	}
	sides := map[exchangev1.Side]string{}
	for range 3 {
		e := servicetest.Next(t, told)
		var invited exchangev1.ConnectionInvited
		if e.Is(&invited) {
			must(t, e.Decode(&invited))
			sides[invited.GetSide()] = invited.GetActivation()
		}
	}
	if sides[exchangev1.Side_SIDE_SENDER] == "" || sides[exchangev1.Side_SIDE_RECEIVER] == "" {
		t.Errorf("letters to %v", sides)
	}
	sender, receiver := c.GetSender().GetAccount(), c.GetReceiver().GetAccount()
	_, err := h.documents(receiver).SendDocument(t.Context(), message(c.GetName(), "m", invoice(t, "1")))
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	_, err = h.documents(sender).FetchDocuments(t.Context(), &exchangev1.FetchDocumentsRequest{Parent: c.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	_, err = h.connections(sender).RemoveConnection(t.Context(), &exchangev1.RemoveConnectionRequest{Name: c.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	_, err = h.documents(manager).SendDocument(t.Context(), message(c.GetName(), "m", invoice(t, "1")))
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
	_, err = h.documents(h.NewAccount("stranger@else.example")).ListDocuments(t.Context(), &exchangev1.ListDocumentsRequest{Parent: c.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
}

func TestWhatCanNotBeConnectedIsRefusedWithItsReason(t *testing.T) {
	h := setup(t)
	manager, subscriber := h.manager()
	_, other := h.manager()
	cases := map[string]struct {
		change func(*exchangev1.CreateConnectionRequest)
		reason commonv1.Reason
	}{
		"another tax number": {func(r *exchangev1.CreateConnectionRequest) {
			r.ReceiverCompany = h.company(subscriber, "LV40003000999")
		}, commonv1.Reason_REASON_TAX_NUMBERS_DIFFER},
		"a wrong pair": {func(r *exchangev1.CreateConnectionRequest) {
			r.SenderProgram = exchangev1.Program_PROGRAM_FINANSE_I_KSIEGOWOSC
		}, commonv1.Reason_REASON_PROGRAM_PAIR_REFUSED},
		"itself": {func(r *exchangev1.CreateConnectionRequest) { r.ReceiverCompany = r.SenderCompany }, commonv1.Reason_REASON_COMPANY_ENDS_SAME},
		"no such company": {func(r *exchangev1.CreateConnectionRequest) {
			r.ReceiverCompany = subscriber + "/companies/" + uuid.NewString()
		}, commonv1.Reason_REASON_NOT_FOUND},
		"a foreign sender":     {func(r *exchangev1.CreateConnectionRequest) { r.SenderCompany = h.company(other, taxNumber) }, commonv1.Reason_REASON_NOT_FOUND},
		"a foreign subscriber": {func(r *exchangev1.CreateConnectionRequest) { r.Parent = other }, commonv1.Reason_REASON_PERMISSION_DENIED},
		"too often":            {func(r *exchangev1.CreateConnectionRequest) { r.SyncInterval = durationpb.New(time.Second) }, commonv1.Reason_REASON_INVALID_ARGUMENT},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := h.wanted(subscriber)
			c.change(r)
			_, err := h.connections(manager).CreateConnection(t.Context(), r)
			servicetest.WantReason(t, err, c.reason)
		})
	}
	h.paid.refuse(true)
	_, err := h.connections(manager).CreateConnection(t.Context(), h.wanted(subscriber))
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RIGHT_MISSING)
	if found := failure.From(err); found.Meta("remedies") != "add_on_document_exchange" {
		t.Errorf("the way to the add-on is not named: %v", found)
	}
}

func TestAnotherSubscribersCompanyAgreesFirst(t *testing.T) {
	h := setup(t)
	manager, subscriber := h.manager()
	office, officeSubscriber := h.manager()
	r := h.wanted(subscriber)
	r.ReceiverCompany = h.company(officeSubscriber, taxNumber)
	made, err := h.connections(manager).CreateConnection(t.Context(), r)
	must(t, err)
	c := made.GetConnection()
	if c.GetState() != exchangev1.ConnectionState_CONNECTION_STATE_PENDING || c.GetReceiver().GetAccount() != "" || c.GetReceiver().GetCompanyTitle() != "" {
		t.Fatal(c)
	}
	again, err := h.connections(manager).CreateConnection(t.Context(), r)
	must(t, err)
	if again.GetConnection().GetName() != c.GetName() {
		t.Error("a repeated request made another connection")
	}
	_, err = h.documents(c.GetSender().GetAccount()).SendDocument(t.Context(), message(c.GetName(), "m", invoice(t, "1")))
	servicetest.WantReason(t, err, commonv1.Reason_REASON_CONNECTION_NOT_ACTIVE)
	_, err = h.connections(manager).AcceptConnection(t.Context(), &exchangev1.AcceptConnectionRequest{Parent: subscriber, Connection: c.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
	listed, err := h.connections(office).ListConnections(t.Context(), &exchangev1.ListConnectionsRequest{Parent: officeSubscriber})
	must(t, err)
	if len(listed.GetConnections()) != 1 {
		t.Error("the receiver's side does not see who asks")
	}
	for range 2 {
		accepted, err := h.connections(office).AcceptConnection(t.Context(), &exchangev1.AcceptConnectionRequest{Parent: officeSubscriber, Connection: c.GetName()})
		must(t, err)
		if got := accepted.GetConnection(); got.GetState() != exchangev1.ConnectionState_CONNECTION_STATE_ACTIVE || got.GetReceiver().GetAccount() == "" || got.GetReceiver().GetCompanyTitle() == "" {
			t.Error(got)
		}
	}
	_, err = h.documents(c.GetSender().GetAccount()).SendDocument(t.Context(), message(c.GetName(), "m", invoice(t, "1")))
	must(t, err)
}

func TestAPersonsAccountAtAnEndIsWarnedOf(t *testing.T) {
	h := setup(t)
	manager, subscriber := h.manager()
	r := h.wanted(subscriber)
	h.NewAccount(r.GetSenderEmail())
	made, err := h.connections(manager).CreateConnection(t.Context(), r)
	must(t, err)
	if len(made.GetWarnings()) != 1 || !strings.Contains(made.GetWarnings()[0], r.GetSenderEmail()) {
		t.Error(made.GetWarnings())
	}
}

func TestADocumentArrivesOnceWithAReceiptThatCanBeChecked(t *testing.T) {
	h := setup(t)
	_, c := h.connect()
	sender, receiver := h.documents(c.GetSender().GetAccount()), h.documents(c.GetReceiver().GetAccount())
	content := invoice(t, "R-1")
	sent, err := sender.SendDocument(t.Context(), message(c.GetName(), "m-1", content))
	must(t, err)
	d := sent.GetDocument()
	if d.GetTransportState() != exchangev1.TransportState_TRANSPORT_STATE_QUEUED || d.GetInvoice().GetNumber() != "R-1" || d.GetInvoice().GetPayable() == nil {
		t.Fatal(d)
	}
	again, err := sender.SendDocument(t.Context(), message(c.GetName(), "m-1", content))
	must(t, err)
	if again.GetDocument().GetName() != d.GetName() {
		t.Error("the same message made another document")
	}
	_, err = sender.SendDocument(t.Context(), message(c.GetName(), "m-1", invoice(t, "R-2")))
	servicetest.WantReason(t, err, commonv1.Reason_REASON_MESSAGE_ID_REUSED)
	_, err = sender.SendDocument(t.Context(), message(c.GetName(), "m-2", content))
	servicetest.WantReason(t, err, commonv1.Reason_REASON_DOCUMENT_REPEATED)
	_, err = sender.GetReceipt(t.Context(), &exchangev1.GetReceiptRequest{Name: d.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_RECEIPT_MISSING)

	for range 2 { // It comes again until it is acknowledged.
		waiting, err := receiver.FetchDocuments(t.Context(), &exchangev1.FetchDocumentsRequest{Parent: c.GetName()})
		must(t, err)
		if len(waiting.GetDocuments()) != 1 || !bytes.Equal(waiting.GetDocuments()[0].GetContent(), content) {
			t.Fatal(waiting)
		}
	}
	_, err = receiver.AcknowledgeDocument(t.Context(), &exchangev1.AcknowledgeDocumentRequest{Name: d.GetName(), ContentSha256: sum([]byte("cut"))})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_DOCUMENT_HASH_DIFFERS)
	var receipts []string
	for range 2 {
		done, err := receiver.AcknowledgeDocument(t.Context(), &exchangev1.AcknowledgeDocumentRequest{Name: d.GetName(), ContentSha256: sum(content)})
		must(t, err)
		receipts = append(receipts, done.GetReceipt())
	}
	kept, err := sender.GetReceipt(t.Context(), &exchangev1.GetReceiptRequest{Name: d.GetName()})
	must(t, err)
	if receipts[0] == "" || receipts[0] != receipts[1] || kept.GetReceipt() != receipts[0] {
		t.Error("the receipt changed")
	}
	h.checkReceipt(kept.GetReceipt(), map[string]string{"document": d.GetName(), "sha256": sum(content), "message_id": "m-1", "account": c.GetReceiver().GetAccount()})
	rest, err := receiver.FetchDocuments(t.Context(), &exchangev1.FetchDocumentsRequest{Parent: c.GetName()})
	must(t, err)
	if len(rest.GetDocuments()) != 0 {
		t.Error("what was delivered comes again")
	}
}

func (h *house) checkReceipt(receipt string, want map[string]string) {
	h.t.Helper()
	keys, err := exchangev1.NewKeyServiceClient(h.Visitor()).GetJwks(h.t.Context(), &exchangev1.GetJwksRequest{})
	must(h.t, err)
	set, err := jwk.Parse(keys.GetJwks())
	must(h.t, err)
	payload, err := jws.Verify([]byte(receipt), jws.WithKeySet(set, jws.WithRequireKid(true)))
	must(h.t, err)
	says := map[string]string{}
	must(h.t, json.Unmarshal(payload, &says))
	for key, value := range want {
		if says[key] != value {
			h.t.Errorf("the receipt's %s is %s, want %s", key, says[key], value)
		}
	}
	if strings.Contains(string(keys.GetJwks()), `"d":`) {
		h.t.Error("the private key is published")
	}
}

func TestStatusesTravelBackInOrder(t *testing.T) {
	h := setup(t)
	_, c := h.connect()
	sender, receiver := h.documents(c.GetSender().GetAccount()), h.documents(c.GetReceiver().GetAccount())
	sent, err := sender.SendDocument(t.Context(), message(c.GetName(), "m-1", invoice(t, "R-1")))
	must(t, err)
	name := sent.GetDocument().GetName()
	set := func(state exchangev1.OfficeState, reason string) error {
		_, err := receiver.SetOfficeState(t.Context(), &exchangev1.SetOfficeStateRequest{Name: name, State: state, Reason: reason})
		return err
	}
	must(t, set(exchangev1.OfficeState_OFFICE_STATE_IMPORTED, ""))
	must(t, set(exchangev1.OfficeState_OFFICE_STATE_IMPORTED, ""))
	servicetest.WantReason(t, set(exchangev1.OfficeState_OFFICE_STATE_REFUSED, ""), commonv1.Reason_REASON_DOCUMENT_STEP_NEEDS_REASON)
	must(t, set(exchangev1.OfficeState_OFFICE_STATE_REFUSED, "Wrong VAT rate"))
	servicetest.WantReason(t, set(exchangev1.OfficeState_OFFICE_STATE_POSTED, ""), commonv1.Reason_REASON_DOCUMENT_STEP_REFUSED)
	_, err = sender.SetOfficeState(t.Context(), &exchangev1.SetOfficeStateRequest{Name: name, State: exchangev1.OfficeState_OFFICE_STATE_SEEN})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)

	var seen []string
	for place := int64(0); ; {
		page, err := sender.ListSteps(t.Context(), &exchangev1.ListStepsRequest{Parent: c.GetName(), Place: place, Limit: 2})
		must(t, err)
		if len(page.GetSteps()) == 0 {
			break
		}
		for _, s := range page.GetSteps() {
			seen = append(seen, fmt.Sprintf("%v %s", s.GetStep().GetState(), s.GetStep().GetReason()))
		}
		place = page.GetNextPlace()
	}
	if len(seen) != 5 || !strings.Contains(seen[4], "Wrong VAT rate") {
		t.Errorf("%d steps: %v", len(seen), seen)
	}
}

func TestInvoicesThatBreakRulesAreKeptAndNotSent(t *testing.T) {
	h := setup(t)
	_, c := h.connect()
	sender, receiver := h.documents(c.GetSender().GetAccount()), h.documents(c.GetReceiver().GetAccount())
	broken := bytes.Replace(invoice(t, "R-1"), []byte("<cbc:IssueDate>2026-03-02</cbc:IssueDate>"), nil, 1)
	sent, err := sender.SendDocument(t.Context(), message(c.GetName(), "m-1", broken))
	must(t, err)
	d := sent.GetDocument()
	if d.GetTransportState() != exchangev1.TransportState_TRANSPORT_STATE_REJECTED || len(d.GetRuleBreaks()) == 0 || d.GetRuleBreaks()[0].GetRule() != "BR-03" {
		t.Error(d)
	}
	waiting, err := receiver.FetchDocuments(t.Context(), &exchangev1.FetchDocumentsRequest{Parent: c.GetName()})
	must(t, err)
	if len(waiting.GetDocuments()) != 0 {
		t.Error("it was sent")
	}
	_, err = sender.SendDocument(t.Context(), message(c.GetName(), "m-2", invoice(t, "R-1")))
	must(t, err)
}

func TestWhatIsNoInvoiceOfTheCompanyIsRefusedAndNotKept(t *testing.T) {
	h := setup(t)
	_, c := h.connect()
	sender := h.documents(c.GetSender().GetAccount())
	good := string(invoice(t, "R-1"))
	cases := map[string]struct {
		content string
		reason  commonv1.Reason
	}{
		"entities":              {`<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]>` + good[strings.Index(good, "<Invoice"):], commonv1.Reason_REASON_DOCUMENT_HAS_ENTITIES},
		"nesting":               {strings.Repeat("<a>", 500_000), commonv1.Reason_REASON_DOCUMENT_KIND_UNKNOWN},
		"nesting in an invoice": {good[:strings.Index(good, "<cbc:CustomizationID>")] + strings.Repeat("<cac:Party>", 10_000), commonv1.Reason_REASON_DOCUMENT_TOO_COMPLEX},
		"cut":                   {good[:len(good)/2], commonv1.Reason_REASON_DOCUMENT_NOT_XML},
		"no XML":                {"Dear Sirs", commonv1.Reason_REASON_DOCUMENT_NOT_XML},
		"another company's":     {strings.ReplaceAll(strings.ReplaceAll(good, taxNumber, "LV40003000999"), "LV40003000456", "LV40003000998"), commonv1.Reason_REASON_DOCUMENT_OF_ANOTHER_COMPANY},
		"no such amount":        {strings.Replace(good, `<cbc:PayableAmount currencyID="EUR">`, `<cbc:PayableAmount currencyID="EUR">1e9`, 1), commonv1.Reason_REASON_DOCUMENT_VALUE_INVALID},
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := sender.SendDocument(t.Context(), message(c.GetName(), name, []byte(k.content)))
			servicetest.WantReason(t, err, k.reason)
		})
	}
	list, err := sender.ListDocuments(t.Context(), &exchangev1.ListDocumentsRequest{Parent: c.GetName()})
	must(t, err)
	if len(list.GetDocuments()) != 0 {
		t.Errorf("%d were kept", len(list.GetDocuments()))
	}
}

func TestManySentAtOnceAndTwiceArriveOnceEach(t *testing.T) {
	h := setup(t)
	_, c := h.connect()
	sender, receiver := h.documents(c.GetSender().GetAccount()), h.documents(c.GetReceiver().GetAccount())
	const many = 30
	var work sync.WaitGroup
	for i := range many * 2 {
		work.Go(func() {
			id := fmt.Sprintf("m-%d", i%many)
			if _, err := sender.SendDocument(t.Context(), message(c.GetName(), id, invoice(t, id))); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	got := map[string]bool{}
	for {
		waiting, err := receiver.FetchDocuments(t.Context(), &exchangev1.FetchDocumentsRequest{Parent: c.GetName(), Limit: 7})
		must(t, err)
		for _, f := range waiting.GetDocuments() {
			if got[f.GetDocument().GetMessageId()] {
				t.Errorf("%s came twice", f.GetDocument().GetMessageId())
			}
			got[f.GetDocument().GetMessageId()] = true
			_, err := receiver.AcknowledgeDocument(t.Context(), &exchangev1.AcknowledgeDocumentRequest{
				Name: f.GetDocument().GetName(), ContentSha256: sum(f.GetContent()),
			})
			must(t, err)
		}
		if !waiting.GetMore() {
			break
		}
	}
	if len(got) != many {
		t.Errorf("%d arrived, want %d", len(got), many)
	}
}

func TestALaterVersionTakesThePlaceOfTheFirst(t *testing.T) {
	h := setup(t)
	_, c := h.connect()
	sender := h.documents(c.GetSender().GetAccount())
	first, err := sender.SendDocument(t.Context(), message(c.GetName(), "m-1", invoice(t, "R-1")))
	must(t, err)
	r := message(c.GetName(), "m-2", invoice(t, "R-1b"))
	r.Supersedes = first.GetDocument().GetName()
	_, err = sender.SendDocument(t.Context(), r)
	must(t, err)
	got, err := sender.GetDocument(t.Context(), &exchangev1.GetDocumentRequest{Name: first.GetDocument().GetName()})
	must(t, err)
	if got.GetDocument().GetVersionState() != exchangev1.VersionState_VERSION_STATE_SUPERSEDED {
		t.Error(got)
	}
	_, err = sender.CancelDocument(t.Context(), &exchangev1.CancelDocumentRequest{Name: first.GetDocument().GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_DOCUMENT_STEP_REFUSED)
}

func TestATestOfAConnectionNamesEachStep(t *testing.T) {
	h := setup(t)
	manager, c := h.connect()
	try := func() map[string]bool {
		answer, err := h.connections(manager).TestConnection(t.Context(), &exchangev1.TestConnectionRequest{Name: c.GetName()})
		must(t, err)
		outcomes := map[string]bool{}
		for _, check := range answer.GetChecks() {
			outcomes[check.GetKey()] = check.GetOk()
			if check.GetText() == "" {
				t.Errorf("%s says nothing", check.GetKey())
			}
		}
		return outcomes
	}
	if got := try(); !got["state"] || !got["add_on"] || !got["tax_numbers"] || !got["document_store"] || got["sender_account"] || got["receiver_account"] {
		t.Errorf("%v: both accounts wait for their holders, and nothing else is wrong", got)
	}
	found, err := h.Accounts.FindAccount(t.Context(), &identityv1.FindAccountRequest{Email: c.GetSender().GetEmail()})
	must(t, err)
	found.GetAccount().State = identityv1.AccountState_ACCOUNT_STATE_ACTIVE
	h.paid.refuse(true)
	if got := try(); !got["sender_account"] || got["add_on"] {
		t.Errorf("%v", got)
	}
}

func TestARemovedConnectionLetsNobodyIn(t *testing.T) {
	h := setup(t)
	manager, c := h.connect()
	sender := h.documents(c.GetSender().GetAccount())
	sent, err := sender.SendDocument(t.Context(), message(c.GetName(), "m-1", invoice(t, "R-1")))
	must(t, err)
	for range 2 {
		_, err = h.connections(manager).RemoveConnection(t.Context(), &exchangev1.RemoveConnectionRequest{Name: c.GetName()})
		must(t, err)
	}
	_, err = h.documents(manager).GetDocument(t.Context(), &exchangev1.GetDocumentRequest{Name: sent.GetDocument().GetName()})
	must(t, err)
	_, err = h.connections(manager).ResumeConnection(t.Context(), &exchangev1.ResumeConnectionRequest{Name: c.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_CONNECTION_STATE_REFUSED)
}

func TestAConnectionIsPausedAndSetWhileWhatWasSentCanBeFetched(t *testing.T) {
	h := setup(t)
	manager, c := h.connect()
	sender, receiver := h.documents(c.GetSender().GetAccount()), h.documents(c.GetReceiver().GetAccount())
	content := invoice(t, "R-1")
	sent, err := sender.SendDocument(t.Context(), message(c.GetName(), "m-1", content))
	must(t, err)
	paused, err := h.connections(manager).PauseConnection(t.Context(), &exchangev1.PauseConnectionRequest{Name: c.GetName()})
	must(t, err)
	_, err = sender.SendDocument(t.Context(), message(c.GetName(), "m-2", invoice(t, "R-2")))
	servicetest.WantReason(t, err, commonv1.Reason_REASON_CONNECTION_NOT_ACTIVE)
	waiting, err := receiver.FetchDocuments(t.Context(), &exchangev1.FetchDocumentsRequest{Parent: c.GetName()})
	must(t, err)
	if len(waiting.GetDocuments()) != 1 {
		t.Error(waiting)
	}
	set := paused.GetConnection()
	set.SyncInterval = durationpb.New(time.Hour)
	changed, err := h.connections(manager).UpdateConnection(t.Context(), &exchangev1.UpdateConnectionRequest{Connection: set})
	must(t, err)
	if changed.GetConnection().GetSyncInterval().AsDuration() != time.Hour {
		t.Error(changed)
	}
	set.SyncInterval = durationpb.New(time.Minute)
	_, err = h.connections(manager).UpdateConnection(t.Context(), &exchangev1.UpdateConnectionRequest{Connection: set})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_ETAG_MISMATCH)
	_, err = h.connections(manager).ResumeConnection(t.Context(), &exchangev1.ResumeConnectionRequest{Name: c.GetName()})
	must(t, err)

	download, err := receiver.DownloadDocument(t.Context(), &exchangev1.DownloadDocumentRequest{Name: sent.GetDocument().GetName(), Offset: 10, Length: 20})
	must(t, err)
	var got []byte
	for {
		part, err := download.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		if part.GetInfo() != nil && part.GetInfo().GetSizeBytes() != int64(len(content)) {
			t.Error(part.GetInfo())
		}
		got = append(got, part.GetData()...)
	}
	if !bytes.Equal(got, content[10:30]) {
		t.Errorf("downloaded %q", got)
	}
}
