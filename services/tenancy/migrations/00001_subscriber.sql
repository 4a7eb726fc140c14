-- Subscribers and their members. Neither stands without the other: a subscriber's owner is always a member with access,
-- and the database itself sees to it.

-- +goose Up

CREATE SEQUENCE subscriber_code MINVALUE 0 MAXVALUE 9999999 START 0 NO CYCLE;
COMMENT ON SEQUENCE subscriber_code IS 'Subscribers'' places; the code is a permutation of it. A number drawn is never drawn again.';

CREATE TABLE subscriber (
    id                  uuid        NOT NULL,
    code                text        NOT NULL,
    title               text        NOT NULL,
    legal_form          smallint    NOT NULL DEFAULT 0,
    first_name          text        NOT NULL DEFAULT '',
    last_name           text        NOT NULL DEFAULT '',
    registration_number text        NOT NULL DEFAULT '',
    postal_address      text        NOT NULL DEFAULT '',
    region              text        NOT NULL,
    language            text        NOT NULL,
    country             text        NOT NULL DEFAULT '',
    owner_account       uuid        NOT NULL,
    owner_stands        boolean     NOT NULL GENERATED ALWAYS AS (true) STORED,
    pending_owner       uuid,
    made_for            uuid,
    completed           timestamptz,
    created             timestamptz NOT NULL,
    revision            bigint      NOT NULL DEFAULT 1,
    CONSTRAINT subscriber_pk PRIMARY KEY (id),
    CONSTRAINT subscriber_code_once UNIQUE (code),
    CONSTRAINT subscriber_one_for_an_account UNIQUE (made_for),
    CONSTRAINT subscriber_code_form CHECK (code ~ '^CL-[0-9]{7}$'),
    CONSTRAINT subscriber_title_given CHECK (title <> ''),
    CONSTRAINT subscriber_legal_form_known CHECK (legal_form IN (0, 1, 2))
);
COMMENT ON TABLE subscriber IS 'Customers: organisations or private persons that hold contracts.';
COMMENT ON COLUMN subscriber.legal_form IS 'kontor.tenancy.v1.LegalForm.';
COMMENT ON COLUMN subscriber.owner_account IS 'The one owner.';
COMMENT ON COLUMN subscriber.owner_stands IS 'Always true: the foreign key with it demands a member who may own.';
COMMENT ON COLUMN subscriber.pending_owner IS 'Account that the ownership is offered to; null without an offer.';
COMMENT ON COLUMN subscriber.made_for IS 'Account whose registration made it; null when made otherwise.';
COMMENT ON COLUMN subscriber.completed IS 'When everything a contract needs was given for the first time.';
COMMENT ON COLUMN subscriber.revision IS 'Counts the changes; the etag.';
CREATE INDEX subscriber_of_owner ON subscriber (owner_account, id);

CREATE TABLE member (
    id            uuid        NOT NULL,
    subscriber_id uuid        NOT NULL,
    account_id    uuid        NOT NULL,
    access        boolean     NOT NULL,
    end_date      date,
    end_told      boolean     NOT NULL DEFAULT false,
    excluded      timestamptz,
    created       timestamptz NOT NULL,
    revision      bigint      NOT NULL DEFAULT 1,
    may_own       boolean     NOT NULL GENERATED ALWAYS AS (access AND end_date IS NULL AND excluded IS NULL) STORED,
    CONSTRAINT member_pk PRIMARY KEY (id),
    CONSTRAINT member_account_once UNIQUE (subscriber_id, account_id),
    CONSTRAINT member_may_own_once UNIQUE (subscriber_id, account_id, may_own),
    CONSTRAINT member_of_subscriber FOREIGN KEY (subscriber_id) REFERENCES subscriber (id)
);
COMMENT ON TABLE member IS 'Accounts in subscribers. Excluded ones stay listed and come back in their row.';
COMMENT ON COLUMN member.access IS 'Whether the member may use anything; false while access waits to be given.';
COMMENT ON COLUMN member.end_date IS 'Last day of the membership (UTC); null means without end.';
COMMENT ON COLUMN member.end_told IS 'Whether the others were told that the end date has passed.';
COMMENT ON COLUMN member.may_own IS 'Whether the member can be the owner; target of subscriber_owner_stands.';
CREATE INDEX member_of_account ON member (account_id, subscriber_id);
CREATE INDEX member_listed ON member (subscriber_id, id);
CREATE INDEX member_end_to_tell ON member (end_date) WHERE end_date IS NOT NULL AND NOT end_told AND excluded IS NULL;

ALTER TABLE subscriber ADD CONSTRAINT subscriber_owner_stands
    FOREIGN KEY (id, owner_account, owner_stands) REFERENCES member (subscriber_id, account_id, may_own)
    DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE member_role (
    member_id  uuid NOT NULL,
    company_id uuid,
    role       text NOT NULL,
    CONSTRAINT member_role_once UNIQUE NULLS NOT DISTINCT (member_id, company_id, role),
    CONSTRAINT member_role_of_member FOREIGN KEY (member_id) REFERENCES member (id)
);
COMMENT ON TABLE member_role IS 'Roles of members. The owner has all rights without a row here.';
COMMENT ON COLUMN member_role.company_id IS 'The company it holds in; null means the whole subscriber.';
COMMENT ON COLUMN member_role.role IS 'Key of a role; roles are data in code.';
CREATE INDEX member_role_in_company ON member_role (company_id) WHERE company_id IS NOT NULL;
