-- name: ClaimFirst :execrows
INSERT INTO first_staff (account_id, claimed) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: FirstClaimedBy :one
SELECT account_id FROM first_staff;

-- name: InsertStaff :execrows
INSERT INTO staff (account_id, added_by, created) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: GetStaff :one
SELECT account_id, added_by, created FROM staff WHERE account_id = $1;

-- name: ListStaff :many
SELECT account_id, added_by, created FROM staff
WHERE (created, account_id) > (sqlc.arg(after_created)::timestamptz, sqlc.arg(after_account)::uuid)
ORDER BY created, account_id LIMIT $1;

-- name: LockAll :many
SELECT account_id FROM staff ORDER BY account_id FOR UPDATE;

-- name: DeleteStaff :execrows
DELETE FROM staff WHERE account_id = $1;
