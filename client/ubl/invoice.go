// Package ubl writes invoices and credit notes in UBL 2.1 by EN 16931, for programs that send them through Kontor. It
// sums lines by VAT category and rate, so that what it writes adds up. It is exact and depends on nothing but the
// standard library.
package ubl

import (
	"errors"
	"fmt"
	"time"
)

// Kind is what a document is.
type Kind int

// Kinds of documents, by their code in UNTDID 1001.
const (
	Commercial Kind = 380 // invoice
	Credit     Kind = 381 // credit note
)

// Invoice is an invoice, or a credit note, in one currency. BT numbers are the business terms of EN 16931-1.
type Invoice struct {
	Kind     Kind
	Number   string    // BT-1
	Issued   time.Time // BT-2; only its day counts
	Due      time.Time // BT-9; only its day counts; zero when it is not said, which an invoice with an amount due must
	Currency string    // BT-5, ISO 4217; of one with two decimals
	Seller   Party
	Buyer    Party
	Lines    []Line
	Paid     int64 // BT-113: what was paid before, in minor units
}

// Party is the seller or the buyer.
type Party struct {
	Name         string // BT-27, BT-44: registered name
	TaxNumber    string // BT-31, BT-48: with its country's prefix, e.g. LV40003000123; the buyer's may be empty
	Registration string // BT-30, BT-47: legal registration identifier; may be empty
	Street       string // BT-35, BT-50; may be empty
	City         string // BT-37, BT-52; may be empty
	PostCode     string // BT-38, BT-53; may be empty
	Country      string // BT-40, BT-55: ISO 3166-1, e.g. LV
}

// Line is one line. Its net amount is quantity times price, rounded half away from zero.
type Line struct {
	Item     string // BT-153
	Quantity int64  // BT-129, in thousandths of the unit
	Unit     string // BT-130: UN/ECE Recommendation 20, e.g. C62 for one
	Price    int64  // BT-146: net, in minor units; not negative
	Category string // BT-151: UNTDID 5305, e.g. S
	Rate     int64  // BT-152: hundredths of a percent, e.g. 2100
}

// VAT categories (UNTDID 5305) that this package writes. Others need an exemption reason, which it does not have.
const (
	Standard  = "S"
	ZeroRated = "Z"
)

// ErrInvoice is what every refusal of an invoice wraps.
var ErrInvoice = errors.New("the invoice can't be written")

func refuse(format string, values ...any) error {
	return fmt.Errorf("%w: %s", ErrInvoice, fmt.Sprintf(format, values...))
}

// check tells whether what must be there is there.
func (i Invoice) check() error {
	switch {
	case i.Kind != Commercial && i.Kind != Credit:
		return refuse("its kind %d is neither of an invoice nor of a credit note", i.Kind)
	case i.Number == "":
		return refuse("it has no number")
	case i.Issued.IsZero():
		return refuse("it has no date")
	case !letters(i.Currency, 3):
		return refuse("%q is no currency", i.Currency)
	case len(i.Lines) == 0:
		return refuse("it has no lines")
	case i.Seller.TaxNumber == "": // BR-S-02, BR-Z-02
		return refuse("the seller has no tax number")
	}
	for who, p := range map[string]Party{"seller": i.Seller, "buyer": i.Buyer} {
		if p.Name == "" || !letters(p.Country, 2) {
			return refuse("the %s has no name or no country", who)
		}
	}
	for n, l := range i.Lines {
		if err := l.check(); err != nil {
			return fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	return nil
}

func (l Line) check() error {
	switch {
	case l.Item == "" || l.Unit == "":
		return refuse("it has no item or no unit")
	case l.Price < 0:
		return refuse("its price is negative; make the quantity negative instead")
	case l.Category != Standard && l.Category != ZeroRated:
		return refuse("%q is not a VAT category that is written", l.Category)
	case l.Category == Standard && l.Rate <= 0, l.Category == ZeroRated && l.Rate != 0:
		return refuse("the rate %d does not fit the VAT category %s", l.Rate, l.Category)
	}
	return nil
}

// letters tells whether a text is so many capital letters.
func letters(text string, count int) bool {
	if len(text) != count {
		return false
	}
	for _, c := range []byte(text) {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return true
}
