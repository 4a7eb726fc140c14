-- Contracts with their numbers and acceptances (J1). What a customer accepted can't be altered, not even by this service.

-- +goose Up

-- +goose StatementBegin
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION refuse_change() IS 'For triggers of append-only tables.';

CREATE TABLE contract_counter (
    year   integer NOT NULL,
    serial integer NOT NULL,
    CONSTRAINT contract_counter_pk PRIMARY KEY (year),
    CONSTRAINT contract_counter_positive CHECK (serial > 0)
);
COMMENT ON TABLE contract_counter IS 'Last serial number of contracts in each year; its row is the lock that keeps numbers without gaps.';

CREATE TABLE contract (
    id              uuid        NOT NULL,
    subscriber      uuid        NOT NULL,
    number          text        NOT NULL,
    plan            text        NOT NULL,
    language        text        NOT NULL,
    customer        text        NOT NULL,
    time_zone       text        NOT NULL,
    document_key    text        NOT NULL,
    document_sha256 bytea       NOT NULL,
    document_size   bigint      NOT NULL,
    filename        text        NOT NULL,
    created         timestamptz NOT NULL,
    superseded_by   uuid,
    CONSTRAINT contract_pk PRIMARY KEY (id),
    CONSTRAINT contract_number_once UNIQUE (number),
    CONSTRAINT contract_superseded_by_contract FOREIGN KEY (superseded_by) REFERENCES contract (id),
    CONSTRAINT contract_not_superseded_by_itself CHECK (superseded_by <> id),
    CONSTRAINT contract_hash_is_sha256 CHECK (length(document_sha256) = 32),
    CONSTRAINT contract_document_not_empty CHECK (document_size > 0)
);
COMMENT ON TABLE contract IS 'Distance contracts with their licence documents. Only superseded_by is ever set later, once.';
COMMENT ON COLUMN contract.plan IS 'Id in the catalogue, e.g. books-trial.';
COMMENT ON COLUMN contract.customer IS 'The customer as named in the document.';
COMMENT ON COLUMN contract.time_zone IS 'IANA name of the zone that the terms'' days are counted in.';
COMMENT ON COLUMN contract.document_key IS 'Key of the PDF in the object store.';
CREATE INDEX contract_of_subscriber ON contract (subscriber, id);

CREATE TABLE contract_acceptance (
    contract        uuid        NOT NULL,
    account         uuid        NOT NULL,
    address         text        NOT NULL,
    document_sha256 bytea       NOT NULL,
    licence         uuid,
    accepted        timestamptz NOT NULL,
    CONSTRAINT contract_acceptance_pk PRIMARY KEY (contract),
    CONSTRAINT contract_acceptance_of_contract FOREIGN KEY (contract) REFERENCES contract (id)
);
COMMENT ON TABLE contract_acceptance IS 'Who accepted which document, when and from where. Append-only.';
COMMENT ON COLUMN contract_acceptance.address IS 'The network address that the acceptance came from.';
COMMENT ON COLUMN contract_acceptance.licence IS 'The licence that began or went over to the contract''s plan; null for plans that are paid for first.';

CREATE VIEW contract_and_acceptance AS
SELECT c.id, c.subscriber, c.number, c.plan, c.language, c.customer, c.time_zone, c.document_key, c.document_sha256,
    c.document_size, c.filename, c.created, c.superseded_by, a.account, a.address, a.document_sha256 AS accepted_sha256,
    a.licence, a.accepted
FROM contract c LEFT JOIN contract_acceptance a ON a.contract = c.id;
COMMENT ON VIEW contract_and_acceptance IS 'Contracts with their acceptance, its columns null before it.';

CREATE TRIGGER contract_acceptance_stays BEFORE UPDATE OR DELETE ON contract_acceptance
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER contract_acceptance_not_truncated BEFORE TRUNCATE ON contract_acceptance
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER contract_stays BEFORE DELETE ON contract
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER contract_not_truncated BEFORE TRUNCATE ON contract
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER contract_superseded_only BEFORE UPDATE ON contract
    FOR EACH ROW
    WHEN (OLD.superseded_by IS NOT NULL OR to_jsonb(OLD) - 'superseded_by' IS DISTINCT FROM to_jsonb(NEW) - 'superseded_by')
    EXECUTE FUNCTION refuse_change();
