-- Who manages a connection is a matter of membership, not of who made it.

-- +goose Up

CREATE TABLE connection_subscriber (
    connection_id uuid        NOT NULL,
    subscriber_id uuid        NOT NULL,
    created       timestamptz NOT NULL,
    CONSTRAINT connection_subscriber_pk PRIMARY KEY (connection_id, subscriber_id),
    CONSTRAINT connection_subscriber_is_one FOREIGN KEY (subscriber_id) REFERENCES subscriber (id)
);
COMMENT ON TABLE connection_subscriber IS 'Subscribers whose members manage a connection or read in it, as their roles in the subscriber let them.';

-- Managing (14) was granted to accounts, whatever became of their membership. That ends; accounts at the ends keep theirs.
DELETE FROM connection_access WHERE 14 = ANY(permissions) AND NOT permissions && ARRAY[15, 16];
UPDATE connection_access SET permissions = array_remove(permissions, 14) WHERE 14 = ANY(permissions);
