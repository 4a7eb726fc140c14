-- Two hours of office work: new documents, some of the newest paid or corrected, a few masters touched. $1 as in fill.sql.
INSERT INTO invoice (number, partner, issued, due, net, vat, paid, currency, note, author, created)
    SELECT 'INV-2026-' || lpad(i::text, 8, '0'), 1 + (random() * ($1 * 20 - 1))::bigint, date '2026-11-23', date '2026-12-07', n, n * 0.21, 0, 'EUR', words(i, 5),
        word(i % 12), timestamptz '2026-11-23 08:00+00' + i * interval '4 seconds'
    FROM (SELECT i, (random() * 5000)::numeric(14,2) n FROM generate_series(1, $1 * 2) i) numbered;
INSERT INTO invoice_line
    SELECT v.id, l, 1 + (random() * ($1 * 10 - 1))::bigint, words(v.id * 7 + l, 4), 3, 10, 30, 21, md5(v.id || '/' || l)::uuid
    FROM (SELECT id FROM invoice ORDER BY id DESC LIMIT $1 * 2) v, generate_series(1, 3) l;
INSERT INTO entry (journal, number, posted, text, author, created, document)
    SELECT 'SALES', 'J' || i, date '2026-11-23', words(i * 5, 4), word(i % 12), timestamptz '2026-11-23 08:00+00' + i * interval '3 seconds', md5(i::text || random())::uuid
    FROM generate_series(1, $1 * 4) i;
INSERT INTO posting (entry, account, partner, posted, debit, credit, currency, text, reference)
    SELECT e.id, (1001 + (random() * 799)::integer)::text, NULL, date '2026-11-23', 100, 0, 'EUR', words(e.id * 5, 3), 'SALES/' || e.id
    FROM (SELECT id FROM entry ORDER BY id DESC LIMIT $1 * 4) e, generate_series(1, 3);
INSERT INTO audit (at, actor, action, entity, detail)
    SELECT timestamptz '2026-11-23 08:00+00' + i * interval '3 seconds', word(i % 12), 'post', 'entry/' || i, jsonb_build_object('reason', words(i, 3))
    FROM generate_series(1, $1 * 2) i;
UPDATE invoice SET paid = net + vat WHERE id > (SELECT max(id) FROM invoice) - $1 * 12 AND random() < 0.1;
UPDATE partner SET balance = balance + 10, changed = timestamptz '2026-11-23 10:00+00' WHERE id % 401 = 7;
UPDATE product SET stock = stock - 1 WHERE id % 101 = 7;
