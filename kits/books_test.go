package kits_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"kontor.internal/kits/internal/scratch"
	"kontor.internal/kits/kit"
)

var all = []string{
	"books.read", "books.post_vouchers", "books.issue_invoices", "books.approve_payments", "books.manage_master_data", "books.administer",
}

// newBooks makes a company with the service chart, two fiscal years and a partner.
func newBooks(t *testing.T, version string) (*scratch.Database, *kit.Kit) {
	t.Helper()
	d, k := scratch.New(t), get(t, "books", version)
	d.Apply(t, k)
	if n, err := k.FillChart(t.Context(), d.Conn, "service", "lv"); err != nil || n < 30 {
		t.Fatalf("%d accounts, %v", n, err)
	}
	d.Exec(t, `INSERT INTO books.fiscal_years (year, starts_on, ends_on) VALUES (2025, '2025-01-01', '2025-12-31'), (2026, '2026-01-01', '2026-12-31')`)
	d.Exec(t, "INSERT INTO books.partners (code, name) VALUES ('P1', 'SIA Liepa')")
	return d, k
}

// post writes a journal entry with one debit and one credit line.
func post(ctx context.Context, conn *pgx.Conn, year int, number, debit, credit int64) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO books.journal_entries (fiscal_year, number, entry_date) VALUES ($1, $2, make_date($1, 5, 4))", year, number); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO books.journal_lines (fiscal_year, entry_number, line_number, account, debit_minor, credit_minor)
			VALUES ($1, $2, 1, '2620', $3, 0), ($1, $2, 2, '6110', 0, $4)`, year, number, debit, credit)
		return err
	})
}

func wantConstraint(t *testing.T, err error, name string) {
	t.Helper()
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.ConstraintName != name {
		t.Errorf("want constraint %s, got %v", name, err)
	}
}

func TestAnEntryMustBalance(t *testing.T) {
	d, k := newBooks(t, "1.4.0")
	conn := d.Login(t, k, kit.Binding{Account: "accounts/1"}, all...)
	wantConstraint(t, post(t.Context(), conn, 2026, 1, 1000, 999), "journal_entries_balanced")
	if n := scratch.Value[int](t, d.Conn, "SELECT count(*) FROM books.journal_entries"); n != 0 {
		t.Errorf("%d entries were left", n)
	}
	if err := post(t.Context(), conn, 2026, 1, 1000, 1000); err != nil {
		t.Fatal(err)
	}
	_, err := conn.Exec(t.Context(), "INSERT INTO books.journal_entries (fiscal_year, number, entry_date) VALUES (2026, 2, '2026-02-02')")
	wantConstraint(t, err, "journal_entries_balanced")
	_, err = conn.Exec(t.Context(), "UPDATE books.journal_lines SET debit_minor = 1 WHERE line_number = 1")
	wantConstraint(t, err, "journal_entries_balanced")
	_, err = conn.Exec(t.Context(), "DELETE FROM books.journal_lines WHERE line_number = 1")
	wantConstraint(t, err, "journal_entries_balanced")
	if err := post(t.Context(), conn, 2026, 2, 5, 5); err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(t.Context(), "UPDATE books.journal_lines SET entry_number = 2, line_number = 3 WHERE entry_number = 1 AND line_number = 1")
	wantConstraint(t, err, "journal_entries_balanced")
	if _, err := conn.Exec(t.Context(), "DELETE FROM books.journal_entries WHERE number = 1"); err != nil {
		t.Errorf("a whole entry can be taken out: %v", err)
	}
}

func TestAnInvoiceAgreesWithItsLinesOnceItIsNoDraft(t *testing.T) {
	d, k := newBooks(t, "1.4.0")
	conn := d.Login(t, k, kit.Binding{Account: "accounts/1"}, "books.read", "books.issue_invoices")
	write := func(number int, state string, net int64) error {
		return pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), `INSERT INTO books.invoices (fiscal_year, direction, number, document_number, partner, issue_date,
				due_date, net_minor, vat_minor, total_minor, state) VALUES (2026, 'sale', $1, $2, 'P1', '2026-03-01', '2026-03-15', 10000, 2100, 12100, $3)`,
				number, fmt.Sprint("A-", number), state); err != nil {
				return err
			}
			_, err := tx.Exec(t.Context(), `INSERT INTO books.invoice_lines (fiscal_year, direction, invoice_number, line_number, description,
				price_minor, net_minor, vat_rate, vat_minor) VALUES (2026, 'sale', $1, 1, 'Consulting', $2, $2, 2100, 2100)`, number, net)
			return err
		})
	}
	if err := write(1, "issued", 10000); err != nil {
		t.Fatal(err)
	}
	wantConstraint(t, write(2, "issued", 9999), "invoices_agree_with_lines")
	if err := write(3, "draft", 9999); err != nil {
		t.Fatal(err)
	}
	_, err := conn.Exec(t.Context(), "UPDATE books.invoices SET state = 'issued' WHERE number = 3")
	wantConstraint(t, err, "invoices_agree_with_lines")
}

func TestAClosedYearAndForeignDatesAreRefused(t *testing.T) {
	d, k := newBooks(t, "1.4.0")
	conn := d.Login(t, k, kit.Binding{Account: "accounts/1"}, all...)
	if err := post(t.Context(), conn, 2025, 1, 100, 100); err != nil {
		t.Fatal(err)
	}
	d.Exec(t, "UPDATE books.fiscal_years SET closed = true WHERE year = 2025")
	wantConstraint(t, post(t.Context(), conn, 2025, 2, 100, 100), "fiscal_year_open")
	_, err := conn.Exec(t.Context(), "DELETE FROM books.journal_entries")
	wantConstraint(t, err, "fiscal_year_open")
	_, err = conn.Exec(t.Context(), "INSERT INTO books.journal_entries (fiscal_year, number, entry_date) VALUES (2026, 1, '2027-01-01')")
	wantConstraint(t, err, "fiscal_year_has_date")
}

func TestWhoMayReadCannotWrite(t *testing.T) {
	d, k := newBooks(t, "1.4.0")
	reader := d.Login(t, k, kit.Binding{Account: "accounts/1"}, "books.read")
	if n := scratch.Value[int](t, reader, "SELECT count(*) FROM books.accounts"); n < 30 {
		t.Errorf("%d accounts", n)
	}
	scratch.Value[int](t, reader, "SELECT count(*) FROM books.trial_balance")
	for _, sql := range []string{
		"INSERT INTO books.partners (code, name) VALUES ('X', 'X')",
		"UPDATE books.partners SET name = 'X'",
		"DELETE FROM books.accounts",
		"TRUNCATE books.partners",
		"INSERT INTO books.journal_entries (fiscal_year, number, entry_date) VALUES (2026, 1, '2026-01-01')",
		"SELECT books.next_number(2026, 'journal')",
		"SELECT FROM books.local_users",
		"SELECT FROM books.change_history",
	} {
		wantDenied(t, reader, sql)
	}
}

// No permission opens what keeps people apart, and none makes anything.
func TestNobodyButTheOwnerMakesObjectsOrTouchesTheProtectedTables(t *testing.T) {
	d, k := newBooks(t, "1.4.0")
	everything := d.Login(t, k, kit.Binding{Account: "accounts/1"}, all...)
	for _, sql := range []string{
		"CREATE TABLE books.mine (id int)",
		"CREATE TABLE public.mine (id int)",
		"CREATE TABLE kontor_meta.mine (id int)",
		"CREATE TEMPORARY TABLE mine (id int)",
		"CREATE SCHEMA mine",
		"CREATE FUNCTION books.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"CREATE INDEX mine ON books.partners (name)",
		"ALTER TABLE books.partners ADD COLUMN mine int",
		"ALTER TABLE books.journal_lines DISABLE TRIGGER USER",
		"DROP TABLE books.partners",
		"DROP POLICY bounded_years ON books.journal_lines",
		"TRUNCATE books.partners CASCADE",
		"SELECT FROM kontor_meta.role_bounds",
		"UPDATE kontor_meta.role_bounds SET year_from = NULL",
		"INSERT INTO kontor_meta.role_bounds (login, account, set_at) VALUES (current_user, 'x', '2026-01-01')",
		"SELECT FROM kontor_meta.change_log",
		"INSERT INTO kontor_meta.change_log (at, login, area, table_name, action) VALUES ('2026-01-01', 'x', 'books', 'x', 'insert')",
		"DELETE FROM kontor_meta.change_log",
		"SELECT kontor_meta.track('books.counters')",
		"UPDATE kontor_meta.release SET version = '9.9.9'",
		"UPDATE books.counters SET last_number = 0",
		"DELETE FROM books.migrations",
		"SET ROLE " + d.Owner,
	} {
		wantDenied(t, everything, sql)
	}
	if scratch.Value[bool](t, d.Conn, "SELECT has_database_privilege('public', current_database(), 'CONNECT')") {
		t.Error("anybody may connect")
	}
}

func TestEachPermissionOpensItsOwn(t *testing.T) {
	d, k := newBooks(t, "1.4.0")
	works := map[string]string{
		"books.manage_master_data": "INSERT INTO books.partners (code, name) VALUES ('NEW', 'New')",
		"books.administer":         "INSERT INTO books.settings (name, value) VALUES ('company.name', 'SIA Liepa')",
		"books.post_vouchers": `INSERT INTO books.bank_vouchers (fiscal_year, number, direction, voucher_date, amount_minor, bank_account, account)
			VALUES (2026, 1, 'out', '2026-02-02', 500, '2620', '5310')`,
		"books.issue_invoices": `INSERT INTO books.invoices (fiscal_year, direction, number, document_number, partner, issue_date, due_date,
			net_minor, vat_minor, total_minor) VALUES (2026, 'sale', 1, 'A1', 'P1', '2026-02-02', '2026-02-02', 0, 0, 0)`,
	}
	for own, sql := range works {
		for _, other := range all {
			conn := d.Login(t, k, kit.Binding{Account: "accounts/1"}, other)
			if other != own {
				wantDenied(t, conn, sql)
			} else if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Errorf("%s: %v", own, err)
			}
		}
	}
}

func TestAPaymentIsPreparedByOneAndApprovedByAnother(t *testing.T) {
	d, k := newBooks(t, "1.4.0")
	clerk := d.Login(t, k, kit.Binding{Account: "accounts/clerk"}, "books.read", "books.post_vouchers")
	approver := d.Login(t, k, kit.Binding{Account: "accounts/approver"}, "books.read", "books.approve_payments")
	pay := func(columns, values string) error {
		_, err := clerk.Exec(t.Context(), `INSERT INTO books.bank_vouchers (fiscal_year, number, direction, voucher_date, amount_minor, bank_account, account`+
			columns+`) VALUES (2026, 1, 'out', '2026-02-02', 500, '2620', '5310'`+values+`)`)
		return err
	}
	wantCode(t, pay(", state", ", 'approved'"), "42501", "insert approved")
	wantCode(t, pay(", approved_by", ", 'me'"), "42501", "insert approved by")
	if err := pay("", ""); err != nil {
		t.Fatal(err)
	}
	wantDenied(t, clerk, "UPDATE books.bank_vouchers SET state = 'approved'")
	wantDenied(t, approver, "UPDATE books.bank_vouchers SET amount_minor = 1")
	_, err := approver.Exec(t.Context(), "UPDATE books.bank_vouchers SET state = 'paid'")
	wantConstraint(t, err, "bank_vouchers_state_in_order")
	if _, err := approver.Exec(t.Context(), "UPDATE books.bank_vouchers SET state = 'approved'"); err != nil {
		t.Fatal(err)
	}
	who := scratch.Value[string](t, approver, "SELECT prepared_by || ' ' || approved_by FROM books.bank_vouchers")
	if who != "accounts/clerk accounts/approver" {
		t.Errorf("prepared and approved by %s", who)
	}
	_, err = clerk.Exec(t.Context(), "UPDATE books.bank_vouchers SET amount_minor = 50000")
	wantConstraint(t, err, "bank_vouchers_approved_kept")
	_, err = clerk.Exec(t.Context(), "DELETE FROM books.bank_vouchers")
	wantConstraint(t, err, "bank_vouchers_approved_kept")
}

func TestABoundLoginSeesAndWritesItsYearsOnly(t *testing.T) {
	d, k := newBooks(t, "1.4.0")
	writer := d.Login(t, k, kit.Binding{Account: "accounts/1"}, all...)
	for _, year := range []int{2025, 2026} {
		if err := post(t.Context(), writer, year, 1, 100, 100); err != nil {
			t.Fatal(err)
		}
	}
	auditor := d.Login(t, k, kit.Binding{Account: "accounts/2", YearFrom: 2025, YearTo: 2025}, all...)
	for _, query := range []string{
		"SELECT array_agg(DISTINCT fiscal_year) FROM books.journal_entries",
		"SELECT array_agg(DISTINCT fiscal_year) FROM books.journal_lines",
		"SELECT array_agg(DISTINCT fiscal_year) FROM books.trial_balance",
	} {
		if years := scratch.Value[[]int](t, auditor, query); len(years) != 1 || years[0] != 2025 {
			t.Errorf("%s: %v", query, years)
		}
		if years := scratch.Value[[]int](t, writer, query); len(years) != 2 {
			t.Errorf("%s without bounds: %v", query, years)
		}
	}
	wantCode(t, post(t.Context(), auditor, 2026, 2, 100, 100), "42501", "post outside of the bounds")
	if done, err := auditor.Exec(t.Context(), "UPDATE books.journal_entries SET description = 'seen' WHERE fiscal_year = 2026"); err != nil || done.RowsAffected() != 0 {
		t.Errorf("update outside of the bounds: %v %v", done, err)
	}
	if err := kit.Bind(t.Context(), d.Conn, kit.Binding{Login: auditor.Config().User, Account: "accounts/2", YearFrom: 2026}); err != nil {
		t.Fatal(err)
	}
	if years := scratch.Value[[]int](t, auditor, "SELECT array_agg(DISTINCT fiscal_year) FROM books.journal_entries"); len(years) != 1 || years[0] != 2026 {
		t.Errorf("bound anew: %v", years)
	}
	if err := kit.Unbind(t.Context(), d.Conn, auditor.Config().User); err != nil {
		t.Fatal(err)
	}
	wantDenied(t, auditor, "SELECT FROM books.journal_entries")
}

func TestEveryBoundedTableHasThePolicy(t *testing.T) {
	d, _ := newBooks(t, "1.4.0")
	open := scratch.Value[[]string](t, d.Conn, `SELECT coalesce(array_agg(c.relname::text), '{}') FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = 'books'::regnamespace AND c.relkind = 'r' AND a.attname = 'fiscal_year' AND c.relname <> 'counters'
		AND NOT (c.relrowsecurity AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid))`)
	if len(open) > 0 {
		t.Errorf("open to bound logins: %v", open)
	}
}

func TestChangesAreLoggedWithWhoMadeThem(t *testing.T) {
	d, k := newBooks(t, "1.4.0")
	d.Exec(t, "TRUNCATE books.settings")
	conn := d.Login(t, k, kit.Binding{Account: "accounts/1"}, "books.manage_master_data", "books.administer")
	for _, sql := range []string{
		"INSERT INTO books.products (code, name, price_minor) VALUES ('K1', 'Kafija', 350)",
		"UPDATE books.products SET price_minor = 400 WHERE code = 'K1'",
		"UPDATE books.products SET price_minor = 400 WHERE code = 'K1'",
		"DELETE FROM books.products WHERE code = 'K1'",
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := conn.Query(t.Context(), `SELECT action || ' ' || login || ' ' || account || ' ' || key::text || coalesce(' ' || (old ->> 'price_minor'), '')
		|| coalesce(' ' || (new ->> 'price_minor'), '') FROM books.change_history WHERE table_name = 'products' ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	who := conn.Config().User + ` accounts/1 {"code": "K1"}`
	want := []string{"insert " + who + " 350", "update " + who + " 350 400", "delete " + who + " 400"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if n := scratch.Value[int](t, d.Conn, "SELECT count(*) FROM kontor_meta.change_log WHERE action = 'truncate' AND account IS NULL"); n != 1 {
		t.Errorf("%d emptied tables in the log", n)
	}
	_, err = d.Conn.Exec(t.Context(), "DELETE FROM kontor_meta.change_log")
	wantConstraint(t, err, "change_log_append_only")
}

func TestADocumentIsImportedOnce(t *testing.T) {
	d, k := newBooks(t, "1.4.0")
	conn := d.Login(t, k, kit.Binding{Account: "accounts/1"}, "books.issue_invoices")
	const add = `INSERT INTO books.received_documents (connection, document_id, fiscal_year, document_number, issue_date, sender_tax_number, currency,
		total_minor, payload_sha256, received_at) VALUES ('connections/1', 'd1', 2026, 'A1', '2026-01-05', 'LV40003000123', 'EUR', 1210, repeat('a', 64), '2026-01-06')`
	if _, err := conn.Exec(t.Context(), add); err != nil {
		t.Fatal(err)
	}
	_, err := conn.Exec(t.Context(), add)
	wantConstraint(t, err, "received_documents_pkey")
	_, err = conn.Exec(t.Context(), "UPDATE books.received_documents SET state = 'refused'")
	wantConstraint(t, err, "received_documents_reason_given")
}

func TestNumbersHaveNoGaps(t *testing.T) {
	d, k := newBooks(t, "1.4.0")
	conn := d.Login(t, k, kit.Binding{Account: "accounts/1"}, "books.post_vouchers")
	next := func() int64 { return scratch.Value[int64](t, conn, "SELECT books.next_number(2026, 'journal')") }
	if first, second := next(), next(); first != 1 || second != 2 {
		t.Errorf("%d, %d", first, second)
	}
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	scratch.Value[int64](t, tx.Conn(), "SELECT books.next_number(2026, 'journal')")
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if third := next(); third != 3 {
		t.Errorf("after a rollback: %d", third)
	}
}

func TestTheChecklistFollowsTheWork(t *testing.T) {
	d, k := scratch.New(t), get(t, "books", "1.4.0")
	d.Apply(t, k)
	wantSteps := func(want ...bool) {
		t.Helper()
		steps, err := k.Steps(t.Context(), d.Conn)
		if err != nil || len(steps) != len(want) {
			t.Fatal(steps, err)
		}
		for i, step := range steps {
			if step.Finished != want[i] {
				t.Errorf("%s: %v", step.Key, step.Finished)
			}
		}
	}
	if n, err := k.FillChart(t.Context(), d.Conn, "trade", "en"); err != nil || n == 0 {
		t.Fatal(n, err)
	}
	wantSteps(false, false, false)
	if n, err := k.FillChart(t.Context(), d.Conn, "service", "en"); err != nil || n != 0 {
		t.Errorf("filled over a chart: %d, %v", n, err)
	}
	if _, err := k.FillChart(t.Context(), d.Conn, "piracy", "en"); !errors.Is(err, kit.ErrNoChart) {
		t.Errorf("unknown activity: %v", err)
	}
	d.Exec(t, `INSERT INTO books.settings (name, value) VALUES ('company.name', 'SIA Liepa'), ('company.registration_number', '40003000123'),
		('company.address', 'Rīga'), ('company.country', 'LV'), ('company.currency', 'EUR')`)
	wantSteps(true, false, false)
	d.Exec(t, "UPDATE books.accounts SET name = 'Swedbank' WHERE number = '2620'")
	wantSteps(true, true, false)
	d.Exec(t, "INSERT INTO books.partners (code, name) VALUES ('P1', 'P')")
	d.Exec(t, "INSERT INTO books.products (code, name) VALUES ('K1', 'K')")
	wantSteps(true, true, true)
}

func TestAnUpgradeCarriesTheData(t *testing.T) {
	d, _ := newBooks(t, "1.3.0")
	newest := get(t, "books", "1.4.0")
	d.Exec(t, "INSERT INTO books.products (code, name, vat_rate) VALUES ('A', 'A', 2100), ('B', 'B', 700)")
	d.Exec(t, `INSERT INTO books.invoices (fiscal_year, direction, number, document_number, partner, issue_date, due_date, net_minor, vat_minor, total_minor, state)
		VALUES (2025, 'sale', 1, 'A1', 'P1', '2025-02-02', '2025-02-02', 300, 33, 333, 'draft')`)
	d.Exec(t, `INSERT INTO books.invoice_lines (fiscal_year, direction, invoice_number, line_number, description, price_minor, net_minor, vat_rate, vat_minor) VALUES
		(2025, 'sale', 1, 1, 'x', 100, 100, 2100, 21), (2025, 'sale', 1, 2, 'y', 100, 100, 1200, 12), (2025, 'sale', 1, 3, 'z', 100, 100, 0, 0)`)
	d.Exec(t, "UPDATE books.fiscal_years SET closed = true WHERE year = 2025")
	logged := scratch.Value[int](t, d.Conn, "SELECT count(*) FROM kontor_meta.change_log")
	applied := d.Apply(t, newest)
	if applied.From.String() != "1.3.0" || applied.To.String() != "1.4.0" || len(applied.Migrations) != 1 {
		t.Errorf("applied %+v", applied)
	}
	if codes := scratch.Value[string](t, d.Conn, "SELECT string_agg(vat_code, ' ' ORDER BY line_number) FROM books.invoice_lines"); codes != "S21 R12 Z0" {
		t.Errorf("codes of lines: %s", codes)
	}
	if codes := scratch.Value[string](t, d.Conn, "SELECT string_agg(vat_code, ' ' ORDER BY code) FROM books.products"); codes != "S21 V700" {
		t.Errorf("codes of products: %s", codes)
	}
	if now := scratch.Value[int](t, d.Conn, "SELECT count(*) FROM kontor_meta.change_log"); now != logged {
		t.Errorf("the upgrade wrote %d changes into people's log", now-logged)
	}
	_, err := d.Conn.Exec(t.Context(), "UPDATE books.invoices SET note = 'x'")
	wantConstraint(t, err, "fiscal_year_open")
	var refused *kit.RefusedError
	if _, err := get(t, "books", "1.3.0").Apply(t.Context(), d.Conn, kit.Install{Owner: d.Owner}); !errors.As(err, &refused) || refused.Installed.Version.String() != "1.4.0" {
		t.Errorf("back to 1.3.0: %v", err)
	}
}

func TestACopysRowsAreLoadedAndChecked(t *testing.T) {
	d, k := newBooks(t, "1.4.0")
	load := func(lines string) error {
		return pgx.BeginFunc(t.Context(), d.Conn, func(tx pgx.Tx) error {
			if err := k.BeginLoad(t.Context(), tx); err != nil {
				return err
			}
			for _, sql := range []string{
				"INSERT INTO books.fiscal_years (year, starts_on, ends_on, closed) VALUES (2024, '2024-01-01', '2024-12-31', true)",
				"INSERT INTO books.accounts (number, name, kind) VALUES ('1', 'One', 'asset')",
				"INSERT INTO books.counters (fiscal_year, kind, last_number) VALUES (2024, 'journal', 1)",
				"INSERT INTO books.local_users (user_name, full_name, rights, account) VALUES ('Ieva', 'Ieva Ozola', '{accountant,viewer}', 'accounts/elsewhere')",
				"INSERT INTO books.journal_entries (fiscal_year, number, entry_date) VALUES (2024, 1, '2024-05-04')",
				"INSERT INTO books.journal_lines (fiscal_year, entry_number, line_number, account, debit_minor, credit_minor) VALUES " + lines,
			} {
				if _, err := tx.Exec(t.Context(), sql); err != nil {
					return fmt.Errorf("%s: %w", sql, err)
				}
			}
			return k.FinishLoad(t.Context(), tx)
		})
	}
	var broken *kit.BrokenError
	if err := load("(2024, 1, 1, '1', 5, 0)"); !errors.As(err, &broken) || len(broken.Rules) != 1 || broken.Rules[0].Key != "journal_balanced" {
		t.Fatalf("unbalanced copy: %v", err)
	}
	if n := scratch.Value[int](t, d.Conn, "SELECT count(*) FROM books.partners"); n != 1 {
		t.Error("a copy that was refused changed rows")
	}
	if err := load("(2024, 1, 1, '1', 5, 0), (2024, 1, 2, '1', 0, 5)"); err != nil {
		t.Fatal(err)
	}
	users, err := k.ReadLocalUsers(t.Context(), d.Conn)
	if err != nil || len(users) != 1 || users[0].Name != "Ieva" || fmt.Sprint(users[0].Permissions) != "[books.post_vouchers books.read]" || users[0].Account != "" {
		t.Errorf("users %+v, %v", users, err)
	}
	if found, err := k.LinkLocalUser(t.Context(), d.Conn, "Ieva", "accounts/1"); err != nil || !found {
		t.Error(found, err)
	}
	if users, _ = k.ReadLocalUsers(t.Context(), d.Conn); users[0].Account != "accounts/1" {
		t.Errorf("not linked: %+v", users)
	}
	_, err = d.Conn.Exec(t.Context(), "DELETE FROM books.journal_lines")
	wantConstraint(t, err, "fiscal_year_open")
}

func TestDutiesThatMustBeSeparateAreNamed(t *testing.T) {
	k := get(t, "books", "1.4.0")
	if found := k.Conflicts([]string{"books.read", "books.manage_master_data", "books.approve_payments"}); len(found) != 1 || found[0].Key != "supplier_and_payment" {
		t.Errorf("%v", found)
	}
	if found := k.Conflicts([]string{"books.read", "books.approve_payments"}); len(found) != 0 {
		t.Errorf("%v", found)
	}
	if groups := k.GroupsFor("c1", []string{"books.read", "books.administer", "payroll.read", "books.read"}, true); fmt.Sprint(groups) != "[c1_books_read]" {
		t.Errorf("read-only: %v", groups)
	}
}
