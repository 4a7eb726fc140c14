-- What backup finds new documents by.

-- +goose Up

ALTER TABLE document ADD COLUMN entered bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint;
COMMENT ON COLUMN document.entered IS 'The transaction that took it in, counted with its epoch. What a reader lists up to the oldest one under way, nothing comes before any more.';
CREATE INDEX document_entered ON document (connection_id, entered, id);
CREATE INDEX connection_of_sender_company ON connection (sender_company);
CREATE INDEX connection_of_receiver_company ON connection (receiver_company);
