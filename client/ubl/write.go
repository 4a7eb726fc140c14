package ubl

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Namespaces and the specification identifier (BT-24).
const (
	nsInvoice     = "urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"
	nsCreditNote  = "urn:oasis:names:specification:ubl:schema:xsd:CreditNote-2" //nolint:gosec // a namespace, not a credential
	nsAggregate   = "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"
	nsBasic       = "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"
	specification = "urn:cen.eu:en16931:2017"
)

// Write writes an invoice or credit note, in the element order of UBL 2.1. It refuses what would break a rule of
// EN 16931, before it writes anything.
func Write(to io.Writer, invoice Invoice) error {
	totals, nets, groups, err := invoice.sums()
	if err != nil {
		return err
	}
	p := &printer{currency: invoice.Currency}
	p.line(`<?xml version="1.0" encoding="UTF-8"?>`)
	root, namespace, typeCode, line, quantity := "Invoice", nsInvoice, "cbc:InvoiceTypeCode", "cac:InvoiceLine", "cbc:InvoicedQuantity"
	if invoice.Kind == Credit {
		root, namespace, typeCode, line, quantity = "CreditNote", nsCreditNote, "cbc:CreditNoteTypeCode", "cac:CreditNoteLine", "cbc:CreditedQuantity"
	}
	p.open(fmt.Sprintf(`%s xmlns="%s" xmlns:cac="%s" xmlns:cbc="%s"`, root, namespace, nsAggregate, nsBasic), func() {
		p.text("cbc:CustomizationID", specification)
		p.text("cbc:ID", invoice.Number)
		p.text("cbc:IssueDate", invoice.Issued.Format(time.DateOnly))
		if invoice.Kind == Commercial {
			p.due("cbc:DueDate", invoice.Due)
		}
		p.text(typeCode, strconv.Itoa(int(invoice.Kind)))
		p.text("cbc:DocumentCurrencyCode", invoice.Currency)
		p.party("cac:AccountingSupplierParty", invoice.Seller)
		p.party("cac:AccountingCustomerParty", invoice.Buyer)
		if invoice.Kind == Credit && !invoice.Due.IsZero() {
			p.open("cac:PaymentMeans", func() {
				p.text("cbc:PaymentMeansCode", "1") // UNTDID 4461: not defined
				p.due("cbc:PaymentDueDate", invoice.Due)
			})
		}
		p.taxes(totals, groups)
		p.totals(totals, invoice.Paid)
		for n, l := range invoice.Lines {
			p.open(line, func() { p.item(n+1, l, nets[n], quantity) })
		}
	})
	if p.err != nil {
		return p.err
	}
	_, err = io.WriteString(to, p.out.String())
	return err
}

// printer writes indented elements and keeps the first fault.
type printer struct {
	out      strings.Builder
	currency string
	depth    int
	err      error
}

func (p *printer) line(text string) {
	p.out.WriteString(strings.Repeat("  ", p.depth) + text + "\n")
}

func (p *printer) open(tag string, within func()) {
	name, _, _ := strings.Cut(tag, " ")
	p.line("<" + tag + ">")
	p.depth++
	within()
	p.depth--
	p.line("</" + name + ">")
}

// text writes an element that holds a text; none when the text is empty.
func (p *printer) text(tag, text string) {
	if text == "" {
		return
	}
	name, _, _ := strings.Cut(tag, " ")
	p.line("<" + tag + ">" + p.escape(text) + "</" + name + ">")
}

func (p *printer) escape(text string) string {
	var out strings.Builder
	if err := xml.EscapeText(&out, []byte(text)); err != nil {
		p.err = err
	}
	return out.String()
}

func (p *printer) due(tag string, day time.Time) {
	if !day.IsZero() {
		p.text(tag, day.Format(time.DateOnly))
	}
}

func (p *printer) amount(name string, minor int64) {
	p.text(name+` currencyID="`+p.currency+`"`, decimal(minor, 2))
}

func (p *printer) party(tag string, party Party) {
	p.open(tag, func() {
		p.open("cac:Party", func() {
			p.open("cac:PostalAddress", func() {
				p.text("cbc:StreetName", party.Street)
				p.text("cbc:CityName", party.City)
				p.text("cbc:PostalZone", party.PostCode)
				p.open("cac:Country", func() { p.text("cbc:IdentificationCode", party.Country) })
			})
			if party.TaxNumber != "" {
				p.open("cac:PartyTaxScheme", func() {
					p.text("cbc:CompanyID", party.TaxNumber)
					p.vat()
				})
			}
			p.open("cac:PartyLegalEntity", func() {
				p.text("cbc:RegistrationName", party.Name)
				p.text("cbc:CompanyID", party.Registration)
			})
		})
	})
}

func (p *printer) vat() {
	p.open("cac:TaxScheme", func() { p.text("cbc:ID", "VAT") })
}

func (p *printer) taxes(totals Totals, groups []group) {
	p.open("cac:TaxTotal", func() {
		p.amount("cbc:TaxAmount", totals.VAT)
		for _, g := range groups {
			p.open("cac:TaxSubtotal", func() {
				p.amount("cbc:TaxableAmount", g.net)
				p.amount("cbc:TaxAmount", g.vat)
				p.open("cac:TaxCategory", func() { p.category(g.category, g.rate) })
			})
		}
	})
}

func (p *printer) category(category string, rate int64) {
	p.text("cbc:ID", category)
	p.text("cbc:Percent", decimal(rate, 2))
	p.vat()
}

func (p *printer) totals(totals Totals, paid int64) {
	p.open("cac:LegalMonetaryTotal", func() {
		p.amount("cbc:LineExtensionAmount", totals.Net)
		p.amount("cbc:TaxExclusiveAmount", totals.Net)
		p.amount("cbc:TaxInclusiveAmount", totals.Gross)
		if paid != 0 {
			p.amount("cbc:PrepaidAmount", paid)
		}
		p.amount("cbc:PayableAmount", totals.Payable)
	})
}

func (p *printer) item(number int, l Line, net int64, quantity string) {
	p.text("cbc:ID", strconv.Itoa(number))
	p.text(quantity+` unitCode="`+p.escape(l.Unit)+`"`, decimal(l.Quantity, 3))
	p.amount("cbc:LineExtensionAmount", net)
	p.open("cac:Item", func() {
		p.text("cbc:Name", l.Item)
		p.open("cac:ClassifiedTaxCategory", func() { p.category(l.Category, l.Rate) })
	})
	p.open("cac:Price", func() { p.amount("cbc:PriceAmount", l.Price) })
}

// decimal is a whole number of 10 to the power of -scale, as a decimal number.
func decimal(units int64, scale int) string {
	sign, digits := "", strconv.FormatInt(units, 10)
	if units < 0 {
		sign, digits = "-", digits[1:]
	}
	if missing := scale + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
}
