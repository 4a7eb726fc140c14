// Package ubl reads invoices and credit notes in UBL 2.1 and checks them by the core rules of EN 16931-1. What it reads
// comes from strangers: document types and entities are refused, and size, depth and number of elements are limited.
package ubl

import (
	"kontor.internal/libs/civil"
)

// Kind is what a document is.
type Kind int

// Kinds of documents.
const (
	Invoice Kind = iota + 1
	CreditNote
)

// Document is what is kept of an invoice or credit note. BT and BG numbers are the business terms and groups of
// EN 16931-1. What the document does not say is zero.
type Document struct {
	Kind          Kind
	Customization string     // specification identifier, BT-24
	Number        string     // BT-1
	IssueDate     civil.Date // BT-2
	DueDate       civil.Date // BT-9
	HasTerms      bool       // BT-20: whether payment terms are given
	TypeCode      string     // BT-3, UNTDID 1001
	Currency      string     // BT-5, ISO 4217
	TaxCurrency   string     // BT-6: in which VAT is accounted, when not in Currency
	Seller        Party      // BG-4
	Buyer         Party      // BG-7
	Adjustments   []Adjustment
	TaxTotals     []TaxTotal
	Totals        Totals // BG-22
	Lines         []Line // BG-25
}

// Party is the seller or the buyer.
type Party struct {
	Name         string // BT-28, BT-45: under which it trades
	LegalName    string // BT-27, BT-44
	Identifier   string // BT-29, BT-46: the first one
	Registration string // BT-30, BT-47: legal registration identifier
	HasAddress   bool   // BG-5, BG-8
	Country      string // BT-40, BT-55
	TaxSchemes   []TaxScheme
}

// TaxScheme is a party's number in one tax.
type TaxScheme struct {
	Number string
	Scheme string // `VAT` for VAT
}

// DisplayName is the legal name, or the name the party trades under.
func (p Party) DisplayName() string {
	if p.LegalName != "" {
		return p.LegalName
	}
	return p.Name
}

// TaxNumber is the VAT identifier (BT-31, BT-48), empty without one.
func (p Party) TaxNumber() string {
	for _, s := range p.TaxSchemes {
		if s.Scheme == vatScheme {
			return s.Number
		}
	}
	return ""
}

const vatScheme = "VAT"

// Adjustment is an allowance or a charge on the whole document (BG-20, BG-21).
type Adjustment struct {
	Charge bool // whether it adds
	Amount Amount
}

// TaxTotal is VAT in one currency: BT-110, or BT-111 in TaxCurrency.
type TaxTotal struct {
	Amount    Amount
	Subtotals []TaxSubtotal // BG-23
}

// TaxSubtotal is what is taxed alike.
type TaxSubtotal struct {
	Taxable  Amount  // BT-116
	Tax      Amount  // BT-117
	Category string  // BT-118, UNTDID 5305
	Rate     Decimal // BT-119, percent
}

// Totals are the document's sums.
type Totals struct {
	Lines      Amount // BT-106
	Allowances Amount // BT-107
	Charges    Amount // BT-108
	Net        Amount // BT-109: without VAT
	Gross      Amount // BT-112: with VAT
	Paid       Amount // BT-113
	Rounding   Amount // BT-114
	Payable    Amount // BT-115
}

// Line is one line.
type Line struct {
	ID       string  // BT-126
	Quantity Decimal // BT-129
	Unit     string  // BT-130, UN/ECE Recommendation 20
	Net      Amount  // BT-131
	Item     string  // BT-153
	Category string  // BT-151
	Rate     Decimal // BT-152, percent
	Price    Decimal // BT-146
}

// Amount is a sum of money as written.
type Amount struct {
	Decimal
	Currency string // empty when the element names none
}

// TaxTotal gives VAT in the document's currency (BT-110); false when there is none.
func (d *Document) TaxTotal() (TaxTotal, bool) {
	for _, t := range d.TaxTotals {
		if d.inCurrency(t.Amount) {
			return t, true
		}
	}
	return TaxTotal{}, false
}

// inCurrency tells whether an amount is in the document's currency; one that names no currency is.
func (d *Document) inCurrency(a Amount) bool {
	return a.Currency == "" || a.Currency == d.Currency
}
