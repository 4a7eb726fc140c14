-- +goose Up

CREATE TABLE keeping (
    company      uuid        NOT NULL CONSTRAINT keeping_pk PRIMARY KEY CONSTRAINT keeping_of_company REFERENCES company (id),
    tidy_time    timestamptz NOT NULL,
    tidied_time  timestamptz,
    look_time    timestamptz NOT NULL,
    unread_since timestamptz,
    destroyed    boolean     NOT NULL DEFAULT false
);
COMMENT ON TABLE keeping IS 'How long a company''s copies are kept.';
COMMENT ON COLUMN keeping.tidy_time IS 'When what is not needed any more is looked for next.';
COMMENT ON COLUMN keeping.tidied_time IS 'When that was done last.';
COMMENT ON COLUMN keeping.look_time IS 'When it is asked next whether the subscriber may still read its data.';
COMMENT ON COLUMN keeping.unread_since IS 'Since when it may not, looked at every day.';
COMMENT ON COLUMN keeping.destroyed IS 'Its keys are destroyed, or being so: nothing is ever copied again.';

CREATE TABLE legal_hold (
    id          uuid        NOT NULL CONSTRAINT legal_hold_pk PRIMARY KEY,
    company     uuid        NOT NULL CONSTRAINT legal_hold_of_company REFERENCES company (id),
    subscriber  uuid        NOT NULL,
    reason      text        NOT NULL,
    creator     text        NOT NULL,
    create_time timestamptz NOT NULL,
    lift_time   timestamptz,
    lifter      text        NOT NULL DEFAULT ''
);
COMMENT ON TABLE legal_hold IS 'While one stands, nothing of the company is taken away.';
CREATE INDEX legal_hold_standing ON legal_hold (company) WHERE lift_time IS NULL;

CREATE TABLE destruction (
    id           uuid        NOT NULL CONSTRAINT destruction_pk PRIMARY KEY,
    company      uuid        NOT NULL CONSTRAINT destruction_once UNIQUE CONSTRAINT destruction_of_company REFERENCES company (id),
    subscriber   uuid        NOT NULL,
    regions      text[]      NOT NULL,
    snapshots    bigint      NOT NULL,
    last_time    timestamptz,
    reason       text        NOT NULL,
    creator      text        NOT NULL,
    begin_time   timestamptz NOT NULL,
    destroy_time timestamptz,
    final_time   timestamptz,
    cleared      boolean     NOT NULL DEFAULT false,
    CONSTRAINT destruction_whole CHECK ((destroy_time IS NULL) = (final_time IS NULL))
);
COMMENT ON TABLE destruction IS 'The destruction of a company''s keys; a certificate once it is done.';
COMMENT ON COLUMN destruction.destroy_time IS 'Unset while it is under way.';
COMMENT ON COLUMN destruction.cleared IS 'Whether the objects are deleted that nobody can read any more.';
