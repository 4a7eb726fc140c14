// Package company is the companies whose books are kept: what they are called, and the making of their databases.
package company

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/database"
	"kontor.internal/services/tenancy/internal/names"
	"kontor.internal/services/tenancy/internal/text"
)

// Company is one.
type Company struct {
	ID         uuid.UUID
	Subscriber uuid.UUID
	Title      string
	TaxNumber  string
	Country    string
	Region     string
	Head       *uuid.UUID
	// Upload is what its books were filled from; nil for an empty start.
	Upload *uuid.UUID
	State  tenancyv1.CompanyState
	// Operation is what makes it, or added to it last; empty before it is known.
	Operation string
	// Failure is the name of the reason why it could not be made.
	Failure string
	// Live is the database that is opened; nil after its making failed.
	Live     *uuid.UUID
	Created  time.Time
	Revision int64
}

// Name is `subscribers/S/companies/C`.
func (c Company) Name() string { return names.Company(c.Subscriber, c.ID) }

// Etag changes with each change.
func (c Company) Etag() string { return strconv.FormatInt(c.Revision, 10) }

// Ready refuses with COMPANY_NOT_READY unless the company can be worked with.
func (c Company) Ready() error {
	if c.State == tenancyv1.CompanyState_COMPANY_STATE_READY && c.Live != nil {
		return nil
	}
	state := strings.ToLower(strings.TrimPrefix(c.State.String(), "COMPANY_STATE_"))
	return failure.New(commonv1.Reason_REASON_COMPANY_NOT_READY, "state", state)
}

// ToProto shows a company with its areas; the checklist is its caller's.
func ToProto(c Company, areas []database.Area) *tenancyv1.Company {
	shown := &tenancyv1.Company{
		Name: c.Name(), Title: c.Title, TaxNumber: c.TaxNumber, Country: c.Country, Region: c.Region, State: c.State,
		CreateTime: timestamppb.New(c.Created), Operation: c.Operation, Etag: c.Etag(), FailureReason: c.Failure,
		DataAreas: AreasToProto(areas),
	}
	if c.Head != nil {
		shown.HeadCompany = names.Company(c.Subscriber, *c.Head)
	}
	return shown
}

// AreasToProto shows areas, the books first.
func AreasToProto(areas []database.Area) []*tenancyv1.DataArea {
	var shown []*tenancyv1.DataArea
	for _, a := range areas {
		shown = append(shown, &tenancyv1.DataArea{Area: a.Area, Product: a.Product, Edition: a.Edition, Version: a.Version})
	}
	slices.SortStableFunc(shown, func(a, b *tenancyv1.DataArea) int {
		if (a.GetArea() == booksArea) == (b.GetArea() == booksArea) {
			return strings.Compare(a.GetArea(), b.GetArea())
		}
		if a.GetArea() == booksArea {
			return -1
		}
		return 1
	})
	return shown
}

const (
	booksArea    = "books"
	booksProduct = "books"
)

// The fields of a company that people change, as update masks name them.
const (
	fieldTitle  = "title"
	fieldHead   = "head_company"
	fieldAreas  = "data_areas"
	fieldState  = "state"
	titleLength = 200
)

// Change is what somebody wants to be otherwise. Head is read before: nil for none.
type Change struct {
	Wanted *tenancyv1.Company
	Fields []string
	Head   *uuid.UUID
}

// Apply alters a company, and says which fields changed.
func (c Change) Apply(company Company) (after Company, changed []string, err error) {
	after = company
	for _, field := range c.Fields {
		switch field {
		case fieldTitle:
			if after.Title, err = readTitle("company.title", c.Wanted.GetTitle()); err != nil {
				return Company{}, nil, err
			}
			if after.Title != company.Title {
				changed = append(changed, field)
			}
		case fieldHead:
			after.Head = c.Head
			if !same(after.Head, company.Head) {
				changed = append(changed, field)
			}
		default:
			return Company{}, nil, failure.Invalid("update_mask", "can't change "+field)
		}
	}
	return after, changed, nil
}

// readTitle reads what people call a company: one line that says something.
func readTitle(path, written string) (string, error) {
	title, err := text.Line(path, written, titleLength)
	if err == nil && title == "" {
		err = failure.Invalid(path, "is empty")
	}
	return title, err
}

func same(a, b *uuid.UUID) bool { return a == b || a != nil && b != nil && *a == *b }

// CheckHead refuses a head that can't be a company's: itself, a branch, or one that is being made or failed.
func CheckHead(company uuid.UUID, head Company) error {
	if head.ID == company || head.Head != nil || head.Failure != "" {
		return failure.New(commonv1.Reason_REASON_HEAD_COMPANY_INVALID)
	}
	return nil
}
