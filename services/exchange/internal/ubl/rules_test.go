package ubl_test

import (
	"slices"
	"strings"
	"testing"

	"kontor.internal/libs/failure"
	"kontor.internal/services/exchange/internal/ubl"
)

func broken(d *ubl.Document) []string {
	var ids []string
	for _, r := range ubl.Check(d) {
		ids = append(ids, r.ID)
	}
	return ids
}

func TestARightInvoiceBreaksNoRule(t *testing.T) {
	if ids := broken(read(t, fixture(t, "invoice.xml"))); ids != nil {
		t.Errorf("breaks %v", ids)
	}
}

// The files are what the module client writes; its tests keep them as they are there.
func TestWhatOurWriterWritesBreaksNoRule(t *testing.T) {
	for name, want := range map[string]struct {
		kind           ubl.Kind
		number, amount string
		lines          int
	}{
		"written-invoice.xml":     {ubl.Invoice, "B-7 <7>", "75.72", 5},
		"written-credit-note.xml": {ubl.CreditNote, "K-1", "85.69", 2},
	} {
		d := read(t, fixture(t, name))
		if ids := broken(d); ids != nil {
			t.Errorf("%s: breaks %v", name, ids)
		}
		if d.Kind != want.kind || d.Number != want.number || d.Totals.Payable.String() != want.amount || len(d.Lines) != want.lines ||
			d.Seller.TaxNumber() != "LV40003000123" || d.Buyer.DisplayName() != "Egle SIA" || d.DueDate.Day != 16 {
			t.Errorf("%s: read %+v", name, d)
		}
	}
}

func TestEachRuleIsBrokenByItsOwnFault(t *testing.T) {
	invoice := fixture(t, "invoice.xml")
	cut := func(from, to string) (old, now string) {
		start := strings.Index(invoice, from)
		end := strings.Index(invoice[start:], to)
		return invoice[start : start+end+len(to)], ""
	}
	without := func(element string) [2]string {
		old, now := cut("<"+element, "</"+element+">")
		return [2]string{old, now}
	}
	for rule, c := range map[string]struct {
		edit [2]string
		also []string // rules that the same fault can't but break
	}{
		"BR-01":    {edit: without("b:CustomizationID")},
		"BR-02":    {edit: without("b:ID")},
		"BR-03":    {edit: without("b:IssueDate")},
		"BR-04":    {edit: without("b:InvoiceTypeCode")},
		"BR-05":    {edit: without("b:DocumentCurrencyCode"), also: []string{"BR-CO-15", "BR-CO-18"}},
		"BR-06":    {edit: without("b:RegistrationName")},
		"BR-07":    {edit: [2]string{"Sosna sp. z o.o.", " "}},
		"BR-08":    {edit: without("a:PostalAddress"), also: []string{"BR-09"}},
		"BR-09":    {edit: without("b:IdentificationCode")},
		"BR-10":    {edit: [2]string{"<a:PostalAddress><a:Country><b:IdentificationCode>PL</b:IdentificationCode></a:Country></a:PostalAddress>", ""}, also: []string{"BR-11"}},
		"BR-11":    {edit: [2]string{"<a:Country><b:IdentificationCode>PL</b:IdentificationCode></a:Country>", ""}},
		"BR-12":    {edit: without("b:LineExtensionAmount")},
		"BR-13":    {edit: without("b:TaxExclusiveAmount")},
		"BR-14":    {edit: without("b:TaxInclusiveAmount")},
		"BR-15":    {edit: without("b:PayableAmount")},
		"BR-21":    {edit: [2]string{"<b:ID>1</b:ID>", ""}},
		"BR-22":    {edit: without("b:InvoicedQuantity"), also: []string{"BR-23"}},
		"BR-23":    {edit: [2]string{` unitCode="C62"`, ""}},
		"BR-24":    {edit: [2]string{`<b:LineExtensionAmount currencyID="EUR">60.00</b:LineExtensionAmount>`, ""}, also: []string{"BR-CO-10"}},
		"BR-25":    {edit: [2]string{"<b:Name>Board</b:Name>", ""}},
		"BR-26":    {edit: without("b:PriceAmount")},
		"BR-27":    {edit: [2]string{">20.0000<", ">-20<"}},
		"BR-45":    {edit: without("b:TaxableAmount")},
		"BR-46":    {edit: [2]string{`</b:TaxableAmount><b:TaxAmount currencyID="EUR">19.95</b:TaxAmount>`, "</b:TaxableAmount>"}, also: []string{"BR-CO-14"}},
		"BR-47":    {edit: [2]string{"<a:TaxCategory><b:ID>S</b:ID>", "<a:TaxCategory>"}},
		"BR-48":    {edit: without("b:Percent")},
		"BR-CL-04": {edit: [2]string{">EUR</b:DocumentCurrencyCode>", ">EUX</b:DocumentCurrencyCode>"}, also: []string{"BR-CO-15", "BR-CO-18"}},
		"BR-CO-04": {edit: [2]string{"<a:ClassifiedTaxCategory><b:ID>S</b:ID>", "<a:ClassifiedTaxCategory>"}},
		"BR-CO-10": {edit: [2]string{">60.00<", ">60.01<"}},
		"BR-CO-11": {edit: [2]string{`<b:Amount currencyID="EUR">10.00`, `<b:Amount currencyID="EUR">10.01`}},
		"BR-CO-12": {edit: [2]string{`<b:Amount currencyID="EUR">5.00`, `<b:Amount currencyID="EUR">5.01`}},
		"BR-CO-13": {edit: [2]string{`TaxExclusiveAmount currencyID="EUR">95.00`, `TaxExclusiveAmount currencyID="EUR">94.99`}, also: []string{"BR-CO-15"}},
		"BR-CO-14": {edit: [2]string{">19.95</b:TaxAmount>\n    <a:TaxSubtotal>", ">19.96</b:TaxAmount>\n    <a:TaxSubtotal>"}, also: []string{"BR-CO-15"}},
		"BR-CO-15": {edit: [2]string{">114.95<", ">114.94<"}, also: []string{"BR-CO-16"}},
		"BR-CO-16": {edit: [2]string{">14.95<", ">14.94<"}},
		"BR-CO-17": {edit: [2]string{">21<", ">23<"}},
		"BR-CO-25": {edit: without("b:DueDate")},
		"BR-CO-26": {edit: [2]string{
			"<b:CompanyID>LV40003000123</b:CompanyID><a:TaxScheme><b:ID>VAT</b:ID></a:TaxScheme></a:PartyTaxScheme>\n" +
				"    <a:PartyLegalEntity><b:RegistrationName>Ozols &amp; dēli SIA</b:RegistrationName><b:CompanyID>40003000123</b:CompanyID>",
			"</a:PartyTaxScheme><a:PartyLegalEntity><b:RegistrationName>Ozols &amp; dēli SIA</b:RegistrationName>",
		}},
		"BR-DEC-23": {edit: [2]string{">60.00<", ">60.001<"}, also: []string{"BR-CO-10"}},
		"BR-DEC-18": {edit: [2]string{`PayableAmount currencyID="EUR">100.00`, `PayableAmount currencyID="EUR">100.001`}, also: []string{"BR-CO-16"}},
	} {
		t.Run(rule, func(t *testing.T) {
			if !strings.Contains(invoice, c.edit[0]) {
				t.Fatalf("the fixture has no %q", c.edit[0])
			}
			want := append([]string{rule}, c.also...)
			got := broken(read(t, strings.Replace(invoice, c.edit[0], c.edit[1], 1)))
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("breaks %v, want %v", got, want)
			}
		})
	}
}

func TestAnInvoiceWithoutLinesBreaksTheirRules(t *testing.T) {
	invoice := fixture(t, "invoice.xml")
	start, end := strings.Index(invoice, "<a:InvoiceLine>"), strings.Index(invoice, "</Invoice>")
	got := broken(read(t, invoice[:start]+invoice[end:]))
	if !slices.Equal(got, []string{"BR-16", "BR-CO-10"}) {
		t.Errorf("breaks %v", got)
	}
}

func TestVATIsSaidOnceInTheDocumentsCurrency(t *testing.T) {
	invoice := fixture(t, "invoice.xml")
	second := func(currency string) string {
		total := `<a:TaxTotal><b:TaxAmount currencyID="` + currency + `">85.00</b:TaxAmount></a:TaxTotal><a:LegalMonetaryTotal>`
		return strings.Replace(invoice, "<a:LegalMonetaryTotal>", total, 1)
	}
	if got := broken(read(t, second("EUR"))); !slices.Equal(got, []string{"BR-CO-15"}) {
		t.Errorf("twice in euros: breaks %v", got)
	}
	if got := broken(read(t, second("PLN"))); got != nil {
		t.Errorf("again in the currency of accounting: breaks %v", got)
	}
}

func TestARefusalNamesEachRule(t *testing.T) {
	invoice := strings.Replace(fixture(t, "invoice.xml"), ">114.95<", ">1.00<", 1)
	err := ubl.Refusal(ubl.Check(read(t, invoice)))
	if failure.From(err).Meta("rules") != "BR-CO-15, BR-CO-16" {
		t.Errorf("got %v", err)
	}
	if ubl.Refusal(nil) != nil {
		t.Error("a right document is refused")
	}
}

func TestEachRuleHasItsOwnIdentifier(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range ubl.Rules() {
		if seen[r.ID] || r.Says == "" {
			t.Errorf("%s: says %q, seen %v", r.ID, r.Says, seen[r.ID])
		}
		seen[r.ID] = true
	}
}
