-- +goose Up

CREATE TABLE company (
    id             uuid        NOT NULL CONSTRAINT company_id_unique PRIMARY KEY,
    subscriber     uuid        NOT NULL,
    region         text        NOT NULL,
    seen_time      timestamptz NOT NULL,
    next_time      timestamptz NOT NULL,
    last_snapshot  uuid,
    last_time      timestamptz,
    paused         boolean     NOT NULL DEFAULT false,
    paused_until   timestamptz,
    late           boolean     NOT NULL DEFAULT false,
    failures       integer     NOT NULL DEFAULT 0,
    failure_reason text        NOT NULL DEFAULT '',
    CONSTRAINT company_last_whole CHECK ((last_snapshot IS NULL) = (last_time IS NULL))
);
COMMENT ON TABLE company IS 'A company whose books are kept safe, and when its next snapshot is due.';
COMMENT ON COLUMN company.seen_time IS 'Since when it is looked after; what its first snapshot''s lateness is counted from.';
COMMENT ON COLUMN company.paused_until IS 'When a pause ended last; lateness is counted from it.';
CREATE INDEX company_due ON company (next_time);

CREATE TABLE snapshot (
    id             uuid        NOT NULL CONSTRAINT snapshot_id_unique PRIMARY KEY,
    company        uuid        NOT NULL CONSTRAINT snapshot_of_company REFERENCES company (id),
    subscriber     uuid        NOT NULL,
    region         text        NOT NULL,
    origin         integer     NOT NULL CONSTRAINT snapshot_origin_known CHECK (origin BETWEEN 1 AND 3),
    creator        text        NOT NULL,
    ready          boolean     NOT NULL DEFAULT false,
    claim          uuid        NOT NULL,
    lease_time     timestamptz NOT NULL,
    object_key     text        NOT NULL CONSTRAINT snapshot_object_unique UNIQUE,
    create_time    timestamptz NOT NULL,
    size_bytes     bigint      NOT NULL DEFAULT 0,
    stored_bytes   bigint      NOT NULL DEFAULT 0,
    sha256         bytea       NOT NULL DEFAULT ''::bytea,
    data_areas     jsonb       NOT NULL DEFAULT '[]',
    verify_state   integer     NOT NULL DEFAULT 1 CONSTRAINT snapshot_verify_known CHECK (verify_state BETWEEN 1 AND 3),
    verify_time    timestamptz,
    verify_failure text        NOT NULL DEFAULT '',
    CONSTRAINT snapshot_ready_whole CHECK (NOT ready OR (size_bytes > 0 AND stored_bytes > size_bytes AND length(sha256) = 32))
);
COMMENT ON TABLE snapshot IS 'One copy of one company database; while not ready, the claim of whoever makes it.';
COMMENT ON COLUMN snapshot.claim IS 'The attempt that makes it; a later one takes it over when the lease has ended.';
COMMENT ON COLUMN snapshot.lease_time IS 'Real time until which the attempt counts as alive.';
CREATE UNIQUE INDEX snapshot_one_under_way ON snapshot (company) WHERE NOT ready;
CREATE INDEX snapshot_newest ON snapshot (company, create_time DESC, id DESC) WHERE ready;

CREATE TABLE restore (
    id          uuid        NOT NULL CONSTRAINT restore_id_unique PRIMARY KEY,
    company     uuid        NOT NULL CONSTRAINT restore_of_company REFERENCES company (id),
    subscriber  uuid        NOT NULL,
    snapshot    uuid        NOT NULL CONSTRAINT restore_of_snapshot REFERENCES snapshot (id),
    mode        integer     NOT NULL CONSTRAINT restore_mode_known CHECK (mode BETWEEN 1 AND 2),
    state       text        NOT NULL CONSTRAINT restore_state_known CHECK (state IN ('filling', 'committing', 'done', 'dropped')),
    attempt     integer     NOT NULL DEFAULT 0,
    target      text        NOT NULL DEFAULT '',
    before      uuid,
    lease_time  timestamptz NOT NULL,
    creator     text        NOT NULL,
    create_time timestamptz NOT NULL
);
COMMENT ON TABLE restore IS 'A restore of a snapshot: its target at tenancy, and how far it is. Done ones beside are restored copies.';
COMMENT ON COLUMN restore.attempt IS 'Counts targets: each attempt fills a fresh one and the one before it is dropped.';
COMMENT ON COLUMN restore.before IS 'The snapshot made of the live books before they are replaced.';
CREATE UNIQUE INDEX restore_one_under_way ON restore (company) WHERE state IN ('filling', 'committing');
CREATE INDEX restore_newest ON restore (company, id DESC) WHERE state = 'done' AND mode = 1;
