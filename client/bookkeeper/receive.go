package bookkeeper

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
)

// Received is a document as it came through a connection.
type Received struct {
	// Connection is `connections/X`, ID the document's last part.
	Connection, ID string
	// SHA256 of the payload, in lower-case hexadecimal.
	SHA256 string
	// At is when it came.
	At time.Time
	// Invoice is what Kontor read from it.
	Invoice *exchangev1.InvoiceSummary
}

// Import writes a received invoice into the books, as a sale of the company's own or a purchase, by who sells. The same
// document again changes nothing; then imported is false.
func (b *Books) Import(ctx context.Context, ownTaxNumber string, r Received) (imported bool, err error) {
	inv, err := readInvoice(ownTaxNumber, r.Invoice)
	if err != nil {
		return false, err
	}
	err = b.database.InTx(ctx, func(tx pgx.Tx) error {
		if imported, err = b.register(ctx, tx, r, inv); err != nil || !imported {
			return err
		}
		counterparty := r.Invoice.GetSeller()
		if inv.direction == "sale" {
			counterparty = r.Invoice.GetBuyer()
		}
		if inv.partner, err = partnerCode(ctx, tx, Partner{counterparty.GetTaxNumber(), counterparty.GetName(), counterparty.GetCountryCode()}); err != nil {
			return err
		}
		written, err := b.write(ctx, tx, &inv)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE books.received_documents SET state = 'posted', direction = $3, invoice_number = $4
			WHERE connection = $1 AND document_id = $2`, r.Connection, r.ID, inv.direction, written.Number.Number)
		return err
	})
	return imported && err == nil, err
}

// Refuse notes that a received invoice is not taken into the books, and why. The same document again changes nothing. One that
// can't be read gets no row: there is nothing to note it by, and the refusal stands at Kontor.
func (b *Books) Refuse(ctx context.Context, ownTaxNumber string, r Received, reason string) error {
	inv, err := readInvoice(ownTaxNumber, r.Invoice)
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	return b.database.InTx(ctx, func(tx pgx.Tx) error {
		if registered, err := b.register(ctx, tx, r, inv); err != nil || !registered {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE books.received_documents SET state = 'refused', reason = $3
			WHERE connection = $1 AND document_id = $2`, r.Connection, r.ID, reason)
		return err
	})
}

// register notes that a document came; false when it had come before.
func (b *Books) register(ctx context.Context, tx pgx.Tx, r Received, inv invoice) (bool, error) {
	year, err := fiscalYear(ctx, tx, inv.issued)
	if err != nil {
		return false, err
	}
	seller := r.Invoice.GetSeller()
	tag, err := tx.Exec(ctx, `INSERT INTO books.received_documents
		(connection, document_id, fiscal_year, document_number, issue_date, sender_name, sender_tax_number, currency, total_minor, payload_sha256, received_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`,
		r.Connection, r.ID, year, inv.document, date(inv.issued), seller.GetName(), seller.GetTaxNumber(),
		r.Invoice.GetCurrencyCode(), r.Invoice.GetGrossTotal().GetMinorUnits(), r.SHA256, r.At)
	return tag.RowsAffected() == 1, err
}

// ErrUnreadable says that a received invoice can't be brought into these books.
var ErrUnreadable = errors.New("the invoice can't be imported")

// readInvoice takes an invoice as Kontor read it.
func readInvoice(ownTaxNumber string, s *exchangev1.InvoiceSummary) (invoice, error) {
	if s.GetCurrencyCode() != "EUR" {
		return invoice{}, fmt.Errorf("%w: its currency is %q, these books are in EUR", ErrUnreadable, s.GetCurrencyCode())
	}
	inv := invoice{direction: "purchase", document: s.GetNumber()}
	if s.GetSeller().GetTaxNumber() == ownTaxNumber {
		inv.direction = "sale"
	}
	var err error
	if inv.issued, err = time.Parse(time.DateOnly, s.GetIssueDate()); err != nil {
		return inv, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if inv.due = inv.issued; s.GetDueDate() != "" {
		if inv.due, err = time.Parse(time.DateOnly, s.GetDueDate()); err != nil {
			return inv, fmt.Errorf("%w: %w", ErrUnreadable, err)
		}
	}
	if inv.due.Before(inv.issued) {
		inv.due = inv.issued // Paid in advance; the books do not keep due dates before the issue.
	}
	for n, l := range s.GetLines() {
		read, err := readLine(l)
		if err != nil {
			return inv, fmt.Errorf("%w: line %d: %w", ErrUnreadable, n+1, err)
		}
		inv.lines = append(inv.lines, read)
	}
	stated := map[int64]int64{}
	for _, g := range s.GetVatGroups() {
		rate, err := decimal(g.GetRate(), 2)
		if err != nil {
			return inv, fmt.Errorf("%w: %w", ErrUnreadable, err)
		}
		stated[rate] += g.GetTax().GetMinorUnits()
	}
	inv.spreadVAT(stated)
	if net, vat := inv.totals(); net != s.GetNetTotal().GetMinorUnits() || net+vat != s.GetGrossTotal().GetMinorUnits() {
		return inv, fmt.Errorf("%w: it has allowances or charges, which these books do not keep", ErrUnreadable)
	}
	return inv, nil
}

func readLine(l *exchangev1.InvoiceLine) (line, error) {
	quantity, err := decimal(l.GetQuantity(), 3)
	if err != nil {
		return line{}, err
	}
	price, err := decimal(l.GetPrice(), 2)
	if err != nil {
		return line{}, err
	}
	rate, err := decimal(l.GetVatRate(), 2)
	return line{SaleLine: SaleLine{Item: l.GetItem(), Quantity: quantity, Price: price, Rate: rate}, net: l.GetNet().GetMinorUnits()}, err
}

// decimal reads a decimal number as whole units of 10 to the power of -scale; empty is 0. What is finer is rounded: the
// lines' amounts are stated, these only show what they came from.
func decimal(text string, scale int64) (int64, error) {
	if text == "" {
		return 0, nil
	}
	const most = 40 // characters, more than the largest amount has
	if len(text) > most || strings.Trim(text, "+-.0123456789") != "" {
		return 0, fmt.Errorf("%.*q is no decimal number", most, text)
	}
	value, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, fmt.Errorf("%q is no decimal number", text)
	}
	value.Mul(value, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(scale), nil)))
	rounded, ok := new(big.Int).SetString(value.FloatString(0), 10)
	if !ok || !rounded.IsInt64() {
		return 0, fmt.Errorf("%q is too large a number", text)
	}
	return rounded.Int64(), nil
}
