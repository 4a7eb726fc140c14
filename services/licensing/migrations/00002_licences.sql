-- Licences, and what staff changed of them.

-- +goose Up

CREATE TABLE licence (
    id                uuid        NOT NULL,
    subscriber        uuid        NOT NULL,
    kind              text        NOT NULL,
    plan              text        NOT NULL,
    products          jsonb       NOT NULL,
    add_ons           text[]      NOT NULL,
    seats             integer     NOT NULL,
    companies         integer     NOT NULL,
    seats_per_company integer     NOT NULL,
    accounts          integer     NOT NULL,
    lease_seconds     integer     NOT NULL,
    terms_since       timestamptz NOT NULL,
    start_date        date        NOT NULL,
    end_date          date,
    time_zone         text        NOT NULL,
    starts            timestamptz NOT NULL,
    ends              timestamptz,
    contract          uuid,
    author            uuid,
    reason            text        NOT NULL DEFAULT '',
    price_minor       bigint,
    price_currency    text,
    started           timestamptz,
    ended             timestamptz,
    reminded          integer     NOT NULL DEFAULT 0,
    remind_at         timestamptz,
    revision          bigint      NOT NULL DEFAULT 1,
    created           timestamptz NOT NULL,
    CONSTRAINT licence_pk PRIMARY KEY (id),
    CONSTRAINT licence_of_contract FOREIGN KEY (contract) REFERENCES contract (id),
    CONSTRAINT licence_kind_known CHECK (kind IN ('trial', 'paid', 'rented', 'educational')),
    CONSTRAINT licence_limits_positive CHECK (seats > 0 AND companies > 0 AND seats_per_company > 0 AND accounts >= 0),
    CONSTRAINT licence_lease_bounded CHECK (lease_seconds BETWEEN 10 AND 86400),
    CONSTRAINT licence_ends_after_start CHECK (end_date >= start_date),
    CONSTRAINT licence_end_has_instant CHECK ((end_date IS NULL) = (ends IS NULL)),
    CONSTRAINT licence_price_has_currency CHECK ((price_minor IS NULL) = (price_currency IS NULL)),
    CONSTRAINT licence_from_contract_or_staff CHECK (contract IS NOT NULL OR author IS NOT NULL)
);
COMMENT ON TABLE licence IS 'Rights to plans for terms, with the plan''s terms as they were when given.';
COMMENT ON COLUMN licence.products IS 'List of {product, edition, modules}, the main one first.';
COMMENT ON COLUMN licence.accounts IS 'Accounts that may be members; 0 for any number.';
COMMENT ON COLUMN licence.terms_since IS 'When the plan''s terms were taken over; changes of limits made before no longer count.';
COMMENT ON COLUMN licence.end_date IS 'Last day; null when it has no end.';
COMMENT ON COLUMN licence.starts IS 'The instant at which start_date begins in time_zone.';
COMMENT ON COLUMN licence.ends IS 'The instant at which end_date is over in time_zone.';
COMMENT ON COLUMN licence.started IS 'When licence.started was told; null before.';
COMMENT ON COLUMN licence.ended IS 'When licence.ended was told; null before.';
COMMENT ON COLUMN licence.reminded IS 'Days before the end of the latest reminder that was sent; 0 before the first.';
COMMENT ON COLUMN licence.remind_at IS 'When the next reminder is due; null when none is.';
COMMENT ON COLUMN licence.author IS 'Account of the member of staff who gave it.';
CREATE UNIQUE INDEX licence_one_trial ON licence (subscriber) WHERE kind = 'trial';
CREATE INDEX licence_of_subscriber ON licence (subscriber, id);
CREATE INDEX licence_to_start ON licence (starts) WHERE started IS NULL;
CREATE INDEX licence_to_end ON licence (ends) WHERE ended IS NULL;
CREATE INDEX licence_to_remind ON licence (remind_at) WHERE ended IS NULL AND remind_at IS NOT NULL;

CREATE TABLE licence_change (
    id             uuid        NOT NULL,
    licence        uuid        NOT NULL,
    field          text        NOT NULL,
    old_value      text        NOT NULL,
    new_value      text        NOT NULL,
    until_date     date,
    reason         text        NOT NULL,
    price_minor    bigint,
    price_currency text,
    author         uuid        NOT NULL,
    created        timestamptz NOT NULL,
    CONSTRAINT licence_change_pk PRIMARY KEY (id),
    CONSTRAINT licence_change_of_licence FOREIGN KEY (licence) REFERENCES licence (id),
    CONSTRAINT licence_change_price_has_currency CHECK ((price_minor IS NULL) = (price_currency IS NULL))
);
COMMENT ON TABLE licence_change IS 'What staff changed of licences, why and for how much (H11). Limits and add-ons in force follow from it. Append-only.';
CREATE INDEX licence_change_of_one ON licence_change (licence, id);
CREATE TRIGGER licence_change_stays BEFORE UPDATE OR DELETE ON licence_change
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER licence_change_not_truncated BEFORE TRUNCATE ON licence_change
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
