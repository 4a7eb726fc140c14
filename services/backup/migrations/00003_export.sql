-- +goose Up

CREATE TABLE export (
    id            uuid        NOT NULL CONSTRAINT export_id_unique PRIMARY KEY,
    company       uuid        NOT NULL CONSTRAINT export_of_company REFERENCES company (id),
    subscriber    uuid        NOT NULL,
    region        text        NOT NULL,
    snapshot      uuid        NOT NULL,
    snapshot_time timestamptz NOT NULL,
    format        integer     NOT NULL CONSTRAINT export_format_known CHECK (format BETWEEN 1 AND 3),
    creator       text        NOT NULL,
    ready         boolean     NOT NULL DEFAULT false,
    claim         uuid        NOT NULL,
    lease_time    timestamptz NOT NULL,
    object_key    text        NOT NULL CONSTRAINT export_object_unique UNIQUE,
    key_version   integer     NOT NULL DEFAULT 0,
    size_bytes    bigint      NOT NULL DEFAULT 0,
    stored_bytes  bigint      NOT NULL DEFAULT 0,
    sha256        bytea       NOT NULL DEFAULT ''::bytea,
    tables        integer     NOT NULL DEFAULT 0,
    rows          bigint      NOT NULL DEFAULT 0,
    create_time   timestamptz NOT NULL,
    expire_time   timestamptz NOT NULL,
    CONSTRAINT export_ready_whole CHECK (NOT ready OR (size_bytes > 0 AND stored_bytes > size_bytes AND length(sha256) = 32 AND key_version > 0))
);
COMMENT ON TABLE export IS 'A file made of a snapshot; while not ready, the claim of whoever makes it.';
COMMENT ON COLUMN export.snapshot IS 'May be gone by its retention while the file is kept.';
COMMENT ON COLUMN export.claim IS 'The attempt that makes it; the object is named by it.';
COMMENT ON COLUMN export.lease_time IS 'Real time until which the attempt counts as alive.';
COMMENT ON COLUMN export.key_version IS 'The version of the company''s data key that it is encrypted under.';
COMMENT ON COLUMN export.rows IS 'Of all tables; like tables 0 for an archive that was copied over, which is not looked into.';
COMMENT ON COLUMN export.expire_time IS 'Business time at which it is taken away.';
CREATE INDEX export_newest ON export (company, create_time DESC, id DESC) WHERE ready;
CREATE INDEX export_ending ON export (expire_time) WHERE ready;
CREATE INDEX export_unfinished ON export (lease_time) WHERE NOT ready;

CREATE TABLE scratch (
    attempt    bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT scratch_attempt_unique PRIMARY KEY,
    owner      uuid        NOT NULL,
    company    uuid        NOT NULL CONSTRAINT scratch_of_company REFERENCES company (id),
    subscriber uuid        NOT NULL,
    target     text        NOT NULL DEFAULT '',
    lease_time timestamptz NOT NULL
);
COMMENT ON TABLE scratch IS 'A database that tenancy made to restore a snapshot into for a while. The row is there before the database and goes after it.';
COMMENT ON COLUMN scratch.attempt IS 'Never given twice: with the owner it is the key by which tenancy knows the database.';
COMMENT ON COLUMN scratch.owner IS 'The operation, or whatever else wanted it; its next attempt drops what the last one left.';
COMMENT ON COLUMN scratch.lease_time IS 'Real time until which it counts as in use.';
CREATE INDEX scratch_by_owner ON scratch (owner);
