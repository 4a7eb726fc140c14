-- 1.4.0: cost centres, and VAT codes in place of bare rates on lines. Lines written before get the code of their rate.

-- +goose Up
-- +goose StatementBegin
CREATE TABLE books.cost_centres (
    code   text    NOT NULL,
    name   text    NOT NULL,
    parent text,
    active boolean NOT NULL DEFAULT true,
    CONSTRAINT cost_centres_pkey PRIMARY KEY (code),
    CONSTRAINT cost_centres_code_in_size CHECK (length(code) BETWEEN 1 AND 32),
    CONSTRAINT cost_centres_name_filled CHECK (name <> ''),
    CONSTRAINT cost_centres_parent_fkey FOREIGN KEY (parent) REFERENCES books.cost_centres (code) ON UPDATE CASCADE,
    CONSTRAINT cost_centres_parent_is_other CHECK (parent <> code)
);
COMMENT ON TABLE books.cost_centres IS 'Departments, projects and objects that income and cost are split by.';

CREATE TABLE books.vat_codes (
    code   text    NOT NULL,
    name   text    NOT NULL,
    rate   integer NOT NULL,
    active boolean NOT NULL DEFAULT true,
    CONSTRAINT vat_codes_pkey PRIMARY KEY (code),
    CONSTRAINT vat_codes_code_in_size CHECK (length(code) BETWEEN 1 AND 16),
    CONSTRAINT vat_codes_rate_in_range CHECK (rate BETWEEN 0 AND 10000)
);
COMMENT ON TABLE books.vat_codes IS 'Kinds of VAT; two codes may share a rate (exempt and reverse charge are both 0).';
COMMENT ON COLUMN books.vat_codes.rate IS 'VAT rate in hundredths of a per cent: 2100 is 21 %.';
INSERT INTO books.vat_codes (code, name, rate) VALUES
    ('S21', 'Standard rate 21 %', 2100),
    ('R12', 'Reduced rate 12 %', 1200),
    ('R5', 'Reduced rate 5 %', 500),
    ('Z0', 'Zero rate', 0),
    ('EX', 'Exempt', 0),
    ('RC', 'Reverse charge', 0);
-- Rates that these books used and the standard set lacks.
INSERT INTO books.vat_codes (code, name, rate)
    SELECT 'V' || used.rate, 'Rate ' || trim_scale(used.rate / 100.0) || ' %', used.rate
    FROM (SELECT vat_rate AS rate FROM books.products UNION SELECT vat_rate FROM books.invoice_lines) used
    WHERE used.rate NOT IN (2100, 1200, 500, 0);

ALTER TABLE books.products ADD COLUMN vat_code text;
ALTER TABLE books.invoice_lines ADD COLUMN vat_code text, ADD COLUMN cost_centre text;
ALTER TABLE books.journal_lines ADD COLUMN vat_code text, ADD COLUMN cost_centre text;
COMMENT ON COLUMN books.products.vat_code IS 'The VAT code that new lines with this product get.';

-- Closed years get their codes too, and a release is not a person's change: neither rules nor log apply here.
ALTER TABLE books.products DISABLE TRIGGER USER;
ALTER TABLE books.invoice_lines DISABLE TRIGGER USER;
UPDATE books.products p SET vat_code = c.code
    FROM (SELECT DISTINCT ON (rate) rate, code FROM books.vat_codes WHERE code NOT IN ('EX', 'RC') ORDER BY rate, code) c
    WHERE c.rate = p.vat_rate;
UPDATE books.invoice_lines l SET vat_code = c.code
    FROM (SELECT DISTINCT ON (rate) rate, code FROM books.vat_codes WHERE code NOT IN ('EX', 'RC') ORDER BY rate, code) c
    WHERE c.rate = l.vat_rate;
ALTER TABLE books.products ENABLE TRIGGER USER;
ALTER TABLE books.invoice_lines ENABLE TRIGGER USER;

ALTER TABLE books.products
    ADD CONSTRAINT products_vat_code_fkey FOREIGN KEY (vat_code) REFERENCES books.vat_codes (code) ON UPDATE CASCADE;
ALTER TABLE books.invoice_lines
    ADD CONSTRAINT invoice_lines_vat_code_fkey FOREIGN KEY (vat_code) REFERENCES books.vat_codes (code) ON UPDATE CASCADE,
    ADD CONSTRAINT invoice_lines_cost_centre_fkey FOREIGN KEY (cost_centre) REFERENCES books.cost_centres (code) ON UPDATE CASCADE;
ALTER TABLE books.journal_lines
    ADD CONSTRAINT journal_lines_vat_code_fkey FOREIGN KEY (vat_code) REFERENCES books.vat_codes (code) ON UPDATE CASCADE,
    ADD CONSTRAINT journal_lines_cost_centre_fkey FOREIGN KEY (cost_centre) REFERENCES books.cost_centres (code) ON UPDATE CASCADE;
CREATE INDEX journal_lines_cost_centre_idx ON books.journal_lines (cost_centre, fiscal_year) WHERE cost_centre IS NOT NULL;

SELECT kontor_meta.track('books.cost_centres');
SELECT kontor_meta.track('books.vat_codes');
-- +goose StatementEnd
