package bookkeeper

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"kontor.internal/client/ubl"
)

// Partner is somebody whom the company sells to or buys from; the tax number is what it is known by.
type Partner struct {
	TaxNumber, Name, Country string
}

// Sale is an invoice to be issued.
type Sale struct {
	Day   time.Time
	Buyer Partner
	Lines []SaleLine
}

// SaleLine is one line of it.
type SaleLine struct {
	Item     string
	Quantity int64 // thousandths
	Price    int64 // cents, without VAT
	Rate     int64 // VAT in hundredths of a per cent, e.g. 2100
}

// paymentDays is how long a buyer has to pay.
const paymentDays = 14

// Issued is an invoice as the books have it.
type Issued struct {
	Number
	// Document is the number that stands on it.
	Document string
	// Total with VAT.
	Total int64
}

// IssueInvoice writes a sales invoice, its lines and its journal entry.
func (b *Books) IssueInvoice(ctx context.Context, sale Sale) (Issued, error) {
	var issued Issued
	err := b.database.InTx(ctx, func(tx pgx.Tx) error {
		partner, err := partnerCode(ctx, tx, sale.Buyer)
		if err != nil {
			return err
		}
		inv := invoice{direction: "sale", partner: partner, issued: sale.Day, due: sale.Day.AddDate(0, 0, paymentDays)}
		for _, l := range sale.Lines {
			inv.lines = append(inv.lines, line{SaleLine: l, net: scaled(l.Quantity*l.Price, quantityScale)})
		}
		inv.spreadVAT(nil)
		issued, err = b.write(ctx, tx, &inv)
		return err
	})
	return issued, err
}

// invoice is one of either direction on its way into the tables.
type invoice struct {
	direction, partner, document string
	issued, due                  time.Time
	lines                        []line
}

type line struct {
	SaleLine
	net, vat int64
}

// quantityScale is how many parts of a quantity make one, rateScale how many parts of a rate make all.
const quantityScale, rateScale = 1_000, 10_000

// scaled divides, rounding half away from zero.
func scaled(value, by int64) int64 {
	if value < 0 {
		return -((-value + by/2) / by)
	}
	return (value + by/2) / by
}

// spreadVAT gives each line its VAT so that the lines of a rate add up to what EN 16931 rounds once for the rate (BR-CO-17),
// or to the VAT that the document states for it.
func (i *invoice) spreadVAT(stated map[int64]int64) {
	net, vat, last := map[int64]int64{}, map[int64]int64{}, map[int64]int{}
	for n := range i.lines {
		l := &i.lines[n]
		l.vat = scaled(l.net*l.Rate, rateScale)
		net[l.Rate] += l.net
		vat[l.Rate] += l.vat
		last[l.Rate] = n
	}
	for rate, n := range last {
		want, ok := stated[rate]
		if !ok {
			want = scaled(net[rate]*rate, rateScale)
		}
		i.lines[n].vat += want - vat[rate]
	}
}

func (i *invoice) totals() (net, vat int64) {
	for _, l := range i.lines {
		net += l.net
		vat += l.vat
	}
	return net, vat
}

// write writes an invoice, its lines and its journal entry. A sale gets the number of its place as document number.
func (b *Books) write(ctx context.Context, tx pgx.Tx, i *invoice) (Issued, error) {
	number, err := next(ctx, tx, i.issued, "invoice_"+i.direction)
	if err != nil {
		return Issued{}, err
	}
	if i.document == "" {
		i.document = fmt.Sprintf("S-%d-%06d", number.Year, number.Number)
	}
	net, vat := i.totals()
	posted, err := post(ctx, tx, entry{day: i.issued, source: i.direction, text: i.document, lines: b.sides(i, net, vat)})
	if err != nil {
		return Issued{}, err
	}
	batch := &pgx.Batch{}
	batch.Queue(`INSERT INTO books.invoices
		(fiscal_year, direction, number, document_number, partner, issue_date, due_date, net_minor, vat_minor, total_minor, state, entry_number)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'issued', $11)`,
		number.Year, i.direction, number.Number, i.document, i.partner, date(i.issued), date(i.due), net, vat, net+vat, posted)
	for n, l := range i.lines {
		batch.Queue(`INSERT INTO books.invoice_lines
			(fiscal_year, direction, invoice_number, line_number, description, quantity, price_minor, net_minor, vat_rate, vat_minor)
			VALUES ($1, $2, $3, $4, $5, $6::bigint / 1000.0, $7, $8, $9, $10)`,
			number.Year, i.direction, number.Number, n+1, l.Item, l.Quantity, l.Price, l.net, l.Rate, l.vat)
	}
	return Issued{Number: number, Document: i.document, Total: net + vat}, tx.SendBatch(ctx, batch).Close()
}

// sides are the postings of an invoice.
func (b *Books) sides(i *invoice, net, vat int64) []side {
	if i.direction == "purchase" {
		return []side{{account: b.accounts.Goods, debit: net}, {account: b.accounts.VAT, debit: vat}, {account: b.accounts.Payable, partner: &i.partner, credit: net + vat}}
	}
	return []side{{account: b.accounts.Receivable, partner: &i.partner, debit: net + vat}, {account: b.accounts.Sales, credit: net}, {account: b.accounts.VAT, credit: vat}}
}

// partnerCode finds a partner by its tax number, or adds it.
func partnerCode(ctx context.Context, tx pgx.Tx, p Partner) (string, error) {
	const codeLength = 32
	code := p.TaxNumber
	if code == "" {
		code = p.Name
	}
	code = cut(code, codeLength)
	// Whoever may not keep partners still may use one that is there.
	err := tx.QueryRow(ctx, "SELECT code FROM books.partners WHERE tax_number = $1 OR code = $2 ORDER BY code LIMIT 1", p.TaxNumber, code).Scan(&code)
	if err == nil {
		return code, nil
	}
	country := p.Country
	if country == "" {
		country = "LV"
	}
	_, err = tx.Exec(ctx, `INSERT INTO books.partners (code, name, tax_number, country, is_customer, is_supplier) VALUES ($1, $2, nullif($3, ''), $4, true, true)
		ON CONFLICT (code) DO NOTHING`, code, p.Name, p.TaxNumber, country)
	return code, err
}

// cut shortens a text to so many characters.
func cut(text string, characters int) string {
	runes := []rune(text)
	return string(runes[:min(len(runes), characters)])
}

// Company is whose books they are, as its invoices name it.
type Company struct {
	Name, TaxNumber, Street, City, PostCode, Country string
}

// UBL gives an issued invoice as it is sent: with the seller's own data, in the terms of EN 16931.
func (b *Books) UBL(ctx context.Context, seller Company, number Number) (ubl.Invoice, error) {
	document := ubl.Invoice{Kind: ubl.Commercial, Currency: "EUR", Seller: ubl.Party{
		Name: seller.Name, TaxNumber: seller.TaxNumber, Street: seller.Street, City: seller.City, PostCode: seller.PostCode, Country: seller.Country,
	}}
	err := b.database.InTx(ctx, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `SELECT i.document_number, i.issue_date, i.due_date, p.name, coalesce(p.tax_number, ''), p.country
			FROM books.invoices i JOIN books.partners p ON p.code = i.partner
			WHERE i.fiscal_year = $1 AND i.direction = 'sale' AND i.number = $2`, number.Year, number.Number).
			Scan(&document.Number, &document.Issued, &document.Due, &document.Buyer.Name, &document.Buyer.TaxNumber, &document.Buyer.Country)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT description, (quantity * 1000)::bigint, price_minor, vat_rate::bigint FROM books.invoice_lines
			WHERE fiscal_year = $1 AND direction = 'sale' AND invoice_number = $2 ORDER BY line_number`, number.Year, number.Number)
		if err != nil {
			return err
		}
		document.Lines, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (ubl.Line, error) {
			l := ubl.Line{Unit: "C62", Category: ubl.Standard}
			err := row.Scan(&l.Item, &l.Quantity, &l.Price, &l.Rate)
			if l.Rate == 0 {
				l.Category = ubl.ZeroRated
			}
			return l, err
		})
		return err
	})
	return document, err
}
