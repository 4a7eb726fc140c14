-- What each permission may do in the books. A text/template: group with a permission's name gives the quoted name of its
-- group role in this company, groups all of them. It runs after every upgrade and after all earlier grants in the schema were taken back,
-- so what it does not say is not allowed. No group may create anything.

GRANT USAGE ON SCHEMA books TO {{groups}};
GRANT SELECT ON books.settings, books.fiscal_years, books.accounts, books.partners, books.products TO {{groups}};

GRANT SELECT ON ALL TABLES IN SCHEMA books TO {{group "books.read"}};
REVOKE ALL ON books.local_users, books.change_history FROM {{group "books.read"}};

-- Posting: the journal, cash, and payments up to the point where they need approval. State and approval are not among the columns.
GRANT EXECUTE ON FUNCTION books.next_number(integer, text) TO {{group "books.post_vouchers"}}, {{group "books.issue_invoices"}};
GRANT SELECT, INSERT, UPDATE, DELETE ON books.journal_entries, books.journal_lines, books.cash_vouchers TO {{group "books.post_vouchers"}};
GRANT SELECT, DELETE ON books.bank_vouchers TO {{group "books.post_vouchers"}};
GRANT INSERT (fiscal_year, number, direction, voucher_date, partner, counterparty, counterparty_bank_account, description, bank_reference,
        amount_minor, currency, bank_account, account, entry_number),
    UPDATE (voucher_date, partner, counterparty, counterparty_bank_account, description, bank_reference,
        amount_minor, currency, bank_account, account, entry_number)
    ON books.bank_vouchers TO {{group "books.post_vouchers"}};
GRANT SELECT, UPDATE (state, entry_number) ON books.invoices TO {{group "books.post_vouchers"}};
GRANT SELECT ON books.invoice_lines, books.attachments, books.received_documents, books.trial_balance TO {{group "books.post_vouchers"}};
GRANT UPDATE (state, reason) ON books.received_documents TO {{group "books.post_vouchers"}};

-- Invoices of both directions, written here or received through a connection.
GRANT SELECT, INSERT, UPDATE, DELETE ON books.invoices, books.invoice_lines, books.attachments TO {{group "books.issue_invoices"}};
GRANT SELECT, INSERT ON books.received_documents TO {{group "books.issue_invoices"}};
GRANT UPDATE (state, reason, fiscal_year, direction, invoice_number) ON books.received_documents TO {{group "books.issue_invoices"}};

GRANT SELECT, UPDATE (state) ON books.bank_vouchers TO {{group "books.approve_payments"}};
GRANT SELECT ON books.invoices, books.invoice_lines TO {{group "books.approve_payments"}};

GRANT INSERT (number, name, kind, parent, active), UPDATE (number, name, kind, parent, active), DELETE
    ON books.accounts TO {{group "books.manage_master_data"}};
GRANT INSERT, UPDATE, DELETE ON books.partners, books.products TO {{group "books.manage_master_data"}};

GRANT INSERT, UPDATE, DELETE ON books.settings, books.fiscal_years, books.local_users TO {{group "books.administer"}};
GRANT SELECT ON books.local_users, books.counters, books.change_history TO {{group "books.administer"}};
