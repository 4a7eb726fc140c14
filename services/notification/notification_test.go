package notification_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-message/mail"
	"github.com/emersion/go-smtp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/events"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	"kontor.internal/libs/jobs"
	"kontor.internal/libs/service"
	"kontor.internal/libs/service/servicetest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	notificationv1 "kontor.internal/proto/gen/go/kontor/notification/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/notification"
	"kontor.internal/services/notification/internal/letter"
	"kontor.internal/services/notification/migrations"
)

// office is a real mail server that keeps what it takes.
type office struct {
	address string
	mails   chan caught

	mu     sync.Mutex
	refuse *smtp.SMTPError
}

type caught struct {
	to, subject, messageID, language, text string
	attachments                            []string
}

func openOffice(t *testing.T) *office {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &office{address: listener.Addr().String(), mails: make(chan caught, 100)}
	server := smtp.NewServer(o)
	server.Domain = "localhost"
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return o
}

func (o *office) answer(e *smtp.SMTPError) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refuse = e
}

func (o *office) NewSession(*smtp.Conn) (smtp.Session, error) { return &visit{office: o}, nil }

type visit struct {
	office *office
	to     string
}

func (v *visit) Mail(string, *smtp.MailOptions) error { return nil }
func (v *visit) Reset()                               {}
func (v *visit) Logout() error                        { return nil }

func (v *visit) Rcpt(to string, _ *smtp.RcptOptions) error {
	v.office.mu.Lock()
	defer v.office.mu.Unlock()
	v.to = to
	if v.office.refuse != nil {
		return v.office.refuse
	}
	return nil
}

func (v *visit) Data(r io.Reader) error {
	m, err := mail.CreateReader(r)
	if err != nil {
		return err
	}
	c := caught{to: v.to, language: m.Header.Get("Content-Language")}
	c.subject, _ = m.Header.Subject()
	c.messageID, _ = m.Header.MessageID()
	for {
		part, err := m.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		switch header := part.Header.(type) {
		case *mail.InlineHeader:
			if kind, _, _ := header.ContentType(); kind == "text/plain" {
				content, _ := io.ReadAll(part.Body)
				c.text = string(content)
			}
		case *mail.AttachmentHeader:
			filename, _ := header.Filename()
			c.attachments = append(c.attachments, filename)
		}
	}
	v.office.mails <- c
	return nil
}

func (o *office) next(t *testing.T) caught {
	t.Helper()
	select {
	case c := <-o.mails:
		return c
	case <-time.After(20 * time.Second):
		t.Fatal("no mail came")
		return caught{}
	}
}

// house is notification with the services that it asks.
type house struct {
	*servicetest.Suite
	office   *office
	identity *identityDouble
}

// identityDouble adds links to the suite's table of accounts.
type identityDouble struct {
	mu    sync.Mutex
	links map[string]*identityv1.GetAccountLinkResponse
}

func (d *identityDouble) link(name string) (*identityv1.GetAccountLinkResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	answer, ok := d.links[name]
	if !ok {
		return nil, failure.NotFound(name)
	}
	return answer, nil
}

type tenancyDouble struct {
	tenancyv1.UnimplementedDirectoryServiceServer
}

func (tenancyDouble) LookupSubscriber(_ context.Context, r *tenancyv1.LookupSubscriberRequest) (*tenancyv1.LookupSubscriberResponse, error) {
	return &tenancyv1.LookupSubscriberResponse{Subscriber: &tenancyv1.Subscriber{Name: r.GetName(), Title: "SIA Āboli"}}, nil
}

func (tenancyDouble) GetInvitationLink(_ context.Context, r *tenancyv1.GetInvitationLinkRequest) (*tenancyv1.GetInvitationLinkResponse, error) {
	if strings.HasSuffix(r.GetName(), "/over") {
		return nil, failure.NotFound(r.GetName())
	}
	return &tenancyv1.GetInvitationLinkResponse{
		Token: "secret-invitation", Email: "janis@example.com", FullName: "Jānis", Inviter: "Anna", SubscriberTitle: "SIA Āboli",
		ExpireTime: timestamppb.New(time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)), Language: "lv",
		Subject: "Anna uzaicina jūs", Body: "Anna uzaicina jūs strādāt SIA Āboli.",
	}, nil
}

type licensingDouble struct {
	licensingv1.UnimplementedRightServiceServer
}

func (licensingDouble) GetContractCopy(context.Context, *licensingv1.GetContractCopyRequest) (*licensingv1.GetContractCopyResponse, error) {
	return &licensingv1.GetContractCopyResponse{Number: "K-2026-000001", Pdf: []byte("%PDF-1.7 tried"), Filename: "K-2026-000001.pdf"}, nil
}

func start(t *testing.T) house {
	t.Helper()
	h := house{office: openOffice(t), identity: &identityDouble{links: map[string]*identityv1.GetAccountLinkResponse{}}}
	host, port, _ := net.SplitHostPort(h.office.address)
	h.Suite = servicetest.Start(t, servicetest.Options{
		Name: "notification", Migrations: migrations.FS,
		Build: func(ctx context.Context, cfg service.Config) (*service.Service, error) {
			return notification.New(ctx, notification.Config{
				Config: cfg, Jobs: jobs.Config{MaxWorkers: 4}, ConsoleURL: "https://kontor.test", TimeZone: "Europe/Riga",
				Mail: letter.MailConfig{Host: host, Port: atoi(t, port), Security: "none", From: "Kontor <no-reply@kontor.test>", Domain: "kontor.test"},
			})
		},
		Links: h.identity.link,
		Doubles: map[string]func(grpc.ServiceRegistrar){
			"tenancy":   func(r grpc.ServiceRegistrar) { tenancyv1.RegisterDirectoryServiceServer(r, tenancyDouble{}) },
			"licensing": func(r grpc.ServiceRegistrar) { licensingv1.RegisterRightServiceServer(r, licensingDouble{}) },
		},
	})
	return h
}

func atoi(t *testing.T, text string) (n int) {
	t.Helper()
	for _, digit := range text {
		n = n*10 + int(digit-'0')
	}
	return n
}

// activation makes an account with a link that waits.
func (h house) activation(email, language string) string {
	account := h.NewAccount(email)
	name := "activations/" + id.NewString()
	h.identity.mu.Lock()
	defer h.identity.mu.Unlock()
	h.identity.links[name] = &identityv1.GetAccountLinkResponse{
		Token: "secret-activation", ExpireTime: timestamppb.New(time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)),
		Account: &identityv1.Account{Name: account, Email: email, FullName: "Anna", Language: language},
	}
	return name
}

func (h house) requested(activation string) {
	h.Publish(events.Event{
		Subject: "kontor.identity.account.activation_requested", Aggregate: "accounts/" + id.NewString(), Time: time.Now(),
		Payload: &identityv1.AccountActivationRequested{Account: "accounts/a", Activation: activation},
	})
}

func TestAnEventBecomesALetterInTheReadersLanguage(t *testing.T) {
	h := start(t)
	h.requested(h.activation("anna@example.com", "lv"))
	mail := h.office.next(t)
	if mail.to != "anna@example.com" || mail.subject != "Apstipriniet savu e-pasta adresi" || mail.language != "lv" {
		t.Errorf("mail %+v", mail)
	}
	if !strings.Contains(mail.text, "https://kontor.test/activate?token=secret-activation") {
		t.Errorf("text %s", mail.text)
	}
	h.wantState(t, "anna@example.com", notificationv1.LetterState_LETTER_STATE_SENT)

	var secrets int
	if err := h.DB.QueryRow(t.Context(), `SELECT count(*) FROM letter WHERE letter::text LIKE '%secret%'`).Scan(&secrets); err != nil || secrets != 0 {
		t.Errorf("%d letters keep a secret, %v", secrets, err)
	}
}

func TestInvitationsSayWhatTheirAuthorSaw(t *testing.T) {
	h := start(t)
	h.Publish(events.Event{
		Subject: "kontor.tenancy.invitation.created", Aggregate: "subscribers/s/invitations/i", Time: time.Now(),
		Payload: &tenancyv1.InvitationCreated{Invitation: "subscribers/s/invitations/i"},
	})
	mail := h.office.next(t)
	if mail.to != "janis@example.com" || mail.subject != "Anna uzaicina jūs" || !strings.Contains(mail.text, "SIA Āboli") || !strings.Contains(mail.text, "token=secret-invitation") {
		t.Errorf("mail %+v", mail)
	}
}

func TestAnAcceptedContractGoesOutWithItsCopy(t *testing.T) {
	h := start(t)
	account := h.NewAccount("anna@example.com")
	h.Publish(events.Event{
		Subject: "kontor.licensing.contract.accepted", Aggregate: "subscribers/s/contracts/k", Subscriber: "subscribers/s", Time: time.Now(),
		Payload: &licensingv1.ContractAccepted{Contract: &licensingv1.Contract{
			Name: "subscribers/s/contracts/k", Language: "en", Acceptance: &licensingv1.Acceptance{Account: account},
		}},
	})
	mail := h.office.next(t)
	if mail.subject != "Your contract K-2026-000001" || len(mail.attachments) != 1 || mail.attachments[0] != "K-2026-000001.pdf" {
		t.Errorf("mail %+v", mail)
	}
}

func TestWhoWasAddedIsToldAndWhoInvitedThemselvesIsNot(t *testing.T) {
	h := start(t)
	account := h.NewAccount("ieva@example.com")
	for i, origin := range []tenancyv1.MemberOrigin{tenancyv1.MemberOrigin_MEMBER_ORIGIN_REGISTRATION, tenancyv1.MemberOrigin_MEMBER_ORIGIN_PREPARED} {
		h.Publish(events.Event{
			Subject: "kontor.tenancy.member.added", Aggregate: "subscribers/s/members/" + string(rune('a'+i)), Subscriber: "subscribers/s", Time: time.Now(),
			Payload: &tenancyv1.MemberAdded{Account: account, Origin: origin, LocalUser: "Ieva"},
		})
	}
	mail := h.office.next(t)
	if mail.subject != "You were added to SIA Āboli" || !strings.Contains(mail.text, "known as Ieva") {
		t.Errorf("mail %+v", mail)
	}
	if len(h.letters(t)) != 1 {
		t.Errorf("letters %v", h.letters(t))
	}
}

func TestTheEndsOfAConnectionAreToldWhichTheyAre(t *testing.T) {
	h := start(t)
	account := h.NewAccount("programma@example.com")
	h.Publish(events.Event{
		Subject: "kontor.exchange.connection.invited", Aggregate: "connections/x", Subscriber: "subscribers/s", Time: time.Now(),
		Payload: &exchangev1.ConnectionInvited{
			Connection: &exchangev1.Connection{Name: "connections/x", Sender: &exchangev1.ConnectionEnd{CompanyTitle: "SIA Āboli"}},
			Side:       exchangev1.Side_SIDE_RECEIVER, Account: account,
		},
	})
	mail := h.office.next(t)
	if mail.subject != "You were made the receiver of documents of SIA Āboli" || !strings.Contains(mail.text, "connections/x") ||
		!strings.Contains(mail.text, "its present password") {
		t.Errorf("mail %+v", mail)
	}
}

func TestALetterIsTriedUntilTheMailServerTakesIt(t *testing.T) {
	h := start(t)
	h.office.answer(&smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 0}, Message: "mailbox busy"})
	h.requested(h.activation("anna@example.com", "en"))
	servicetest.Eventually(t, "the letter was tried", func() bool { l := h.letters(t); return len(l) == 1 && l[0].GetOutcome() != "" }) // The try has ended.
	h.office.answer(nil)
	mail := h.office.next(t)
	h.wantState(t, "anna@example.com", notificationv1.LetterState_LETTER_STATE_SENT)
	if l := h.letters(t)[0]; l.GetMessageId() != mail.messageID || l.GetTries() < 2 {
		t.Errorf("letter %v, mail %+v", l, mail)
	}
}

func TestALetterRefusedForGoodFailsAndCanBeSentAgain(t *testing.T) {
	h := start(t)
	h.office.answer(&smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such mailbox"})
	h.requested(h.activation("anna@example.com", "en"))
	failed := h.wantState(t, "anna@example.com", notificationv1.LetterState_LETTER_STATE_FAILED)
	if !strings.Contains(failed.GetOutcome(), "550") {
		t.Errorf("outcome %q", failed.GetOutcome())
	}
	h.office.answer(nil)
	staff := h.staff()
	if _, err := staff.ResendLetter(t.Context(), &notificationv1.ResendLetterRequest{Name: failed.GetName()}); err != nil {
		t.Fatal(err)
	}
	h.office.next(t)
	h.wantState(t, "anna@example.com", notificationv1.LetterState_LETTER_STATE_SENT)
	_, err := staff.ResendLetter(t.Context(), &notificationv1.ResendLetterRequest{Name: failed.GetName()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_LETTER_NOT_FAILED)
	_, err = staff.ResendLetter(t.Context(), &notificationv1.ResendLetterRequest{Name: "letters/" + id.NewString()})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_NOT_FOUND)
}

func TestALetterWhoseLinkIsOverIsNotSent(t *testing.T) {
	h := start(t)
	h.requested("activations/" + id.NewString())
	servicetest.Eventually(t, "the letter was dropped", func() bool {
		l := h.letters(t)
		return len(l) == 1 && l[0].GetState() == notificationv1.LetterState_LETTER_STATE_DROPPED
	})
	if len(h.office.mails) != 0 {
		t.Error("a mail went out")
	}
}

func TestOnlyStaffSeeLetters(t *testing.T) {
	h := start(t)
	_, err := notificationv1.NewLetterServiceClient(h.Visitor()).ListLetters(t.Context(), &notificationv1.ListLettersRequest{})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_TOKEN_MISSING)
	_, err = notificationv1.NewLetterServiceClient(h.As(h.NewAccount("x@example.com"))).ListLetters(t.Context(), &notificationv1.ListLettersRequest{})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
}

func TestLettersPageAndFilter(t *testing.T) {
	h := start(t)
	for _, email := range []string{"a@example.com", "b@example.com", "c@example.com"} {
		h.requested(h.activation(email, "en"))
		h.office.next(t)
	}
	staff := h.staff()
	var seen []string
	token := ""
	for {
		page, err := staff.ListLetters(t.Context(), &notificationv1.ListLettersRequest{PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range page.GetLetters() {
			seen = append(seen, l.GetRecipient())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if len(seen) != 3 || seen[0] == seen[1] || seen[1] == seen[2] {
		t.Errorf("seen %v", seen)
	}
	one, err := staff.ListLetters(t.Context(), &notificationv1.ListLettersRequest{Recipient: "B@example.com"})
	if err != nil || len(one.GetLetters()) != 1 {
		t.Errorf("%v, %v", one, err)
	}
}

func TestPreviewShowsEveryKind(t *testing.T) {
	h := start(t)
	staff := h.staff()
	for number := range notificationv1.LetterKind_name {
		kind := notificationv1.LetterKind(number)
		preview, err := staff.PreviewLetter(t.Context(), &notificationv1.PreviewLetterRequest{Kind: kind, Language: "lv"})
		if number == 0 {
			servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)
			continue
		}
		if err != nil || preview.GetSubject() == "" || preview.GetText() == "" || preview.GetHtml() == "" {
			t.Errorf("%v: %v, %v", kind, preview, err)
		}
	}
}

func (h house) staff() notificationv1.LetterServiceClient {
	account := h.NewAccount("staff@example.com")
	h.Access.Staff(account)
	return notificationv1.NewLetterServiceClient(h.As(account))
}

func (h house) letters(t *testing.T) []*notificationv1.Letter {
	t.Helper()
	page, err := h.staff().ListLetters(t.Context(), &notificationv1.ListLettersRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return page.GetLetters()
}

func (h house) wantState(t *testing.T, recipient string, want notificationv1.LetterState) (found *notificationv1.Letter) {
	t.Helper()
	servicetest.Eventually(t, recipient+"'s letter is "+want.String(), func() bool {
		for _, l := range h.letters(t) {
			if l.GetRecipient() == recipient && l.GetState() == want {
				found = l
				return true
			}
		}
		return false
	})
	return found
}
