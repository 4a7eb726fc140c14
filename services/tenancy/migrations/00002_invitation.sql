-- Invitations. No link's secret is kept: it is derived from the id.

-- +goose Up

CREATE TABLE invitation (
    id             uuid        NOT NULL,
    subscriber_id  uuid        NOT NULL,
    email          text        NOT NULL,
    email_key      text        NOT NULL,
    full_name      text        NOT NULL,
    access         boolean     NOT NULL,
    message        text        NOT NULL,
    language       text        NOT NULL,
    author_account uuid        NOT NULL,
    resent_of      uuid,
    state          smallint    NOT NULL DEFAULT 1,
    created        timestamptz NOT NULL,
    expires        timestamptz NOT NULL,
    ended          timestamptz,
    accepted_by    uuid,
    member_id      uuid,
    CONSTRAINT invitation_pk PRIMARY KEY (id),
    CONSTRAINT invitation_of_subscriber FOREIGN KEY (subscriber_id) REFERENCES subscriber (id),
    CONSTRAINT invitation_of_member FOREIGN KEY (member_id) REFERENCES member (id),
    CONSTRAINT invitation_resent_of FOREIGN KEY (resent_of) REFERENCES invitation (id),
    CONSTRAINT invitation_state_known CHECK (state IN (1, 2, 3, 4)),
    CONSTRAINT invitation_ended_when_over CHECK ((ended IS NULL) = (state = 1)),
    CONSTRAINT invitation_accepted_by_somebody CHECK ((accepted_by IS NOT NULL AND member_id IS NOT NULL) = (state = 2))
);
COMMENT ON TABLE invitation IS 'All invitations ever made.';
COMMENT ON COLUMN invitation.email_key IS 'The e-mail in lower case, by which invitations to one person are told.';
COMMENT ON COLUMN invitation.resent_of IS 'The earlier invitation that it was made from.';
COMMENT ON COLUMN invitation.state IS 'kontor.tenancy.v1.InvitationState, 1 to 4; EXPIRED is OPEN after its time.';
COMMENT ON COLUMN invitation.ended IS 'When it was accepted, withdrawn or replaced.';
CREATE UNIQUE INDEX invitation_open_once ON invitation (subscriber_id, email_key) WHERE state = 1;
CREATE INDEX invitation_listed ON invitation (subscriber_id, id);

CREATE TABLE invitation_role (
    invitation_id uuid NOT NULL,
    company_id    uuid,
    role          text NOT NULL,
    CONSTRAINT invitation_role_once UNIQUE NULLS NOT DISTINCT (invitation_id, company_id, role),
    CONSTRAINT invitation_role_of_invitation FOREIGN KEY (invitation_id) REFERENCES invitation (id)
);
COMMENT ON TABLE invitation_role IS 'Roles that accepting an invitation gives.';
COMMENT ON COLUMN invitation_role.company_id IS 'The company it will hold in; null means the whole subscriber.';
