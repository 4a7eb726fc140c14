-- +goose Up

CREATE TABLE letter (
    id          uuid        NOT NULL CONSTRAINT letter_id_unique PRIMARY KEY,
    event_id    uuid        NOT NULL,
    kind        integer     NOT NULL,
    state       integer     NOT NULL CONSTRAINT letter_state_known CHECK (state BETWEEN 1 AND 4),
    about       jsonb       NOT NULL,
    recipient   text        NOT NULL DEFAULT '',
    language    text        NOT NULL DEFAULT '',
    subject     text        NOT NULL DEFAULT '',
    tries       integer     NOT NULL DEFAULT 0,
    outcome     text        NOT NULL DEFAULT '',
    create_time timestamptz NOT NULL,
    end_time    timestamptz,
    CONSTRAINT letter_once_per_event UNIQUE (event_id, kind),
    CONSTRAINT letter_ended_when_over CHECK ((end_time IS NOT NULL) = (state <> 1))
);
COMMENT ON TABLE letter IS 'One e-mail that an event ordered. Its text is not kept, for it holds secrets.';
COMMENT ON COLUMN letter.event_id IS 'The event that ordered it; an event orders a kind once.';
COMMENT ON COLUMN letter.kind IS 'kontor.notification.v1.LetterKind.';
COMMENT ON COLUMN letter.state IS 'kontor.notification.v1.LetterState.';
COMMENT ON COLUMN letter.about IS 'Names of the resources it is about; no secret, no personal data.';
CREATE INDEX letter_newest ON letter (create_time DESC, id DESC);
CREATE INDEX letter_to ON letter (lower(recipient), create_time DESC);
