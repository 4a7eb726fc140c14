-- Keys that sign seat tokens.

-- +goose Up

CREATE TABLE signing_key (
    id            text        NOT NULL,
    public        bytea       NOT NULL,
    sealed        bytea       NOT NULL,
    sign_from     timestamptz NOT NULL,
    sign_until    timestamptz NOT NULL,
    publish_until timestamptz NOT NULL,
    created       timestamptz NOT NULL,
    CONSTRAINT signing_key_pk PRIMARY KEY (id),
    CONSTRAINT signing_key_is_ed25519 CHECK (length(public) = 32),
    CONSTRAINT signing_key_times_in_order CHECK (sign_from < sign_until AND sign_until <= publish_until)
);
COMMENT ON TABLE signing_key IS 'Ed25519 keys, each signing for a while and published before and after it. Times are real, not the business clock''s.';
COMMENT ON COLUMN signing_key.id IS 'The kid in tokens and in the JSON Web Key Set.';
COMMENT ON COLUMN signing_key.sealed IS 'The seed under AES-256-GCM with the key-encryption key of the configuration; the id is authenticated with it.';
