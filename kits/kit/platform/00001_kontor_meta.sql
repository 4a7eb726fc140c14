-- What every data area of a company database shares: which release each area is at, who a login acts for, and the log of
-- row changes. It belongs to the platform, not to a product, so a kit's migrations find it ready.

-- +goose Up
-- +goose StatementBegin
CREATE TABLE kontor_meta.release (
    area       text        NOT NULL,
    product    text        NOT NULL,
    edition    text        NOT NULL,
    version    text        NOT NULL,
    applied_at timestamptz NOT NULL,
    CONSTRAINT release_pkey PRIMARY KEY (area),
    CONSTRAINT release_area_is_word CHECK (area ~ '^[a-z][a-z0-9_]{0,30}$'),
    CONSTRAINT release_version_is_semantic CHECK (version ~ '^[0-9]+\.[0-9]+\.[0-9]+$')
);
COMMENT ON TABLE kontor_meta.release IS 'The product, edition and version that each data area (schema) of this database is at.';
COMMENT ON COLUMN kontor_meta.release.applied_at IS 'When this version was applied here, by the machine''s clock.';

CREATE TABLE kontor_meta.role_bounds (
    login     name        NOT NULL,
    account   text        NOT NULL,
    year_from integer,
    year_to   integer,
    set_at    timestamptz NOT NULL,
    CONSTRAINT role_bounds_pkey PRIMARY KEY (login),
    CONSTRAINT role_bounds_years_in_order CHECK (year_from <= year_to)
);
COMMENT ON TABLE kontor_meta.role_bounds IS
    'For whom each login role acts now and which fiscal years it may see. Nobody but the owner reads or writes it; a login without a row sees no bounded table.';
COMMENT ON COLUMN kontor_meta.role_bounds.account IS 'The account that holds the login, e.g. accounts/A; written to the change log.';
COMMENT ON COLUMN kontor_meta.role_bounds.year_from IS 'First fiscal year it may see and write; null for no bound.';
COMMENT ON COLUMN kontor_meta.role_bounds.year_to IS 'Last fiscal year it may see and write; null for no bound.';

-- Row-security policies compare with these as scalar subqueries, so they run once a statement and not once a row.
CREATE FUNCTION kontor_meta.year_from() RETURNS integer
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bound integer;
BEGIN
    SELECT coalesce(b.year_from, -2147483648) INTO bound FROM kontor_meta.role_bounds b WHERE b.login = session_user;
    IF NOT FOUND THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('login %s has no bounds in this database', session_user),
            HINT = 'Open the company anew: the login is bound to an account when it is handed out.';
    END IF;
    RETURN bound;
END $$;
COMMENT ON FUNCTION kontor_meta.year_from() IS 'First fiscal year that the session''s login may see; an error when it is not bound at all.';

CREATE FUNCTION kontor_meta.year_to() RETURNS integer
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(b.year_to, 2147483647) FROM kontor_meta.role_bounds b WHERE b.login = session_user
$$;
COMMENT ON FUNCTION kontor_meta.year_to() IS 'Last fiscal year that the session''s login may see.';

CREATE FUNCTION kontor_meta.acting_account() RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT b.account FROM kontor_meta.role_bounds b WHERE b.login = session_user
$$;
COMMENT ON FUNCTION kontor_meta.acting_account() IS
    'The account that the session acts for; null for the owner. A session cannot set it: it comes from role_bounds.';

CREATE TABLE kontor_meta.change_log (
    id         bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    at         timestamptz NOT NULL,
    login      name        NOT NULL,
    account    text,
    area       text        NOT NULL,
    table_name text        NOT NULL,
    action     text        NOT NULL,
    key        jsonb,
    old        jsonb,
    new        jsonb,
    CONSTRAINT change_log_pkey PRIMARY KEY (id),
    CONSTRAINT change_log_action_known CHECK (action IN ('insert', 'update', 'delete', 'truncate'))
);
CREATE INDEX change_log_row_idx ON kontor_meta.change_log (area, table_name, key);
COMMENT ON TABLE kontor_meta.change_log IS
    'Every change to a row of a tracked table, written by trigger. Sessions neither write nor read it: an area shows its own part in a view.';
COMMENT ON COLUMN kontor_meta.change_log.at IS 'When the row was changed (real time, within its transaction).';
COMMENT ON COLUMN kontor_meta.change_log.login IS 'The login role of the session.';
COMMENT ON COLUMN kontor_meta.change_log.account IS 'For whom that login acted; null for the owner (upgrades, local programs).';
COMMENT ON COLUMN kontor_meta.change_log.key IS 'The row''s primary key, after the change; null for truncate.';
COMMENT ON COLUMN kontor_meta.change_log.old IS 'Of a deleted row all columns, of an updated row the changed ones, as they were.';
COMMENT ON COLUMN kontor_meta.change_log.new IS 'Of an inserted row all columns, of an updated row the changed ones, as they are.';

-- First argument: the primary key's columns; second: columns whose content stays out of the log (both as text arrays).
CREATE FUNCTION kontor_meta.log_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before  jsonb;
    after   jsonb;
    row_key jsonb;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        before := to_jsonb(OLD) - TG_ARGV[1]::text[];
    END IF;
    IF TG_OP <> 'DELETE' THEN
        after := to_jsonb(NEW) - TG_ARGV[1]::text[];
    END IF;
    SELECT jsonb_object_agg(k, coalesce(after, before) -> k) INTO row_key FROM unnest(TG_ARGV[0]::text[]) AS k;
    IF TG_OP = 'UPDATE' THEN
        SELECT jsonb_object_agg(o.key, o.value), jsonb_object_agg(o.key, after -> o.key)
        INTO before, after
        FROM jsonb_each(before) AS o WHERE o.value IS DISTINCT FROM after -> o.key;
        IF before IS NULL THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO kontor_meta.change_log (at, login, account, area, table_name, action, key, old, new)
    VALUES (clock_timestamp(), session_user, kontor_meta.acting_account(), TG_TABLE_SCHEMA, TG_TABLE_NAME, lower(TG_OP), row_key, before, after);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION kontor_meta.log_change() IS 'Trigger of tracked tables: writes the change log.';

CREATE FUNCTION kontor_meta.log_truncate() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO kontor_meta.change_log (at, login, account, area, table_name, action)
    VALUES (clock_timestamp(), session_user, kontor_meta.acting_account(), TG_TABLE_SCHEMA, TG_TABLE_NAME, 'truncate');
    RETURN NULL;
END $$;
COMMENT ON FUNCTION kontor_meta.log_truncate() IS 'Trigger of tracked tables: a table was emptied.';

CREATE FUNCTION kontor_meta.refuse_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE restrict_violation USING
        MESSAGE = format('rows of %I.%I are only ever added', TG_TABLE_SCHEMA, TG_TABLE_NAME),
        SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
END $$;
COMMENT ON FUNCTION kontor_meta.refuse_change() IS 'Trigger of append-only tables.';
CREATE TRIGGER change_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON kontor_meta.change_log
    FOR EACH STATEMENT EXECUTE FUNCTION kontor_meta.refuse_change();

CREATE FUNCTION kontor_meta.track(tracked regclass, VARIADIC left_out text[] DEFAULT '{}') RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    key_columns text[];
BEGIN
    SELECT array_agg(a.attname ORDER BY a.attnum) INTO STRICT key_columns
    FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
    WHERE i.indrelid = tracked AND i.indisprimary;
    EXECUTE format('CREATE TRIGGER log_change AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION kontor_meta.log_change(%L, %L)',
        tracked, key_columns, left_out);
    EXECUTE format('CREATE TRIGGER log_truncate AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION kontor_meta.log_truncate()', tracked);
END $$;
COMMENT ON FUNCTION kontor_meta.track(regclass, text[]) IS
    'Puts a table under the change log; call it once for each table in the migration that makes it. Further arguments name columns whose content stays out.';
-- +goose StatementEnd
