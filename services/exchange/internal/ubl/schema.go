package ubl

import (
	"encoding/xml"
	"errors"
	"strings"

	"kontor.internal/libs/civil"
)

// node is an element that is read, or has such elements in it.
type node struct {
	path     string
	children map[xml.Name]*node
	begin    func(*Document)
	set      func(*Document, value) error
}

// value is what an element holds.
type value struct{ text, currency, unit string }

var (
	errTwice   = errors.New("stands more than once")
	errNotDate = errors.New("is not a date")
	errNotFlag = errors.New("is neither true nor false")
)

var (
	invoiceSchema = schemaOf(map[string]string{
		"{TypeCode}": "cbc:InvoiceTypeCode", "{Line}": "cac:InvoiceLine", "{Quantity}": "cbc:InvoicedQuantity",
		"{DueDate}": "cbc:DueDate",
	})
	creditNoteSchema = schemaOf(map[string]string{
		"{TypeCode}": "cbc:CreditNoteTypeCode", "{Line}": "cac:CreditNoteLine", "{Quantity}": "cbc:CreditedQuantity",
		"{DueDate}": "cac:PaymentMeans/cbc:PaymentDueDate",
	})
)

// element says what is done at a path: when it begins, or with its value when it ends.
type element struct {
	path  string
	begin func(*Document)
	set   func(*Document, value) error
}

// schemaOf makes the tree of what is read; names is how a kind of document calls what kinds have in common.
func schemaOf(names map[string]string) *node {
	root := &node{children: map[xml.Name]*node{}}
	elements := append(header(), party("cac:AccountingSupplierParty", func(d *Document) *Party { return &d.Seller })...)
	elements = append(elements, party("cac:AccountingCustomerParty", func(d *Document) *Party { return &d.Buyer })...)
	elements = append(elements, sums()...)
	elements = append(elements, lines()...)
	for _, e := range elements {
		path := e.path
		for placeholder, name := range names {
			path = strings.ReplaceAll(path, placeholder, name)
		}
		at := root.at(path)
		at.begin, at.set = e.begin, e.set
	}
	return root
}

// at finds the node at a path, and makes it where there is none.
func (n *node) at(path string) *node {
	for _, step := range strings.Split(path, "/") {
		prefix, local, _ := strings.Cut(step, ":")
		name := xml.Name{Space: nsAggregate, Local: local}
		if prefix == "cbc" {
			name.Space = nsBasic
		}
		next := n.children[name]
		if next == nil {
			next = &node{path: strings.TrimPrefix(n.path+"/"+step, "/"), children: map[xml.Name]*node{}}
			n.children[name] = next
		}
		n = next
	}
	return n
}

func header() []element {
	return []element{
		{path: "cbc:CustomizationID", set: text(func(d *Document) *string { return &d.Customization })},
		{path: "cbc:ID", set: text(func(d *Document) *string { return &d.Number })},
		{path: "cbc:IssueDate", set: date(func(d *Document) *civil.Date { return &d.IssueDate })},
		{path: "{DueDate}", set: date(func(d *Document) *civil.Date { return &d.DueDate })},
		{path: "cac:PaymentTerms/cbc:Note", begin: func(d *Document) { d.HasTerms = true }},
		{path: "{TypeCode}", set: text(func(d *Document) *string { return &d.TypeCode })},
		{path: "cbc:DocumentCurrencyCode", set: text(func(d *Document) *string { return &d.Currency })},
		{path: "cbc:TaxCurrencyCode", set: text(func(d *Document) *string { return &d.TaxCurrency })},
	}
}

func party(path string, of func(*Document) *Party) []element {
	path += "/cac:Party/"
	scheme := func(d *Document) *TaxScheme { return last(of(d).TaxSchemes) }
	return []element{
		{path: path + "cac:PartyIdentification/cbc:ID", set: first(func(d *Document) *string { return &of(d).Identifier })},
		{path: path + "cac:PartyName/cbc:Name", set: text(func(d *Document) *string { return &of(d).Name })},
		{path: path + "cac:PostalAddress", begin: func(d *Document) { of(d).HasAddress = true }},
		{
			path: path + "cac:PostalAddress/cac:Country/cbc:IdentificationCode",
			set:  text(func(d *Document) *string { return &of(d).Country }),
		},
		{path: path + "cac:PartyTaxScheme", begin: func(d *Document) {
			of(d).TaxSchemes = append(of(d).TaxSchemes, TaxScheme{})
		}},
		{path: path + "cac:PartyTaxScheme/cbc:CompanyID", set: text(func(d *Document) *string { return &scheme(d).Number })},
		{path: path + "cac:PartyTaxScheme/cac:TaxScheme/cbc:ID", set: text(func(d *Document) *string { return &scheme(d).Scheme })},
		{path: path + "cac:PartyLegalEntity/cbc:RegistrationName", set: text(func(d *Document) *string { return &of(d).LegalName })},
		{path: path + "cac:PartyLegalEntity/cbc:CompanyID", set: text(func(d *Document) *string { return &of(d).Registration })},
	}
}

func sums() []element {
	adjustment := func(d *Document) *Adjustment { return last(d.Adjustments) }
	total := func(d *Document) *TaxTotal { return last(d.TaxTotals) }
	group := func(d *Document) *TaxSubtotal { return last(total(d).Subtotals) }
	const subtotal = "cac:TaxTotal/cac:TaxSubtotal"
	const totals = "cac:LegalMonetaryTotal/cbc:"
	return []element{
		{path: "cac:AllowanceCharge", begin: func(d *Document) { d.Adjustments = append(d.Adjustments, Adjustment{}) }},
		{path: "cac:AllowanceCharge/cbc:ChargeIndicator", set: flag(func(d *Document) *bool { return &adjustment(d).Charge })},
		{path: "cac:AllowanceCharge/cbc:Amount", set: amount(func(d *Document) *Amount { return &adjustment(d).Amount })},

		{path: "cac:TaxTotal", begin: func(d *Document) { d.TaxTotals = append(d.TaxTotals, TaxTotal{}) }},
		{path: "cac:TaxTotal/cbc:TaxAmount", set: amount(func(d *Document) *Amount { return &total(d).Amount })},
		{path: subtotal, begin: func(d *Document) { total(d).Subtotals = append(total(d).Subtotals, TaxSubtotal{}) }},
		{path: subtotal + "/cbc:TaxableAmount", set: amount(func(d *Document) *Amount { return &group(d).Taxable })},
		{path: subtotal + "/cbc:TaxAmount", set: amount(func(d *Document) *Amount { return &group(d).Tax })},
		{path: subtotal + "/cac:TaxCategory/cbc:ID", set: text(func(d *Document) *string { return &group(d).Category })},
		{path: subtotal + "/cac:TaxCategory/cbc:Percent", set: number(func(d *Document) *Decimal { return &group(d).Rate })},

		{path: totals + "LineExtensionAmount", set: amount(func(d *Document) *Amount { return &d.Totals.Lines })},
		{path: totals + "AllowanceTotalAmount", set: amount(func(d *Document) *Amount { return &d.Totals.Allowances })},
		{path: totals + "ChargeTotalAmount", set: amount(func(d *Document) *Amount { return &d.Totals.Charges })},
		{path: totals + "TaxExclusiveAmount", set: amount(func(d *Document) *Amount { return &d.Totals.Net })},
		{path: totals + "TaxInclusiveAmount", set: amount(func(d *Document) *Amount { return &d.Totals.Gross })},
		{path: totals + "PrepaidAmount", set: amount(func(d *Document) *Amount { return &d.Totals.Paid })},
		{path: totals + "PayableRoundingAmount", set: amount(func(d *Document) *Amount { return &d.Totals.Rounding })},
		{path: totals + "PayableAmount", set: amount(func(d *Document) *Amount { return &d.Totals.Payable })},
	}
}

func lines() []element {
	line := func(d *Document) *Line { return last(d.Lines) }
	return []element{
		{path: "{Line}", begin: func(d *Document) { d.Lines = append(d.Lines, Line{}) }},
		{path: "{Line}/cbc:ID", set: text(func(d *Document) *string { return &line(d).ID })},
		{path: "{Line}/{Quantity}", set: func(d *Document, v value) error {
			line(d).Unit = v.unit
			return setNumber(&line(d).Quantity, v.text)
		}},
		{path: "{Line}/cbc:LineExtensionAmount", set: amount(func(d *Document) *Amount { return &line(d).Net })},
		{path: "{Line}/cac:Item/cbc:Name", set: text(func(d *Document) *string { return &line(d).Item })},
		{path: "{Line}/cac:Item/cac:ClassifiedTaxCategory/cbc:ID", set: text(func(d *Document) *string { return &line(d).Category })},
		{path: "{Line}/cac:Item/cac:ClassifiedTaxCategory/cbc:Percent", set: number(func(d *Document) *Decimal { return &line(d).Rate })},
		{path: "{Line}/cac:Price/cbc:PriceAmount", set: number(func(d *Document) *Decimal { return &line(d).Price })},
	}
}

// last is the element of a list that is being read: its own element began before anything in it.
func last[T any](list []T) *T { return &list[len(list)-1] }

func text(field func(*Document) *string) func(*Document, value) error {
	return func(d *Document, v value) error {
		at := field(d)
		if *at != "" {
			return errTwice
		}
		*at = v.text
		return nil
	}
}

// first keeps the first of what may stand more than once.
func first(field func(*Document) *string) func(*Document, value) error {
	return func(d *Document, v value) error {
		if at := field(d); *at == "" {
			*at = v.text
		}
		return nil
	}
}

func date(field func(*Document) *civil.Date) func(*Document, value) error {
	return func(d *Document, v value) error {
		at := field(d)
		parsed, err := civil.ParseDate(v.text)
		if err != nil || parsed.IsZero() {
			return errNotDate
		}
		if !at.IsZero() && *at != parsed { // each way to pay may repeat the due date
			return errTwice
		}
		*at = parsed
		return nil
	}
}

// flag reads an xs:boolean.
func flag(field func(*Document) *bool) func(*Document, value) error {
	return func(d *Document, v value) error {
		switch v.text {
		case "true", "1":
			*field(d) = true
		case "false", "0":
			*field(d) = false
		default:
			return errNotFlag
		}
		return nil
	}
}

func number(field func(*Document) *Decimal) func(*Document, value) error {
	return func(d *Document, v value) error { return setNumber(field(d), v.text) }
}

func amount(field func(*Document) *Amount) func(*Document, value) error {
	return func(d *Document, v value) error {
		at := field(d)
		at.Currency = v.currency
		return setNumber(&at.Decimal, v.text)
	}
}

func setNumber(at *Decimal, text string) error {
	if at.set {
		return errTwice
	}
	parsed, err := ParseDecimal(text)
	if err != nil {
		return err
	}
	*at = parsed
	return nil
}
