-- What each login takes of its cluster's connections.

-- +goose Up

ALTER TABLE session ADD COLUMN connections integer NOT NULL DEFAULT 10,
    ADD CONSTRAINT session_connections_positive CHECK (connections > 0);
ALTER TABLE session ALTER COLUMN connections DROP DEFAULT;
COMMENT ON COLUMN session.connections IS 'How many connections its login may have at a time.';
