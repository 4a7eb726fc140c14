// Package bookkeeper tries the sample accounting program's books on the kits' own tables.
package bookkeeper_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kontor.internal/client/bookkeeper"
	"kontor.internal/client/ubl"
	"kontor.internal/kits"
	"kontor.internal/kits/kit"
	"kontor.internal/libs/id"
	"kontor.internal/libs/servers/servertest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	exchangev1 "kontor.internal/proto/gen/go/kontor/exchange/v1"
)

var day = time.Date(2026, time.November, 23, 15, 0, 0, 0, time.UTC)

// database is a company's as its owner sees it.
type database struct{ *pgxpool.Pool }

func (d database) InTx(ctx context.Context, do func(tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, d.Pool, do)
}

// setup gives the books of an empty trading company.
func setup(t *testing.T) (*bookkeeper.Books, database) {
	t.Helper()
	set, err := kits.Load()
	if err != nil {
		t.Fatal(err)
	}
	server, err := pgxpool.New(t.Context(), servertest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	name := "books_" + strings.ReplaceAll(id.NewString(), "-", "")
	if _, err := server.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	config := server.Config().Copy()
	config.ConnConfig.Database = name
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	newest := set.Newest("books")
	_, applied := newest.Apply(t.Context(), conn.Conn(), kit.Install{})
	_, filled := newest.FillChart(t.Context(), conn.Conn(), "trade", "lv")
	if err := errors.Join(applied, filled); err != nil {
		t.Fatal(err)
	}
	return bookkeeper.OnTables(database{pool}, bookkeeper.Trade), database{pool}
}

func withYear(t *testing.T) (*bookkeeper.Books, database) {
	t.Helper()
	books, db := setup(t)
	if made, err := books.EnsureYear(t.Context(), day); err != nil || !made {
		t.Fatal(made, err)
	}
	return books, db
}

func TestNothingIsPostedBeforeTheFiscalYearStands(t *testing.T) {
	books, _ := setup(t)
	voucher := bookkeeper.Voucher{Receipt: true, Day: day, Person: "Ilze", Description: "Paid", Amount: 1_000}
	if _, err := books.WriteVoucher(t.Context(), voucher); !errors.Is(err, bookkeeper.ErrNoYear) {
		t.Errorf("got %v", err)
	}
	for want, made := range []bool{true, false} {
		if got, err := books.EnsureYear(t.Context(), day); err != nil || got != made {
			t.Errorf("call %d made it: %t, %v", want+1, got, err)
		}
	}
	if n, err := books.WriteVoucher(t.Context(), voucher); err != nil || n.String() != "2026/1" {
		t.Errorf("got %s, %v", n, err)
	}
}

func TestVouchersAreNumberedByKindAndBalanced(t *testing.T) {
	books, db := withYear(t)
	for _, receipt := range []bool{true, false, true} {
		if _, err := books.WriteVoucher(t.Context(), bookkeeper.Voucher{Receipt: receipt, Day: day, Description: "x", Amount: 700}); err != nil {
			t.Fatal(err)
		}
	}
	var numbers string
	if err := db.QueryRow(t.Context(), "SELECT string_agg(kind || number || '>' || entry_number, ' ' ORDER BY entry_number) FROM books.cash_vouchers").Scan(&numbers); err != nil {
		t.Fatal(err)
	}
	if numbers != "receipt1>1 payment1>2 receipt2>3" {
		t.Error(numbers)
	}
}

func sale(lines ...bookkeeper.SaleLine) bookkeeper.Sale {
	return bookkeeper.Sale{Day: day, Buyer: bookkeeper.Partner{TaxNumber: "LV40003000456", Name: "Egle SIA", Country: "LV"}, Lines: lines}
}

func TestAnIssuedInvoiceIsWhatItsUBLSays(t *testing.T) {
	books, _ := withYear(t)
	// VAT by line would be 1 + 1 + 1 cents; by rate it is 3 × 5 × 21 % = 3.15, rounded once.
	issued, err := books.IssueInvoice(t.Context(), sale(
		bookkeeper.SaleLine{Item: "Nail", Quantity: 1_000, Price: 5, Rate: 2_100},
		bookkeeper.SaleLine{Item: "Screw", Quantity: 1_000, Price: 5, Rate: 2_100},
		bookkeeper.SaleLine{Item: "Bolt", Quantity: 1_000, Price: 3, Rate: 2_100},
		bookkeeper.SaleLine{Item: "Book", Quantity: 2_500, Price: 1_999, Rate: 500},
		bookkeeper.SaleLine{Item: "Freight", Quantity: 1_000, Price: 800, Rate: 0},
	))
	if err != nil {
		t.Fatal(err)
	}
	document, err := books.UBL(t.Context(), bookkeeper.Company{Name: "Ozols SIA", TaxNumber: "LV40003000123", Country: "LV"}, issued.Number)
	if err != nil {
		t.Fatal(err)
	}
	totals, err := document.Totals()
	if err != nil || totals.Gross != issued.Total || document.Number != "S-2026-000001" || issued.Document != document.Number {
		t.Errorf("the books say %+v, the document %+v: %v", issued, totals, err)
	}
	if err := ubl.Write(&strings.Builder{}, document); err != nil {
		t.Error(err)
	}
}

// received is a document of one line of 10.00 at 21 %.
func received(id, seller string) bookkeeper.Received {
	euro := func(minor int64) *commonv1.Money { return &commonv1.Money{CurrencyCode: "EUR", MinorUnits: minor} }
	return bookkeeper.Received{Connection: "connections/x", ID: id, SHA256: strings.Repeat("0f", 32), At: day, Invoice: &exchangev1.InvoiceSummary{
		Number: "R-" + id, IssueDate: "2026-11-20", DueDate: "2026-12-04", CurrencyCode: "EUR",
		Seller:   &exchangev1.InvoiceParty{Name: "Seller SIA", TaxNumber: seller, CountryCode: "LV"},
		Buyer:    &exchangev1.InvoiceParty{Name: "Buyer SIA", TaxNumber: "LV40003000789", CountryCode: "LV"},
		NetTotal: euro(1_000), VatTotal: euro(210), GrossTotal: euro(1_210),
		Lines:     []*exchangev1.InvoiceLine{{Id: "1", Item: "Board", Quantity: "2.000", Price: "5.00", Net: euro(1_000), VatCategory: "S", VatRate: "21"}},
		VatGroups: []*exchangev1.VatGroup{{Category: "S", Rate: "21.00", Taxable: euro(1_000), Tax: euro(210)}},
	}}
}

func TestAReceivedInvoiceIsImportedOnceAsSaleOrPurchase(t *testing.T) {
	books, _ := withYear(t)
	const own = "LV40003000123"
	for _, one := range []struct {
		document bookkeeper.Received
		imported bool
	}{{received("1", own), true}, {received("2", "LV40003000999"), true}, {received("1", own), false}} {
		imported, err := books.Import(t.Context(), own, one.document)
		if err != nil || imported != one.imported {
			t.Errorf("document %s: imported %t, %v", one.document.ID, imported, err)
		}
	}
	got, err := books.Count(t.Context())
	if want := (bookkeeper.Counts{Sales: 1, Purchases: 1, Received: 2}); err != nil || got != want {
		t.Errorf("got %+v, want %+v: %v", got, want, err)
	}
}

func TestAnInvoiceThatTheBooksCannotKeepLeavesNothing(t *testing.T) {
	books, _ := withYear(t)
	for name, spoil := range map[string]func(*exchangev1.InvoiceSummary){
		"another currency":  func(s *exchangev1.InvoiceSummary) { s.CurrencyCode = "USD" },
		"no date":           func(s *exchangev1.InvoiceSummary) { s.IssueDate = "" },
		"allowances":        func(s *exchangev1.InvoiceSummary) { s.NetTotal.MinorUnits-- },
		"no number":         func(s *exchangev1.InvoiceSummary) { s.Lines[0].Quantity = "1e9" },
		"a number too long": func(s *exchangev1.InvoiceSummary) { s.Lines[0].Price = strings.Repeat("9", 30) },
	} {
		document := received("1", "LV40003000999")
		spoil(document.Invoice)
		if _, err := books.Import(t.Context(), "LV40003000123", document); !errors.Is(err, bookkeeper.ErrUnreadable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := books.Count(t.Context()); err != nil || got != (bookkeeper.Counts{}) {
		t.Errorf("the books hold %+v, %v", got, err)
	}
}
