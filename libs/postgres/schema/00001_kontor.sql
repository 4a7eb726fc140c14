-- What every service's database has: the outbox and inbox of events, the answers kept for repeated requests, long-running
-- operations. Times here are the machine's: they serve the plumbing, no business rule reads them.

-- +goose Up

CREATE TABLE kontor.aggregate_version (
    concept   text   NOT NULL,
    aggregate text   NOT NULL,
    version   bigint NOT NULL,
    CONSTRAINT aggregate_version_pk PRIMARY KEY (concept, aggregate),
    CONSTRAINT aggregate_version_positive CHECK (version > 0)
);
COMMENT ON TABLE kontor.aggregate_version IS 'Version of the newest event of each aggregate; its row is the lock that orders them.';
COMMENT ON COLUMN kontor.aggregate_version.concept IS 'The first three words of the subject: kontor.<service>.<concept>.';

CREATE TABLE kontor.outbox (
    seq       bigint      GENERATED ALWAYS AS IDENTITY,
    event_id  uuid        NOT NULL,
    partition smallint    NOT NULL,
    concept   text        NOT NULL,
    aggregate text        NOT NULL,
    version   bigint      NOT NULL,
    subject   text        NOT NULL,
    message   text        NOT NULL,
    envelope  bytea       NOT NULL,
    payload   bytea       NOT NULL,
    headers   jsonb       NOT NULL,
    created   timestamptz NOT NULL DEFAULT clock_timestamp(),
    published timestamptz,
    replays   integer     NOT NULL DEFAULT 0,
    CONSTRAINT outbox_pk PRIMARY KEY (seq),
    CONSTRAINT outbox_event_once UNIQUE (event_id),
    CONSTRAINT outbox_version_once UNIQUE (concept, aggregate, version)
);
COMMENT ON TABLE kontor.outbox IS 'Events, written with the change that they tell of; the relay publishes them in the order of seq.';
COMMENT ON COLUMN kontor.outbox.message IS 'Full name of the payload''s protobuf message.';
COMMENT ON COLUMN kontor.outbox.envelope IS 'kontor.common.v1.Envelope.';
COMMENT ON COLUMN kontor.outbox.headers IS 'Trace context of the change.';
COMMENT ON COLUMN kontor.outbox.published IS 'When the stream acknowledged it; kept 7 days after that.';
COMMENT ON COLUMN kontor.outbox.replays IS 'How often it was asked to be published again.';
CREATE INDEX outbox_waiting ON kontor.outbox (partition, seq) WHERE published IS NULL;
CREATE INDEX outbox_published ON kontor.outbox (published) WHERE published IS NOT NULL;

CREATE TABLE kontor.inbox (
    consumer text        NOT NULL,
    event_id uuid        NOT NULL,
    created  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT inbox_pk PRIMARY KEY (consumer, event_id)
);
COMMENT ON TABLE kontor.inbox IS 'Events that a consumer has applied, written with their effect; kept 30 days.';
CREATE INDEX inbox_created ON kontor.inbox (created);

CREATE TABLE kontor.inbox_version (
    consumer  text   NOT NULL,
    concept   text   NOT NULL,
    aggregate text   NOT NULL,
    version   bigint NOT NULL,
    CONSTRAINT inbox_version_pk PRIMARY KEY (consumer, concept, aggregate)
);
COMMENT ON TABLE kontor.inbox_version IS 'Version up to which a consumer has applied an aggregate''s events; 0 before the first.';

CREATE TABLE kontor.idempotency (
    caller     text        NOT NULL,
    message    text        NOT NULL,
    request_id text        NOT NULL,
    content    bytea       NOT NULL,
    response   bytea,
    created    timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT idempotency_pk PRIMARY KEY (caller, message, request_id)
);
COMMENT ON TABLE kontor.idempotency IS 'Answers to creates, given again when the same request comes again; kept 7 days.';
COMMENT ON COLUMN kontor.idempotency.content IS 'SHA-256 of the request.';
COMMENT ON COLUMN kontor.idempotency.response IS 'The answer; null only inside the transaction that makes it.';
CREATE INDEX idempotency_created ON kontor.idempotency (created);

CREATE TABLE kontor.operation (
    id           text        NOT NULL,
    subscriber   text        NOT NULL,
    kind         text        NOT NULL,
    permission   integer     NOT NULL,
    scope        text        NOT NULL,
    state        integer     NOT NULL,
    done         bigint      NOT NULL DEFAULT 0,
    total        bigint      NOT NULL DEFAULT 0,
    step         text        NOT NULL DEFAULT '',
    step_key     text        NOT NULL DEFAULT '',
    input        bytea       NOT NULL,
    result       bytea,
    error        bytea,
    account      text        NOT NULL,
    locale       text        NOT NULL,
    run          integer     NOT NULL DEFAULT 1,
    heartbeat    timestamptz,
    revision     bigint      NOT NULL DEFAULT 1,
    created      timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated      timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended        timestamptz,
    CONSTRAINT operation_pk PRIMARY KEY (id),
    CONSTRAINT operation_ended_when_over CHECK ((ended IS NOT NULL) = (state IN (4, 5, 6))),
    CONSTRAINT operation_result_when_succeeded CHECK ((result IS NOT NULL) = (state = 4)),
    CONSTRAINT operation_error_when_failed CHECK ((error IS NOT NULL) = (state = 5)),
    CONSTRAINT operation_amounts CHECK (done >= 0 AND total >= 0)
);
COMMENT ON TABLE kontor.operation IS 'Long-running operations; kept 30 days after their end.';
COMMENT ON COLUMN kontor.operation.id IS '<service>-<UUIDv7>.';
COMMENT ON COLUMN kontor.operation.permission IS 'kontor.auth.v1.Permission that seeing and cancelling it takes, in scope.';
COMMENT ON COLUMN kontor.operation.state IS 'kontor.common.v1.Operation.State.';
COMMENT ON COLUMN kontor.operation.input IS 'google.protobuf.Any that the work was given.';
COMMENT ON COLUMN kontor.operation.result IS 'google.protobuf.Any.';
COMMENT ON COLUMN kontor.operation.error IS 'google.rpc.Status.';
COMMENT ON COLUMN kontor.operation.account IS 'Who asked for it.';
COMMENT ON COLUMN kontor.operation.run IS 'Counts the attempts; a worker of an earlier one can''t write any more.';
COMMENT ON COLUMN kontor.operation.heartbeat IS 'Last sign of life of the worker; null while none works on it.';
COMMENT ON COLUMN kontor.operation.revision IS 'Grows with each change that watchers are told of.';
CREATE INDEX operation_of_subscriber ON kontor.operation (subscriber, id);
CREATE INDEX operation_at_work ON kontor.operation (heartbeat) WHERE heartbeat IS NOT NULL;
CREATE INDEX operation_ended ON kontor.operation (ended) WHERE ended IS NOT NULL;
