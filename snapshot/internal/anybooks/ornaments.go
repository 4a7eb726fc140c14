package anybooks

// ornaments are what books may have beside plain tables: each a list of statements. $n is a number that is drawn.
var ornaments = [][]string{
	{ // Tables of no columns, and of none that is written.
		`CREATE TABLE "no columns" ()`,
		`INSERT INTO "no columns" SELECT FROM generate_series(1, $n)`,
		`CREATE TABLE "all made" (a integer GENERATED ALWAYS AS (7) STORED, b text GENERATED ALWAYS AS ('x' || 'y') STORED)`,
		`INSERT INTO "all made" SELECT FROM generate_series(1, $n)`,
	},
	{ // Rows that are there more than once, enough of them for several chunks.
		`CREATE TABLE heap (a integer, b text, c types.mood)`,
		`INSERT INTO heap SELECT i % 3, 'again', NULL FROM generate_series(1, 3000) i`,
		`INSERT INTO heap SELECT i % 50, repeat('z', i % 50) || E'\n', 'calm' FROM generate_series(1, $n * 10) i`,
		`INSERT INTO heap SELECT 1, repeat('long enough', 9), 'calm' FROM generate_series(1, 9000)`,
	},
	{ // Inheritance.
		`CREATE TABLE "Mother" (id integer PRIMARY KEY, name text NOT NULL, CHECK (id > 0))`,
		`CREATE TABLE "Child" (extra numeric) INHERITS ("Mother")`,
		`CREATE TABLE grandchild (PRIMARY KEY (id)) INHERITS ("Child")`,
		`INSERT INTO "Mother" SELECT i, 'm' || i FROM generate_series(1, $n) i`,
		`INSERT INTO "Child" SELECT i, 'c' || i, i / 3.0 FROM generate_series(1, $n) i`,
		`INSERT INTO grandchild SELECT i, 'g' || i, NULL FROM generate_series(1, $n) i`,
		`ALTER TABLE "Mother" ADD COLUMN late date DEFAULT '2020-02-02'`,
	},
	{ // Partitions by range, with one for the rest, and one that is parted again.
		`CREATE TABLE journal (id bigint, posted date NOT NULL, kind text DEFAULT 'k') PARTITION BY RANGE (posted)`,
		`CREATE TABLE "journal 2020" PARTITION OF journal FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')`,
		`CREATE TABLE "journal 2021" PARTITION OF journal FOR VALUES FROM ('2021-01-01') TO (MAXVALUE) PARTITION BY LIST (kind)`,
		`CREATE TABLE "journal 2021 k" PARTITION OF "journal 2021" FOR VALUES IN ('k', NULL)`,
		`CREATE TABLE "journal 2021 rest" PARTITION OF "journal 2021" DEFAULT`,
		`CREATE TABLE "journal rest" PARTITION OF journal DEFAULT`,
		`CREATE INDEX ON journal (kind)`,
		`ALTER TABLE "journal 2020" ADD PRIMARY KEY (id)`,
		`INSERT INTO journal SELECT i, date '2019-06-01' + i * 2, CASE i % 3 WHEN 0 THEN 'k' WHEN 1 THEN 'other' END FROM generate_series(1, $n) i`,
	},
	{ // Partitions by hash of text and of numbers.
		`CREATE TABLE hashed (id integer, t text) PARTITION BY HASH (id)`,
		`CREATE TABLE hashed0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0)`,
		`CREATE TABLE hashed1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1) PARTITION BY HASH (t)`,
		`CREATE TABLE hashed10 PARTITION OF hashed1 FOR VALUES WITH (MODULUS 1, REMAINDER 0)`,
		`INSERT INTO hashed SELECT i, 't' || i % 10 FROM generate_series(1, $n) i`,
	},
	{ // Partitions by the hash of an enum, which is another in every database.
		`CREATE TABLE felt (id integer, how types.mood) PARTITION BY HASH (how)`,
		`CREATE TABLE felt0 PARTITION OF felt FOR VALUES WITH (MODULUS 3, REMAINDER 0)`,
		`CREATE TABLE felt1 PARTITION OF felt FOR VALUES WITH (MODULUS 3, REMAINDER 1)`,
		`CREATE TABLE felt2 PARTITION OF felt FOR VALUES WITH (MODULUS 3, REMAINDER 2)`,
		`INSERT INTO felt SELECT i, (enum_range(NULL::types.mood))[1 + i % 4] FROM generate_series(1, $n) i`,
	},
	{ // Sequences.
		`CREATE SEQUENCE unused START 7`,
		`CREATE SEQUENCE "Used" AS smallint MINVALUE -5 MAXVALUE 1000 START 3 CYCLE CACHE 4`,
		`SELECT nextval('"Used"') FROM generate_series(1, $n)`,
		`CREATE SEQUENCE down INCREMENT -3 MAXVALUE 900 MINVALUE -9000000000`,
		`SELECT setval('down', -$n, false)`,
		`CREATE SEQUENCE last MAXVALUE 9223372036854775807`,
		`SELECT setval('last', 9223372036854775807, true)`,
		`COMMENT ON SEQUENCE last IS 'no more'`,
	},
	{ // Views upon views.
		`CREATE TABLE seen (id integer PRIMARY KEY, n numeric, how types.mood)`,
		`INSERT INTO seen SELECT i, i * 1.5, 'calm' FROM generate_series(1, $n) i`,
		`CREATE VIEW "a view" WITH (security_barrier) AS SELECT id, n::text AS "the n" FROM seen WHERE how IS NOT NULL`,
		`CREATE VIEW through AS SELECT count(*) AS "all" FROM "a view"`,
		`CREATE MATERIALIZED VIEW stored AS SELECT id, "the n", now() IS NOT NULL AS yes FROM "a view"`,
		`CREATE UNIQUE INDEX ON stored (id)`,
		`CREATE VIEW between AS SELECT id + 1 AS id FROM stored`,
		`CREATE MATERIALIZED VIEW another AS SELECT sum(id) FROM between`,
		`CREATE MATERIALIZED VIEW "not filled" AS SELECT * FROM stored WITH NO DATA`,
		`COMMENT ON MATERIALIZED VIEW stored IS 'kept'`,
		`CREATE MATERIALIZED VIEW first AS SELECT id FROM seen`,
		`CREATE MATERIALIZED VIEW "over it" AS SELECT count(*) FROM first`,
		`REFRESH MATERIALIZED VIEW first WITH NO DATA`,
	},
	{ // Functions, triggers, rules, aggregates.
		`CREATE TABLE watched (id integer PRIMARY KEY, t text, changed timestamptz)`,
		`CREATE TABLE seen_changes (n serial PRIMARY KEY, what text)`,
		`CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO public.seen_changes (what) VALUES (TG_OP || '\t'); RETURN NEW; END $f$`,
		`CREATE TRIGGER "note it" AFTER INSERT OR UPDATE ON watched FOR EACH ROW EXECUTE FUNCTION note()`,
		`CREATE TRIGGER quiet BEFORE DELETE ON watched FOR EACH STATEMENT EXECUTE FUNCTION note()`,
		`ALTER TABLE watched DISABLE TRIGGER quiet`,
		`CREATE RULE no_change AS ON UPDATE TO seen_changes DO INSTEAD NOTHING`,
		`INSERT INTO watched SELECT i, 't', '2020-01-01' FROM generate_series(1, $n) i`,
		`CREATE FUNCTION "Twice"(n integer DEFAULT 2, VARIADIC more text[] DEFAULT '{}') RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2'`,
		`CREATE TABLE doubled (n integer CHECK (public."Twice"(n) > n), m integer GENERATED ALWAYS AS (public."Twice"(n)) STORED)`,
		`INSERT INTO doubled SELECT generate_series(1, $n)`,
		`CREATE INDEX ON doubled (public."Twice"(n))`,
		`CREATE PROCEDURE act(INOUT x integer) LANGUAGE plpgsql AS $f$ BEGIN x := x + 1; END $f$`,
		`CREATE AGGREGATE product(numeric) (SFUNC = numeric_mul, STYPE = numeric, INITCOND = '1')`,
		`COMMENT ON FUNCTION note() IS 'notes'`,
		`CREATE STATISTICS related (dependencies) ON id, t FROM watched`,
	},
	{ // Row security that binds others than the owner.
		`CREATE TABLE secret (id integer PRIMARY KEY, owner text)`,
		`INSERT INTO secret SELECT i, 'o' || i % 2 FROM generate_series(1, $n) i`,
		`ALTER TABLE secret ENABLE ROW LEVEL SECURITY`,
		`CREATE POLICY "own only" ON secret FOR SELECT USING (owner = current_user)`,
		`CREATE POLICY written ON secret AS RESTRICTIVE FOR UPDATE USING (id > 1) WITH CHECK (id > 2)`,
	},
	{ // Large objects.
		`SELECT lo_from_bytea(100001, ''), lo_from_bytea(100002, 'small'), lo_from_bytea(4294967295, '\x00ff')`,
		`SELECT lo_from_bytea(100003, convert_to(string_agg(md5(i::text), ''), 'UTF8')) FROM generate_series(1, $n * 60) i`,
		`SELECT lo_from_bytea(100004, convert_to(repeat('x', 262144), 'UTF8')), lo_from_bytea(100005, convert_to(repeat('y', 262145), 'UTF8'))`,
		`SELECT lo_create(100006), lo_put(100006, 700000, 'behind a hole')`,
		`CREATE TABLE attached (id oid PRIMARY KEY, what oid)`,
		`INSERT INTO attached SELECT oid, oid FROM pg_largeobject_metadata WHERE pg_has_role(lomowner, 'USAGE')`,
	},
	{ // Extensions, where the server has them.
		`DO $d$ BEGIN IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'hstore') THEN
			CREATE EXTENSION hstore;
			CREATE TABLE tagged (id serial PRIMARY KEY, tags hstore);
			INSERT INTO tagged (tags) SELECT hstore('k' || i, NULL) || E'"a\tb"=>"\\\\"' FROM generate_series(1, $n) i;
			CREATE INDEX ON tagged USING gin (tags);
		END IF; END $d$`,
		`DO $d$ BEGIN IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'citext') THEN
			CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext;
			CREATE TABLE cased (name ext.citext PRIMARY KEY); INSERT INTO cased VALUES ('a'), ('B'), ('c'), (E'\t');
		END IF; END $d$`,
		`DO $d$ BEGIN IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm') THEN
			CREATE EXTENSION pg_trgm; CREATE TABLE searched (t text); INSERT INTO searched VALUES ('abc'); CREATE INDEX ON searched USING gin (t gin_trgm_ops);
		END IF; END $d$`,
	},
	{ // XML, where the server has it.
		`DO $d$ BEGIN
			CREATE TABLE marked (id integer PRIMARY KEY, x xml);
			INSERT INTO marked VALUES (1, '<a b="1">ä</a>'), (2, 'just text'), (3, '<?xml version="1.0"?><!DOCTYPE a><a/>'), (4, NULL);
		EXCEPTION WHEN feature_not_supported THEN NULL; END $d$`,
	},
	{ // Tables whose columns look at definitions: names of objects, rows of other tables, ranges of their own.
		`CREATE TABLE "Named" (id integer PRIMARY KEY, t text)`,
		`CREATE TABLE pointing (id integer PRIMARY KEY, to_table regclass, how regtype, whole "Named")`,
		`INSERT INTO pointing SELECT i, '"Named"'::regclass, 'types.mood'::regtype, ROW(i, 't')::"Named" FROM generate_series(1, $n) i`,
		`CREATE TYPE types.span AS RANGE (subtype = numeric)`,
		`CREATE TABLE spans (s types.span PRIMARY KEY)`,
		`INSERT INTO spans SELECT types.span(i, i + 0.5) FROM generate_series(1, $n) i`,
	},
	{ // Foreign keys in a circle and to itself, constraints of other forms, an unlogged table.
		`CREATE TABLE chicken (id integer PRIMARY KEY, egg integer)`,
		`CREATE TABLE egg (id integer PRIMARY KEY, chicken integer REFERENCES chicken DEFERRABLE INITIALLY DEFERRED, before integer REFERENCES egg)`,
		`INSERT INTO egg SELECT i, NULL, CASE WHEN i > 1 THEN i - 1 END FROM generate_series(1, $n) i`,
		`INSERT INTO chicken SELECT i, i FROM generate_series(1, $n) i`,
		`UPDATE egg SET chicken = (SELECT id FROM chicken WHERE chicken.id = egg.id)`,
		`ALTER TABLE chicken ADD FOREIGN KEY (egg) REFERENCES egg (id) NOT VALID`,
		`CREATE TABLE busy (during int4range, EXCLUDE USING gist (during WITH &&))`,
		`INSERT INTO busy SELECT int4range(i * 2, i * 2 + 1) FROM generate_series(1, $n) i`,
		`CREATE UNLOGGED TABLE passing (id integer PRIMARY KEY) WITH (fillfactor = 70)`,
		`INSERT INTO passing SELECT generate_series(1, $n)`,
	},
	{ // Keys that sort by rules of their own.
		`CREATE COLLATION types.bytewise (provider = libc, locale = 'C')`,
		`CREATE TABLE sorted (k text COLLATE types.bytewise, n double precision, PRIMARY KEY (n, k))`,
		`INSERT INTO sorted SELECT chr(64 + i % 60), i / 60 FROM generate_series(1, $n) i`,
		`INSERT INTO sorted VALUES ('nan', 'NaN'), ('inf', 'Infinity'), ('zero', '-0'), ('', '-Infinity')`,
		`CREATE TABLE by_mood (m types.mood, d date, s bit(5), PRIMARY KEY (m, d, s))`,
		`INSERT INTO by_mood SELECT (enum_range(NULL::types.mood))[1 + i % 4], date '2020-01-01' + i, (i % 32)::bit(5) FROM generate_series(1, $n) i`,
		`INSERT INTO by_mood VALUES ('calm', 'infinity', B'00000'), ('calm', '0044-03-15 BC', B'11111')`,
		`CREATE TABLE halves (id integer, code text NOT NULL, again text)`,
		`CREATE UNIQUE INDEX ON halves (id) WHERE id IS NOT NULL`,
		`CREATE UNIQUE INDEX ON halves (lower(code))`,
		`CREATE UNIQUE INDEX ON halves (code) INCLUDE (again)`,
		`INSERT INTO halves SELECT CASE WHEN i % 2 = 0 THEN i END, 'c' || i, 'a' FROM generate_series(1, $n) i`,
	},
}
