package document

import (
	"bytes"
	"encoding/hex"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
	"kontor.internal/services/exchange/internal/connection"
	"kontor.internal/services/exchange/internal/ubl"
)

func hash(sum []byte) string { return hex.EncodeToString(sum) }

// read fills in what can be read of a document's bytes. What can't be read is refused; rules that are broken are named in
// the document, which then is not sent.
func read(d *Document, content []byte, taxNumber string) error {
	if d.Kind == exchangev1.DocumentType_DOCUMENT_TYPE_OTHER {
		return nil
	}
	found, err := ubl.Read(bytes.NewReader(content), ubl.DefaultLimits)
	if err != nil {
		return err
	}
	if kindOf(found) != d.Kind {
		return failure.Invalid("type", "is not what the document is: "+kindOf(found).String())
	}
	if err := ofCompany(found, taxNumber); err != nil {
		return err
	}
	for _, rule := range ubl.Check(found) {
		d.Breaks = append(d.Breaks, &exchangev1.RuleBreak{Rule: rule.ID, Text: rule.Says})
	}
	d.Seller, d.Number = connection.Normal(found.Seller.TaxNumber()), found.Number
	d.Invoice = summary(found)
	return nil
}

func kindOf(d *ubl.Document) exchangev1.DocumentType {
	if d.Kind == ubl.CreditNote {
		return exchangev1.DocumentType_DOCUMENT_TYPE_CREDIT_NOTE
	}
	return exchangev1.DocumentType_DOCUMENT_TYPE_INVOICE
}

// ofCompany refuses what is neither from the connection's company nor for it (S4).
func ofCompany(d *ubl.Document, taxNumber string) error {
	for _, party := range []ubl.Party{d.Seller, d.Buyer} {
		if connection.Normal(party.TaxNumber()) == taxNumber {
			return nil
		}
	}
	return failure.New(commonv1.Reason_REASON_DOCUMENT_OF_ANOTHER_COMPANY, "tax_number", taxNumber)
}

// summary is what both ends are shown of an invoice. An amount that is no money of its currency is left out: the rules
// name it.
func summary(d *ubl.Document) *exchangev1.InvoiceSummary {
	money := func(a ubl.Amount) *commonv1.Money {
		if !a.IsSet() {
			return nil
		}
		amount, err := a.Money(d.Currency)
		if err != nil {
			return nil
		}
		return amount.ToProto()
	}
	s := &exchangev1.InvoiceSummary{
		Number: d.Number, IssueDate: d.IssueDate.String(), DueDate: d.DueDate.String(), TypeCode: d.TypeCode, CurrencyCode: d.Currency,
		Seller: party(d.Seller), Buyer: party(d.Buyer), LinesTotal: money(d.Totals.Lines), NetTotal: money(d.Totals.Net),
		GrossTotal: money(d.Totals.Gross), Payable: money(d.Totals.Payable),
	}
	for _, l := range d.Lines {
		s.Lines = append(s.Lines, &exchangev1.InvoiceLine{
			Id: l.ID, Item: l.Item, Quantity: l.Quantity.String(), UnitCode: l.Unit, Price: l.Price.String(), Net: money(l.Net),
			VatCategory: l.Category, VatRate: l.Rate.String(),
		})
	}
	if tax, ok := d.TaxTotal(); ok {
		s.VatTotal = money(tax.Amount)
		for _, g := range tax.Subtotals {
			s.VatGroups = append(s.VatGroups, &exchangev1.VatGroup{
				Category: g.Category, Rate: g.Rate.String(), Taxable: money(g.Taxable), Tax: money(g.Tax),
			})
		}
	}
	return s
}

func party(p ubl.Party) *exchangev1.InvoiceParty {
	return &exchangev1.InvoiceParty{
		Name: p.DisplayName(), TaxNumber: p.TaxNumber(), RegistrationNumber: p.Registration, CountryCode: p.Country,
	}
}
