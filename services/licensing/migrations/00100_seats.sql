-- Pools of seats, and everything that happened to them.

-- +goose Up

CREATE TABLE seat_pool (
    licence       uuid    NOT NULL,
    recovery      bigint  NOT NULL DEFAULT 0,
    resting       boolean NOT NULL DEFAULT true,
    longest_lease integer NOT NULL,
    CONSTRAINT seat_pool_pk PRIMARY KEY (licence),
    CONSTRAINT seat_pool_of_licence FOREIGN KEY (licence) REFERENCES licence (id),
    CONSTRAINT seat_pool_recovery_bounded CHECK (recovery BETWEEN 0 AND 1048575),
    CONSTRAINT seat_pool_lease_positive CHECK (longest_lease > 0)
);
COMMENT ON TABLE seat_pool IS 'What must be known of a licence''s live seats when Redis, where they are, has lost them.';
COMMENT ON COLUMN seat_pool.recovery IS 'How often the pool was opened in Redis; the upper part of the generations given since.';
COMMENT ON COLUMN seat_pool.resting IS 'True while surely nobody holds a seat: the pool may then be opened without waiting for holders.';
COMMENT ON COLUMN seat_pool.longest_lease IS 'Longest lease ever given, in seconds: so long holders may come back after a loss.';

CREATE TABLE seat_event (
    partition    smallint    NOT NULL,
    entry        text        NOT NULL,
    kind         text        NOT NULL,
    subscriber   uuid        NOT NULL,
    licence      uuid        NOT NULL,
    seat         uuid,
    account      uuid,
    company      uuid,
    product      text        NOT NULL,
    device_id    text        NOT NULL,
    device_title text        NOT NULL,
    slot         integer     NOT NULL,
    generation   bigint      NOT NULL,
    seat_limit   integer     NOT NULL,
    actor        uuid,
    address      text        NOT NULL,
    happened     timestamptz NOT NULL,
    CONSTRAINT seat_event_pk PRIMARY KEY (partition, entry),
    CONSTRAINT seat_event_kind_known CHECK (kind IN ('claimed', 'returned', 'released', 'expired', 'taken', 'refused', 'recovering'))
);
COMMENT ON TABLE seat_event IS 'Every claim, refusal, and end of a seat, as the seat store wrote it down in the act. Append-only.';
COMMENT ON COLUMN seat_event.entry IS 'Id of the entry in the partition''s stream in Redis: each is taken over once.';
COMMENT ON COLUMN seat_event.kind IS '''returned'': a holder came back to its seat after a loss of Redis.';
COMMENT ON COLUMN seat_event.happened IS 'Real time, by Redis''s clock; of ''recovering'' the time until which new claims wait.';
CREATE INDEX seat_event_of_seat ON seat_event (seat);
CREATE INDEX seat_event_of_licence ON seat_event (licence, happened);
CREATE TRIGGER seat_event_stays BEFORE UPDATE OR DELETE ON seat_event
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER seat_event_not_truncated BEFORE TRUNCATE ON seat_event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE seat_position (
    partition smallint NOT NULL,
    entry     text     NOT NULL,
    CONSTRAINT seat_position_pk PRIMARY KEY (partition)
);
COMMENT ON TABLE seat_position IS 'The last entry of each partition''s stream that was taken over into seat_event.';
