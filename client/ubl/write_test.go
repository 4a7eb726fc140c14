package ubl_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"kontor.internal/client/ubl"
)

// The files in testdata are also what the reader of the service exchange is tried on, in its own testdata.
var update = flag.Bool("update", false, "write testdata anew")

func invoice() ubl.Invoice {
	return ubl.Invoice{
		Kind: ubl.Commercial, Number: "B-7 <7>", Currency: "EUR",
		Issued: time.Date(2026, 3, 2, 23, 59, 0, 0, time.UTC), Due: time.Date(2026, 3, 16, 0, 0, 0, 0, time.UTC),
		Seller: ubl.Party{
			Name: "Ozols & dēli SIA", TaxNumber: "LV40003000123", Registration: "40003000123",
			Street: "Brīvības iela 1", City: "Rīga", PostCode: "LV-1010", Country: "LV",
		},
		Buyer: ubl.Party{Name: "Egle SIA", TaxNumber: "LV40003000456", Country: "LV"},
		Lines: []ubl.Line{
			{Item: "Board", Quantity: 3_000, Unit: "C62", Price: 1_999, Category: ubl.Standard, Rate: 2_100},
			{Item: "Book", Quantity: 1_000, Unit: "C62", Price: 1_250, Category: ubl.Standard, Rate: 500},
			{Item: "Work", Quantity: 1_333, Unit: "HUR", Price: 1_500, Category: ubl.Standard, Rate: 2_100},
			{Item: "Board, given back", Quantity: -1_000, Unit: "C62", Price: 1_999, Category: ubl.Standard, Rate: 2_100},
			{Item: "Freight abroad", Quantity: 500, Unit: "E48", Price: 1, Category: ubl.ZeroRated},
		},
		Paid: 1_000,
	}
}

func creditNote() ubl.Invoice {
	note := invoice()
	note.Kind, note.Number, note.Paid = ubl.Credit, "K-1", 0
	note.Lines = note.Lines[:2]
	return note
}

func TestWhatIsWrittenIsWhatWasAgreed(t *testing.T) {
	for name, document := range map[string]ubl.Invoice{"written-invoice.xml": invoice(), "written-credit-note.xml": creditNote()} {
		var got bytes.Buffer
		if err := ubl.Write(&got, document); err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile("testdata/"+name, got.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s is no longer what is written:\n%s", name, got.Bytes())
		}
	}
}

func TestAnInvoiceAddsUp(t *testing.T) {
	got, err := invoice().Totals()
	// 59.97 + 12.50 + 20.00 (1.333 × 15.00 = 19.995) - 19.99 + 0.01 (half a cent); VAT 59.98 × 21 % + 12.50 × 5 %.
	want := ubl.Totals{Net: 7_249, VAT: 1_260 + 63, Gross: 8_572, Payable: 7_572}
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	var out bytes.Buffer
	if err := ubl.Write(&out, invoice()); err != nil {
		t.Fatal(err)
	}
	var got struct {
		XMLName xml.Name `xml:"urn:oasis:names:specification:ubl:schema:xsd:Invoice-2 Invoice"`
		ID      string
		Seller  string `xml:"AccountingSupplierParty>Party>PartyLegalEntity>RegistrationName"`
		Payable string `xml:"LegalMonetaryTotal>PayableAmount"`
		Lines   []struct {
			Item string `xml:"Item>Name"`
			Net  string `xml:"LineExtensionAmount"`
		} `xml:"InvoiceLine"`
	}
	if err := xml.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.ID != "B-7 <7>" || got.Seller != "Ozols & dēli SIA" || got.Payable != "75.72" ||
		len(got.Lines) != 5 || got.Lines[3].Net != "-19.99" || got.Lines[4].Item != "Freight abroad" {
		t.Errorf("read %+v", got)
	}
}

func TestWhatWouldBreakARuleIsNotWritten(t *testing.T) {
	for name, spoil := range map[string]func(*ubl.Invoice){
		"no kind":                     func(i *ubl.Invoice) { i.Kind = 0 },
		"no number":                   func(i *ubl.Invoice) { i.Number = "" },
		"no date":                     func(i *ubl.Invoice) { i.Issued = time.Time{} },
		"a currency that is none":     func(i *ubl.Invoice) { i.Currency = `E"R` },
		"a seller without a name":     func(i *ubl.Invoice) { i.Seller.Name = "" },
		"a buyer without a country":   func(i *ubl.Invoice) { i.Buyer.Country = "" },
		"a seller without a number":   func(i *ubl.Invoice) { i.Seller.TaxNumber = "" },
		"an amount that is due never": func(i *ubl.Invoice) { i.Due = time.Time{} },
		"no lines":                    func(i *ubl.Invoice) { i.Lines = nil },
		"a line without a unit":       func(i *ubl.Invoice) { i.Lines[0].Unit = "" },
		"a negative price":            func(i *ubl.Invoice) { i.Lines[0].Price = -1 },
		"a category nobody explains":  func(i *ubl.Invoice) { i.Lines[0].Category = "E" },
		"a standard rate of nothing":  func(i *ubl.Invoice) { i.Lines[0].Rate = 0 },
		"a zero rate that is not":     func(i *ubl.Invoice) { i.Lines[4].Rate = 1 },
		"more money than is counted":  func(i *ubl.Invoice) { i.Lines[0].Quantity, i.Lines[0].Price = 1<<62, 1<<62 },
		"a sum that is more than all": func(i *ubl.Invoice) { i.Paid = -999_999_999_999_999 },
	} {
		t.Run(name, func(t *testing.T) {
			spoilt := invoice()
			spoil(&spoilt)
			var out strings.Builder
			if err := ubl.Write(&out, spoilt); !errors.Is(err, ubl.ErrInvoice) || out.Len() != 0 {
				t.Errorf("wrote %d bytes, %v", out.Len(), err)
			}
		})
	}
}
