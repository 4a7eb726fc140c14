-- A small company writes some twenty rows: two invoices with their lines, what is posted of them, a partner's balance.
INSERT INTO invoice (number, partner, issued, due, net, vat, currency, author, created)
    SELECT 'INV-2026-' || i, 1 + (random() * 19)::bigint, date '2026-11-23', date '2026-12-07', 100, 21, 'EUR', word(i), timestamptz '2026-11-23 08:00+00'
    FROM generate_series(1, 2) i;
INSERT INTO invoice_line
    SELECT v.id, l, 1 + (random() * 9)::bigint, words(v.id * 7 + l, 4), 1, 50, 50, 21, md5(v.id || '/' || l)::uuid
    FROM (SELECT id FROM invoice ORDER BY id DESC LIMIT 2) v, generate_series(1, 3) l;
INSERT INTO entry (journal, number, posted, text, author, created, document)
    SELECT 'SALES', 'J2026' || i, date '2026-11-23', words(i * 5, 4), word(i), timestamptz '2026-11-23 08:00+00', md5(i::text || random())::uuid
    FROM generate_series(1, 2) i;
INSERT INTO posting (entry, account, partner, posted, debit, credit, currency, text, reference)
    SELECT e.id, (1001 + (random() * 799)::integer)::text, NULL, date '2026-11-23', 100, 0, 'EUR', words(e.id * 5, 3), 'SALES/' || e.id
    FROM (SELECT id FROM entry ORDER BY id DESC LIMIT 2) e, generate_series(1, 3);
INSERT INTO audit (at, actor, action, entity, detail)
    SELECT timestamptz '2026-11-23 08:00+00', word(i), 'post', 'entry/' || i, jsonb_build_object('reason', words(i, 3)) FROM generate_series(1, 2) i;
UPDATE partner SET balance = balance + 242 WHERE id IN (SELECT partner FROM invoice ORDER BY id DESC LIMIT 2);
