package entitlement_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"kontor.internal/libs/civil"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/id"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
	"kontor.internal/services/licensing/internal/catalogue"
	"kontor.internal/services/licensing/internal/entitlement"
	"kontor.internal/services/licensing/internal/licence"
)

const (
	use        = licensingv1.Action_ACTION_USE
	read       = licensingv1.Action_ACTION_READ
	write      = licensingv1.Action_ACTION_WRITE
	export     = licensingv1.Action_ACTION_EXPORT
	addCompany = licensingv1.Action_ACTION_ADD_COMPANY
	addAccount = licensingv1.Action_ACTION_ADD_ACCOUNT
	exchange   = licensingv1.Action_ACTION_EXCHANGE_DOCUMENTS
	backup     = licensingv1.Action_ACTION_BACKUP
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loaded, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func date(t testing.TB, text string) civil.Date {
	t.Helper()
	var d civil.Date
	if err := d.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return d
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	instant, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return instant.UTC()
}

func builtIn(t testing.TB) *catalogue.Catalogue {
	t.Helper()
	c, err := catalogue.Load("")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// facts are built step by step; each step returns the same builder.
type builder struct {
	t     testing.TB
	c     *catalogue.Catalogue
	zone  *time.Location
	facts entitlement.Facts
}

func in(t testing.TB, zoneName string) *builder {
	b := &builder{t: t, c: builtIn(t), zone: zone(t, zoneName)}
	b.facts.Zone = b.zone
	return b
}

func (b *builder) contract(accepted string) *builder {
	c := entitlement.Contract{ID: id.New(), Number: "K-2026-00000" + string(rune('1'+len(b.facts.Contracts)))}
	if accepted != "" {
		c.Accepted = at(b.t, accepted)
	}
	b.facts.Contracts = append(b.facts.Contracts, c)
	return b
}

func (b *builder) licence(plan, start, end string) *builder {
	p, ok := b.c.Plan(plan)
	if !ok {
		b.t.Fatalf("no plan %s", plan)
	}
	b.facts.Licences = append(b.facts.Licences, licence.Licence{
		ID: id.New(), Kind: p.Kind, Plan: p.ID, Terms: licence.TermsOf(b.c, p), Zone: b.zone, Start: date(b.t, start), End: date(b.t, end),
	})
	return b
}

// trial is a contract accepted at an instant, with the licence that it begins.
func (b *builder) trial(accepted string) *builder {
	b.contract(accepted)
	plan, _ := b.c.Plan("books-trial")
	start, end := licence.TrialTerm(plan, at(b.t, accepted), b.zone)
	return b.licence("books-trial", start.String(), end.String())
}

// agreed is a change by staff of the latest licence.
func (b *builder) agreed(field, value, from, until string) *builder {
	l := &b.facts.Licences[len(b.facts.Licences)-1]
	l.Changes = append(l.Changes, licence.Change{Field: field, New: value, Created: at(b.t, from), Until: date(b.t, until)})
	return b
}

func TestDecide(t *testing.T) {
	const riga, tehran = "Europe/Riga", "Asia/Tehran"
	type ask struct {
		action  licensingv1.Action
		product string
		count   int32
	}
	trialFrom := func(zone, accepted string) *builder { return in(t, zone).trial(accepted) }
	january := func() *builder { return trialFrom(riga, "2026-01-10T08:00:00Z") } // Last day: 9 February.
	for _, c := range []struct {
		name    string
		facts   *builder
		ask     ask
		at      string
		allowed bool
		failed  string // "key/case/remedy", those that failed, in order
		changes string
	}{
		// J1: nothing before acceptance.
		{"nothing at all is usable without a contract", in(t, riga), ask{action: use}, "2026-01-10T08:00:00Z", false, "contract_accepted/none/accept_contract", ""},
		{"a contract that waits opens nothing", in(t, riga).contract(""), ask{action: use}, "2026-01-10T08:00:00Z", false, "contract_accepted/failed/accept_contract", ""},
		{"an accepted contract opens", in(t, riga).contract("2026-01-10T08:00:00Z"), ask{action: use}, "2026-01-10T08:00:00Z", true, "", ""},
		{"not a moment before it was accepted", in(t, riga).contract("2026-01-10T08:00:00Z"), ask{action: use}, "2026-01-10T07:59:59Z", false, "contract_accepted/failed/accept_contract", "2026-01-10T08:00:00Z"},
		{"a later contract that waits takes nothing away", january().contract(""), ask{action: write}, "2026-01-11T08:00:00Z", true, "", "2026-02-09T22:00:00Z"},
		{"a licence from staff waits for the contract all the same", in(t, riga).licence("books-prof", "2026-01-01", ""), ask{action: write}, "2026-01-10T08:00:00Z", false, "contract_accepted/none/accept_contract", ""},
		{"without contract and licence both are named, and acceptance mends both", in(t, riga), ask{action: write}, "2026-01-10T08:00:00Z", false, "contract_accepted/none/accept_contract licence_valid/none/accept_contract", ""},
		{"an accepted contract for a plan that is paid first is no licence", in(t, riga).contract("2026-01-10T08:00:00Z"), ask{action: write}, "2026-01-10T09:00:00Z", false, "licence_valid/none/subscribe", ""},
		{"reading before acceptance", in(t, riga).contract(""), ask{action: read}, "2026-01-10T08:00:00Z", false, "contract_accepted/failed/accept_contract data_kept/none/accept_contract", ""},

		// J2: the trial and its end.
		{"the trial writes from its first moment", january(), ask{action: write}, "2026-01-10T08:00:00Z", true, "", "2026-02-09T22:00:00Z"},
		{"the trial writes in the last second of its last day", january(), ask{action: write}, "2026-02-09T21:59:59Z", true, "", "2026-02-09T22:00:00Z"},
		{"the trial is over at midnight", january(), ask{action: write}, "2026-02-09T22:00:00Z", false, "licence_valid/trial_ended/subscribe", ""},
		{"after the trial one reads", january(), ask{action: read}, "2026-02-09T22:00:00Z", true, "", "2026-05-09T21:00:00Z"},
		{"after the trial one exports", january(), ask{action: export}, "2026-03-01T00:00:00Z", true, "", "2026-05-09T21:00:00Z"},
		{"after the trial no company is added, for one reason only", january(), ask{addCompany, "books", 1}, "2026-02-10T08:00:00Z", false, "licence_valid/trial_ended/subscribe", ""},
		{"after the trial nothing is exchanged", january(), ask{action: exchange}, "2026-02-10T08:00:00Z", false, "licence_valid/trial_ended/subscribe", ""},
		{"after the trial no account is added", january(), ask{action: addAccount, count: 2}, "2026-02-10T08:00:00Z", false, "licence_valid/trial_ended/subscribe", ""},
		{"after the trial nothing changes, so nothing is copied", january(), ask{action: backup}, "2026-02-10T08:00:00Z", false, "licence_valid/trial_ended/subscribe", ""},
		{"accepted on the last day of a month", trialFrom(riga, "2026-01-31T08:00:00Z"), ask{action: write}, "2026-03-02T21:59:59Z", true, "", "2026-03-02T22:00:00Z"},
		{"over February of a leap year", trialFrom(riga, "2028-01-31T08:00:00Z"), ask{action: write}, "2028-03-01T22:00:00Z", false, "licence_valid/trial_ended/subscribe", ""},
		{"over the change to summer time", trialFrom(riga, "2026-03-15T08:00:00Z"), ask{action: write}, "2026-04-14T20:59:59Z", true, "", "2026-04-14T21:00:00Z"},
		{"over the change to winter time", trialFrom(riga, "2026-10-10T08:00:00Z"), ask{action: write}, "2026-11-09T21:59:59Z", true, "", "2026-11-09T22:00:00Z"},
		{"accepted in Riga a minute before midnight", trialFrom(riga, "2026-06-30T20:59:00Z"), ask{action: write}, "2026-07-30T21:00:00Z", false, "licence_valid/trial_ended/subscribe", ""},
		{"the same moment is the next day in Tehran, and so is its end", trialFrom(tehran, "2026-06-30T20:59:00Z"), ask{action: write}, "2026-07-31T20:29:59Z", true, "", "2026-07-31T20:30:00Z"},
		{"and there it is over at their midnight", trialFrom(tehran, "2026-06-30T20:59:00Z"), ask{action: write}, "2026-07-31T20:30:00Z", false, "licence_valid/trial_ended/subscribe", ""},
		{"Tehran over the year's end", trialFrom(tehran, "2026-12-15T08:00:00Z"), ask{action: write}, "2027-01-14T20:29:59Z", true, "", "2027-01-14T20:30:00Z"},

		// H9: data is kept three months.
		{"read on the last day that data is kept", january(), ask{action: read}, "2026-05-09T20:59:59Z", true, "", "2026-05-09T21:00:00Z"},
		{"not after it", january(), ask{action: read}, "2026-05-09T21:00:00Z", false, "data_kept/ended/order_restore", ""},
		{"nor exported", january(), ask{action: export}, "2026-06-01T00:00:00Z", false, "data_kept/ended/order_restore", ""},
		{"three months from the end of November are to the end of February", in(t, riga).contract("2026-11-01T08:00:00Z").licence("books-prof", "2026-11-01", "2026-11-30"), ask{action: read}, "2027-02-28T21:59:59Z", true, "", "2027-02-28T22:00:00Z"},
		{"a later licence keeps what the earlier one held", january().licence("books-prof", "2026-05-01", "2026-05-31"), ask{action: read}, "2026-06-15T00:00:00Z", true, "", "2026-08-31T21:00:00Z"},
		{"a licence that comes too late brings reading back", january().licence("books-prof", "2026-06-01", ""), ask{action: read}, "2026-05-20T00:00:00Z", false, "data_kept/ended/order_restore", "2026-05-31T21:00:00Z"},

		// Terms of other licences.
		{"a paid licence without an end", in(t, riga).contract("2026-01-01T08:00:00Z").licence("books-prof", "2026-01-01", ""), ask{write, "books", 0}, "2031-01-01T00:00:00Z", true, "", ""},
		{"before its first day", in(t, riga).contract("2026-01-01T08:00:00Z").licence("books-prof", "2026-02-01", "2026-02-28"), ask{action: write}, "2026-01-31T21:59:59Z", false, "licence_valid/upcoming/wait_for_start", "2026-01-31T22:00:00Z"},
		{"on its first day", in(t, riga).contract("2026-01-01T08:00:00Z").licence("books-prof", "2026-02-01", "2026-02-28"), ask{action: write}, "2026-01-31T22:00:00Z", true, "", "2026-02-28T22:00:00Z"},
		{"a paid one that is over is renewed", in(t, riga).contract("2026-01-01T08:00:00Z").licence("books-prof", "2026-02-01", "2026-02-28"), ask{action: write}, "2026-02-28T22:00:00Z", false, "licence_valid/ended/renew", ""},
		{"a paid licence follows the trial without a gap", january().licence("books-prof", "2026-02-10", ""), ask{action: write}, "2026-02-09T23:00:00Z", true, "", ""},
		{"between the two the one that comes is spoken of", january().licence("books-prof", "2026-02-12", ""), ask{action: write}, "2026-02-10T12:00:00Z", false, "licence_valid/upcoming/wait_for_start", "2026-02-11T22:00:00Z"},
		{"of two that run, the one that holds the product counts", in(t, riga).contract("2026-01-01T08:00:00Z").licence("books-prof", "2026-01-01", "").licence("books-base", "2026-01-01", ""), ask{write, "payroll", 0}, "2026-01-10T00:00:00Z", true, "", ""},

		// What the plan holds.
		{"the trial holds payroll", january(), ask{write, "payroll", 0}, "2026-01-11T00:00:00Z", true, "", "2026-02-09T22:00:00Z"},
		{"base does not", in(t, riga).contract("2026-01-01T08:00:00Z").licence("books-base", "2026-01-01", ""), ask{write, "payroll", 0}, "2026-01-10T00:00:00Z", false, "plan_includes/failed/change_plan", ""},
		{"nothing holds a product that nobody sells", january(), ask{write, "horoscope", 0}, "2026-01-11T00:00:00Z", false, "plan_includes/failed/change_plan", ""},
		{"reading asks for no product", in(t, riga).contract("2026-01-01T08:00:00Z").licence("books-base", "2026-01-01", ""), ask{read, "payroll", 0}, "2026-01-10T00:00:00Z", true, "", ""},

		// S2: the exchange of documents is an add-on.
		{"the trial exchanges documents", january(), ask{action: exchange}, "2026-01-11T00:00:00Z", true, "", "2026-02-09T22:00:00Z"},
		{"prof does not by itself", in(t, riga).contract("2026-01-01T08:00:00Z").licence("books-prof", "2026-01-01", ""), ask{action: exchange}, "2026-01-10T00:00:00Z", false, "plan_includes/failed/add_on_document_exchange", ""},
		{"prof does with the add-on", in(t, riga).contract("2026-01-01T08:00:00Z").licence("books-prof", "2026-01-01", "").agreed("add_ons.document_exchange", "true", "2026-01-05T00:00:00Z", ""), ask{action: exchange}, "2026-01-10T00:00:00Z", true, "", ""},
		{"not before it was added", in(t, riga).contract("2026-01-01T08:00:00Z").licence("books-prof", "2026-01-01", "").agreed("add_ons.document_exchange", "true", "2026-01-05T00:00:00Z", ""), ask{action: exchange}, "2026-01-04T00:00:00Z", false, "plan_includes/failed/add_on_document_exchange", "2026-01-05T00:00:00Z"},
		{"an add-on for a month runs out by itself", in(t, riga).contract("2026-01-01T08:00:00Z").licence("books-prof", "2026-01-01", "").agreed("add_ons.document_exchange", "true", "2026-01-05T00:00:00Z", "2026-01-31"), ask{action: exchange}, "2026-01-31T21:59:59Z", true, "", "2026-01-31T22:00:00Z"},
		{"without a licence both the licence and the add-on are named", in(t, riga).contract("2026-01-01T08:00:00Z"), ask{action: exchange}, "2026-01-10T00:00:00Z", false, "licence_valid/none/subscribe plan_includes/none/add_on_document_exchange", ""},

		// H11: three companies, more by agreement.
		{"the third company", january(), ask{addCompany, "books", 3}, "2026-01-11T00:00:00Z", true, "", "2026-02-09T22:00:00Z"},
		{"the fourth", january(), ask{addCompany, "books", 4}, "2026-01-11T00:00:00Z", false, "within_limit/companies_failed/raise_limit", ""},
		{"the fourth after an agreement", january().agreed("companies", "5", "2026-01-11T00:00:00Z", ""), ask{addCompany, "books", 4}, "2026-01-11T00:00:00Z", true, "", "2026-02-09T22:00:00Z"},
		{"the fourth, asked about the day before the agreement", january().agreed("companies", "5", "2026-01-12T00:00:00Z", ""), ask{addCompany, "books", 4}, "2026-01-11T00:00:00Z", false, "within_limit/companies_failed/raise_limit", "2026-01-12T00:00:00Z"},
		{"the fourth after the agreement ran out", january().agreed("companies", "5", "2026-01-11T00:00:00Z", "2026-01-20"), ask{addCompany, "books", 4}, "2026-01-20T22:00:00Z", false, "within_limit/companies_failed/raise_limit", ""},
		{"everything that fails is named: plan and limit", in(t, riga).contract("2026-01-01T08:00:00Z").licence("books-base", "2026-01-01", ""), ask{addCompany, "payroll", 2}, "2026-01-10T00:00:00Z", false, "plan_includes/failed/change_plan within_limit/companies_failed/raise_limit", ""},
		{"everything that fails is named: term, plan and limit", in(t, riga).contract("2026-01-01T08:00:00Z").licence("books-base", "2026-01-01", "2026-01-31"), ask{addCompany, "payroll", 2}, "2026-02-10T00:00:00Z", false, "licence_valid/ended/renew plan_includes/failed/change_plan within_limit/companies_failed/raise_limit", ""},

		// H6 and J7: accounts.
		{"any number of accounts in the trial", january(), ask{action: addAccount, count: 10_000}, "2026-01-11T00:00:00Z", true, "", "2026-02-09T22:00:00Z"},
		{"whoever paid and two more in base", in(t, riga).contract("2026-01-01T08:00:00Z").licence("books-base", "2026-01-01", ""), ask{action: addAccount, count: 3}, "2026-01-10T00:00:00Z", true, "", ""},
		{"not a third", in(t, riga).contract("2026-01-01T08:00:00Z").licence("books-base", "2026-01-01", ""), ask{action: addAccount, count: 4}, "2026-01-10T00:00:00Z", false, "within_limit/accounts_failed/raise_limit", ""},
		{"any number after an agreement", in(t, riga).contract("2026-01-01T08:00:00Z").licence("books-base", "2026-01-01", "").agreed("accounts", "0", "2026-01-02T00:00:00Z", ""), ask{action: addAccount, count: 400}, "2026-01-10T00:00:00Z", true, "", ""},

		{"copies are made while a licence runs", january(), ask{action: backup}, "2026-01-11T00:00:00Z", true, "", "2026-02-09T22:00:00Z"},
		{"an action that nobody knows is refused", january(), ask{action: 99}, "2026-01-11T00:00:00Z", false, "action_known/failed/", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := entitlement.Question{Action: c.ask.action, Product: c.ask.product, CountAfter: c.ask.count}
			d := entitlement.Decide(c.facts.facts, q, at(t, c.at))
			require.Equal(t, c.failed, failedOf(d))
			require.Equal(t, c.allowed, d.Allowed)
			changes := ""
			if !d.Changes.IsZero() {
				changes = d.Changes.Format(time.RFC3339)
			}
			require.Equal(t, c.changes, changes, "when the answer changes")
			met := false
			for _, condition := range d.Conditions {
				require.False(t, met && !condition.Met, "those that failed stand first")
				met = met || condition.Met
				require.Equal(t, condition.Met, condition.Remedy == "" && condition.Key != "action_known", "%v", condition)
			}
			if d.Allowed && c.ask.action != use {
				require.NotNil(t, d.Licence)
			} else {
				require.Nil(t, d.Licence)
			}
		})
	}
}

func failedOf(d entitlement.Decision) string {
	var failed []string
	for _, c := range d.Conditions {
		if !c.Met {
			failed = append(failed, c.Key+"/"+c.Case+"/"+c.Remedy)
		}
	}
	return strings.Join(failed, " ")
}

func TestTheLicenceThatRunsIsTheOneTheRightComesFrom(t *testing.T) {
	facts := in(t, "Europe/Riga").trial("2026-01-10T08:00:00Z").licence("books-prof", "2026-02-01", "").facts
	d := entitlement.Decide(facts, entitlement.Question{Action: read}, at(t, "2026-01-20T00:00:00Z"))
	require.Equal(t, "books-trial", d.Licence.Plan)
	d = entitlement.Decide(facts, entitlement.Question{Action: write}, at(t, "2026-02-05T00:00:00Z"))
	require.Equal(t, "books-prof", d.Licence.Plan, "of two that do, the newest")
}

// The answer is steady between the instants that it names, and the facts stay as they are.
func TestTheAnswerHoldsUntilItSaysItChanges(t *testing.T) {
	actions := []licensingv1.Action{use, read, write, export, addCompany, addCompany, addCompany, addAccount, exchange, backup}
	rapid.Check(t, func(rt *rapid.T) {
		b := in(t, rapid.SampledFrom([]string{"Europe/Riga", "Asia/Tehran", "UTC"}).Draw(rt, "zone"))
		first := civil.Date{Year: 2026, Month: time.January, Day: 1}
		day := func(name string) civil.Date { return first.AddDays(rapid.IntRange(0, 90).Draw(rt, name)) }
		if rapid.IntRange(0, 3).Draw(rt, "contract") > 0 {
			b.contract(first.AddDays(rapid.IntRange(0, 20).Draw(rt, "accepted")).In(time.UTC).Add(8 * time.Hour).Format(time.RFC3339))
		}
		for range rapid.IntRange(0, 2).Draw(rt, "licences") {
			start, end := day("start"), ""
			if rapid.Bool().Draw(rt, "ends") {
				end = start.AddDays(rapid.IntRange(20, 100).Draw(rt, "term")).String()
			}
			b.licence(rapid.SampledFrom([]string{"books-trial", "books-base", "books-prof"}).Draw(rt, "plan"), start.String(), end)
			if rapid.Bool().Draw(rt, "agreed") {
				b.agreed("companies", "9", day("from").In(time.UTC).Format(time.RFC3339), day("until").String())
			}
		}
		q := entitlement.Question{
			Action: rapid.SampledFrom(actions).Draw(rt, "action"), CountAfter: int32(rapid.IntRange(0, 12).Draw(rt, "count")),
			Product: rapid.SampledFrom([]string{"", "books", "payroll"}).Draw(rt, "product"),
		}
		now := day("now").In(time.UTC).Add(time.Duration(rapid.IntRange(0, 24*3600).Draw(rt, "second")) * time.Second)
		d := entitlement.Decide(b.facts, q, now)
		until := d.Changes
		if until.IsZero() {
			until = now.AddDate(3, 0, 0)
		}
		between := now.Add(time.Duration(rapid.Int64Range(0, int64(until.Sub(now))-1).Draw(rt, "later")))
		if entitlement.Decide(b.facts, q, between).Allowed != d.Allowed {
			rt.Fatalf("%v at %v, %v at %v, but it changes at %v", d.Allowed, now, !d.Allowed, between, d.Changes)
		}
		if !d.Changes.IsZero() && entitlement.Decide(b.facts, q, d.Changes).Allowed == d.Allowed {
			rt.Fatalf("still %v at %v", d.Allowed, d.Changes)
		}
		if d.Allowed != (failedOf(d) == "") {
			rt.Fatalf("%v with %q", d.Allowed, failedOf(d))
		}
	})
}

func TestEveryConditionHasATextInEveryLanguage(t *testing.T) {
	files, err := os.ReadDir("texts")
	require.NoError(t, err)
	names := regexp.MustCompile(`\{[a-z_]+\}`)
	sentences := map[string]map[string]string{}
	for _, file := range files {
		content, err := os.ReadFile("texts/" + file.Name())
		require.NoError(t, err)
		texts := map[string]string{}
		require.NoError(t, json.Unmarshal(content, &texts))
		sentences[file.Name()] = texts
	}
	for lang, texts := range sentences {
		for key, english := range sentences["en.json"] {
			want, got := names.FindAllString(english, -1), names.FindAllString(texts[key], -1)
			slices.Sort(want)
			slices.Sort(got)
			require.Equal(t, want, got, "%s %s", lang, key)
			require.NotEmpty(t, texts[key], "%s %s", lang, key)
		}
		require.Len(t, texts, len(sentences["en.json"]), lang)
	}
}

func TestTextsNameDatesPlansAndProductsAsPeopleDo(t *testing.T) {
	texts, err := entitlement.LoadTexts(builtIn(t))
	require.NoError(t, err)
	facts := in(t, "Europe/Riga").trial("2026-01-10T08:00:00Z").facts
	say := func(action licensingv1.Action, now, locale string) []string {
		var said []string
		for _, c := range texts.Proto(entitlement.Decide(facts, entitlement.Question{Action: action, CountAfter: 4}, at(t, now)), locale).GetConditions() {
			require.NotEmpty(t, c.GetText(), c.GetKey())
			require.NotContains(t, c.GetText(), "{")
			said = append(said, c.GetText())
		}
		return said
	}
	require.Equal(t, []string{
		"The contract K-2026-000001 was accepted on 10 January 2026.",
		"The licence Books on trial runs until 9 February 2026; days left: 20.",
	}, say(backup, "2026-01-20T12:00:00Z", "en-GB"))
	require.Equal(t, "The free trial ended on 9 February 2026; data can be read and exported.", say(write, "2026-03-01T00:00:00Z", "")[0])
	require.Equal(t, "Bezmaksas izmēģinājums ir beidzies, pēdējā diena: 2026. gada 9. februāris; datus var lasīt un eksportēt.", say(write, "2026-03-01T00:00:00Z", "lv-LV")[0])
	require.Equal(t, "Licencē „Grāmatvedības izmēģinājums” ir iekļauts: Dokumentu apmaiņa.", say(exchange, "2026-01-20T12:00:00Z", "lv")[2])
	require.Equal(t, "Companies with this one would be 4; the licence allows 3.", say(addCompany, "2026-01-20T12:00:00Z", "pl")[0], "English where there are no texts")

	d := texts.Proto(entitlement.Decide(facts, entitlement.Question{Action: write}, at(t, "2026-03-01T00:00:00Z")), "lv")
	require.Equal(t, "2026-02-09", d.GetConditions()[0].GetValues()["end_date"], "values are for programs, in one form")
}

func TestARefusalNamesAllConditionsAndWhatMendsThem(t *testing.T) {
	texts, err := entitlement.LoadTexts(builtIn(t))
	require.NoError(t, err)
	refused := texts.Refusal(entitlement.Decide(in(t, "Europe/Riga").facts, entitlement.Question{Action: write}, at(t, "2026-03-01T00:00:00Z")), "en")
	e := failure.From(refused)
	require.Equal(t, commonv1.Reason_REASON_RIGHT_REFUSED, e.Reason())
	require.Equal(t, "write", e.Meta("action"))
	require.Equal(t, "contract_accepted,licence_valid", e.Meta("conditions"))
	require.Equal(t, "accept_contract,accept_contract", e.Meta("remedies"))
	require.Contains(t, e.Meta("why"), "No contract has been made and accepted yet. There is no licence yet.")
	allowed := in(t, "Europe/Riga").trial("2026-01-10T08:00:00Z").facts
	require.NoError(t, texts.Refusal(entitlement.Decide(allowed, entitlement.Question{Action: write}, at(t, "2026-01-11T00:00:00Z")), "en"))
}

func TestTheEndOfADayIsStillThatDay(t *testing.T) {
	riga := zone(t, "Europe/Riga")
	end := entitlement.EndOfDay(date(t, "2026-02-09"), riga)
	require.Equal(t, date(t, "2026-02-09"), civil.DateOf(end, riga))
	require.Equal(t, date(t, "2026-02-10"), civil.DateOf(end.Add(time.Microsecond), riga))
}

func BenchmarkDecide(b *testing.B) {
	facts := in(b, "Europe/Riga").trial("2026-01-10T08:00:00Z").licence("books-prof", "2026-02-01", "").facts
	now := at(b, "2026-02-05T00:00:00Z")
	for b.Loop() {
		entitlement.Decide(facts, entitlement.Question{Action: write, Product: "books"}, now)
	}
}
