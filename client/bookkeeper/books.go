package bookkeeper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Database is where the books are kept; *client.Company is one.
type Database interface {
	// InTx does something in a transaction, which is committed unless do gives an error.
	InTx(ctx context.Context, do func(tx pgx.Tx) error) error
}

// Books writes and reads the tables of the books kit from release 1.3.0 on. Amounts are in cents of the euro.
type Books struct {
	database Database
	accounts Accounts
}

// Accounts are the numbers of the ledger accounts that are posted to.
type Accounts struct {
	Cash, Receivable, Payable, VAT, Sales, Goods, Office string
}

// Trade are the accounts of the template for trade.
var Trade = Accounts{Cash: "2610", Receivable: "2310", Payable: "5310", VAT: "5720", Sales: "6150", Goods: "2150", Office: "7530"}

// OnTables are the books in a database.
func OnTables(database Database, accounts Accounts) *Books {
	return &Books{database: database, accounts: accounts}
}

// EnsureYear makes the fiscal year of a day, which takes an administrator, unless it is there.
func (b *Books) EnsureYear(ctx context.Context, day time.Time) (made bool, err error) {
	err = b.database.InTx(ctx, func(tx pgx.Tx) error {
		if _, err := fiscalYear(ctx, tx, day); !errors.Is(err, ErrNoYear) {
			return err
		}
		made = true
		year := day.Year()
		_, err := tx.Exec(ctx, "INSERT INTO books.fiscal_years (year, starts_on, ends_on) VALUES ($1, $2, $3)",
			year, time.Date(year, time.January, 1, 0, 0, 0, 0, time.UTC), time.Date(year, time.December, 31, 0, 0, 0, 0, time.UTC))
		return err
	})
	return made, err
}

// ErrNoYear says that no fiscal year has a day; an administrator opens one.
var ErrNoYear = errors.New("there is no fiscal year for this day")

func fiscalYear(ctx context.Context, tx pgx.Tx, day time.Time) (int, error) {
	var year int
	err := tx.QueryRow(ctx, "SELECT year FROM books.fiscal_years WHERE $1 BETWEEN starts_on AND ends_on", date(day)).Scan(&year)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("%w: %s", ErrNoYear, day.Format(time.DateOnly))
	}
	return year, err
}

// date is the day alone, as a date column takes it.
func date(day time.Time) time.Time {
	return time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, time.UTC)
}

// Voucher is a cash voucher.
type Voucher struct {
	Receipt     bool // money in; else money out
	Day         time.Time
	Person      string
	Description string
	Amount      int64
}

// Number is the place of something in its series: unique within fiscal year and series, without gaps.
type Number struct {
	Year   int
	Number int64
}

func (n Number) String() string { return fmt.Sprintf("%d/%d", n.Year, n.Number) }

// WriteVoucher writes a cash voucher and its journal entry.
func (b *Books) WriteVoucher(ctx context.Context, v Voucher) (Number, error) {
	var number Number
	err := b.database.InTx(ctx, func(tx pgx.Tx) (err error) {
		kind, debit, credit := "payment", b.accounts.Office, b.accounts.Cash
		if v.Receipt {
			kind, debit, credit = "receipt", b.accounts.Cash, b.accounts.Receivable
		}
		if number, err = next(ctx, tx, v.Day, "cash_"+kind); err != nil {
			return err
		}
		entry, err := post(ctx, tx, entry{day: v.Day, source: "cash", text: v.Description, lines: []side{
			{account: debit, debit: v.Amount}, {account: credit, credit: v.Amount},
		}})
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO books.cash_vouchers
			(fiscal_year, kind, number, voucher_date, counterparty, description, amount_minor, cash_account, account, entry_number)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			number.Year, kind, number.Number, date(v.Day), v.Person, v.Description, v.Amount, b.accounts.Cash, other(b.accounts.Cash, debit, credit), entry)
		return err
	})
	return number, err
}

// other is the one of two accounts that is not the given one.
func other(than, first, second string) string {
	if first == than {
		return second
	}
	return first
}

// next takes the next number of a series in the fiscal year of a day.
func next(ctx context.Context, tx pgx.Tx, day time.Time, series string) (Number, error) {
	year, err := fiscalYear(ctx, tx, day)
	if err != nil {
		return Number{}, err
	}
	n := Number{Year: year}
	return n, tx.QueryRow(ctx, "SELECT books.next_number($1, $2)", year, series).Scan(&n.Number)
}

// entry is a journal entry.
type entry struct {
	day    time.Time
	source string
	text   string
	lines  []side
}

// side is one line of an entry: a debit or a credit.
type side struct {
	account       string
	partner       *string
	debit, credit int64
}

// post writes a journal entry and gives its number. The database checks that it balances when the transaction commits.
func post(ctx context.Context, tx pgx.Tx, e entry) (int64, error) {
	number, err := next(ctx, tx, e.day, "journal")
	if err != nil {
		return 0, err
	}
	batch := &pgx.Batch{}
	batch.Queue("INSERT INTO books.journal_entries (fiscal_year, number, entry_date, description, source) VALUES ($1, $2, $3, $4, $5)",
		number.Year, number.Number, date(e.day), e.text, e.source)
	line := 0
	for _, s := range e.lines {
		if s.debit == 0 && s.credit == 0 {
			continue // no VAT
		}
		if line++; s.debit < 0 || s.credit < 0 { // a credit note turns the sides
			s.debit, s.credit = -s.credit, -s.debit
		}
		batch.Queue(`INSERT INTO books.journal_lines (fiscal_year, entry_number, line_number, account, partner, debit_minor, credit_minor)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`, number.Year, number.Number, line, s.account, s.partner, s.debit, s.credit)
	}
	return number.Number, tx.SendBatch(ctx, batch).Close()
}

// Counts are how much is in the books.
type Counts struct {
	Vouchers, Sales, Purchases, Received int
}

// Count counts.
func (b *Books) Count(ctx context.Context) (Counts, error) {
	var c Counts
	return c, b.database.InTx(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `SELECT (SELECT count(*) FROM books.cash_vouchers),
			(SELECT count(*) FROM books.invoices WHERE direction = 'sale'),
			(SELECT count(*) FROM books.invoices WHERE direction = 'purchase'),
			(SELECT count(*) FROM books.received_documents)`).Scan(&c.Vouchers, &c.Sales, &c.Purchases, &c.Received)
	})
}

// insufficientPrivilege is the SQLSTATE of a write that the login may not do (PostgreSQL, appendix A).
const insufficientPrivilege = "42501"

// NotAllowed tells whether the database refused something because the login may not do it, e.g. because the licence has
// ended and the books are read-only.
func NotAllowed(err error) bool {
	answer, ok := errors.AsType[*pgconn.PgError](err)
	return ok && answer.Code == insufficientPrivilege
}
