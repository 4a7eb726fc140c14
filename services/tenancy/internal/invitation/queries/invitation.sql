-- name: InsertInvitation :exec
INSERT INTO invitation (id, subscriber_id, email, email_key, full_name, access, message, language, author_account, resent_of, created, expires)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: InsertRole :exec
INSERT INTO invitation_role (invitation_id, company_id, role) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: ReplaceOpen :exec
UPDATE invitation SET state = 4, ended = sqlc.arg(ended)::timestamptz
WHERE subscriber_id = $1 AND email_key = $2 AND state = 1;

-- name: EndInvitation :exec
UPDATE invitation SET state = $2, ended = sqlc.arg(ended)::timestamptz, accepted_by = $3, member_id = $4
WHERE id = $1 AND state = 1;

-- name: GetInvitation :one
SELECT id, subscriber_id, email, full_name, access, message, language, author_account, state, created, expires, ended,
       accepted_by, member_id
FROM invitation WHERE subscriber_id = $1 AND id = $2;

-- name: LockInvitation :one
SELECT id, subscriber_id, email, full_name, access, message, language, author_account, state, created, expires, ended,
       accepted_by, member_id
FROM invitation WHERE subscriber_id = $1 AND id = $2 FOR UPDATE;

-- name: FindInvitation :one
SELECT id, subscriber_id, email, full_name, access, message, language, author_account, state, created, expires, ended,
       accepted_by, member_id
FROM invitation WHERE id = $1;

-- name: ListInvitations :many
SELECT id, subscriber_id, email, full_name, access, message, language, author_account, state, created, expires, ended,
       accepted_by, member_id
FROM invitation WHERE subscriber_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3;

-- name: ListRoles :many
SELECT invitation_id, company_id, role FROM invitation_role
WHERE invitation_id = ANY(sqlc.arg(invitation_ids)::uuid[]) ORDER BY invitation_id, company_id NULLS FIRST, role;

-- name: CountOpen :one
SELECT count(*) FROM invitation
WHERE subscriber_id = $1 AND state = 1 AND expires > sqlc.arg(now)::timestamptz AND email_key <> $2;
