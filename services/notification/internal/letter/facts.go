package letter

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"kontor.internal/libs/civil"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/locale"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	notificationv1 "kontor.internal/proto/gen/go/kontor/notification/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/notification/internal/letter/letterdb"
)

// Gatherer asks the other services for what a letter says, at the time it is
// sent: links with their secrets, names, copies.
type Gatherer struct {
	Identity identityv1.DirectoryServiceClient
	Tenancy  tenancyv1.DirectoryServiceClient
	Rights   licensingv1.RightServiceClient
	// Console is the base address of links, without a slash at its end.
	Console string
	// Zone that times in letters are told in.
	Zone *time.Location
}

// gathered is all that a letter needs.
type gathered struct {
	facts      Facts
	language   locale.Language
	attachment *attachment
}

type attachment struct {
	filename string
	content  []byte
}

// pointless says that a letter has nothing to say any more: its link was used,
// or its invitation is over.
type pointless struct{ why string }

func (p pointless) Error() string { return p.why }

// Gather collects what a letter says.
func (g *Gatherer) Gather(ctx context.Context, row letterdb.Letter) (gathered, error) {
	var about About
	if err := json.Unmarshal(row.About, &about); err != nil {
		return gathered{}, fmt.Errorf("letter: about: %w", err)
	}
	out := gathered{facts: Facts{Link: g.Console + "/"}}
	if about.Invitation != "" {
		return g.invitation(ctx, about, out)
	}
	var until time.Time
	account, err := g.reader(ctx, about, &out, &until)
	if err != nil {
		return gathered{}, err
	}
	if account.GetEmail() == "" {
		return gathered{}, pointless{"the account is gone"}
	}
	out.language = locale.Match(about.Language, account.GetLanguage())
	out.facts.Name, out.facts.Recipient = account.GetFullName(), account.GetEmail()
	if until.IsZero() {
		until = about.At
	}
	out.facts.Until = out.language.DateTime(until, g.Zone)
	if err := g.subscriber(ctx, about, &out); err != nil {
		return gathered{}, err
	}
	out.facts.LocalUser = about.LocalUser
	out.facts.Connection, out.facts.Company, out.facts.Sender = about.Connection, about.Company, about.Sender
	out.facts.Days = out.language.Integer(int64(about.Days))
	if out.facts.End, err = dateText(out.language, about.End); err != nil {
		return gathered{}, err
	}
	if out.facts.KeptUntil, err = dateText(out.language, about.KeptUntil); err != nil {
		return gathered{}, err
	}
	g.page(row, about, &out)
	return out, g.contract(ctx, about, &out)
}

// reader finds the account that a letter goes to, with its link if it has one.
func (g *Gatherer) reader(ctx context.Context, about About, out *gathered, until *time.Time) (*identityv1.Account, error) {
	if about.Link == "" {
		answer, err := g.Identity.BatchGetAccounts(ctx, &identityv1.BatchGetAccountsRequest{Names: []string{about.Account}})
		if err != nil || len(answer.GetAccounts()) == 0 {
			return nil, err
		}
		return answer.GetAccounts()[0], nil
	}
	answer, err := g.Identity.GetAccountLink(ctx, &identityv1.GetAccountLinkRequest{Name: about.Link})
	if failure.Reason(err) == commonv1.Reason_REASON_NOT_FOUND {
		return nil, pointless{"the link was used or is over"}
	}
	if err != nil {
		return nil, err
	}
	path := "/activate?token="
	if strings.HasPrefix(about.Link, "passwordResets/") {
		path = "/reset-password?token="
	} else {
		out.facts.Activation = true
	}
	out.facts.Link = g.Console + path + url.QueryEscape(answer.GetToken())
	*until = answer.GetExpireTime().AsTime()
	return answer.GetAccount(), nil
}

func (g *Gatherer) invitation(ctx context.Context, about About, out gathered) (gathered, error) {
	answer, err := g.Tenancy.GetInvitationLink(ctx, &tenancyv1.GetInvitationLinkRequest{Name: about.Invitation})
	if failure.Reason(err) == commonv1.Reason_REASON_NOT_FOUND {
		return gathered{}, pointless{"the invitation is over"}
	}
	if err != nil {
		return gathered{}, err
	}
	out.language = locale.Match(answer.GetLanguage())
	out.facts = Facts{
		Name: answer.GetFullName(), Recipient: answer.GetEmail(), Subscriber: answer.GetSubscriberTitle(),
		InvitationSubject: answer.GetSubject(), InvitationBody: answer.GetBody(),
		Until: out.language.DateTime(answer.GetExpireTime().AsTime(), g.Zone),
		Link:  g.Console + "/invitation?token=" + url.QueryEscape(answer.GetToken()),
	}
	return out, nil
}

func (g *Gatherer) subscriber(ctx context.Context, about About, out *gathered) error {
	if about.Subscriber == "" {
		return nil
	}
	answer, err := g.Tenancy.LookupSubscriber(ctx, &tenancyv1.LookupSubscriberRequest{Name: about.Subscriber})
	if err != nil {
		return err
	}
	out.facts.Subscriber = answer.GetSubscriber().GetTitle()
	return nil
}

// page is where letters without a link of their own lead.
func (g *Gatherer) page(row letterdb.Letter, about About, out *gathered) {
	if about.Link != "" {
		return
	}
	switch notificationv1.LetterKind(row.Kind) {
	case notificationv1.LetterKind_LETTER_KIND_PASSWORD_CHANGED:
		out.facts.Link = g.Console + "/forgotten-password"
	case notificationv1.LetterKind_LETTER_KIND_TRIAL_ENDING, notificationv1.LetterKind_LETTER_KIND_TRIAL_ENDED:
		out.facts.Link = g.Console + "/subscriptions"
	default:
		out.facts.Link = g.Console + "/sign-in"
	}
}

func (g *Gatherer) contract(ctx context.Context, about About, out *gathered) error {
	if about.Contract == "" {
		return nil
	}
	answer, err := g.Rights.GetContractCopy(ctx, &licensingv1.GetContractCopyRequest{Name: about.Contract})
	if err != nil {
		return err
	}
	out.facts.Number = answer.GetNumber()
	out.attachment = &attachment{filename: answer.GetFilename(), content: answer.GetPdf()}
	return nil
}

func dateText(language locale.Language, date string) (string, error) {
	if date == "" {
		return "", nil
	}
	parsed, err := civil.ParseDate(date)
	if err != nil {
		return "", fmt.Errorf("letter: date: %w", err)
	}
	return language.Date(parsed), nil
}

// sample are made-up facts, to show what a letter looks like.
func sample(language locale.Language, console string, zone *time.Location, now time.Time) Facts {
	in := civil.DateOf(now, zone)
	return Facts{
		Name: "Anna Kalniņa", Recipient: "anna@example.com", Link: console + "/example", Until: language.DateTime(now.AddDate(0, 0, 7), zone),
		Subscriber: "SIA Piemērs", InvitationSubject: "SIA Piemērs", InvitationBody: "…", LocalUser: "Anna", Activation: true,
		Connection: "connections/019f1b7e-0000-7000-8000-000000000000", Company: "SIA Piemērs", Sender: true,
		Number: "K-" + strconv.Itoa(in.Year) + "-000001", End: language.Date(in.AddDays(7)), Days: language.Integer(7), KeptUntil: language.Date(in.AddMonths(3)),
	}
}
