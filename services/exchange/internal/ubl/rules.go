package ubl

import (
	"math/big"
	"slices"
	"strings"

	"kontor.internal/libs/failure"
	"kontor.internal/libs/money"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// Rule is a rule of EN 16931-1, by its identifier there. An arithmetic rule holds where what it compares is missing:
// that something must be there is a rule of its own.
type Rule struct {
	ID    string
	Says  string
	Holds func(*Document) bool
}

// Rules are the rules that are checked, in the order of the norm.
func Rules() []Rule { return slices.Concat(presence, arithmetic, precision()) }

// Check gives the rules that a document breaks, in the order of the norm.
func Check(d *Document) []Rule {
	return slices.DeleteFunc(Rules(), func(r Rule) bool { return r.Holds(d) })
}

// Refusal is the failure that names broken rules; nil when there are none.
func Refusal(broken []Rule) error {
	if len(broken) == 0 {
		return nil
	}
	ids := make([]string, len(broken))
	for i, r := range broken {
		ids[i] = r.ID
	}
	return failure.New(commonv1.Reason_REASON_DOCUMENT_RULES_BROKEN, "rules", strings.Join(ids, ", "))
}

// outOfScope is the VAT category of what VAT does not reach; it has no rate (UNTDID 5305).
const outOfScope = "O"

var presence = []Rule{
	{"BR-01", "has a specification identifier", func(d *Document) bool { return d.Customization != "" }},
	{"BR-02", "has a number", func(d *Document) bool { return d.Number != "" }},
	{"BR-03", "has an issue date", func(d *Document) bool { return !d.IssueDate.IsZero() }},
	{"BR-04", "has a type code", func(d *Document) bool { return d.TypeCode != "" }},
	{"BR-05", "has a currency", func(d *Document) bool { return d.Currency != "" }},
	{"BR-06", "has the seller's name", func(d *Document) bool { return d.Seller.LegalName != "" }},
	{"BR-07", "has the buyer's name", func(d *Document) bool { return d.Buyer.LegalName != "" }},
	{"BR-08", "has the seller's postal address", func(d *Document) bool { return d.Seller.HasAddress }},
	{"BR-09", "has the country in the seller's address", func(d *Document) bool { return d.Seller.Country != "" }},
	{"BR-10", "has the buyer's postal address", func(d *Document) bool { return d.Buyer.HasAddress }},
	{"BR-11", "has the country in the buyer's address", func(d *Document) bool { return d.Buyer.Country != "" }},
	{"BR-12", "has the sum of the lines' net amounts", func(d *Document) bool { return d.Totals.Lines.IsSet() }},
	{"BR-13", "has the total without VAT", func(d *Document) bool { return d.Totals.Net.IsSet() }},
	{"BR-14", "has the total with VAT", func(d *Document) bool { return d.Totals.Gross.IsSet() }},
	{"BR-15", "has the amount due", func(d *Document) bool { return d.Totals.Payable.IsSet() }},
	{"BR-16", "has at least one line", func(d *Document) bool { return len(d.Lines) > 0 }},
	{"BR-21", "has an identifier in each line", eachLine(func(l Line) bool { return l.ID != "" })},
	{"BR-22", "has a quantity in each line", eachLine(func(l Line) bool { return l.Quantity.IsSet() })},
	{"BR-23", "has a unit in each line", eachLine(func(l Line) bool { return l.Unit != "" })},
	{"BR-24", "has a net amount in each line", eachLine(func(l Line) bool { return l.Net.IsSet() })},
	{"BR-25", "has the item's name in each line", eachLine(func(l Line) bool { return l.Item != "" })},
	{"BR-26", "has the item's net price in each line", eachLine(func(l Line) bool { return l.Price.IsSet() })},
	{"BR-27", "has no negative net price", eachLine(func(l Line) bool { return l.Price.Sign() >= 0 })},
	{"BR-45", "has the taxable amount of each VAT group", eachGroup(func(g TaxSubtotal) bool { return g.Taxable.IsSet() })},
	{"BR-46", "has the tax of each VAT group", eachGroup(func(g TaxSubtotal) bool { return g.Tax.IsSet() })},
	{"BR-47", "has the category of each VAT group", eachGroup(func(g TaxSubtotal) bool { return g.Category != "" })},
	{"BR-48", "has the rate of each VAT group that VAT reaches", eachGroup(func(g TaxSubtotal) bool {
		return g.Rate.IsSet() || g.Category == outOfScope
	})},
	{"BR-CL-04", "has a currency of ISO 4217", func(d *Document) bool {
		_, err := money.Exponent(d.Currency)
		return d.Currency == "" || err == nil
	}},
	{"BR-CO-04", "has a VAT category in each line", eachLine(func(l Line) bool { return l.Category != "" })},
}

var arithmetic = []Rule{
	{"BR-CO-10", "sum of lines = Σ net amounts of lines", func(d *Document) bool {
		sum := new(big.Int)
		for _, l := range d.Lines {
			sum.Add(sum, l.Net.scaled())
		}
		return !d.Totals.Lines.IsSet() || same(d.Totals.Lines, sum)
	}},
	{"BR-CO-11", "sum of allowances = Σ allowances", func(d *Document) bool {
		return same(d.Totals.Allowances, d.adjusted(false))
	}},
	{"BR-CO-12", "sum of charges = Σ charges", func(d *Document) bool {
		return same(d.Totals.Charges, d.adjusted(true))
	}},
	{"BR-CO-13", "total without VAT = sum of lines - allowances + charges", func(d *Document) bool {
		t := d.Totals
		return !t.Net.IsSet() || !t.Lines.IsSet() || same(t.Net, total(t.Lines, minus(t.Allowances), t.Charges))
	}},
	{"BR-CO-14", "VAT = Σ tax of VAT groups", func(d *Document) bool {
		vat, _ := d.TaxTotal()
		sum := new(big.Int)
		for _, g := range vat.Subtotals {
			sum.Add(sum, g.Tax.scaled())
		}
		return len(vat.Subtotals) == 0 || same(vat.Amount, sum)
	}},
	{"BR-CO-15", "total with VAT = total without VAT + VAT, which is said once", func(d *Document) bool {
		vat, times := d.TaxTotal()
		t := d.Totals
		return (!times || d.timesTaxed() == 1) &&
			(!t.Net.IsSet() || !t.Gross.IsSet() || same(t.Gross, total(t.Net, vat.Amount)))
	}},
	{"BR-CO-16", "amount due = total with VAT - paid + rounding", func(d *Document) bool {
		t := d.Totals
		return !t.Payable.IsSet() || !t.Gross.IsSet() || same(t.Payable, total(t.Gross, minus(t.Paid), t.Rounding))
	}},
	{"BR-CO-17", "tax of a VAT group = taxable amount × rate, give or take less than 1", eachGroup(taxFits)},
	{"BR-CO-18", "has at least one VAT group", func(d *Document) bool {
		vat, _ := d.TaxTotal()
		return len(vat.Subtotals) > 0
	}},
	{"BR-CO-25", "an invoice with an amount due has a due date or payment terms", func(d *Document) bool {
		return d.Kind != Invoice || d.Totals.Payable.Sign() <= 0 || !d.DueDate.IsZero() || d.HasTerms
	}},
	{"BR-CO-26", "has an identifier, a registration or a VAT number of the seller", func(d *Document) bool {
		return d.Seller.Identifier != "" || d.Seller.Registration != "" || d.Seller.TaxNumber() != ""
	}},
}

// maxDecimals of an amount (BR-DEC).
const maxDecimals = 2

// precision are the rules that amounts have at most two decimals.
func precision() []Rule {
	rule := func(id, what string, amounts func(*Document) []Amount) Rule {
		return Rule{id, what + " has at most two decimals", func(d *Document) bool {
			return !slices.ContainsFunc(amounts(d), func(a Amount) bool { return a.decimals() > maxDecimals })
		}}
	}
	one := func(of func(Totals) Amount) func(*Document) []Amount {
		return func(d *Document) []Amount { return []Amount{of(d.Totals)} }
	}
	return []Rule{
		rule("BR-DEC-09", "the sum of lines", one(func(t Totals) Amount { return t.Lines })),
		rule("BR-DEC-10", "the sum of allowances", one(func(t Totals) Amount { return t.Allowances })),
		rule("BR-DEC-11", "the sum of charges", one(func(t Totals) Amount { return t.Charges })),
		rule("BR-DEC-12", "the total without VAT", one(func(t Totals) Amount { return t.Net })),
		rule("BR-DEC-13", "the VAT", func(d *Document) []Amount {
			vat, _ := d.TaxTotal()
			return []Amount{vat.Amount}
		}),
		rule("BR-DEC-14", "the total with VAT", one(func(t Totals) Amount { return t.Gross })),
		rule("BR-DEC-16", "the paid amount", one(func(t Totals) Amount { return t.Paid })),
		rule("BR-DEC-17", "the rounding", one(func(t Totals) Amount { return t.Rounding })),
		rule("BR-DEC-18", "the amount due", one(func(t Totals) Amount { return t.Payable })),
		rule("BR-DEC-19", "the taxable amount of each VAT group", groups(func(g TaxSubtotal) Amount { return g.Taxable })),
		rule("BR-DEC-20", "the tax of each VAT group", groups(func(g TaxSubtotal) Amount { return g.Tax })),
		rule("BR-DEC-23", "the net amount of each line", func(d *Document) []Amount {
			list := make([]Amount, len(d.Lines))
			for i, l := range d.Lines {
				list[i] = l.Net
			}
			return list
		}),
	}
}

func eachLine(holds func(Line) bool) func(*Document) bool {
	return func(d *Document) bool {
		return !slices.ContainsFunc(d.Lines, func(l Line) bool { return !holds(l) })
	}
}

func eachGroup(holds func(TaxSubtotal) bool) func(*Document) bool {
	return func(d *Document) bool {
		vat, _ := d.TaxTotal()
		return !slices.ContainsFunc(vat.Subtotals, func(g TaxSubtotal) bool { return !holds(g) })
	}
}

func groups(of func(TaxSubtotal) Amount) func(*Document) []Amount {
	return func(d *Document) []Amount {
		vat, _ := d.TaxTotal()
		list := make([]Amount, len(vat.Subtotals))
		for i, g := range vat.Subtotals {
			list[i] = of(g)
		}
		return list
	}
}

// taxFits compares without division: both sides times 100. The tolerance is that of the published validation artefacts.
func taxFits(g TaxSubtotal) bool {
	if !g.Rate.IsSet() || !g.Taxable.IsSet() || !g.Tax.IsSet() {
		return true
	}
	exact := new(big.Int).Mul(g.Taxable.scaled(), g.Rate.scaled())
	given := new(big.Int).Mul(g.Tax.scaled(), power(maxScale+2))
	return exact.Sub(exact, given).CmpAbs(power(2*maxScale+2)) < 0
}

// adjusted sums the document's charges, or its allowances.
func (d *Document) adjusted(charge bool) *big.Int {
	sum := new(big.Int)
	for _, a := range d.Adjustments {
		if a.Charge == charge {
			sum.Add(sum, a.Amount.scaled())
		}
	}
	return sum
}

// timesTaxed counts how often VAT is said in the document's currency.
func (d *Document) timesTaxed() int {
	times := 0
	for _, t := range d.TaxTotals {
		if d.inCurrency(t.Amount) {
			times++
		}
	}
	return times
}

func same(a Amount, sum *big.Int) bool { return a.scaled().Cmp(sum) == 0 }

func minus(a Amount) Amount {
	a.units = -a.units
	return a
}

func total(amounts ...Amount) *big.Int {
	sum := new(big.Int)
	for _, a := range amounts {
		sum.Add(sum, a.scaled())
	}
	return sum
}
