-- name: InsertMember :exec
INSERT INTO member (id, subscriber_id, account_id, access, end_date, created)
VALUES ($1, $2, $3, $4, $5, $6);

-- name: UpdateMember :exec
UPDATE member SET access = $2, end_date = $3, end_told = false, excluded = $4, revision = revision + 1
WHERE id = $1;

-- name: GetMember :one
SELECT m.id, m.subscriber_id, m.account_id, m.access, m.end_date, m.excluded, m.created, m.revision,
       (s.owner_account = m.account_id)::boolean AS owner
FROM member m JOIN subscriber s ON s.id = m.subscriber_id
WHERE m.subscriber_id = $1 AND m.id = $2;

-- name: LockMember :one
SELECT m.id, m.subscriber_id, m.account_id, m.access, m.end_date, m.excluded, m.created, m.revision,
       (s.owner_account = m.account_id)::boolean AS owner
FROM member m JOIN subscriber s ON s.id = m.subscriber_id
WHERE m.subscriber_id = $1 AND m.id = $2 FOR UPDATE OF m;

-- name: LockMemberOfAccount :one
SELECT m.id, m.subscriber_id, m.account_id, m.access, m.end_date, m.excluded, m.created, m.revision,
       (s.owner_account = m.account_id)::boolean AS owner
FROM member m JOIN subscriber s ON s.id = m.subscriber_id
WHERE m.subscriber_id = $1 AND m.account_id = $2 FOR UPDATE OF m;

-- name: GetMemberOfAccount :one
SELECT m.id, m.subscriber_id, m.account_id, m.access, m.end_date, m.excluded, m.created, m.revision,
       (s.owner_account = m.account_id)::boolean AS owner
FROM member m JOIN subscriber s ON s.id = m.subscriber_id
WHERE m.subscriber_id = $1 AND m.account_id = $2;

-- name: ListMembers :many
SELECT m.id, m.subscriber_id, m.account_id, m.access, m.end_date, m.excluded, m.created, m.revision,
       (s.owner_account = m.account_id)::boolean AS owner
FROM member m JOIN subscriber s ON s.id = m.subscriber_id
WHERE m.subscriber_id = $1 AND m.id > $2
ORDER BY m.id LIMIT $3;

-- name: ListOfAccount :many
SELECT m.id, m.subscriber_id, m.account_id, m.access, m.end_date, m.excluded, m.created, m.revision,
       (s.owner_account = m.account_id)::boolean AS owner
FROM member m JOIN subscriber s ON s.id = m.subscriber_id
WHERE m.account_id = $1 AND m.subscriber_id > $2 AND m.excluded IS NULL
ORDER BY m.subscriber_id LIMIT $3;

-- name: CountStanding :one
SELECT count(*) FROM member
WHERE subscriber_id = $1 AND excluded IS NULL AND (end_date IS NULL OR end_date >= sqlc.arg(today)::date);

-- name: ListRoles :many
SELECT member_id, company_id, role FROM member_role
WHERE member_id = ANY(sqlc.arg(member_ids)::uuid[]) ORDER BY member_id, company_id NULLS FIRST, role;

-- name: DeleteRoles :exec
DELETE FROM member_role WHERE member_id = $1;

-- name: InsertRole :exec
INSERT INTO member_role (member_id, company_id, role) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: TakeEnded :many
UPDATE member SET end_told = true
WHERE id IN (SELECT e.id FROM member e
             WHERE e.end_date < sqlc.arg(today)::date AND NOT e.end_told AND e.excluded IS NULL
             ORDER BY e.id LIMIT 100 FOR UPDATE SKIP LOCKED)
RETURNING id, subscriber_id, account_id;

-- name: LockSubscriber :exec
SELECT id FROM subscriber WHERE id = $1 FOR NO KEY UPDATE;
