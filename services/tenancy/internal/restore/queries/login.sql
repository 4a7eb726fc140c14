-- name: LendLogin :exec
INSERT INTO borrowed_login (role_name, database_id, purpose, expires) VALUES ($1, $2, $3, $4);

-- name: ListOverdue :many
SELECT l.role_name, d.cluster_id FROM borrowed_login l
JOIN company_database d ON d.id = l.database_id
WHERE l.expires <= sqlc.arg(now)::timestamptz ORDER BY l.role_name LIMIT $1;

-- name: ListLent :many
SELECT role_name FROM borrowed_login WHERE database_id = $1 ORDER BY role_name;

-- name: FindLent :one
SELECT d.cluster_id FROM borrowed_login l
JOIN company_database d ON d.id = l.database_id
WHERE l.role_name = $1 AND d.company_id = $2 AND l.purpose = $3;

-- name: ForgetLogin :exec
DELETE FROM borrowed_login WHERE role_name = $1;

-- name: AbandonTargets :exec
UPDATE company_database SET state = 4 WHERE state = 1 AND purpose IN (2, 3) AND created < sqlc.arg(before)::timestamptz;
