-- Companies, the servers that their databases lie on, and the sessions that work in them.

-- +goose Up

CREATE TABLE cluster (
    id              uuid        NOT NULL,
    title           text        NOT NULL,
    region          text        NOT NULL,
    host            text        NOT NULL,
    port            integer     NOT NULL,
    login           text        NOT NULL,
    sealed_password bytea       NOT NULL,
    ca_pem          text        NOT NULL,
    capacity        integer     NOT NULL,
    open            boolean     NOT NULL DEFAULT true,
    created         timestamptz NOT NULL,
    CONSTRAINT cluster_pk PRIMARY KEY (id),
    CONSTRAINT cluster_address_once UNIQUE (host, port),
    CONSTRAINT cluster_capacity_positive CHECK (capacity >= 0)
);
COMMENT ON TABLE cluster IS 'PostgreSQL servers that hold company databases.';
COMMENT ON COLUMN cluster.login IS 'The provisioner: CREATEDB, CREATEROLE, pg_signal_backend, no superuser.';
COMMENT ON COLUMN cluster.sealed_password IS 'Its password, sealed with the key-encryption key.';
COMMENT ON COLUMN cluster.open IS 'Whether new databases are placed here.';

CREATE TABLE company (
    id             uuid        NOT NULL,
    subscriber_id  uuid        NOT NULL,
    title          text        NOT NULL,
    tax_number     text        NOT NULL,
    country        text        NOT NULL,
    region         text        NOT NULL,
    head_id        uuid,
    upload_id      uuid,
    state          smallint    NOT NULL,
    operation      text        NOT NULL DEFAULT '',
    failure_reason text        NOT NULL DEFAULT '',
    created        timestamptz NOT NULL,
    revision       bigint      NOT NULL DEFAULT 1,
    CONSTRAINT company_pk PRIMARY KEY (id),
    CONSTRAINT company_of_subscriber FOREIGN KEY (subscriber_id) REFERENCES subscriber (id),
    CONSTRAINT company_head_stands FOREIGN KEY (head_id) REFERENCES company (id),
    CONSTRAINT company_state_known CHECK (state BETWEEN 1 AND 4)
);
COMMENT ON TABLE company IS 'Legal entities and natural persons whose books are kept.';
COMMENT ON COLUMN company.state IS 'kontor.tenancy.v1.CompanyState.';
COMMENT ON COLUMN company.upload_id IS 'Upload that its books were filled from; null for an empty start.';
COMMENT ON COLUMN company.revision IS 'Counts the changes; the etag.';
CREATE INDEX company_listed ON company (subscriber_id, id);

CREATE TABLE company_database (
    id            uuid        NOT NULL,
    company_id    uuid        NOT NULL,
    cluster_id    uuid        NOT NULL,
    database_name text        NOT NULL,
    owner_role    text        NOT NULL,
    group_prefix  text        NOT NULL,
    purpose       smallint    NOT NULL,
    state         smallint    NOT NULL,
    restore_key   text,
    created       timestamptz NOT NULL,
    drop_after    timestamptz,
    CONSTRAINT company_database_pk PRIMARY KEY (id),
    CONSTRAINT company_database_name_once UNIQUE (database_name),
    CONSTRAINT company_database_restore_once UNIQUE (company_id, restore_key),
    CONSTRAINT company_database_of_company FOREIGN KEY (company_id) REFERENCES company (id),
    CONSTRAINT company_database_on_cluster FOREIGN KEY (cluster_id) REFERENCES cluster (id),
    CONSTRAINT company_database_purpose_known CHECK (purpose BETWEEN 1 AND 3),
    CONSTRAINT company_database_state_known CHECK (state BETWEEN 1 AND 4)
);
COMMENT ON TABLE company_database IS 'Databases of companies: the live one, restored ones, and those replaced. The row stands before the database is made and until it is dropped.';
COMMENT ON COLUMN company_database.owner_role IS 'NOLOGIN role that owns everything in it.';
COMMENT ON COLUMN company_database.group_prefix IS 'Beginning of the names of its group roles.';
COMMENT ON COLUMN company_database.purpose IS '1 made for the company, 2 restored beside, 3 restored to take the live one''s place.';
COMMENT ON COLUMN company_database.state IS '1 being made, 2 in use, 3 replaced by another, 4 to be dropped.';
COMMENT ON COLUMN company_database.restore_key IS 'Key under which a restore asked for it.';
COMMENT ON COLUMN company_database.drop_after IS 'When a replaced one is dropped (business time).';
CREATE INDEX company_database_of ON company_database (company_id);
CREATE INDEX company_database_to_drop ON company_database (state, drop_after) WHERE state >= 3;
CREATE INDEX company_database_on ON company_database (cluster_id);

ALTER TABLE company ADD COLUMN live_id uuid
    CONSTRAINT company_live_stands REFERENCES company_database (id);
COMMENT ON COLUMN company.live_id IS 'The database that is opened; null while the first one is being made and after it failed.';

CREATE TABLE data_area (
    database_id uuid NOT NULL,
    area        text NOT NULL,
    product     text NOT NULL,
    edition     text NOT NULL,
    version     text NOT NULL,
    CONSTRAINT data_area_pk PRIMARY KEY (database_id, area),
    CONSTRAINT data_area_of_database FOREIGN KEY (database_id) REFERENCES company_database (id) ON DELETE CASCADE
);
COMMENT ON TABLE data_area IS 'Parts of company databases, each with the release it is at.';

CREATE TABLE borrowed_login (
    role_name   text        NOT NULL,
    database_id uuid        NOT NULL,
    purpose     smallint    NOT NULL,
    expires     timestamptz NOT NULL,
    CONSTRAINT borrowed_login_pk PRIMARY KEY (role_name),
    CONSTRAINT borrowed_login_of_database FOREIGN KEY (database_id) REFERENCES company_database (id),
    CONSTRAINT borrowed_login_purpose_known CHECK (purpose IN (1, 2))
);
COMMENT ON TABLE borrowed_login IS 'Login roles lent to backup. The row stands before the role is made and until it is dropped.';
COMMENT ON COLUMN borrowed_login.purpose IS '1 to dump, 2 to restore.';
COMMENT ON COLUMN borrowed_login.expires IS 'When it is dropped (real time).';
CREATE INDEX borrowed_login_of ON borrowed_login (database_id);

CREATE TABLE login_slot (
    id          uuid        NOT NULL,
    database_id uuid        NOT NULL,
    role_name   text        NOT NULL,
    made        boolean     NOT NULL DEFAULT false,
    bound_to    uuid,
    year_from   integer     NOT NULL DEFAULT 0,
    year_to     integer     NOT NULL DEFAULT 0,
    groups      text[]      NOT NULL DEFAULT '{}',
    read_only   boolean     NOT NULL DEFAULT false,
    CONSTRAINT login_slot_pk PRIMARY KEY (id),
    CONSTRAINT login_slot_role_once UNIQUE (role_name),
    CONSTRAINT login_slot_of_database FOREIGN KEY (database_id) REFERENCES company_database (id)
);
COMMENT ON TABLE login_slot IS 'Login roles of a company database, reused with a fresh password for each session.';
COMMENT ON COLUMN login_slot.made IS 'Whether the role stands on the cluster.';
COMMENT ON COLUMN login_slot.bound_to IS 'Account that the database''s own bounds of this role name; null when unknown.';
COMMENT ON COLUMN login_slot.groups IS 'Group roles that it was granted.';
CREATE INDEX login_slot_of ON login_slot (database_id);

CREATE TABLE session (
    id          uuid        NOT NULL,
    company_id  uuid        NOT NULL,
    slot_id     uuid        NOT NULL,
    account_id  uuid        NOT NULL,
    seat        text        NOT NULL,
    area        text        NOT NULL,
    product     text        NOT NULL,
    read_only   boolean     NOT NULL,
    created     timestamptz NOT NULL,
    lease_end   timestamptz NOT NULL,
    login_until timestamptz NOT NULL,
    ended       timestamptz,
    end_reason  smallint    NOT NULL DEFAULT 0,
    swept       boolean     NOT NULL DEFAULT false,
    CONSTRAINT session_pk PRIMARY KEY (id),
    CONSTRAINT session_of_company FOREIGN KEY (company_id) REFERENCES company (id),
    CONSTRAINT session_in_slot FOREIGN KEY (slot_id) REFERENCES login_slot (id)
);
COMMENT ON TABLE session IS 'Companies that programs have, or had, open.';
COMMENT ON COLUMN session.lease_end IS 'When the seat''s lease ends as far as known (real time).';
COMMENT ON COLUMN session.login_until IS 'Until when the role lets new connections in (real time).';
COMMENT ON COLUMN session.ended IS 'When it was ended (real time); null while it is open.';
COMMENT ON COLUMN session.end_reason IS 'kontor.tenancy.v1.SessionEnd.';
COMMENT ON COLUMN session.swept IS 'Whether the role was closed and its connections were seen to be gone.';
CREATE UNIQUE INDEX session_slot_open_once ON session (slot_id) WHERE NOT swept;
CREATE UNIQUE INDEX session_seat_open_once ON session (seat, area) WHERE ended IS NULL;
CREATE INDEX session_due ON session (lease_end) WHERE ended IS NULL;
CREATE INDEX session_to_sweep ON session (id) WHERE ended IS NOT NULL AND NOT swept;
CREATE INDEX session_listed ON session (company_id, id) WHERE ended IS NULL;
CREATE INDEX session_of_account ON session (account_id) WHERE ended IS NULL;
CREATE INDEX company_of_operation ON company (operation);
