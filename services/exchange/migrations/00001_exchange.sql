-- Connections, the documents that travel in them, and every step of theirs.

-- +goose Up

CREATE TABLE connection (
    id                  uuid        NOT NULL,
    subscriber_id       uuid        NOT NULL,
    sender_company      text        NOT NULL,
    sender_title        text        NOT NULL,
    sender_program      smallint    NOT NULL,
    sender_email        text        NOT NULL,
    sender_account      text        NOT NULL DEFAULT '',
    receiver_subscriber uuid        NOT NULL,
    receiver_company    text        NOT NULL,
    receiver_title      text        NOT NULL,
    receiver_program    smallint    NOT NULL,
    receiver_email      text        NOT NULL,
    receiver_account    text        NOT NULL DEFAULT '',
    tax_number          text        NOT NULL,
    state               smallint    NOT NULL,
    sync_seconds        integer     NOT NULL,
    places              bigint      NOT NULL DEFAULT 0,
    created             timestamptz NOT NULL,
    updated             timestamptz NOT NULL,
    revision            bigint      NOT NULL DEFAULT 1,
    CONSTRAINT connection_pk PRIMARY KEY (id),
    CONSTRAINT connection_two_companies CHECK (sender_company <> receiver_company),
    CONSTRAINT connection_state_known CHECK (state BETWEEN 1 AND 4),
    CONSTRAINT connection_programs_known CHECK (sender_program BETWEEN 1 AND 6 AND receiver_program BETWEEN 1 AND 6)
);
COMMENT ON TABLE connection IS 'Agreed channels for the documents of one company.';
COMMENT ON COLUMN connection.subscriber_id IS 'Who made it and manages it; the sending company is one of its own.';
COMMENT ON COLUMN connection.tax_number IS 'The one tax number at both ends when it was made, in the form in which two are compared.';
COMMENT ON COLUMN connection.places IS 'How many steps its documents have taken together; the last one''s place.';
COMMENT ON COLUMN connection.revision IS 'Counts the changes; the etag.';
CREATE INDEX connection_of_subscriber ON connection (subscriber_id, id);
CREATE INDEX connection_of_receiver ON connection (receiver_subscriber, id);

CREATE TABLE document (
    id            uuid        NOT NULL,
    connection_id uuid        NOT NULL,
    message_id    text        NOT NULL,
    kind          smallint    NOT NULL,
    filename      text        NOT NULL,
    size_bytes    bigint      NOT NULL,
    sha256        bytea       NOT NULL,
    seller        text        NOT NULL DEFAULT '',
    number        text        NOT NULL DEFAULT '',
    invoice       bytea,
    breaks        bytea,
    supersedes    uuid,
    transport     smallint    NOT NULL,
    office        smallint    NOT NULL DEFAULT 0,
    version       smallint    NOT NULL,
    created       timestamptz NOT NULL,
    delivered     timestamptz,
    CONSTRAINT document_pk PRIMARY KEY (id),
    CONSTRAINT document_message_once UNIQUE (connection_id, message_id),
    CONSTRAINT document_of_connection FOREIGN KEY (connection_id) REFERENCES connection (id),
    CONSTRAINT document_supersedes_another FOREIGN KEY (supersedes) REFERENCES document (id),
    CONSTRAINT document_hash_whole CHECK (length(sha256) = 32)
);
COMMENT ON TABLE document IS 'Documents. Their bytes are in the object store, by connection and hash, before the row is.';
COMMENT ON COLUMN document.seller IS 'The seller''s tax number, of what was read.';
COMMENT ON COLUMN document.number IS 'The seller''s number, of what was read.';
COMMENT ON COLUMN document.invoice IS 'kontor.exchange.v1.InvoiceSummary, of what was read.';
COMMENT ON COLUMN document.breaks IS 'Rules that it broke, as a kontor.exchange.v1.Document that has nothing else.';
COMMENT ON COLUMN document.transport IS 'Where its transport axis ends; the steps say how it came there. So do office and version.';
CREATE UNIQUE INDEX document_effect_once ON document (connection_id, seller, kind, number, sha256) WHERE number <> '' AND transport <> 7;
CREATE INDEX document_listed ON document (connection_id, id);
CREATE INDEX document_waiting ON document (connection_id, id) WHERE transport IN (1, 2);

CREATE TABLE document_step (
    connection_id uuid        NOT NULL,
    place         bigint      NOT NULL,
    document_id   uuid        NOT NULL,
    axis          smallint    NOT NULL,
    sequence      bigint      NOT NULL,
    state         smallint    NOT NULL,
    reason        text        NOT NULL DEFAULT '',
    account       text        NOT NULL DEFAULT '',
    created       timestamptz NOT NULL,
    CONSTRAINT document_step_pk PRIMARY KEY (connection_id, place),
    CONSTRAINT document_step_once UNIQUE (document_id, axis, sequence),
    CONSTRAINT document_step_of_document FOREIGN KEY (document_id) REFERENCES document (id),
    CONSTRAINT document_step_axis_known CHECK (axis BETWEEN 1 AND 3)
);
COMMENT ON TABLE document_step IS 'Steps of documents on their axes. Only added to.';
COMMENT ON COLUMN document_step.place IS 'Place among all steps in the connection, without gaps, in the order they were committed.';
COMMENT ON COLUMN document_step.axis IS '1 transport, 2 office, 3 version.';

CREATE TABLE receipt (
    document_id uuid        NOT NULL,
    signed      text        NOT NULL,
    created     timestamptz NOT NULL,
    CONSTRAINT receipt_pk PRIMARY KEY (document_id),
    CONSTRAINT receipt_of_document FOREIGN KEY (document_id) REFERENCES document (id)
);
COMMENT ON TABLE receipt IS 'Signed receipts of delivered documents. Only added to.';

CREATE TABLE receipt_key (
    id      text        NOT NULL,
    public  bytea       NOT NULL,
    sealed  bytea       NOT NULL,
    created timestamptz NOT NULL,
    CONSTRAINT receipt_key_pk PRIMARY KEY (id),
    CONSTRAINT receipt_key_is_ed25519 CHECK (length(public) = 32)
);
COMMENT ON TABLE receipt_key IS 'Keys that receipts were signed with; the newest signs, all are published for ever.';

-- +goose StatementBegin
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION refuse_change() IS 'For triggers of append-only tables.';
CREATE TRIGGER document_step_stays BEFORE UPDATE OR DELETE ON document_step FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER receipt_stays BEFORE UPDATE OR DELETE ON receipt FOR EACH ROW EXECUTE FUNCTION refuse_change();
