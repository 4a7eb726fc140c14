-- The books as of 1.3.0. Rows are known by natural keys, so that a sheet, a UBL document and a row name the same thing and a
-- copy needs no sequence set. Amounts are integers in the currency's minor unit.

-- +goose Up
-- +goose StatementBegin
CREATE DOMAIN books.currency AS text CONSTRAINT currency_is_iso4217 CHECK (VALUE ~ '^[A-Z]{3}$');
COMMENT ON DOMAIN books.currency IS 'ISO 4217 code, e.g. EUR.';
CREATE DOMAIN books.minor AS bigint;
COMMENT ON DOMAIN books.minor IS 'An amount in the minor unit (cents) of the currency that stands in the same row.';

CREATE TABLE books.settings (
    name  text NOT NULL,
    value text NOT NULL,
    CONSTRAINT settings_pkey PRIMARY KEY (name),
    CONSTRAINT settings_name_is_word CHECK (name ~ '^[a-z][a-z0-9_.]{0,62}$')
);
COMMENT ON TABLE books.settings IS
    'Company data and choices by name: company.name, company.registration_number, company.tax_number, company.address, company.country, company.currency, chart.confirmed.';

CREATE TABLE books.local_users (
    user_name text    NOT NULL,
    full_name text    NOT NULL DEFAULT '',
    rights    text[]  NOT NULL DEFAULT '{}',
    active    boolean NOT NULL DEFAULT true,
    account   text,
    CONSTRAINT local_users_pkey PRIMARY KEY (user_name),
    CONSTRAINT local_users_name_filled CHECK (user_name <> ''),
    CONSTRAINT local_users_rights_known CHECK
        (rights <@ ARRAY['administrator', 'accountant', 'cashier', 'invoicing', 'payments', 'catalogues', 'viewer'])
);
COMMENT ON TABLE books.local_users IS 'Users as the program on the premises knew them, with the rights they had there. No passwords.';
COMMENT ON COLUMN books.local_users.account IS 'The account that the user became, e.g. accounts/A; null until prepared.';

CREATE TABLE books.fiscal_years (
    year      integer NOT NULL,
    starts_on date    NOT NULL,
    ends_on   date    NOT NULL,
    closed    boolean NOT NULL DEFAULT false,
    CONSTRAINT fiscal_years_pkey PRIMARY KEY (year),
    CONSTRAINT fiscal_years_year_in_range CHECK (year BETWEEN 1900 AND 9999),
    CONSTRAINT fiscal_years_dates_in_order CHECK (starts_on < ends_on),
    CONSTRAINT fiscal_years_apart EXCLUDE USING gist (daterange(starts_on, ends_on, '[]') WITH &&)
);
COMMENT ON TABLE books.fiscal_years IS 'Fiscal years, named by the calendar year they end in. Nothing is written into a closed one.';

CREATE TABLE books.counters (
    fiscal_year integer NOT NULL,
    kind        text    NOT NULL,
    last_number bigint  NOT NULL,
    CONSTRAINT counters_pkey PRIMARY KEY (fiscal_year, kind),
    CONSTRAINT counters_fiscal_year_fkey FOREIGN KEY (fiscal_year) REFERENCES books.fiscal_years (year),
    CONSTRAINT counters_kind_known CHECK (kind IN ('journal', 'cash_receipt', 'cash_payment', 'bank', 'invoice_sale', 'invoice_purchase')),
    CONSTRAINT counters_last_number_positive CHECK (last_number > 0)
);
COMMENT ON TABLE books.counters IS 'The last number given in each series; books.next_number counts on, without gaps.';

CREATE TABLE books.accounts (
    number        text    NOT NULL,
    name          text    NOT NULL,
    kind          text    NOT NULL,
    parent        text,
    active        boolean NOT NULL DEFAULT true,
    from_template boolean NOT NULL DEFAULT false,
    CONSTRAINT accounts_pkey PRIMARY KEY (number),
    CONSTRAINT accounts_number_is_digits CHECK (number ~ '^[0-9]{1,12}$'),
    CONSTRAINT accounts_name_filled CHECK (name <> ''),
    CONSTRAINT accounts_kind_known CHECK (kind IN ('asset', 'liability', 'equity', 'income', 'expense')),
    CONSTRAINT accounts_parent_fkey FOREIGN KEY (parent) REFERENCES books.accounts (number) ON UPDATE CASCADE,
    CONSTRAINT accounts_parent_is_other CHECK (parent <> number)
);
COMMENT ON TABLE books.accounts IS 'The chart of accounts.';
COMMENT ON COLUMN books.accounts.from_template IS 'The row still is as the template for the kind of activity had it.';

CREATE TABLE books.partners (
    code                text    NOT NULL,
    name                text    NOT NULL,
    tax_number          text,
    registration_number text,
    country             text    NOT NULL DEFAULT 'LV',
    address             text    NOT NULL DEFAULT '',
    email               text    NOT NULL DEFAULT '',
    phone               text    NOT NULL DEFAULT '',
    bank_account        text    NOT NULL DEFAULT '',
    is_customer         boolean NOT NULL DEFAULT true,
    is_supplier         boolean NOT NULL DEFAULT false,
    payment_days        integer NOT NULL DEFAULT 14,
    receivable_account  text,
    payable_account     text,
    active              boolean NOT NULL DEFAULT true,
    CONSTRAINT partners_pkey PRIMARY KEY (code),
    CONSTRAINT partners_code_in_size CHECK (length(code) BETWEEN 1 AND 32),
    CONSTRAINT partners_name_filled CHECK (name <> ''),
    CONSTRAINT partners_country_is_iso3166 CHECK (country ~ '^[A-Z]{2}$'),
    CONSTRAINT partners_payment_days_in_range CHECK (payment_days BETWEEN 0 AND 365),
    CONSTRAINT partners_receivable_account_fkey FOREIGN KEY (receivable_account) REFERENCES books.accounts (number) ON UPDATE CASCADE,
    CONSTRAINT partners_payable_account_fkey FOREIGN KEY (payable_account) REFERENCES books.accounts (number) ON UPDATE CASCADE
);
CREATE INDEX partners_tax_number_idx ON books.partners (tax_number);
COMMENT ON TABLE books.partners IS 'Customers and suppliers. A tax number is not unique: branches share it.';

CREATE TABLE books.products (
    code            text    NOT NULL,
    name            text    NOT NULL,
    kind            text    NOT NULL DEFAULT 'goods',
    unit            text    NOT NULL DEFAULT 'gab.',
    price_minor     books.minor NOT NULL DEFAULT 0,
    currency        books.currency NOT NULL DEFAULT 'EUR',
    vat_rate        integer NOT NULL DEFAULT 2100,
    barcode         text,
    income_account  text,
    expense_account text,
    active          boolean NOT NULL DEFAULT true,
    CONSTRAINT products_pkey PRIMARY KEY (code),
    CONSTRAINT products_code_in_size CHECK (length(code) BETWEEN 1 AND 32),
    CONSTRAINT products_name_filled CHECK (name <> ''),
    CONSTRAINT products_kind_known CHECK (kind IN ('goods', 'service')),
    CONSTRAINT products_price_not_negative CHECK (price_minor >= 0),
    CONSTRAINT products_vat_rate_in_range CHECK (vat_rate BETWEEN 0 AND 10000),
    CONSTRAINT products_barcode_key UNIQUE (barcode),
    CONSTRAINT products_income_account_fkey FOREIGN KEY (income_account) REFERENCES books.accounts (number) ON UPDATE CASCADE,
    CONSTRAINT products_expense_account_fkey FOREIGN KEY (expense_account) REFERENCES books.accounts (number) ON UPDATE CASCADE
);
COMMENT ON TABLE books.products IS 'Goods and services bought and sold.';
COMMENT ON COLUMN books.products.price_minor IS 'Sales price without VAT.';
COMMENT ON COLUMN books.products.vat_rate IS 'VAT rate in hundredths of a per cent: 2100 is 21 %.';

CREATE TABLE books.journal_entries (
    fiscal_year integer NOT NULL,
    number      bigint  NOT NULL,
    entry_date  date    NOT NULL,
    description text    NOT NULL DEFAULT '',
    source      text    NOT NULL DEFAULT 'manual',
    CONSTRAINT journal_entries_pkey PRIMARY KEY (fiscal_year, number),
    CONSTRAINT journal_entries_fiscal_year_fkey FOREIGN KEY (fiscal_year) REFERENCES books.fiscal_years (year),
    CONSTRAINT journal_entries_number_positive CHECK (number > 0),
    CONSTRAINT journal_entries_source_known CHECK
        (source IN ('manual', 'opening', 'closing', 'cash', 'bank', 'sale', 'purchase', 'payroll'))
);
CREATE INDEX journal_entries_entry_date_idx ON books.journal_entries (entry_date);
COMMENT ON TABLE books.journal_entries IS 'Journal entries; each balances when its transaction commits.';

CREATE TABLE books.journal_lines (
    fiscal_year  integer NOT NULL,
    entry_number bigint  NOT NULL,
    line_number  integer NOT NULL,
    account      text    NOT NULL,
    partner      text,
    description  text    NOT NULL DEFAULT '',
    debit_minor  books.minor NOT NULL DEFAULT 0,
    credit_minor books.minor NOT NULL DEFAULT 0,
    currency     books.currency NOT NULL DEFAULT 'EUR',
    CONSTRAINT journal_lines_pkey PRIMARY KEY (fiscal_year, entry_number, line_number),
    CONSTRAINT journal_lines_entry_fkey FOREIGN KEY (fiscal_year, entry_number)
        REFERENCES books.journal_entries (fiscal_year, number) ON DELETE CASCADE,
    CONSTRAINT journal_lines_account_fkey FOREIGN KEY (account) REFERENCES books.accounts (number) ON UPDATE CASCADE,
    CONSTRAINT journal_lines_partner_fkey FOREIGN KEY (partner) REFERENCES books.partners (code) ON UPDATE CASCADE,
    CONSTRAINT journal_lines_number_positive CHECK (line_number > 0),
    CONSTRAINT journal_lines_one_side CHECK
        (debit_minor >= 0 AND credit_minor >= 0 AND (debit_minor = 0) <> (credit_minor = 0))
);
CREATE INDEX journal_lines_account_idx ON books.journal_lines (account, fiscal_year);
CREATE INDEX journal_lines_partner_idx ON books.journal_lines (partner) WHERE partner IS NOT NULL;
COMMENT ON TABLE books.journal_lines IS 'Debits and credits of a journal entry; each line has exactly one side.';

CREATE TABLE books.cash_vouchers (
    fiscal_year  integer NOT NULL,
    kind         text    NOT NULL,
    number       bigint  NOT NULL,
    voucher_date date    NOT NULL,
    partner      text,
    counterparty text    NOT NULL DEFAULT '',
    description  text    NOT NULL DEFAULT '',
    amount_minor books.minor NOT NULL,
    currency     books.currency NOT NULL DEFAULT 'EUR',
    cash_account text    NOT NULL,
    account      text    NOT NULL,
    entry_number bigint,
    CONSTRAINT cash_vouchers_pkey PRIMARY KEY (fiscal_year, kind, number),
    CONSTRAINT cash_vouchers_fiscal_year_fkey FOREIGN KEY (fiscal_year) REFERENCES books.fiscal_years (year),
    CONSTRAINT cash_vouchers_kind_known CHECK (kind IN ('receipt', 'payment')),
    CONSTRAINT cash_vouchers_number_positive CHECK (number > 0),
    CONSTRAINT cash_vouchers_amount_positive CHECK (amount_minor > 0),
    CONSTRAINT cash_vouchers_partner_fkey FOREIGN KEY (partner) REFERENCES books.partners (code) ON UPDATE CASCADE,
    CONSTRAINT cash_vouchers_cash_account_fkey FOREIGN KEY (cash_account) REFERENCES books.accounts (number) ON UPDATE CASCADE,
    CONSTRAINT cash_vouchers_account_fkey FOREIGN KEY (account) REFERENCES books.accounts (number) ON UPDATE CASCADE,
    CONSTRAINT cash_vouchers_entry_fkey FOREIGN KEY (fiscal_year, entry_number) REFERENCES books.journal_entries (fiscal_year, number)
);
CREATE INDEX cash_vouchers_entry_idx ON books.cash_vouchers (fiscal_year, entry_number);
COMMENT ON TABLE books.cash_vouchers IS 'Cash receipts and payments.';
COMMENT ON COLUMN books.cash_vouchers.account IS 'The account on the other side of the cash account.';

CREATE TABLE books.bank_vouchers (
    fiscal_year    integer NOT NULL,
    number         bigint  NOT NULL,
    direction      text    NOT NULL,
    voucher_date   date    NOT NULL,
    partner        text,
    counterparty   text    NOT NULL DEFAULT '',
    counterparty_bank_account text NOT NULL DEFAULT '',
    description    text    NOT NULL DEFAULT '',
    bank_reference text    NOT NULL DEFAULT '',
    amount_minor   books.minor NOT NULL,
    currency       books.currency NOT NULL DEFAULT 'EUR',
    bank_account   text    NOT NULL,
    account        text    NOT NULL,
    state          text    NOT NULL DEFAULT 'prepared',
    prepared_by    text,
    approved_by    text,
    approved_at    timestamptz,
    entry_number   bigint,
    CONSTRAINT bank_vouchers_pkey PRIMARY KEY (fiscal_year, number),
    CONSTRAINT bank_vouchers_fiscal_year_fkey FOREIGN KEY (fiscal_year) REFERENCES books.fiscal_years (year),
    CONSTRAINT bank_vouchers_direction_known CHECK (direction IN ('in', 'out')),
    CONSTRAINT bank_vouchers_number_positive CHECK (number > 0),
    CONSTRAINT bank_vouchers_amount_positive CHECK (amount_minor > 0),
    CONSTRAINT bank_vouchers_state_known CHECK (state IN ('prepared', 'approved', 'paid', 'received')),
    CONSTRAINT bank_vouchers_state_of_direction CHECK ((direction = 'in') = (state = 'received')),
    CONSTRAINT bank_vouchers_partner_fkey FOREIGN KEY (partner) REFERENCES books.partners (code) ON UPDATE CASCADE,
    CONSTRAINT bank_vouchers_bank_account_fkey FOREIGN KEY (bank_account) REFERENCES books.accounts (number) ON UPDATE CASCADE,
    CONSTRAINT bank_vouchers_account_fkey FOREIGN KEY (account) REFERENCES books.accounts (number) ON UPDATE CASCADE,
    CONSTRAINT bank_vouchers_entry_fkey FOREIGN KEY (fiscal_year, entry_number) REFERENCES books.journal_entries (fiscal_year, number)
);
CREATE INDEX bank_vouchers_voucher_date_idx ON books.bank_vouchers (voucher_date);
CREATE INDEX bank_vouchers_entry_idx ON books.bank_vouchers (fiscal_year, entry_number);
COMMENT ON TABLE books.bank_vouchers IS 'Money in and out of bank accounts. A payment is prepared, approved by whoever may, then paid.';
COMMENT ON COLUMN books.bank_vouchers.bank_account IS 'The ledger account of our bank account.';
COMMENT ON COLUMN books.bank_vouchers.account IS 'The account on the other side of the bank account.';
COMMENT ON COLUMN books.bank_vouchers.prepared_by IS 'The account (or login) that entered it; written by trigger.';
COMMENT ON COLUMN books.bank_vouchers.approved_by IS 'The account (or login) that approved it; written by trigger.';

CREATE TABLE books.invoices (
    fiscal_year     integer NOT NULL,
    direction       text    NOT NULL,
    number          bigint  NOT NULL,
    document_number text    NOT NULL,
    partner         text    NOT NULL,
    issue_date      date    NOT NULL,
    due_date        date    NOT NULL,
    currency        books.currency NOT NULL DEFAULT 'EUR',
    net_minor       books.minor NOT NULL,
    vat_minor       books.minor NOT NULL,
    total_minor     books.minor NOT NULL,
    state           text    NOT NULL DEFAULT 'draft',
    note            text    NOT NULL DEFAULT '',
    entry_number    bigint,
    CONSTRAINT invoices_pkey PRIMARY KEY (fiscal_year, direction, number),
    CONSTRAINT invoices_fiscal_year_fkey FOREIGN KEY (fiscal_year) REFERENCES books.fiscal_years (year),
    CONSTRAINT invoices_direction_known CHECK (direction IN ('sale', 'purchase')),
    CONSTRAINT invoices_number_positive CHECK (number > 0),
    CONSTRAINT invoices_document_number_filled CHECK (document_number <> ''),
    CONSTRAINT invoices_document_number_key UNIQUE (direction, partner, document_number),
    CONSTRAINT invoices_due_after_issue CHECK (due_date >= issue_date),
    CONSTRAINT invoices_total_adds_up CHECK (total_minor = net_minor + vat_minor),
    CONSTRAINT invoices_state_known CHECK (state IN ('draft', 'issued', 'paid', 'cancelled')),
    CONSTRAINT invoices_partner_fkey FOREIGN KEY (partner) REFERENCES books.partners (code) ON UPDATE CASCADE,
    CONSTRAINT invoices_entry_fkey FOREIGN KEY (fiscal_year, entry_number) REFERENCES books.journal_entries (fiscal_year, number)
);
CREATE INDEX invoices_issue_date_idx ON books.invoices (issue_date);
CREATE INDEX invoices_entry_idx ON books.invoices (fiscal_year, entry_number);
COMMENT ON TABLE books.invoices IS 'Sales and purchase invoices. One that is no draft agrees with its lines when its transaction commits.';
COMMENT ON COLUMN books.invoices.number IS 'Running number in our register; document_number is what the paper says.';

CREATE TABLE books.invoice_lines (
    fiscal_year    integer NOT NULL,
    direction      text    NOT NULL,
    invoice_number bigint  NOT NULL,
    line_number    integer NOT NULL,
    product        text,
    description    text    NOT NULL,
    quantity       numeric(18, 3) NOT NULL DEFAULT 1,
    unit           text    NOT NULL DEFAULT 'gab.',
    price_minor    books.minor NOT NULL,
    net_minor      books.minor NOT NULL,
    vat_rate       integer NOT NULL,
    vat_minor      books.minor NOT NULL,
    account        text,
    CONSTRAINT invoice_lines_pkey PRIMARY KEY (fiscal_year, direction, invoice_number, line_number),
    CONSTRAINT invoice_lines_invoice_fkey FOREIGN KEY (fiscal_year, direction, invoice_number)
        REFERENCES books.invoices (fiscal_year, direction, number) ON DELETE CASCADE,
    CONSTRAINT invoice_lines_product_fkey FOREIGN KEY (product) REFERENCES books.products (code) ON UPDATE CASCADE,
    CONSTRAINT invoice_lines_account_fkey FOREIGN KEY (account) REFERENCES books.accounts (number) ON UPDATE CASCADE,
    CONSTRAINT invoice_lines_number_positive CHECK (line_number > 0),
    CONSTRAINT invoice_lines_vat_rate_in_range CHECK (vat_rate BETWEEN 0 AND 10000)
);
CREATE INDEX invoice_lines_product_idx ON books.invoice_lines (product) WHERE product IS NOT NULL;
COMMENT ON TABLE books.invoice_lines IS 'Lines of an invoice; amounts in the invoice''s currency.';
COMMENT ON COLUMN books.invoice_lines.vat_rate IS 'VAT rate in hundredths of a per cent: 2100 is 21 %.';

CREATE TABLE books.attachments (
    fiscal_year    integer NOT NULL,
    direction      text    NOT NULL,
    invoice_number bigint  NOT NULL,
    number         integer NOT NULL,
    file_name      text    NOT NULL,
    media_type     text    NOT NULL,
    content        bytea   NOT NULL,
    CONSTRAINT attachments_pkey PRIMARY KEY (fiscal_year, direction, invoice_number, number),
    CONSTRAINT attachments_invoice_fkey FOREIGN KEY (fiscal_year, direction, invoice_number)
        REFERENCES books.invoices (fiscal_year, direction, number) ON DELETE CASCADE,
    CONSTRAINT attachments_content_in_size CHECK (octet_length(content) BETWEEN 1 AND 20971520)
);
-- Scans are compressed already.
ALTER TABLE books.attachments ALTER COLUMN content SET STORAGE EXTERNAL;
COMMENT ON TABLE books.attachments IS 'Scans that belong to invoices, 20 MiB each at the most.';

CREATE TABLE books.received_documents (
    connection        text        NOT NULL,
    document_id       text        NOT NULL,
    fiscal_year       integer     NOT NULL,
    document_type     text        NOT NULL DEFAULT 'invoice',
    document_number   text        NOT NULL,
    issue_date        date        NOT NULL,
    sender_name       text        NOT NULL DEFAULT '',
    sender_tax_number text        NOT NULL,
    currency          books.currency NOT NULL,
    total_minor       books.minor NOT NULL,
    payload_sha256    text        NOT NULL,
    state             text        NOT NULL DEFAULT 'imported',
    reason            text        NOT NULL DEFAULT '',
    received_at       timestamptz NOT NULL,
    direction         text,
    invoice_number    bigint,
    CONSTRAINT received_documents_pkey PRIMARY KEY (connection, document_id),
    CONSTRAINT received_documents_fiscal_year_fkey FOREIGN KEY (fiscal_year) REFERENCES books.fiscal_years (year),
    CONSTRAINT received_documents_sha256_is_hex CHECK (payload_sha256 ~ '^[0-9a-f]{64}$'),
    CONSTRAINT received_documents_state_known CHECK (state IN ('imported', 'posted', 'queried', 'refused')),
    CONSTRAINT received_documents_reason_given CHECK (state NOT IN ('queried', 'refused') OR reason <> ''),
    CONSTRAINT received_documents_invoice_fkey FOREIGN KEY (fiscal_year, direction, invoice_number)
        REFERENCES books.invoices (fiscal_year, direction, number)
);
CREATE INDEX received_documents_invoice_idx ON books.received_documents (fiscal_year, direction, invoice_number);
COMMENT ON TABLE books.received_documents IS 'Documents that came through a connection, each once, with the invoice each became.';
COMMENT ON COLUMN books.received_documents.connection IS 'connections/X; with document_id it keeps a repeated delivery from being imported twice.';
COMMENT ON COLUMN books.received_documents.reason IS 'Why it was refused or what is asked; compulsory then.';

-- A rule that a CHECK cannot say raises with a constraint's name all the same, so that callers map it like one.
CREATE FUNCTION books.check_entry_balanced() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    changed jsonb;
    head    record;
    sums    record;
BEGIN
    FOREACH changed IN ARRAY CASE TG_OP WHEN 'INSERT' THEN ARRAY[to_jsonb(NEW)] WHEN 'DELETE' THEN ARRAY[to_jsonb(OLD)]
        ELSE ARRAY[to_jsonb(OLD), to_jsonb(NEW)] END
    LOOP
        SELECT e.fiscal_year, e.number INTO head FROM books.journal_entries e
        WHERE e.fiscal_year = (changed ->> 'fiscal_year')::integer
            AND e.number = coalesce(changed ->> 'entry_number', changed ->> 'number')::bigint;
        CONTINUE WHEN NOT FOUND;
        SELECT l.currency, sum(l.debit_minor) AS debit, sum(l.credit_minor) AS credit INTO sums FROM books.journal_lines l
        WHERE l.fiscal_year = head.fiscal_year AND l.entry_number = head.number
        GROUP BY l.currency ORDER BY sum(l.debit_minor) = sum(l.credit_minor) LIMIT 1;
        IF NOT FOUND OR sums.debit <> sums.credit THEN
            RAISE check_violation USING
                MESSAGE = format('journal entry %s/%s does not balance: debit %s, credit %s %s', head.fiscal_year, head.number,
                    coalesce(sums.debit, 0), coalesce(sums.credit, 0), sums.currency),
                SCHEMA = 'books', TABLE = 'journal_entries', CONSTRAINT = 'journal_entries_balanced';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION books.check_entry_balanced() IS 'Refuses a transaction that leaves an entry without lines or with debit unequal to credit in some currency.';
CREATE CONSTRAINT TRIGGER journal_entries_balanced AFTER INSERT ON books.journal_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION books.check_entry_balanced();
CREATE CONSTRAINT TRIGGER journal_lines_balanced AFTER INSERT OR UPDATE OR DELETE ON books.journal_lines
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION books.check_entry_balanced();

CREATE FUNCTION books.check_invoice_agrees() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    changed jsonb;
    head    record;
    sums    record;
BEGIN
    FOREACH changed IN ARRAY CASE TG_OP WHEN 'INSERT' THEN ARRAY[to_jsonb(NEW)] WHEN 'DELETE' THEN ARRAY[to_jsonb(OLD)]
        ELSE ARRAY[to_jsonb(OLD), to_jsonb(NEW)] END
    LOOP
        SELECT i.fiscal_year, i.direction, i.number, i.net_minor, i.vat_minor INTO head FROM books.invoices i
        WHERE i.fiscal_year = (changed ->> 'fiscal_year')::integer AND i.direction = changed ->> 'direction'
            AND i.number = coalesce(changed ->> 'invoice_number', changed ->> 'number')::bigint AND i.state <> 'draft';
        CONTINUE WHEN NOT FOUND;
        SELECT coalesce(sum(l.net_minor), 0) AS net, coalesce(sum(l.vat_minor), 0) AS vat INTO sums FROM books.invoice_lines l
        WHERE l.fiscal_year = head.fiscal_year AND l.direction = head.direction AND l.invoice_number = head.number;
        IF sums.net <> head.net_minor OR sums.vat <> head.vat_minor THEN
            RAISE check_violation USING
                MESSAGE = format('invoice %s %s/%s does not agree with its lines: net %s and %s, VAT %s and %s', head.direction,
                    head.fiscal_year, head.number, head.net_minor, sums.net, head.vat_minor, sums.vat),
                SCHEMA = 'books', TABLE = 'invoices', CONSTRAINT = 'invoices_agree_with_lines';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION books.check_invoice_agrees() IS 'Refuses a transaction that leaves an invoice that is no draft different from the sum of its lines.';
CREATE CONSTRAINT TRIGGER invoices_agree_with_lines AFTER INSERT OR UPDATE ON books.invoices
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION books.check_invoice_agrees();
CREATE CONSTRAINT TRIGGER invoice_lines_agree AFTER INSERT OR UPDATE OR DELETE ON books.invoice_lines
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION books.check_invoice_agrees();

-- Argument: the column whose date must lie in the fiscal year; none for lines.
CREATE FUNCTION books.check_fiscal_year() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    touched   record;
    is_closed boolean;
    dated     date;
BEGIN
    FOR touched IN
        SELECT y.year, y.closed, y.starts_on, y.ends_on FROM books.fiscal_years y
        WHERE y.year = ANY (CASE TG_OP WHEN 'INSERT' THEN ARRAY[NEW.fiscal_year] WHEN 'DELETE' THEN ARRAY[OLD.fiscal_year]
            ELSE ARRAY[OLD.fiscal_year, NEW.fiscal_year] END)
    LOOP
        IF touched.closed THEN
            RAISE check_violation USING
                MESSAGE = format('fiscal year %s is closed', touched.year),
                SCHEMA = 'books', TABLE = TG_TABLE_NAME, CONSTRAINT = 'fiscal_year_open';
        END IF;
        IF TG_OP <> 'DELETE' AND TG_NARGS > 0 THEN
            dated := (to_jsonb(NEW) ->> TG_ARGV[0])::date;
            IF touched.year = NEW.fiscal_year AND dated NOT BETWEEN touched.starts_on AND touched.ends_on THEN
                RAISE check_violation USING
                    MESSAGE = format('%s is not in fiscal year %s', dated, touched.year),
                    SCHEMA = 'books', TABLE = TG_TABLE_NAME, COLUMN = TG_ARGV[0], CONSTRAINT = 'fiscal_year_has_date';
            END IF;
        END IF;
    END LOOP;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION books.check_fiscal_year() IS 'Refuses writing into a closed fiscal year and dates outside of the row''s year.';
CREATE TRIGGER check_fiscal_year BEFORE INSERT OR UPDATE OR DELETE ON books.journal_entries
    FOR EACH ROW EXECUTE FUNCTION books.check_fiscal_year('entry_date');
CREATE TRIGGER check_fiscal_year BEFORE INSERT OR UPDATE OR DELETE ON books.journal_lines
    FOR EACH ROW EXECUTE FUNCTION books.check_fiscal_year();
CREATE TRIGGER check_fiscal_year BEFORE INSERT OR UPDATE OR DELETE ON books.cash_vouchers
    FOR EACH ROW EXECUTE FUNCTION books.check_fiscal_year('voucher_date');
CREATE TRIGGER check_fiscal_year BEFORE INSERT OR UPDATE OR DELETE ON books.bank_vouchers
    FOR EACH ROW EXECUTE FUNCTION books.check_fiscal_year('voucher_date');
CREATE TRIGGER check_fiscal_year BEFORE INSERT OR UPDATE OR DELETE ON books.invoices
    FOR EACH ROW EXECUTE FUNCTION books.check_fiscal_year('issue_date');
CREATE TRIGGER check_fiscal_year BEFORE INSERT OR UPDATE OR DELETE ON books.invoice_lines
    FOR EACH ROW EXECUTE FUNCTION books.check_fiscal_year();

CREATE FUNCTION books.keep_template_flag() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.from_template := false;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION books.keep_template_flag() IS 'An account that somebody changed is no longer as the template had it.';
CREATE TRIGGER keep_template_flag BEFORE UPDATE OF number, name, kind, parent, active ON books.accounts
    FOR EACH ROW EXECUTE FUNCTION books.keep_template_flag();

CREATE FUNCTION books.guard_bank_voucher() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    actor text := coalesce(kontor_meta.acting_account(), session_user);
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.state := CASE NEW.direction WHEN 'in' THEN 'received' ELSE 'prepared' END;
        NEW.prepared_by := actor;
        NEW.approved_by := NULL;
        NEW.approved_at := NULL;
        RETURN NEW;
    END IF;
    IF TG_OP = 'DELETE' THEN
        IF OLD.state IN ('approved', 'paid') THEN
            RAISE check_violation USING MESSAGE = format('bank voucher %s/%s is %s', OLD.fiscal_year, OLD.number, OLD.state),
                SCHEMA = 'books', TABLE = 'bank_vouchers', CONSTRAINT = 'bank_vouchers_approved_kept';
        END IF;
        RETURN OLD;
    END IF;
    IF OLD.state IN ('approved', 'paid') AND (NEW.fiscal_year, NEW.number, NEW.direction, NEW.amount_minor, NEW.currency, NEW.partner, NEW.counterparty_bank_account)
        IS DISTINCT FROM (OLD.fiscal_year, OLD.number, OLD.direction, OLD.amount_minor, OLD.currency, OLD.partner, OLD.counterparty_bank_account) THEN
        RAISE check_violation USING MESSAGE = format('bank voucher %s/%s is %s', OLD.fiscal_year, OLD.number, OLD.state),
            SCHEMA = 'books', TABLE = 'bank_vouchers', CONSTRAINT = 'bank_vouchers_approved_kept';
    END IF;
    NEW.prepared_by := OLD.prepared_by;
    NEW.approved_by := OLD.approved_by;
    NEW.approved_at := OLD.approved_at;
    IF NEW.state IS DISTINCT FROM OLD.state THEN
        IF (OLD.state, NEW.state) NOT IN (('prepared', 'approved'), ('approved', 'paid'), ('approved', 'prepared')) THEN
            RAISE check_violation USING MESSAGE = format('bank voucher %s/%s cannot go from %s to %s', OLD.fiscal_year, OLD.number, OLD.state, NEW.state),
                SCHEMA = 'books', TABLE = 'bank_vouchers', CONSTRAINT = 'bank_vouchers_state_in_order';
        END IF;
        IF NEW.state = 'approved' THEN
            NEW.approved_by := actor;
            NEW.approved_at := clock_timestamp();
        ELSIF NEW.state = 'prepared' THEN
            NEW.approved_by := NULL;
            NEW.approved_at := NULL;
        END IF;
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION books.guard_bank_voucher() IS
    'Who prepared and approved a payment is written here, not by the session; what was approved stays as it was.';
CREATE TRIGGER guard_bank_voucher BEFORE INSERT OR UPDATE OR DELETE ON books.bank_vouchers
    FOR EACH ROW EXECUTE FUNCTION books.guard_bank_voucher();

CREATE FUNCTION books.next_number(in_year integer, in_series text) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO books.counters AS c (fiscal_year, kind, last_number) VALUES (in_year, in_series, 1)
    ON CONFLICT ON CONSTRAINT counters_pkey DO UPDATE SET last_number = c.last_number + 1
    RETURNING last_number
$$;
COMMENT ON FUNCTION books.next_number(integer, text) IS
    'The next number of a series in a fiscal year; without gaps, so it holds the series until the transaction ends.';

CREATE VIEW books.trial_balance WITH (security_invoker = true) AS
    SELECT l.fiscal_year, l.account, a.name, l.currency,
        sum(l.debit_minor)::bigint AS debit_minor, sum(l.credit_minor)::bigint AS credit_minor
    FROM books.journal_lines l JOIN books.accounts a ON a.number = l.account
    GROUP BY l.fiscal_year, l.account, a.name, l.currency;
COMMENT ON VIEW books.trial_balance IS 'Turnover of each account by fiscal year and currency, of the years that the reader may see.';

CREATE VIEW books.change_history AS
    SELECT id, at, login, account, table_name, action, key, old, new FROM kontor_meta.change_log WHERE area = 'books';
COMMENT ON VIEW books.change_history IS 'The change log of the books, for their administrators; read with the owner''s right.';

-- A login sees and writes the fiscal years it is bound to; the owner (upgrades, dumps) sees all.
ALTER TABLE books.journal_entries ENABLE ROW LEVEL SECURITY;
ALTER TABLE books.journal_lines ENABLE ROW LEVEL SECURITY;
ALTER TABLE books.cash_vouchers ENABLE ROW LEVEL SECURITY;
ALTER TABLE books.bank_vouchers ENABLE ROW LEVEL SECURITY;
ALTER TABLE books.invoices ENABLE ROW LEVEL SECURITY;
ALTER TABLE books.invoice_lines ENABLE ROW LEVEL SECURITY;
ALTER TABLE books.attachments ENABLE ROW LEVEL SECURITY;
ALTER TABLE books.received_documents ENABLE ROW LEVEL SECURITY;
CREATE POLICY bounded_years ON books.journal_entries
    USING (fiscal_year BETWEEN (SELECT kontor_meta.year_from()) AND (SELECT kontor_meta.year_to()));
CREATE POLICY bounded_years ON books.journal_lines
    USING (fiscal_year BETWEEN (SELECT kontor_meta.year_from()) AND (SELECT kontor_meta.year_to()));
CREATE POLICY bounded_years ON books.cash_vouchers
    USING (fiscal_year BETWEEN (SELECT kontor_meta.year_from()) AND (SELECT kontor_meta.year_to()));
CREATE POLICY bounded_years ON books.bank_vouchers
    USING (fiscal_year BETWEEN (SELECT kontor_meta.year_from()) AND (SELECT kontor_meta.year_to()));
CREATE POLICY bounded_years ON books.invoices
    USING (fiscal_year BETWEEN (SELECT kontor_meta.year_from()) AND (SELECT kontor_meta.year_to()));
CREATE POLICY bounded_years ON books.invoice_lines
    USING (fiscal_year BETWEEN (SELECT kontor_meta.year_from()) AND (SELECT kontor_meta.year_to()));
CREATE POLICY bounded_years ON books.attachments
    USING (fiscal_year BETWEEN (SELECT kontor_meta.year_from()) AND (SELECT kontor_meta.year_to()));
CREATE POLICY bounded_years ON books.received_documents
    USING (fiscal_year BETWEEN (SELECT kontor_meta.year_from()) AND (SELECT kontor_meta.year_to()));

SELECT kontor_meta.track('books.settings');
SELECT kontor_meta.track('books.local_users');
SELECT kontor_meta.track('books.fiscal_years');
SELECT kontor_meta.track('books.accounts');
SELECT kontor_meta.track('books.partners');
SELECT kontor_meta.track('books.products');
SELECT kontor_meta.track('books.journal_entries');
SELECT kontor_meta.track('books.journal_lines');
SELECT kontor_meta.track('books.cash_vouchers');
SELECT kontor_meta.track('books.bank_vouchers');
SELECT kontor_meta.track('books.invoices');
SELECT kontor_meta.track('books.invoice_lines');
SELECT kontor_meta.track('books.attachments', 'content');
SELECT kontor_meta.track('books.received_documents');
-- +goose StatementEnd
