-- name: ListKeys :many
SELECT id, public, sealed, created FROM receipt_key ORDER BY created, id;

-- name: InsertKey :exec
INSERT INTO receipt_key (id, public, sealed, created) VALUES ($1, $2, $3, $4);

-- name: LockKeys :exec
LOCK TABLE receipt_key IN EXCLUSIVE MODE;
