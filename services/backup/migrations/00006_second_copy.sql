-- +goose Up

CREATE TABLE second_copy (
    company      uuid        NOT NULL,
    region       text        NOT NULL,
    second       text        NOT NULL,
    sequence     bigint      NOT NULL DEFAULT 0,
    shown_time   timestamptz,
    next_time    timestamptz NOT NULL,
    collect_time timestamptz NOT NULL,
    suspects     text[]      NOT NULL DEFAULT '{}',
    failures     integer     NOT NULL DEFAULT 0,
    CONSTRAINT second_copy_pk PRIMARY KEY (company, region, second),
    CONSTRAINT second_copy_of_repository FOREIGN KEY (company, region) REFERENCES repository (company, region)
);
COMMENT ON TABLE second_copy IS 'How far a repository is copied to another region.';
COMMENT ON COLUMN second_copy.sequence IS 'The newest snapshot that is there.';
COMMENT ON COLUMN second_copy.shown_time IS 'The moment that it shows.';
COMMENT ON COLUMN second_copy.next_time IS 'Before then it is not tried again.';
COMMENT ON COLUMN second_copy.suspects IS 'Keys of objects there that the last collection found unneeded.';
