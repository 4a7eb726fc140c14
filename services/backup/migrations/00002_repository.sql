-- +goose Up

CREATE TABLE repository (
    company      uuid        NOT NULL CONSTRAINT repository_of_company REFERENCES company (id),
    region       text        NOT NULL,
    subscriber   uuid        NOT NULL,
    sequence     bigint      NOT NULL DEFAULT 0,
    committed    bigint      NOT NULL DEFAULT 0,
    generation   bigint      NOT NULL DEFAULT 0,
    collecting   boolean     NOT NULL DEFAULT false,
    suspects     text[]      NOT NULL DEFAULT '{}',
    cleared      text[]      NOT NULL DEFAULT '{}',
    CONSTRAINT repository_pk PRIMARY KEY (company, region)
);
COMMENT ON TABLE repository IS 'A company''s repository of snapshots in a region, and the ledger of its collections.';
COMMENT ON COLUMN repository.sequence IS 'The highest that was given to an attempt.';
COMMENT ON COLUMN repository.committed IS 'The sequence of the newest snapshot that was committed.';
COMMENT ON COLUMN repository.suspects IS 'Keys of objects that the last collection found unneeded.';
COMMENT ON COLUMN repository.cleared IS 'Keys that were committed since the collection under way began.';

ALTER TABLE snapshot
    ADD form       integer     NOT NULL DEFAULT 2 CONSTRAINT snapshot_form_known CHECK (form BETWEEN 1 AND 2),
    ADD sequence   bigint      NOT NULL DEFAULT 0,
    ADD head       bytea       NOT NULL DEFAULT ''::bytea,
    ADD rows       bigint      NOT NULL DEFAULT 0,
    ADD read_bytes bigint      NOT NULL DEFAULT 0,
    ADD whole      boolean     NOT NULL DEFAULT true,
    ADD key_version integer    NOT NULL DEFAULT 1,
    ADD drill_time timestamptz,
    ALTER object_key DROP NOT NULL,
    DROP CONSTRAINT snapshot_ready_whole,
    ADD CONSTRAINT snapshot_ready_whole CHECK (NOT ready OR CASE form
        WHEN 1 THEN sequence > 0 AND length(head) = 32
        ELSE object_key IS NOT NULL AND size_bytes > 0 AND stored_bytes > size_bytes AND length(sha256) = 32 END);
COMMENT ON COLUMN snapshot.form IS '1 in the company''s repository, 2 an archive of its own.';
COMMENT ON COLUMN snapshot.sequence IS 'In the repository: the attempt''s own, which its manifest is named by.';
COMMENT ON COLUMN snapshot.head IS 'In the repository: what its manifest must hash to.';
COMMENT ON COLUMN snapshot.whole IS 'Whether every row was read.';
COMMENT ON COLUMN snapshot.key_version IS 'Of an archive: the version of the data key that it is encrypted under.';
COMMENT ON COLUMN snapshot.drill_time IS 'When it was restored into a scratch database last, and found equal.';
CREATE UNIQUE INDEX snapshot_sequence ON snapshot (company, region, sequence) WHERE form = 1;

ALTER TABLE restore
    DROP CONSTRAINT restore_of_snapshot,
    ADD snapshot_time timestamptz NOT NULL DEFAULT 'epoch';
UPDATE restore SET snapshot_time = s.create_time FROM snapshot s WHERE s.id = restore.snapshot;
ALTER TABLE restore ALTER snapshot_time DROP DEFAULT;
COMMENT ON COLUMN restore.snapshot IS 'May be gone by its retention once the restore is done.';
COMMENT ON COLUMN restore.snapshot_time IS 'The moment that the snapshot shows.';
