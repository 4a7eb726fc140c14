-- Rights outside subscribers: of accounts in connections, and of the vendor's staff.

-- +goose Up

CREATE TABLE connection_access (
    account_id    uuid        NOT NULL,
    connection_id uuid        NOT NULL,
    permissions   integer[]   NOT NULL,
    created       timestamptz NOT NULL,
    CONSTRAINT connection_access_pk PRIMARY KEY (account_id, connection_id)
);
COMMENT ON TABLE connection_access IS 'What accounts may do in connections for documents.';
COMMENT ON COLUMN connection_access.permissions IS 'kontor.auth.v1.Permission.';

CREATE TABLE staff (
    account_id uuid        NOT NULL,
    added_by   uuid,
    created    timestamptz NOT NULL,
    CONSTRAINT staff_pk PRIMARY KEY (account_id)
);
COMMENT ON TABLE staff IS 'The vendor''s staff now; who was staff when stands in the audit log.';
COMMENT ON COLUMN staff.added_by IS 'Account that added it; null for the first.';

CREATE TABLE first_staff (
    one        boolean     NOT NULL DEFAULT true,
    account_id uuid        NOT NULL,
    claimed    timestamptz NOT NULL,
    CONSTRAINT first_staff_pk PRIMARY KEY (one),
    CONSTRAINT first_staff_only_one CHECK (one)
);
COMMENT ON TABLE first_staff IS 'Who used the one-time token; its one row is what makes the token work once.';
