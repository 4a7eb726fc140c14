-- Copies of on-premises databases on their way to Kontor.

-- +goose Up

CREATE TABLE upload (
    id             uuid        NOT NULL,
    subscriber_id  uuid        NOT NULL,
    filename       text        NOT NULL,
    size_bytes     bigint      NOT NULL,
    sha256         bytea       NOT NULL,
    received_bytes bigint      NOT NULL DEFAULT 0,
    state          smallint    NOT NULL,
    product        text        NOT NULL DEFAULT '',
    edition        text        NOT NULL DEFAULT '',
    version        text        NOT NULL DEFAULT '',
    refusal        text        NOT NULL DEFAULT '',
    refusal_values jsonb       NOT NULL DEFAULT '{}',
    created        timestamptz NOT NULL,
    expires        timestamptz NOT NULL,
    CONSTRAINT upload_pk PRIMARY KEY (id),
    CONSTRAINT upload_of_subscriber FOREIGN KEY (subscriber_id) REFERENCES subscriber (id),
    CONSTRAINT upload_state_known CHECK (state BETWEEN 1 AND 4),
    CONSTRAINT upload_within_size CHECK (received_bytes BETWEEN 0 AND size_bytes),
    CONSTRAINT upload_refused_for_reason CHECK ((state = 3) = (refusal <> ''))
);
COMMENT ON TABLE upload IS 'Copies of on-premises databases on their way to Kontor.';
COMMENT ON COLUMN upload.state IS 'kontor.tenancy.v1.UploadState.';
COMMENT ON COLUMN upload.refusal IS 'Name of the reason why the copy can''t be used.';
COMMENT ON COLUMN upload.refusal_values IS 'The values that the reason''s text names.';
COMMENT ON COLUMN upload.expires IS 'When the bytes are deleted (business time).';
CREATE INDEX upload_same ON upload (subscriber_id, sha256);
CREATE INDEX upload_expiring ON upload (expires);

CREATE TABLE upload_part (
    upload_id  uuid   NOT NULL,
    begins     bigint NOT NULL,
    size_bytes bigint NOT NULL,
    object_id  uuid   NOT NULL,
    CONSTRAINT upload_part_pk PRIMARY KEY (upload_id, begins),
    CONSTRAINT upload_part_of_upload FOREIGN KEY (upload_id) REFERENCES upload (id) ON DELETE CASCADE,
    CONSTRAINT upload_part_object_once UNIQUE (object_id),
    CONSTRAINT upload_part_holds_bytes CHECK (size_bytes > 0 AND begins >= 0)
);
COMMENT ON TABLE upload_part IS 'Pieces of uploads in the object store. The row is written once the object is durable.';
