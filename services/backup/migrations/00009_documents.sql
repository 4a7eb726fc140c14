-- Documents of the exchange in snapshots.

-- +goose Up

ALTER TABLE snapshot
    ADD COLUMN documents         bigint NOT NULL DEFAULT 0,
    ADD COLUMN document_bytes    bigint NOT NULL DEFAULT 0,
    ADD COLUMN documents_added   bigint NOT NULL DEFAULT 0,
    ADD COLUMN documents_time    timestamptz,
    ADD COLUMN documents_failure text NOT NULL DEFAULT '',
    ADD COLUMN documents_lost    bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN snapshot.documents_added IS 'How many came with it; the others are referred to.';
COMMENT ON COLUMN snapshot.documents_time IS 'The moment up to which documents were copied; null when none ever were.';
COMMENT ON COLUMN snapshot.documents_failure IS 'Why that is not the snapshot''s moment: a reason''s name.';
COMMENT ON COLUMN snapshot.documents_lost IS 'How many are listed without bytes.';

ALTER TABLE company ADD COLUMN documents_place text NOT NULL DEFAULT '';
COMMENT ON COLUMN company.documents_place IS 'Place, as exchange tells it, of the last document in the last snapshot.';
