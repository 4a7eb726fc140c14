package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"kontor.internal/client"
	"kontor.internal/client/ubl"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/test/harness"
)

const exchangedTax = "LV40003000123"

// channel is a connection between two companies of one subscriber, with the programs at its ends signed in.
type channel struct {
	name             string
	sender, receiver exchangev1.DocumentServiceClient
	// owner of both companies, and the way to sign in.
	owner    *harness.Person
	kontor   *client.Client
	from, to string
}

// connected makes a channel as people do: by two e-mails, whose holders follow the links in their letters.
func connected(t *testing.T, s *harness.Suite) channel {
	t.Helper()
	s.Needs(t, "exchange")
	p, kontor, from := trading(t, s, "Sūtītāja")
	session, err := kontor.SignIn(t.Context(), credentials(p))
	must(t, err)
	t.Cleanup(session.Close)
	subscriber, _, _ := strings.Cut(from, "/companies/")
	made, err := tenancyv1.NewCompanyServiceClient(session.Conn()).CreateCompany(t.Context(), &tenancyv1.CreateCompanyRequest{
		Parent: subscriber, Title: "SIA Birojs", TaxNumber: exchangedTax, Activity: "trade", RequestId: client.RequestID(),
	})
	must(t, err)
	_, err = session.Wait(t.Context(), made.GetOperation().GetName(), nil)
	must(t, err)
	r := &exchangev1.CreateConnectionRequest{
		Parent: subscriber, SenderCompany: from, ReceiverCompany: made.GetCompany().GetName(),
		SenderProgram: exchangev1.Program_PROGRAM_START_FAKTURA, ReceiverProgram: exchangev1.Program_PROGRAM_START_MALA_KSIEGOWOSC,
		SenderEmail: harness.NewEmail("sender"), ReceiverEmail: harness.NewEmail("receiver"), RequestId: client.RequestID(),
	}
	connection, err := exchangev1.NewConnectionServiceClient(session.Conn()).CreateConnection(t.Context(), r)
	must(t, err)
	return channel{
		name: connection.GetConnection().GetName(), sender: programOf(t, s, r.GetSenderEmail()), receiver: programOf(t, s, r.GetReceiverEmail()),
		owner: p, kontor: kontor, from: from, to: r.GetReceiverCompany(),
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// programOf activates an end's account and signs its program in.
func programOf(t *testing.T, s *harness.Suite, email string) exchangev1.DocumentServiceClient {
	t.Helper()
	mail, err := s.Inbox().Wait(t.Context(), harness.Query{To: email})
	must(t, err)
	token, err := mail.Token()
	must(t, err)
	p := &harness.Person{Client: s.Visitor(), Email: email}
	must(t, p.Activate(t.Context(), token, harness.Password))
	session, err := library(t, p.Client).SignIn(t.Context(), credentials(p))
	must(t, err)
	t.Cleanup(session.Close)
	return exchangev1.NewDocumentServiceClient(session.Conn())
}

func written(t testing.TB, number string) []byte {
	t.Helper()
	var out bytes.Buffer
	must(t, ubl.Write(&out, ubl.Invoice{
		Kind: ubl.Commercial, Number: number, Currency: "EUR",
		Issued: time.Date(2026, time.March, 2, 0, 0, 0, 0, time.UTC), Due: time.Date(2026, time.March, 16, 0, 0, 0, 0, time.UTC),
		Seller: ubl.Party{Name: "SIA Sūtītāja", TaxNumber: exchangedTax, Country: "LV"}, Buyer: ubl.Party{Name: "SIA Pircējs", Country: "LV"},
		Lines: []ubl.Line{{Item: "Galds", Quantity: 1000, Unit: "C62", Price: 12345, Category: ubl.Standard, Rate: 2100}},
	}))
	return out.Bytes()
}

func TestDocumentsThatAreNoneAreRefusedAndSayWhy(t *testing.T) {
	t.Parallel()
	c := connected(t, suite(t))
	good := string(written(t, "R-1"))
	start := strings.Index(good, "<Invoice")
	cases := map[string]struct{ content, reason string }{
		"entities":                     {`<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]>` + good[start:], "DOCUMENT_HAS_ENTITIES"},
		"nesting without end":          {good[:strings.Index(good, "<cbc:CustomizationID>")] + strings.Repeat("<cac:Party>", 100_000), "DOCUMENT_TOO_COMPLEX"},
		"more than a message may have": {strings.Repeat("<a>", tooMuch), "MESSAGE_TOO_LARGE"},
		"a file cut short":             {good[:len(good)/2], "DOCUMENT_NOT_XML"},
		"a letter":                     {"Dear Sirs", "DOCUMENT_NOT_XML"},
		"another kind of XML":          {"<html/>", "DOCUMENT_KIND_UNKNOWN"},
		"another company's":            {strings.ReplaceAll(good, exchangedTax, "LV40003000999"), "DOCUMENT_OF_ANOTHER_COMPANY"},
	}
	for name, k := range cases {
		_, err := c.sender.SendDocument(t.Context(), c.message(name, []byte(k.content)))
		if client.Reason(err) != k.reason {
			t.Errorf("%s: %v, want %s", name, err, k.reason)
		}
	}
	// So much is cut off by its announced length, before it is read.
	_, err := c.sender.SendDocument(t.Context(), c.message("200 MB of nesting", bytes.Repeat([]byte("<a>"), 200_000_000/3)))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("200 MB of nesting: %v", err)
	}
	list, err := c.sender.ListDocuments(t.Context(), &exchangev1.ListDocumentsRequest{Parent: c.name})
	must(t, err)
	if len(list.GetDocuments()) != 0 {
		t.Errorf("%d are half there", len(list.GetDocuments()))
	}
}

func (c channel) message(id string, content []byte) *exchangev1.SendDocumentRequest {
	return &exchangev1.SendDocumentRequest{
		Parent: c.name, MessageId: id, Type: exchangev1.DocumentType_DOCUMENT_TYPE_INVOICE, Filename: "invoice.xml", Content: content,
	}
}

func TestADocumentSentTwiceAtOnceAndConfirmedTwiceAtOnceHasOneEffect(t *testing.T) {
	t.Parallel()
	c := connected(t, suite(t))
	content := written(t, "R-1")
	names := twice(t, func() (string, error) {
		sent, err := c.sender.SendDocument(t.Context(), c.message("m-1", content))
		return sent.GetDocument().GetName(), err
	})
	_, err := c.sender.SendDocument(t.Context(), c.message("m-1", written(t, "R-2")))
	wantReason(t, err, "MESSAGE_ID_REUSED")
	waiting, err := c.receiver.FetchDocuments(t.Context(), &exchangev1.FetchDocumentsRequest{Parent: c.name})
	must(t, err)
	if len(waiting.GetDocuments()) != 1 || !bytes.Equal(waiting.GetDocuments()[0].GetContent(), content) {
		t.Fatalf("%d wait for the receiver, want the one", len(waiting.GetDocuments()))
	}
	sum := sha256.Sum256(content)
	twice(t, func() (string, error) {
		done, err := c.receiver.AcknowledgeDocument(t.Context(), &exchangev1.AcknowledgeDocumentRequest{
			Name: names, ContentSha256: hex.EncodeToString(sum[:]),
		})
		return done.GetReceipt(), err
	})
	_, err = c.sender.FetchDocuments(t.Context(), &exchangev1.FetchDocumentsRequest{Parent: c.name})
	wantReason(t, err, "PERMISSION_DENIED")
}

func wantReason(t testing.TB, err error, reason string) {
	t.Helper()
	if client.Reason(err) != reason {
		t.Errorf("%v, want %s", err, reason)
	}
}

// twice does something two times at once and gives what both answered.
func twice(t *testing.T, do func() (string, error)) string {
	t.Helper()
	var answers [2]string
	var failed [2]error
	var both sync.WaitGroup
	for i := range answers {
		both.Go(func() { answers[i], failed[i] = do() })
	}
	both.Wait()
	if failed[0] != nil || failed[1] != nil || answers[0] != answers[1] || answers[0] == "" {
		t.Fatal(fmt.Sprint(answers, failed))
	}
	return answers[0]
}
