// Package contract is the distance contract: its document, its number, its acceptance, and what comes of that (J1).
package contract

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"kontor.internal/libs/civil"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/locale"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/licensing/internal/catalogue"
	"kontor.internal/services/licensing/internal/licence"
)

// Contract is one contract.
type Contract struct {
	ID           uuid.UUID
	Subscriber   uuid.UUID
	Number       string
	Plan         string
	Language     string
	Customer     string
	Zone         string
	Key          string // of the PDF in the object store
	SHA256       []byte
	Size         int64
	Filename     string
	Created      time.Time
	SupersededBy uuid.UUID   // nil while in its place
	Acceptance   *Acceptance // nil before
}

// Acceptance is who accepted which document, when and from where.
type Acceptance struct {
	Account uuid.UUID
	Address string
	SHA256  []byte
	Licence uuid.UUID // nil for plans that are paid for first
	Time    time.Time
}

// collection of contracts in resource names.
const collection = "/contracts/"

// Name is a contract's resource name.
func Name(subscriber, contract uuid.UUID) string {
	return licence.SubscriberName(subscriber) + collection + contract.String()
}

// ParseName reads `subscribers/S/contracts/K`. Another name is NOT_FOUND.
func ParseName(name string) (subscriber, contract uuid.UUID, err error) {
	return licence.ParseChild(name, collection)
}

// Number is a contract's number: `K-2026-000001`.
func Number(year, serial int) string { return fmt.Sprintf("K-%04d-%06d", year, serial) }

// CustomerOf is the subscriber as a contract names it, or SUBSCRIBER_INCOMPLETE with the fields that are missing.
func CustomerOf(s *tenancyv1.Subscriber) (Customer, error) {
	customer := Customer{
		Code: s.GetCode(), RegistrationNumber: s.GetRegistrationNumber(), Address: s.GetPostalAddress(), Country: s.GetCountry(),
	}
	var missing []string
	need := func(field, value string) string {
		value = strings.TrimSpace(value)
		if value == "" {
			missing = append(missing, field)
		}
		return value
	}
	switch s.GetLegalForm() {
	case tenancyv1.LegalForm_LEGAL_FORM_LEGAL_ENTITY:
		customer.Legal = true
		customer.Name = need("title", s.GetTitle())
	case tenancyv1.LegalForm_LEGAL_FORM_NATURAL_PERSON:
		customer.Name = need("first_name", s.GetFirstName()) + " " + need("last_name", s.GetLastName())
	default:
		missing = append(missing, "legal_form")
	}
	if len(missing) == 0 {
		return customer, nil
	}
	e := failure.New(commonv1.Reason_REASON_SUBSCRIBER_INCOMPLETE, "missing", strings.Join(missing, ", "))
	for _, field := range missing {
		e = e.WithField(failure.Field{Path: "subscriber." + field, Rule: "required", Text: "is missing"})
	}
	return Customer{}, e
}

// LanguageOf is the language of a document: the one wished for, else the subscriber's own, else English. A wish that
// there are no documents in is refused.
func LanguageOf(wish, subscribers string, library Library) (locale.Language, error) {
	if wish == "" {
		if lang := locale.Match(subscribers); library.has(lang) {
			return lang, nil
		}
		return locale.English, nil
	}
	lang := locale.Match(wish)
	base, _, _ := strings.Cut(wish, "-")
	if !strings.EqualFold(base, string(lang)) || !library.has(lang) { // What fits nothing is matched with English.
		return "", failure.New(commonv1.Reason_REASON_LANGUAGE_UNSUPPORTED,
			"language", wish, "languages", strings.Join(library.Languages(), ", "))
	}
	return lang, nil
}

func (l Library) has(lang locale.Language) bool {
	_, ok := l[lang]
	return ok
}

// PlanFor finds a plan that can be had on a date.
func PlanFor(c *catalogue.Catalogue, name string, on civil.Date) (catalogue.Plan, error) {
	plan, ok := c.Plan(catalogue.PlanID(name))
	if !ok {
		return plan, failure.New(commonv1.Reason_REASON_PLAN_UNKNOWN, "plan", name)
	}
	if !plan.Sold(on) {
		return plan, failure.New(commonv1.Reason_REASON_PLAN_NOT_SOLD, "plan", name, "date", on.String())
	}
	return plan, nil
}

// CheckTrial refuses a trial to whom had one that is over. One that runs may go over to another trial plan (B1).
func CheckTrial(plan catalogue.Plan, licences []licence.Licence, now time.Time) error {
	if plan.Kind != catalogue.Trial {
		return nil
	}
	for _, l := range licences {
		if l.Kind == catalogue.Trial && l.State(now) == licence.Ended {
			return licence.TrialUsed(l)
		}
	}
	return nil
}

// CheckAcceptance says whether the contract can be accepted by whoever read a document with this hash.
func (c Contract) CheckAcceptance(sha256 []byte) error {
	if string(sha256) != string(c.SHA256) {
		return failure.New(commonv1.Reason_REASON_DOCUMENT_MISMATCH, "contract", c.Number)
	}
	if c.Acceptance == nil && c.SupersededBy != uuid.Nil {
		return failure.New(commonv1.Reason_REASON_CONTRACT_SUPERSEDED,
			"number", c.Number, "superseded_by", Name(c.Subscriber, c.SupersededBy))
	}
	return nil
}
