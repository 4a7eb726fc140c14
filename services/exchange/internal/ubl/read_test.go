package ubl_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"kontor.internal/libs/civil"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/exchange/internal/ubl"
)

func fixture(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func read(t *testing.T, content string) *ubl.Document {
	t.Helper()
	d, err := ubl.Read(strings.NewReader(content), ubl.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAnInvoiceIsRead(t *testing.T) {
	d := read(t, "\uFEFF"+fixture(t, "invoice.xml"))
	if d.Kind != ubl.Invoice || d.Number != "2026-0001" || d.TypeCode != "380" || d.Currency != "EUR" ||
		d.IssueDate != (civil.Date{Year: 2026, Month: 3, Day: 2}) || d.DueDate != (civil.Date{Year: 2026, Month: 3, Day: 16}) {
		t.Errorf("header %+v", d)
	}
	if d.Seller.DisplayName() != "Ozols & dēli SIA" || d.Seller.TaxNumber() != "LV40003000123" ||
		d.Seller.Registration != "40003000123" || d.Seller.Country != "LV" {
		t.Errorf("seller %+v", d.Seller)
	}
	if d.Buyer.DisplayName() != "Sosna sp. z o.o." || d.Buyer.TaxNumber() != "" {
		t.Errorf("buyer %+v", d.Buyer)
	}
	if len(d.Lines) != 2 || d.Lines[1].Item != "Work" || d.Lines[1].Unit != "HUR" ||
		d.Lines[1].Quantity.String() != "2.5" || d.Lines[0].Price.String() != "20.0000" {
		t.Errorf("lines %+v", d.Lines)
	}
	payable, err := d.Totals.Payable.Money(d.Currency)
	if err != nil || payable.String() != "100.00 EUR" {
		t.Errorf("payable %v, %v", payable, err)
	}
	vat, found := d.TaxTotal()
	if !found || len(vat.Subtotals) != 1 || vat.Subtotals[0].Rate.String() != "21" || vat.Subtotals[0].Tax.String() != "19.95" {
		t.Errorf("VAT %+v", vat)
	}
}

func TestBadInputIsRefusedWithItsReason(t *testing.T) {
	invoice := fixture(t, "invoice.xml")
	edit := func(old, now string) string {
		if !strings.Contains(invoice, old) {
			t.Fatalf("the fixture has no %q", old)
		}
		return strings.Replace(invoice, old, now, 1)
	}
	for name, c := range map[string]struct {
		content string
		want    commonv1.Reason
	}{
		"nothing at all":                {"", commonv1.Reason_REASON_DOCUMENT_NOT_XML},
		"only space":                    {" \n", commonv1.Reason_REASON_DOCUMENT_NOT_XML},
		"not XML":                       {"%PDF-1.7 not an invoice", commonv1.Reason_REASON_DOCUMENT_NOT_XML},
		"broken off":                    {invoice[:len(invoice)/2], commonv1.Reason_REASON_DOCUMENT_NOT_XML},
		"a wrong end tag":               {edit("</b:ID>", "</b:Id>"), commonv1.Reason_REASON_DOCUMENT_NOT_XML},
		"text after the root":           {invoice + "more", commonv1.Reason_REASON_DOCUMENT_NOT_XML},
		"a second root":                 {invoice + invoice[strings.Index(invoice, "<Invoice"):], commonv1.Reason_REASON_DOCUMENT_NOT_XML},
		"bytes that are not UTF-8":      {edit("Board", "B\xffard"), commonv1.Reason_REASON_DOCUMENT_NOT_XML},
		"another encoding":              {edit("UTF-8", "UTF-7"), commonv1.Reason_REASON_DOCUMENT_NOT_XML},
		"an entity that nobody defined": {edit("Board", "&board;"), commonv1.Reason_REASON_DOCUMENT_NOT_XML},
		"a bomb of entities": {
			edit("<Invoice", `<!DOCTYPE i [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><Invoice`),
			commonv1.Reason_REASON_DOCUMENT_HAS_ENTITIES,
		},
		"a file as entity": {
			edit("<Invoice", `<!DOCTYPE i SYSTEM "file:///etc/passwd"><Invoice`),
			commonv1.Reason_REASON_DOCUMENT_HAS_ENTITIES,
		},
		"another root": {
			`<Order xmlns="urn:oasis:names:specification:ubl:schema:xsd:Order-2"/>`,
			commonv1.Reason_REASON_DOCUMENT_KIND_UNKNOWN,
		},
		"an invoice without a namespace": {`<Invoice/>`, commonv1.Reason_REASON_DOCUMENT_KIND_UNKNOWN},
		"a charge that may be one":       {edit(">true<", ">maybe<"), commonv1.Reason_REASON_DOCUMENT_VALUE_INVALID},
		"two days":                       {edit("<b:DueDate>", "<b:DueDate>2026-03-15</b:DueDate><b:DueDate>"), commonv1.Reason_REASON_DOCUMENT_VALUE_INVALID},
		"a number that is none":          {edit(">60.00<", ">sixty<"), commonv1.Reason_REASON_DOCUMENT_VALUE_INVALID},
		"a number with an exponent":      {edit(">60.00<", ">6e1<"), commonv1.Reason_REASON_DOCUMENT_VALUE_INVALID},
		"an empty number":                {edit(">60.00<", "><"), commonv1.Reason_REASON_DOCUMENT_VALUE_INVALID},
		"a huge number":                  {edit(">60.00<", ">6"+strings.Repeat("0", 400)+"<"), commonv1.Reason_REASON_DOCUMENT_VALUE_INVALID},
		"a day that is none":             {edit("2026-03-02", "2026-02-30"), commonv1.Reason_REASON_DOCUMENT_VALUE_INVALID},
		"two numbers":                    {edit("<b:IssueDate>", "<b:ID>2</b:ID><b:IssueDate>"), commonv1.Reason_REASON_DOCUMENT_VALUE_INVALID},
		"a name without end":             {edit("Board", strings.Repeat("x", 5000)), commonv1.Reason_REASON_DOCUMENT_VALUE_INVALID},
		"elements without end": {
			edit("<a:InvoiceLine>", strings.Repeat("<x/>", 200_001)+"<a:InvoiceLine>"),
			commonv1.Reason_REASON_DOCUMENT_TOO_COMPLEX,
		},
		"more than the limit": {invoice + strings.Repeat(" ", 4<<20), commonv1.Reason_REASON_DOCUMENT_TOO_LARGE},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := ubl.Read(strings.NewReader(c.content), ubl.DefaultLimits)
			if d != nil || failure.Reason(err) != c.want {
				t.Errorf("read %v, %v", d, err)
			}
		})
	}
}

// endless repeats a text for ever, and counts what was taken.
type endless struct {
	text  string
	taken int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], e.text)
	}
	e.taken += n
	return n, nil
}

func TestNestingWithoutEndIsRefusedBeforeItIsRead(t *testing.T) {
	source := &endless{text: "<a>"}
	root := `<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2">`
	_, err := ubl.Read(io.MultiReader(strings.NewReader(root), source), ubl.DefaultLimits)
	if failure.Reason(err) != commonv1.Reason_REASON_DOCUMENT_TOO_COMPLEX || source.taken > 64<<10 {
		t.Errorf("%v after %d bytes", err, source.taken)
	}
}

func TestASourceThatBreaksOffIsNotTheDocumentsFault(t *testing.T) {
	broken := errors.New("connection reset")
	invoice := fixture(t, "invoice.xml")
	source := io.MultiReader(strings.NewReader(invoice[:500]), iotest.ErrReader(broken))
	if _, err := ubl.Read(source, ubl.DefaultLimits); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestARefusalSaysWhere(t *testing.T) {
	invoice := strings.Replace(fixture(t, "invoice.xml"), ">60.00<", ">sixty<", 1)
	_, err := ubl.Read(strings.NewReader(invoice), ubl.DefaultLimits)
	refusal := failure.From(err)
	if refusal.Meta("element") != "cac:InvoiceLine/cbc:LineExtensionAmount" || refusal.Meta("line") != "39" ||
		refusal.Meta("detail") != "is not a decimal number" {
		t.Errorf("got %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(fixture(f, "invoice.xml")))
	f.Add([]byte(`<CreditNote xmlns="urn:oasis:names:specification:ubl:schema:xsd:CreditNote-2"/>`))
	f.Add([]byte(`<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`))
	limits := ubl.Limits{Bytes: 64 << 10, Depth: 16, Elements: 1000, Value: 256}
	f.Fuzz(func(t *testing.T, content []byte) {
		d, err := ubl.Read(bytes.NewReader(content), limits)
		if (d == nil) == (err == nil) {
			t.Fatalf("read %v, %v", d, err)
		}
		if err != nil {
			if reason := failure.Reason(err); reason < commonv1.Reason_REASON_DOCUMENT_NOT_XML || reason > commonv1.Reason_REASON_DOCUMENT_RULES_BROKEN {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		ubl.Check(d)
	})
}

func BenchmarkInvoiceParse(b *testing.B) {
	content := []byte(fixture(b, "invoice.xml"))
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		d, err := ubl.Read(bytes.NewReader(content), ubl.DefaultLimits)
		if err != nil || len(ubl.Check(d)) != 0 {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "invoices/s")
}
