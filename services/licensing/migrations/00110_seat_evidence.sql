-- More of what happens to seats, and what must be known before it happens.

-- +goose Up

ALTER TABLE seat_event
    ADD COLUMN mode text NOT NULL DEFAULT 'pool',
    ADD COLUMN since timestamptz,
    DROP CONSTRAINT seat_event_kind_known,
    ADD CONSTRAINT seat_event_kind_known CHECK (kind IN (
        'claimed', 'joined', 'returned', 'left', 'released', 'expired', 'taken', 'transferred', 'refused', 'recovering', 'gap')),
    ADD CONSTRAINT seat_event_mode_known CHECK (mode IN ('pool', 'overdraft', 'guest', 'reading', 'travel')),
    ADD CONSTRAINT seat_event_gap_has_start CHECK ((kind = 'gap') = (since IS NOT NULL));
COMMENT ON COLUMN seat_event.kind IS '''joined'': a holder works in one more place; ''returned'': a holder came back to its seat after a loss of Redis; ''left'': a holder that works on gave back one of its places; ''transferred'': its holder handed it over; ''gap'': what happened from since to happened may be missing.';
COMMENT ON COLUMN seat_event.mode IS '''overdraft'', ''travel'' and ''pool'' count against the licence; ''guest'' and ''reading'' do not.';
COMMENT ON COLUMN seat_event.since IS 'Beginning of a gap; null otherwise.';

ALTER TABLE seat_position ADD COLUMN seen timestamptz NOT NULL DEFAULT now();
COMMENT ON COLUMN seat_position.seen IS 'When the stream was last read to its end: what was lost happened later.';

CREATE TABLE seat_force (
    seat       uuid        NOT NULL,
    licence    uuid        NOT NULL,
    actor      uuid        NOT NULL,
    due        timestamptz NOT NULL,
    reason     text        NOT NULL,
    created    timestamptz NOT NULL,
    CONSTRAINT seat_force_pk PRIMARY KEY (seat),
    CONSTRAINT seat_force_of_licence FOREIGN KEY (licence) REFERENCES licence (id)
);
COMMENT ON TABLE seat_force IS 'Seats that are taken from their holders, written before it happens: whatever Redis loses, they end when due.';

CREATE TABLE seat_overdraft (
    seat       uuid        NOT NULL,
    licence    uuid        NOT NULL,
    account    uuid        NOT NULL,
    period     text        NOT NULL,
    created    timestamptz NOT NULL,
    CONSTRAINT seat_overdraft_pk PRIMARY KEY (seat),
    CONSTRAINT seat_overdraft_of_licence FOREIGN KEY (licence) REFERENCES licence (id)
);
COMMENT ON TABLE seat_overdraft IS 'Seats given beyond the limit in a closing period, written before they are given; one counts when its claim is in seat_event.';
COMMENT ON COLUMN seat_overdraft.period IS 'The month that is being closed, e.g. 2026-11.';
CREATE INDEX seat_overdraft_of_licence ON seat_overdraft (licence, created);

CREATE TABLE guest_seat (
    id         uuid        NOT NULL,
    subscriber uuid        NOT NULL,
    licence    uuid        NOT NULL,
    account    uuid        NOT NULL,
    company    uuid        NOT NULL,
    product    text        NOT NULL,
    starts     timestamptz NOT NULL,
    ends       timestamptz NOT NULL,
    reason     text        NOT NULL,
    author     uuid        NOT NULL,
    created    timestamptz NOT NULL,
    ended      timestamptz,
    CONSTRAINT guest_seat_pk PRIMARY KEY (id),
    CONSTRAINT guest_seat_of_licence FOREIGN KEY (licence) REFERENCES licence (id),
    CONSTRAINT guest_seat_time_forward CHECK (ends > starts)
);
COMMENT ON TABLE guest_seat IS 'Auditors and the like who may read for a time without taking a seat of the licence.';
CREATE INDEX guest_seat_of_account ON guest_seat (subscriber, account) WHERE ended IS NULL;

CREATE TABLE travel_seat (
    id         uuid        NOT NULL,
    subscriber uuid        NOT NULL,
    licence    uuid        NOT NULL,
    account    uuid        NOT NULL,
    company    uuid        NOT NULL,
    product    text        NOT NULL,
    device_id  text        NOT NULL,
    device_title text      NOT NULL,
    slot       integer     NOT NULL,
    file       bytea       NOT NULL,
    starts     timestamptz NOT NULL,
    ends       timestamptz NOT NULL,
    created    timestamptz NOT NULL,
    returned   timestamptz,
    CONSTRAINT travel_seat_pk PRIMARY KEY (id),
    CONSTRAINT travel_seat_of_licence FOREIGN KEY (licence) REFERENCES licence (id),
    CONSTRAINT travel_seat_time_forward CHECK (ends > starts)
);
COMMENT ON TABLE travel_seat IS 'Seats that are out with a device that has no network. They hold a slot of the licence until they end or are returned.';
CREATE INDEX travel_seat_out ON travel_seat (licence, ends) WHERE returned IS NULL;

