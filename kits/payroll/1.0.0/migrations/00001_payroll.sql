-- Payroll as of 1.0.0: employees, the common salary formulas, monthly runs with payslips.

-- +goose Up
-- +goose StatementBegin
CREATE DOMAIN payroll.currency AS text CONSTRAINT currency_is_iso4217 CHECK (VALUE ~ '^[A-Z]{3}$');
COMMENT ON DOMAIN payroll.currency IS 'ISO 4217 code, e.g. EUR.';
CREATE DOMAIN payroll.minor AS bigint;
COMMENT ON DOMAIN payroll.minor IS 'An amount in the minor unit (cents) of the currency that stands in the same row.';

CREATE TABLE payroll.employees (
    code          text    NOT NULL,
    first_name    text    NOT NULL,
    last_name     text    NOT NULL,
    personal_code text    NOT NULL,
    email         text    NOT NULL DEFAULT '',
    bank_account  text    NOT NULL DEFAULT '',
    post          text    NOT NULL DEFAULT '',
    salary_minor  payroll.minor NOT NULL,
    currency      payroll.currency NOT NULL DEFAULT 'EUR',
    dependants    integer NOT NULL DEFAULT 0,
    hired_on      date    NOT NULL,
    left_on       date,
    CONSTRAINT employees_pkey PRIMARY KEY (code),
    CONSTRAINT employees_code_in_size CHECK (length(code) BETWEEN 1 AND 32),
    CONSTRAINT employees_name_filled CHECK (first_name <> '' AND last_name <> ''),
    CONSTRAINT employees_personal_code_key UNIQUE (personal_code),
    CONSTRAINT employees_salary_not_negative CHECK (salary_minor >= 0),
    CONSTRAINT employees_dependants_in_range CHECK (dependants BETWEEN 0 AND 20),
    CONSTRAINT employees_dates_in_order CHECK (left_on >= hired_on)
);
COMMENT ON TABLE payroll.employees IS 'People employed now or before.';
COMMENT ON COLUMN payroll.employees.personal_code IS 'The state''s number of the person: personal data.';
COMMENT ON COLUMN payroll.employees.salary_minor IS 'Gross salary of a whole month.';

CREATE TABLE payroll.formulas (
    code       text    NOT NULL,
    name       text    NOT NULL,
    side       text    NOT NULL,
    expression text    NOT NULL,
    position   integer NOT NULL,
    active     boolean NOT NULL DEFAULT true,
    CONSTRAINT formulas_pkey PRIMARY KEY (code),
    CONSTRAINT formulas_code_is_word CHECK (code ~ '^[a-z][a-z0-9_]{0,30}$'),
    CONSTRAINT formulas_side_known CHECK (side IN ('earning', 'deduction', 'employer')),
    CONSTRAINT formulas_expression_filled CHECK (expression <> '')
);
COMMENT ON TABLE payroll.formulas IS 'Salary formulas, worked out in the order of position; the program evaluates them.';
COMMENT ON COLUMN payroll.formulas.expression IS 'Over salary, hours, norm_hours, overtime_hours, sick_days, work_days, dependants and the codes of earlier formulas; amounts in minor units, rounded half to even.';
INSERT INTO payroll.formulas (code, name, side, expression, position) VALUES
    ('monthly', 'Salary for time worked', 'earning', 'salary * hours / norm_hours', 10),
    ('overtime', 'Overtime at double rate', 'earning', 'salary / norm_hours * overtime_hours * 2', 20),
    ('sick_pay', 'Sick pay at 75 %', 'earning', 'salary / work_days * sick_days * 0.75', 30),
    ('gross', 'Gross', 'earning', 'monthly + overtime + sick_pay', 40),
    ('social', 'Employee''s social contribution 10.5 %', 'deduction', 'gross * 0.105', 50),
    ('relief', 'Relief for dependants', 'deduction', 'dependants * 25000', 60),
    ('income_tax', 'Personal income tax 25.5 %', 'deduction', 'max(0, gross - social - relief) * 0.255', 70),
    ('employer_social', 'Employer''s social contribution 23.59 %', 'employer', 'gross * 0.2359', 80);

CREATE TABLE payroll.runs (
    year      integer NOT NULL,
    month     integer NOT NULL,
    state     text    NOT NULL DEFAULT 'open',
    paid_on   date,
    CONSTRAINT runs_pkey PRIMARY KEY (year, month),
    CONSTRAINT runs_year_in_range CHECK (year BETWEEN 1900 AND 9999),
    CONSTRAINT runs_month_in_range CHECK (month BETWEEN 1 AND 12),
    CONSTRAINT runs_state_known CHECK (state IN ('open', 'closed', 'paid')),
    CONSTRAINT runs_paid_has_day CHECK ((state = 'paid') = (paid_on IS NOT NULL))
);
COMMENT ON TABLE payroll.runs IS 'One payroll a calendar month.';

CREATE TABLE payroll.payslips (
    year        integer NOT NULL,
    month       integer NOT NULL,
    employee    text    NOT NULL,
    hours       numeric(8, 2) NOT NULL,
    gross_minor payroll.minor NOT NULL,
    deducted_minor payroll.minor NOT NULL,
    net_minor   payroll.minor NOT NULL,
    employer_minor payroll.minor NOT NULL,
    currency    payroll.currency NOT NULL DEFAULT 'EUR',
    CONSTRAINT payslips_pkey PRIMARY KEY (year, month, employee),
    CONSTRAINT payslips_run_fkey FOREIGN KEY (year, month) REFERENCES payroll.runs (year, month),
    CONSTRAINT payslips_employee_fkey FOREIGN KEY (employee) REFERENCES payroll.employees (code) ON UPDATE CASCADE,
    CONSTRAINT payslips_hours_in_range CHECK (hours BETWEEN 0 AND 744),
    CONSTRAINT payslips_net_adds_up CHECK (net_minor = gross_minor - deducted_minor)
);
CREATE INDEX payslips_employee_idx ON payroll.payslips (employee);
COMMENT ON TABLE payroll.payslips IS 'What one person earned in one month.';
COMMENT ON COLUMN payroll.payslips.employer_minor IS 'What the employer pays on top of gross.';

CREATE TABLE payroll.payslip_lines (
    year         integer NOT NULL,
    month        integer NOT NULL,
    employee     text    NOT NULL,
    formula      text    NOT NULL,
    amount_minor payroll.minor NOT NULL,
    CONSTRAINT payslip_lines_pkey PRIMARY KEY (year, month, employee, formula),
    CONSTRAINT payslip_lines_payslip_fkey FOREIGN KEY (year, month, employee)
        REFERENCES payroll.payslips (year, month, employee) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT payslip_lines_formula_fkey FOREIGN KEY (formula) REFERENCES payroll.formulas (code) ON UPDATE CASCADE
);
COMMENT ON TABLE payroll.payslip_lines IS 'What each formula gave on a payslip, in the payslip''s currency.';

CREATE FUNCTION payroll.check_run_open() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    slip record;
BEGIN
    IF TG_OP = 'DELETE' THEN
        slip := OLD;
    ELSE
        slip := NEW;
    END IF;
    PERFORM FROM payroll.runs r WHERE r.year = slip.year AND r.month = slip.month AND r.state <> 'open';
    IF FOUND THEN
        RAISE check_violation USING MESSAGE = format('payroll of %s-%s is closed', slip.year, lpad(slip.month::text, 2, '0')),
            SCHEMA = 'payroll', TABLE = TG_TABLE_NAME, CONSTRAINT = 'payroll_run_open';
    END IF;
    RETURN slip;
END $$;
COMMENT ON FUNCTION payroll.check_run_open() IS 'Refuses changes to payslips of a month that is closed or paid.';
CREATE TRIGGER check_run_open BEFORE INSERT OR UPDATE OR DELETE ON payroll.payslips
    FOR EACH ROW EXECUTE FUNCTION payroll.check_run_open();
CREATE TRIGGER check_run_open BEFORE INSERT OR UPDATE OR DELETE ON payroll.payslip_lines
    FOR EACH ROW EXECUTE FUNCTION payroll.check_run_open();

CREATE VIEW payroll.change_history AS
    SELECT id, at, login, account, table_name, action, key, old, new FROM kontor_meta.change_log WHERE area = 'payroll';
COMMENT ON VIEW payroll.change_history IS 'The change log of payroll; read with the owner''s right.';

-- A login sees and writes the years it is bound to; the owner (upgrades, dumps) sees all.
ALTER TABLE payroll.runs ENABLE ROW LEVEL SECURITY;
ALTER TABLE payroll.payslips ENABLE ROW LEVEL SECURITY;
ALTER TABLE payroll.payslip_lines ENABLE ROW LEVEL SECURITY;
CREATE POLICY bounded_years ON payroll.runs
    USING (year BETWEEN (SELECT kontor_meta.year_from()) AND (SELECT kontor_meta.year_to()));
CREATE POLICY bounded_years ON payroll.payslips
    USING (year BETWEEN (SELECT kontor_meta.year_from()) AND (SELECT kontor_meta.year_to()));
CREATE POLICY bounded_years ON payroll.payslip_lines
    USING (year BETWEEN (SELECT kontor_meta.year_from()) AND (SELECT kontor_meta.year_to()));

SELECT kontor_meta.track('payroll.employees');
SELECT kontor_meta.track('payroll.formulas');
SELECT kontor_meta.track('payroll.runs');
SELECT kontor_meta.track('payroll.payslips');
SELECT kontor_meta.track('payroll.payslip_lines');
-- +goose StatementEnd
