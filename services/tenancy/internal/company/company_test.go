package company

import (
	"testing"

	"github.com/google/uuid"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/database"
)

func TestTaxNumbersAreComparedInOneForm(t *testing.T) {
	cases := map[string]struct{ number, country string }{ // An empty number means refused.
		"LV40003000123":         {"LV40003000123", "LV"},
		" lv 40003-000.123 ":    {"LV40003000123", "LV"},
		"LV\u00a040003000123":   {"LV40003000123", "LV"},
		"PL 526-000-12-46":      {"PL5260001246", "PL"},
		"ATU12345678":           {"ATU12345678", "AT"},
		"EL123456789":           {"EL123456789", "GR"},
		"IR10101234567":         {"IR10101234567", "IR"},
		"LV4000300012":          {},
		"LV400030001234":        {},
		"LV4000300012A":         {},
		"40003000123":           {},
		"LV":                    {},
		"":                      {},
		"XX1":                   {},
		"LV40003000123; DROP":   {},
		"ĻV40003000123":         {},
		"SE55666777880":         {},
		"SE556667778801":        {"SE556667778801", "SE"},
		"HU12345676":            {"HU12345676", "HU"},
		"IR1010123456789012345": {"IR1010123456789012345", "IR"},
	}
	for written, want := range cases {
		number, country, err := NormaliseTaxNumber(written)
		if number != want.number || country != want.country {
			t.Errorf("%q = %q of %q, want %v", written, number, country, want)
		}
		if (want.number == "") != (failure.Reason(err) == commonv1.Reason_REASON_TAX_NUMBER_INVALID) {
			t.Errorf("%q: %v", written, err)
		}
	}
}

func TestACompanyIsWorkedWithOnlyWhileReady(t *testing.T) {
	live := uuid.New()
	for state := range tenancyv1.CompanyState_name {
		err := Company{State: tenancyv1.CompanyState(state), Live: &live}.Ready()
		if (err == nil) != (tenancyv1.CompanyState(state) == tenancyv1.CompanyState_COMPANY_STATE_READY) {
			t.Errorf("%d: %v", state, err)
		}
	}
	if (Company{State: tenancyv1.CompanyState_COMPANY_STATE_READY}).Ready() == nil {
		t.Error("a company without a database is ready")
	}
}

func TestWhatPeopleMayChange(t *testing.T) {
	head := uuid.New()
	before := Company{Title: "Liepa", Head: nil}
	cases := map[string]struct {
		change  Change
		changed int
		refused bool
	}{
		"a title":                 {change: Change{Wanted: &tenancyv1.Company{Title: "Osis"}, Fields: []string{"title"}}, changed: 1},
		"the same title":          {change: Change{Wanted: &tenancyv1.Company{Title: "Liepa"}, Fields: []string{"title"}}},
		"no title":                {change: Change{Wanted: &tenancyv1.Company{}, Fields: []string{"title"}}, refused: true},
		"a head":                  {change: Change{Wanted: &tenancyv1.Company{}, Fields: []string{"head_company"}, Head: &head}, changed: 1},
		"no head where none was":  {change: Change{Wanted: &tenancyv1.Company{}, Fields: []string{"head_company"}}},
		"not the tax number":      {change: Change{Wanted: &tenancyv1.Company{}, Fields: []string{"tax_number"}}, refused: true},
		"nothing with no mask":    {change: Change{Wanted: &tenancyv1.Company{Title: "Osis"}}},
		"a title with line break": {change: Change{Wanted: &tenancyv1.Company{Title: "a\nb"}, Fields: []string{"title"}}, refused: true},
	}
	for name, c := range cases {
		_, changed, err := c.change.Apply(before)
		if len(changed) != c.changed || (err != nil) != c.refused {
			t.Errorf("%s: %v, %v", name, changed, err)
		}
	}
}

func TestWhoCanBeAHeadCompany(t *testing.T) {
	company, head := uuid.New(), uuid.New()
	if err := CheckHead(company, Company{ID: head}); err != nil {
		t.Error(err)
	}
	for name, wrong := range map[string]Company{
		"itself": {ID: company}, "a branch": {ID: head, Head: &company}, "one that failed": {ID: head, Failure: "COPY_DAMAGED"},
	} {
		if CheckHead(company, wrong) == nil {
			t.Errorf("%s can be its head", name)
		}
	}
}

func TestTheBooksAreShownFirst(t *testing.T) {
	shown := AreasToProto([]database.Area{{Area: "assets"}, {Area: "payroll"}, {Area: "books"}})
	if shown[0].GetArea() != "books" || shown[1].GetArea() != "assets" || shown[2].GetArea() != "payroll" {
		t.Error(shown)
	}
}
