-- Invoices are written and sent, to new partners too; nothing is posted yet, so the journal stays as it was. $1 as in fill.sql.
INSERT INTO partner (name, tax_number, street, city, post_code, email, balance, changed)
    SELECT initcap(words(i, 2)) || ' SIA', 'LV4000' || lpad(i::text, 7, '0'), initcap(word(i)) || ' street ' || i, initcap(word(i * 3)), 'LV-' || 1000 + i % 5000,
        word(i) || i || '@example.com', 0, timestamptz '2026-11-23 10:00+00'
    FROM generate_series(1, $1 / 10 + 1) i;
INSERT INTO invoice (number, partner, issued, due, net, vat, paid, currency, note, author, created)
    SELECT 'INV-2026-' || lpad(i::text, 8, '0'), 1 + (random() * ($1 * 20 - 1))::bigint, date '2026-11-23', date '2026-12-07', n, n * 0.21, 0, 'EUR', words(i, 5),
        word(i % 12), timestamptz '2026-11-23 08:00+00' + i * interval '4 seconds'
    FROM (SELECT i, (random() * 5000)::numeric(14,2) n FROM generate_series(1, $1 * 4) i) numbered;
INSERT INTO invoice_line
    SELECT id, l, 1 + (random() * ($1 * 10 - 1))::bigint, words(id * 7 + l, 4), q, p, (q * p)::numeric(14,2), 21, md5(id || '/' || l)::uuid
    FROM (SELECT v.id, l, (random() * 20)::numeric(14,3) q, (random() * 500)::numeric(14,4) p
        FROM (SELECT id FROM invoice ORDER BY id DESC LIMIT $1 * 4) v, generate_series(1, 3) l) numbered;
INSERT INTO audit (at, actor, action, entity, detail)
    SELECT timestamptz '2026-11-23 08:00+00' + i * interval '4 seconds', word(i % 12), 'send', 'invoice/' || i, jsonb_build_object('reason', words(i, 3))
    FROM generate_series(1, $1 * 4) i;
