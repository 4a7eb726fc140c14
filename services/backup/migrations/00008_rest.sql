-- +goose Up

ALTER TABLE company
    ADD rest           text NOT NULL DEFAULT '',
    ADD unchanged_time timestamptz;
COMMENT ON COLUMN company.rest IS 'How often the database had been connected to when the last snapshot was made and nobody was connected any more; empty when that is not known.';
COMMENT ON COLUMN company.unchanged_time IS 'Until when the books surely stayed as the last snapshot shows them.';
