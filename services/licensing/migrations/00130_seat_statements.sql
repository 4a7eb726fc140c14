-- What the evidence of seats says of each day.

-- +goose Up

CREATE TABLE seat_statement (
    licence        uuid        NOT NULL,
    day            date        NOT NULL,
    starts         timestamptz NOT NULL,
    ends           timestamptz NOT NULL,
    peak           integer     NOT NULL,
    hour_peaks     integer[]   NOT NULL,
    refusals       integer     NOT NULL,
    refused_people integer     NOT NULL,
    overdraft_peak integer     NOT NULL,
    gap            boolean     NOT NULL,
    seat_limit     integer     NOT NULL,
    held           jsonb       NOT NULL,
    signed         text        NOT NULL,
    created        timestamptz NOT NULL,
    CONSTRAINT seat_statement_pk PRIMARY KEY (licence, day),
    CONSTRAINT seat_statement_of_licence FOREIGN KEY (licence) REFERENCES licence (id),
    CONSTRAINT seat_statement_time_forward CHECK (ends > starts)
);
COMMENT ON TABLE seat_statement IS 'What happened to a licence''s seats on one day of its time zone, signed. Made once, append-only.';
COMMENT ON COLUMN seat_statement.held IS 'Who used seats when the day ended, by seat: the next day begins with them, so that no report reads further back.';
COMMENT ON COLUMN seat_statement.signed IS 'JWS in compact form, as docs/seat-statement-format.md describes.';
CREATE INDEX seat_statement_ends ON seat_statement (licence, ends);
CREATE TRIGGER seat_statement_stays BEFORE UPDATE OR DELETE ON seat_statement
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER seat_statement_not_truncated BEFORE TRUNCATE ON seat_statement
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE INDEX seat_event_losses ON seat_event (licence, happened) WHERE kind IN ('gap', 'recovering');
