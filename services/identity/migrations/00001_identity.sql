-- +goose Up

CREATE TABLE account (
    id              uuid        NOT NULL CONSTRAINT account_id_unique PRIMARY KEY,
    kind            text        NOT NULL CONSTRAINT account_kind_known CHECK (kind IN ('person', 'technical')),
    state           text        NOT NULL CONSTRAINT account_state_known CHECK (state IN ('pending', 'active', 'closed')),
    full_name       text        NOT NULL CONSTRAINT account_full_name_short CHECK (char_length(full_name) <= 200),
    language        text        NOT NULL CONSTRAINT account_language_known CHECK (language IN ('lv', 'fa', 'pl', 'sv', 'hu', 'en')),
    self_registered boolean     NOT NULL,
    create_time     timestamptz NOT NULL,
    activate_time   timestamptz,
    CONSTRAINT account_active_since CHECK (state <> 'active' OR activate_time IS NOT NULL)
);
COMMENT ON TABLE account IS 'One person or technical client that signs in.';
COMMENT ON COLUMN account.self_registered IS 'Whether its holder asked for it; such a person gets a subscriber of their own.';

CREATE TABLE identifier (
    id          uuid        NOT NULL CONSTRAINT identifier_id_unique PRIMARY KEY,
    account_id  uuid        NOT NULL CONSTRAINT identifier_of_account REFERENCES account (id),
    kind        text        NOT NULL CONSTRAINT identifier_kind_known CHECK (kind IN ('email', 'mobile', 'login')),
    value       text        NOT NULL,
    key         text        NOT NULL CONSTRAINT identifier_key_unique UNIQUE,
    main        boolean     NOT NULL CONSTRAINT identifier_main_is_email CHECK (NOT main OR kind = 'email'),
    verify_time timestamptz,
    create_time timestamptz NOT NULL
);
COMMENT ON TABLE identifier IS 'What an account is called at sign-in: e-mails, mobile numbers, chosen logins. Only verified ones let in.';
COMMENT ON COLUMN identifier.value IS 'As its holder wrote it.';
COMMENT ON COLUMN identifier.key IS 'In the form that is compared: one spelling, lower case.';
COMMENT ON COLUMN identifier.main IS 'The e-mail that letters go to, one an account.';
CREATE UNIQUE INDEX identifier_main_of_account ON identifier (account_id) WHERE main;
CREATE INDEX identifier_by_account ON identifier (account_id, id);

CREATE TABLE credential (
    account_id    uuid        NOT NULL CONSTRAINT credential_one_each PRIMARY KEY CONSTRAINT credential_of_account REFERENCES account (id),
    password_hash text        NOT NULL,
    change_time   timestamptz NOT NULL
);
COMMENT ON TABLE credential IS 'Passwords as Argon2id hashes in PHC form, with their own salt and parameters.';

CREATE TABLE link (
    id          uuid        NOT NULL CONSTRAINT link_id_unique PRIMARY KEY,
    account_id  uuid        NOT NULL CONSTRAINT link_of_account REFERENCES account (id),
    purpose     text        NOT NULL CONSTRAINT link_purpose_known CHECK (purpose IN ('activation', 'password_reset')),
    create_time timestamptz NOT NULL,
    expire_time timestamptz NOT NULL,
    use_time    timestamptz
);
COMMENT ON TABLE link IS 'Links in letters. Their secrets are derived from the id with a key and stored nowhere.';
COMMENT ON COLUMN link.use_time IS 'When what it does was done, by it or by another one.';
CREATE INDEX link_open ON link (account_id, purpose) WHERE use_time IS NULL;

CREATE TABLE letter (
    account_id uuid        NOT NULL CONSTRAINT letter_of_account REFERENCES account (id),
    kind       text        NOT NULL CONSTRAINT letter_kind_known CHECK (kind IN ('activation', 'password_reset', 'already_registered')),
    time       timestamptz NOT NULL,
    CONSTRAINT letter_once_a_kind PRIMARY KEY (account_id, kind)
);
COMMENT ON TABLE letter IS 'When a visitor last made us write to an account. Real time; each kind is spaced out by itself, so that none holds up another.';

CREATE TABLE session (
    id               uuid        NOT NULL CONSTRAINT session_id_unique PRIMARY KEY,
    account_id       uuid        NOT NULL CONSTRAINT session_of_account REFERENCES account (id),
    device_name      text        NOT NULL,
    address          text        NOT NULL,
    company          text        NOT NULL,
    generation       integer     NOT NULL CONSTRAINT session_generation_counts CHECK (generation >= 0),
    token_hash       bytea       NOT NULL CONSTRAINT session_token_hashed CHECK (octet_length(token_hash) = 32),
    create_time      timestamptz NOT NULL,
    refresh_time     timestamptz NOT NULL,
    idle_expire_time timestamptz NOT NULL,
    expire_time      timestamptz NOT NULL,
    end_time         timestamptz,
    end_cause        text CONSTRAINT session_end_cause_known
        CHECK (end_cause IN ('signed_out', 'revoked', 'password_changed', 'token_reused')),
    CONSTRAINT session_idle_within_life CHECK (idle_expire_time <= expire_time),
    CONSTRAINT session_end_has_cause CHECK ((end_time IS NULL) = (end_cause IS NULL))
);
COMMENT ON TABLE session IS 'Sign-ins. All times are real time. The hash is of the one refresh token that is good now.';
CREATE INDEX session_by_account ON session (account_id, id) WHERE end_time IS NULL;
CREATE INDEX session_by_expiry ON session (idle_expire_time);

CREATE TABLE session_rotation (
    session_id  uuid        NOT NULL CONSTRAINT session_rotation_of_session REFERENCES session (id) ON DELETE CASCADE,
    generation  integer     NOT NULL,
    token_hash  bytea       NOT NULL CONSTRAINT session_rotation_hashed CHECK (octet_length(token_hash) = 32),
    rotate_time timestamptz NOT NULL,
    CONSTRAINT session_rotation_once PRIMARY KEY (session_id, generation)
);
COMMENT ON TABLE session_rotation IS 'Refresh tokens used in the last moments, so that a repeated refresh gets the same successor.';

CREATE TABLE attempt (
    subject   text        NOT NULL CONSTRAINT attempt_subject_unique PRIMARY KEY,
    failures  integer     NOT NULL CONSTRAINT attempt_failures_count CHECK (failures >= 0),
    last_time timestamptz NOT NULL,
    next_time timestamptz NOT NULL
);
COMMENT ON TABLE attempt IS 'Wrong passwords, counted by account and address, and when the next one is listened to. Real time.';
CREATE INDEX attempt_by_time ON attempt (last_time);

CREATE TABLE known_address (
    account_id uuid        NOT NULL CONSTRAINT known_address_of_account REFERENCES account (id),
    address    text        NOT NULL,
    last_time  timestamptz NOT NULL,
    CONSTRAINT known_address_once PRIMARY KEY (account_id, address)
);
COMMENT ON TABLE known_address IS 'Where an account signed in from: what strangers do elsewhere does not slow it there.';

CREATE TABLE signing_key (
    id          text        NOT NULL CONSTRAINT signing_key_id_unique PRIMARY KEY,
    public_key  bytea       NOT NULL CONSTRAINT signing_key_public_size CHECK (octet_length(public_key) = 32),
    sealed_key  bytea       NOT NULL,
    sealed_with text        NOT NULL,
    create_time timestamptz NOT NULL,
    start_time  timestamptz NOT NULL
);
COMMENT ON TABLE signing_key IS 'Ed25519 keys of access tokens; the private half is sealed with the key-encryption key.';
COMMENT ON COLUMN signing_key.sealed_with IS 'Which key-encryption key sealed it.';
COMMENT ON COLUMN signing_key.start_time IS 'From when it signs; it is published before. Real time.';
