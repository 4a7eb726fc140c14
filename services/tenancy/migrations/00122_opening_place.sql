-- A seat is used in several companies, and where people are counted on several devices.

-- +goose Up

ALTER TABLE session ADD COLUMN device text NOT NULL DEFAULT '', ADD COLUMN seat_reads boolean NOT NULL DEFAULT false;
ALTER TABLE session ALTER COLUMN device DROP DEFAULT;
COMMENT ON COLUMN session.device IS 'Id of the device that the seat is used on.';
COMMENT ON COLUMN session.seat_reads IS 'Whether the seat allows no more than to read.';
DROP INDEX session_seat_open_once;
CREATE UNIQUE INDEX session_seat_open_once ON session (seat, company_id, device, area) WHERE ended IS NULL;
