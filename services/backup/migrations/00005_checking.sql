-- +goose Up

CREATE TABLE checking (
    company    uuid        NOT NULL CONSTRAINT checking_of_company REFERENCES company (id) ON DELETE CASCADE,
    kind       text        NOT NULL CONSTRAINT checking_kind_known CHECK (kind IN ('repository', 'archive', 'drill')),
    subscriber uuid        NOT NULL,
    due_time   timestamptz NOT NULL,
    lease_time timestamptz NOT NULL DEFAULT '-infinity',
    claim      uuid,
    failures   integer     NOT NULL DEFAULT 0,
    CONSTRAINT checking_pk PRIMARY KEY (company, kind)
);
COMMENT ON TABLE checking IS 'When a company''s newest snapshot, its newest archive and a restore are tried next.';
COMMENT ON COLUMN checking.lease_time IS 'Real time until which somebody works on it.';
COMMENT ON COLUMN checking.claim IS 'Who works on it, or did last.';
COMMENT ON COLUMN checking.failures IS 'How often in a row it could not be done for a reason that is no fault of the snapshot''s.';
CREATE INDEX checking_due ON checking (due_time);

CREATE TABLE sampling (
    sole      boolean     NOT NULL DEFAULT true CONSTRAINT sampling_sole PRIMARY KEY CHECK (sole),
    next_time timestamptz NOT NULL
);
COMMENT ON TABLE sampling IS 'When companies are drawn next whose newest snapshot is verified. One row.';
