-- $1 stands for how many thousand entries there are.
SELECT setseed(0.42);
INSERT INTO account SELECT (1000 + i)::text, words(i, 3), i % 5 FROM generate_series(1, 800) i;
INSERT INTO partner (id, name, tax_number, street, city, post_code, email, balance, changed)
    SELECT i, initcap(words(i, 2)) || ' ' || (ARRAY['SIA','AS','UAB','AB','Kft.'])[1 + i % 5], 'LV4000' || lpad((hashint8(i) & 9999999)::text, 7, '0'),
        initcap(word(i + 7)) || ' street ' || i % 190, initcap(word(i * 3)), 'LV-' || 1000 + i % 5000,
        word(i) || i || '@example.com', (random() * 100000)::numeric(14,2), timestamptz '2024-01-01' + i * interval '7 minutes'
    FROM generate_series(1, $1 * 20) i;
INSERT INTO product (id, code, name, unit, price, stock, vat_rate)
    SELECT i, 'P' || lpad(i::text, 7, '0'), words(i * 13, 4), (ARRAY['pcs','kg','m','h'])[1 + i % 4], (random() * 900)::numeric(14,4),
        (random() * 1000)::numeric(14,3), (ARRAY[21,12,5,0])[1 + i % 4]
    FROM generate_series(1, $1 * 10) i;
INSERT INTO invoice (id, number, partner, issued, due, net, vat, paid, currency, note, author, created)
    SELECT i, 'INV-' || 2020 + i / ($1 * 80) || '-' || lpad(i::text, 8, '0'), 1 + (random() * ($1 * 20 - 1))::bigint, date '2020-01-01' + (i / ($1 / 5 + 1))::integer,
        date '2020-01-15' + (i / ($1 / 5 + 1))::integer, n, n * 0.21, CASE WHEN i % 9 > 0 THEN n * 1.21 ELSE 0 END, 'EUR',
        CASE WHEN i % 3 = 0 THEN words(i, 5) END, word(i % 12), timestamptz '2020-01-01 08:00+00' + i * interval '6 minutes'
    FROM (SELECT i, (random() * 5000)::numeric(14,2) n FROM generate_series(1, $1 * 400) i) numbered;
INSERT INTO invoice_line
    SELECT i, l, 1 + (random() * ($1 * 10 - 1))::bigint, words(i * 7 + l, 4), q, p, (q * p)::numeric(14,2), 21, md5(i || '/' || l)::uuid
    FROM (SELECT i, l, (random() * 20)::numeric(14,3) q, (random() * 500)::numeric(14,4) p FROM generate_series(1, $1 * 400) i, generate_series(1, 3) l) numbered;
INSERT INTO entry (id, journal, number, posted, text, author, created, document)
    SELECT i, (ARRAY['SALES','BANK','CASH','PURCHASE'])[1 + i % 4], 'J' || lpad(i::text, 9, '0'), date '2020-01-01' + (i / ($1 / 2 + 1))::integer, words(i * 5, 4),
        word(i % 12), timestamptz '2020-01-01 08:00+00' + i * interval '3 minutes', md5(i::text)::uuid
    FROM generate_series(1, $1 * 800) i;
INSERT INTO posting (id, entry, account, partner, posted, debit, credit, currency, text, reference)
    SELECT (i - 1) * 3 + l, i, (1001 + (random() * 799)::integer)::text, CASE WHEN l = 1 THEN 1 + (random() * ($1 * 20 - 1))::bigint END, date '2020-01-01' + (i / ($1 / 2 + 1))::integer,
        CASE WHEN l = 1 THEN n ELSE 0 END, CASE WHEN l = 1 THEN 0 ELSE n / 2 END, 'EUR', words(i * 5, 3), (ARRAY['SALES','BANK','CASH','PURCHASE'])[1 + i % 4] || '/' || upper(left(md5((i * 7)::text), 10))
    FROM (SELECT i, l, (random() * 5000)::numeric(14,2) n FROM generate_series(1, $1 * 800) i, generate_series(1, 3) l) numbered;
INSERT INTO audit (id, at, actor, action, entity, detail)
    SELECT i, timestamptz '2020-01-01 08:00+00' + i * interval '5 minutes', word(i % 12), (ARRAY['create','update','post'])[1 + i % 3], 'entry/' || i,
        jsonb_build_object('from', (random() * 5000)::numeric(14,2), 'to', (random() * 5000)::numeric(14,2), 'reason', words(i, 3))
    FROM generate_series(1, $1 * 400) i;
SELECT setval(pg_get_serial_sequence('partner', 'id'), $1 * 20), setval(pg_get_serial_sequence('product', 'id'), $1 * 10), setval(pg_get_serial_sequence('invoice', 'id'), $1 * 400),
    setval(pg_get_serial_sequence('entry', 'id'), $1 * 800), setval(pg_get_serial_sequence('posting', 'id'), $1 * 2400), setval(pg_get_serial_sequence('audit', 'id'), $1 * 400);
CREATE INDEX invoice_partner ON invoice (partner, issued);
CREATE INDEX entry_posted ON entry (posted);
CREATE INDEX posting_entry ON posting (entry);
CREATE INDEX posting_account ON posting (account, posted);
CREATE INDEX audit_entity ON audit (entity);
