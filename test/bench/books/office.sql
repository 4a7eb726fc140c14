-- Two hours of office work change one row of 200. $1 as in fill.sql.
-- New documents, their lines, and the journal they are posted to.
INSERT INTO invoice (number, partner, issued, due, net, vat, paid, currency, note, author, created)
    SELECT 'INV-2026-' || lpad(i::text, 8, '0'), 1 + (random() * ($1 * 20 - 1))::bigint, date '2026-11-23', date '2026-12-07', n, n * 0.21, 0, 'EUR',
        CASE WHEN i % 3 = 0 THEN words(i, 5) END, word(i % 12), timestamptz '2026-11-23 08:00+00' + i * interval '4 seconds'
    FROM (SELECT i, (random() * 5000)::numeric(14,2) n FROM generate_series(1, $1 * 8 / 5) i) numbered;
INSERT INTO invoice_line
    SELECT id, l, 1 + (random() * ($1 * 10 - 1))::bigint, words(id * 7 + l, 4), q, p, (q * p)::numeric(14,2), 21, md5(id || '/' || l)::uuid
    FROM (SELECT v.id, l, (random() * 20)::numeric(14,3) q, (random() * 500)::numeric(14,4) p
        FROM (SELECT id FROM invoice ORDER BY id DESC LIMIT $1 * 8 / 5) v, generate_series(1, 3) l) numbered;
INSERT INTO entry (journal, number, posted, text, author, created, document)
    SELECT (ARRAY['SALES','BANK','CASH','PURCHASE'])[1 + i % 4], 'J' || lpad(i::text, 9, '0'), date '2026-11-23', words(i * 5, 4), word(i % 12),
        timestamptz '2026-11-23 08:00+00' + i * interval '2 seconds', md5(i::text || random())::uuid
    FROM generate_series(1, $1 * 16 / 5) i;
INSERT INTO posting (entry, account, partner, posted, debit, credit, currency, text, reference)
    SELECT id, (1001 + (random() * 799)::integer)::text, CASE WHEN l = 1 THEN 1 + (random() * ($1 * 20 - 1))::bigint END, date '2026-11-23',
        CASE WHEN l = 1 THEN n ELSE 0 END, CASE WHEN l = 1 THEN 0 ELSE n / 2 END, 'EUR', words(id * 5, 3), 'SALES/' || upper(left(md5(id::text), 10))
    FROM (SELECT e.id, l, (random() * 5000)::numeric(14,2) n
        FROM (SELECT id FROM entry ORDER BY id DESC LIMIT $1 * 16 / 5) e, generate_series(1, 3) l) numbered;
INSERT INTO audit (at, actor, action, entity, detail)
    SELECT timestamptz '2026-11-23 08:00+00' + i * interval '4 seconds', word(i % 12), 'post', 'entry/' || i,
        jsonb_build_object('from', (random() * 5000)::numeric(14,2), 'to', (random() * 5000)::numeric(14,2), 'reason', words(i, 3))
    FROM generate_series(1, $1 * 8 / 5) i;
-- Some of the newest are corrected.
UPDATE invoice SET due = due + 14 WHERE id > (SELECT max(id) FROM invoice) - $1 * 6 AND random() < 0.1;
-- Partners settle what is open: their invoices and postings of all years are marked.
WITH settled AS MATERIALIZED (SELECT id FROM partner ORDER BY random() LIMIT greatest(1, $1 / 10)),
    paid AS (UPDATE invoice SET paid = net + vat FROM settled WHERE partner = settled.id AND paid = 0),
    matched AS (UPDATE posting SET reference = 'MATCH/' || settled.id || '/' || posting.entry % 97 FROM settled WHERE partner = settled.id)
    UPDATE partner SET balance = 0, changed = timestamptz '2026-11-23 10:00+00' FROM settled WHERE partner.id = settled.id;
-- Masters are touched here and there.
UPDATE partner SET balance = balance + 10, changed = timestamptz '2026-11-23 10:00+00' WHERE random() < 0.01;
UPDATE product SET stock = stock - 1 WHERE random() < 0.02;
UPDATE account SET active = NOT active WHERE code = (SELECT code FROM account ORDER BY random() LIMIT 1);
