// Package subscriber is the customers: what they are called, what they are in law, who owns them.
package subscriber

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/text/language"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/locale"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/text"
)

// Longest values, in characters.
const (
	maxTitle   = 200
	maxName    = 100
	maxNumber  = 100
	maxAddress = 500
)

// Subscriber is a customer.
type Subscriber struct {
	ID                 uuid.UUID
	Code               string
	Title              string
	LegalForm          tenancyv1.LegalForm
	FirstName          string
	LastName           string
	RegistrationNumber string
	PostalAddress      string
	Region             string
	Language           string
	Country            string
	// Owner is the account of the one owner.
	Owner uuid.UUID
	// Pending is the account the ownership is offered to; nil without an offer.
	Pending *uuid.UUID
	// Completed is when everything a contract needs was given for the first time; nil until then.
	Completed *time.Time
	Created   time.Time
	Revision  int64
}

// Name is `subscribers/S`.
func (s Subscriber) Name() string { return names.Subscriber(s.ID) }

// Etag changes with each change.
func (s Subscriber) Etag() string { return strconv.FormatInt(s.Revision, 10) }

// Complete says whether everything is given that a contract needs (J1).
func (s Subscriber) Complete() bool {
	switch s.LegalForm {
	case tenancyv1.LegalForm_LEGAL_FORM_LEGAL_ENTITY:
		return s.Title != "" && s.Country != "" && s.Language != ""
	case tenancyv1.LegalForm_LEGAL_FORM_NATURAL_PERSON:
		return s.FirstName != "" && s.LastName != "" && s.Country != "" && s.Language != ""
	default:
		return false
	}
}

// Regions are where data can be kept; the first is a new subscriber's.
type Regions []string

// check refuses a region that nobody offers.
func (r Regions) check(region string) error {
	if slices.Contains(r, region) {
		return nil
	}
	return failure.New(commonv1.Reason_REASON_REGION_UNKNOWN, "region", region, "regions", strings.Join(r, ", "))
}

// The fields of a subscriber that its owner may change, as update masks name them, and those that only the ownership
// changes.
const (
	fieldTitle         = "title"
	fieldLegalForm     = "legal_form"
	fieldFirstName     = "first_name"
	fieldLastName      = "last_name"
	fieldNumber        = "registration_number"
	fieldPostalAddress = "postal_address"
	fieldRegion        = "region"
	fieldLanguage      = "language"
	fieldCountry       = "country"
	fieldOwner         = "owner"
	fieldPendingOwner  = "pending_owner"
)

// Change is what the owner wants to be otherwise.
type Change struct {
	Wanted *tenancyv1.Subscriber
	// Fields that change; empty means every one that has a value.
	Fields []string
}

// Apply answers the subscriber after the change, and which fields are other ones then. A natural person's first and
// last name become the title, unless a title is given with them.
func (c Change) Apply(before Subscriber, regions Regions) (after Subscriber, changed []string, err error) {
	after = before
	fields := c.Fields
	if len(fields) == 0 {
		fields = given(c.Wanted)
	}
	for _, field := range fields {
		if err := after.set(field, c.Wanted, regions); err != nil {
			return before, nil, err
		}
	}
	if personal(fields) && after.LegalForm == tenancyv1.LegalForm_LEGAL_FORM_NATURAL_PERSON && after.FirstName != "" && after.LastName != "" {
		after.Title = after.FirstName + " " + after.LastName
	}
	return after, differences(before, after), nil
}

// personal says whether a natural person's names are given without a title.
func personal(fields []string) bool {
	return !slices.Contains(fields, fieldTitle) && slices.ContainsFunc(fields, func(field string) bool {
		return field == fieldFirstName || field == fieldLastName || field == fieldLegalForm
	})
}

func given(wanted *tenancyv1.Subscriber) []string {
	var fields []string
	for field, has := range map[string]bool{
		fieldTitle: wanted.GetTitle() != "", fieldFirstName: wanted.GetFirstName() != "", fieldLastName: wanted.GetLastName() != "",
		fieldLegalForm: wanted.GetLegalForm() != 0, fieldNumber: wanted.GetRegistrationNumber() != "",
		fieldPostalAddress: wanted.GetPostalAddress() != "", fieldRegion: wanted.GetRegion() != "",
		fieldLanguage: wanted.GetLanguage() != "", fieldCountry: wanted.GetCountry() != "",
	} {
		if has {
			fields = append(fields, field)
		}
	}
	slices.Sort(fields)
	return fields
}

// set writes one field, checked.
func (s *Subscriber) set(field string, wanted *tenancyv1.Subscriber, regions Regions) (err error) {
	path := "subscriber." + field
	switch field {
	case fieldTitle:
		if s.Title, err = text.Line(path, wanted.GetTitle(), maxTitle); err == nil && s.Title == "" {
			err = failure.Invalid(path, "must not be empty")
		}
	case fieldLegalForm:
		s.LegalForm, err = legalForm(path, wanted.GetLegalForm())
	case fieldFirstName:
		s.FirstName, err = text.Line(path, wanted.GetFirstName(), maxName)
	case fieldLastName:
		s.LastName, err = text.Line(path, wanted.GetLastName(), maxName)
	case fieldNumber:
		s.RegistrationNumber, err = text.Line(path, wanted.GetRegistrationNumber(), maxNumber)
	case fieldPostalAddress:
		s.PostalAddress, err = text.Block(path, wanted.GetPostalAddress(), maxAddress)
	case fieldRegion:
		s.Region, err = wanted.GetRegion(), regions.check(wanted.GetRegion())
	case fieldLanguage:
		s.Language, err = documentLanguage(path, wanted.GetLanguage())
	case fieldCountry:
		s.Country, err = country(path, wanted.GetCountry())
	default:
		err = failure.Invalid("update_mask", "has no field "+field)
	}
	return err
}

func legalForm(path string, form tenancyv1.LegalForm) (tenancyv1.LegalForm, error) {
	switch form {
	case tenancyv1.LegalForm_LEGAL_FORM_LEGAL_ENTITY, tenancyv1.LegalForm_LEGAL_FORM_NATURAL_PERSON:
		return form, nil
	default:
		return 0, failure.Invalid(path, "is a legal entity or a natural person")
	}
}

// documentLanguage takes one of the languages that letters, documents and pages are made in.
func documentLanguage(path, code string) (string, error) {
	if _, ok := locale.Parse(code); !ok {
		return "", failure.Invalid(path, "is not a language that documents are made in")
	}
	return code, nil
}

// country takes the code of a country there is (ISO 3166-1 alpha-2).
func country(path, code string) (string, error) {
	region, err := language.ParseRegion(code)
	if err != nil || len(code) != 2 || region.String() != code || !region.IsCountry() {
		return "", failure.Invalid(path, "is not the code of a country, such as LV")
	}
	return code, nil
}

func differences(before, after Subscriber) []string {
	var changed []string
	for field, differs := range map[string]bool{
		fieldTitle: before.Title != after.Title, fieldLegalForm: before.LegalForm != after.LegalForm,
		fieldFirstName: before.FirstName != after.FirstName, fieldLastName: before.LastName != after.LastName,
		fieldNumber:        before.RegistrationNumber != after.RegistrationNumber,
		fieldPostalAddress: before.PostalAddress != after.PostalAddress, fieldRegion: before.Region != after.Region,
		fieldLanguage: before.Language != after.Language, fieldCountry: before.Country != after.Country,
	} {
		if differs {
			changed = append(changed, field)
		}
	}
	slices.Sort(changed)
	return changed
}

// ToProto shows a subscriber.
func ToProto(s Subscriber) *tenancyv1.Subscriber {
	shown := &tenancyv1.Subscriber{
		Name: s.Name(), Code: s.Code, Title: s.Title, LegalForm: s.LegalForm, FirstName: s.FirstName, LastName: s.LastName,
		RegistrationNumber: s.RegistrationNumber, PostalAddress: s.PostalAddress, Owner: names.Account(s.Owner),
		Region: s.Region, Language: s.Language, Country: s.Country, CreateTime: timestamppb.New(s.Created), Etag: s.Etag(),
		Complete: s.Complete(),
	}
	if s.Pending != nil {
		shown.PendingOwner = names.Account(*s.Pending)
	}
	return shown
}
