package connection

import (
	"context"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/locale"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

// says are the texts of checks that went well, and of warnings, by language; English where there is none.
var says = map[locale.Language]map[string]string{
	locale.English: {
		"state": "Documents travel.", "add_on": "The exchange of documents is paid for.", "tax_numbers": "Both companies have the same tax number.",
		"sender_account": "The sender's account is active.", "receiver_account": "The receiver's account is active.",
		"document_store": "The document store takes and gives.", "waiting": "The account waits for its holder to set a password.",
		"wide": " is a person's account. A separate account for the program is safer.",
	},
	locale.Latvian: {
		"state": "Dokumenti tiek pārsūtīti.", "add_on": "Dokumentu apmaiņa ir apmaksāta.", "tax_numbers": "Abiem uzņēmumiem ir viens nodokļu maksātāja numurs.",
		"sender_account": "Sūtītāja konts ir aktīvs.", "receiver_account": "Saņēmēja konts ir aktīvs.",
		"document_store": "Dokumentu glabātava pieņem un atdod.", "waiting": "Konts gaida, kamēr tā turētājs iestatīs paroli.",
		"wide": " ir personas konts. Drošāk ir programmai izveidot atsevišķu kontu.",
	},
}

func say(ctx context.Context, key string) string {
	if text, ok := says[locale.Match(caller.From(ctx).Locale)][key]; ok {
		return text
	}
	return says[locale.English][key]
}

// warning is what is said of an end whose account is a person's (S3).
func warning(ctx context.Context, email string) string { return email + say(ctx, "wide") }

// TestConnection tries each step for real and names it (S7).
func (s *Server) TestConnection(ctx context.Context, r *exchangev1.TestConnectionRequest) (*exchangev1.TestConnectionResponse, error) {
	c, err := s.find(ctx, r.GetName())
	if err != nil {
		return nil, err
	}
	answer := &exchangev1.TestConnectionResponse{Ok: true}
	for _, step := range []struct {
		key string
		try func() error
	}{
		{"state", c.Travels},
		{"add_on", func() error { return s.paid(ctx, c) }},
		{"tax_numbers", func() error { return s.tryTaxNumbers(ctx, c) }},
		{"sender_account", func() error { return s.tryAccount(ctx, c.Sender) }},
		{"receiver_account", func() error { return s.tryAccount(ctx, c.Receiver) }},
		{"document_store", func() error { return s.d.TryStore(ctx) }},
	} {
		check := &exchangev1.ConnectionCheck{Key: step.key, Ok: true, Text: say(ctx, step.key)}
		if err := step.try(); err != nil {
			check.Ok, answer.Ok = false, false
			check.Text = failure.Status(err, s.d.Texts, caller.From(ctx).Locale).Message()
		}
		answer.Checks = append(answer.Checks, check)
	}
	return answer, nil
}

// tryTaxNumbers compares what the companies' numbers are today. Another subscriber's is looked at only between its consent
// and the connection's end: it is told to nobody else.
func (s *Server) tryTaxNumbers(ctx context.Context, c Connection) error {
	if c.Receiver.Subscriber != c.Sender.Subscriber && !c.Agreed() {
		return failure.New(commonv1.Reason_REASON_CONNECTION_STATE_REFUSED, "state", word(c.State), "action", "compared")
	}
	return s.compare(ctx, c)
}

// compare holds the companies' numbers of today against each other.
func (s *Server) compare(ctx context.Context, c Connection) error {
	var ends [2]End
	for i, p := range []Party{c.Sender, c.Receiver} {
		found, err := s.d.Companies.LookupCompany(ctx, &tenancyv1.LookupCompanyRequest{Name: p.Company})
		if err != nil {
			return err
		}
		ends[i] = End{TaxNumber: found.GetCompany().GetTaxNumber(), Program: p.Program}
	}
	return CheckEnds(ends[0], ends[1])
}

// tryAccount looks whether an end's program can sign in.
func (s *Server) tryAccount(ctx context.Context, p Party) error {
	found, err := s.d.Ends.Identity.FindAccount(ctx, &identityv1.FindAccountRequest{Email: p.Email})
	if err != nil {
		return err
	}
	if found.GetAccount().GetName() != p.Account || found.GetAccount().GetState() != identityv1.AccountState_ACCOUNT_STATE_ACTIVE {
		return failure.Invalid("account", say(ctx, "waiting"))
	}
	return nil
}
