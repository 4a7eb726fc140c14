-- name: InsertDatabase :exec
INSERT INTO company_database (id, company_id, cluster_id, database_name, owner_role, group_prefix, purpose, state, restore_key, created)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: GetDatabase :one
SELECT id, company_id, cluster_id, database_name, owner_role, group_prefix, purpose, state, restore_key, created, drop_after
FROM company_database WHERE id = $1;

-- name: LockDatabase :one
SELECT id, company_id, cluster_id, database_name, owner_role, group_prefix, purpose, state, restore_key, created, drop_after
FROM company_database WHERE id = $1 FOR UPDATE;

-- name: FindRestore :one
SELECT id, company_id, cluster_id, database_name, owner_role, group_prefix, purpose, state, restore_key, created, drop_after
FROM company_database WHERE company_id = $1 AND restore_key = sqlc.arg(key)::text;

-- name: ListToDrop :many
SELECT id, company_id, cluster_id, database_name, owner_role, group_prefix, purpose, state, restore_key, created, drop_after
FROM company_database
WHERE state = 4 OR (state = 3 AND drop_after <= sqlc.arg(now)::timestamptz)
ORDER BY id LIMIT $1;

-- name: SetState :exec
UPDATE company_database SET state = $2, drop_after = $3 WHERE id = $1;

-- name: ListAreas :many
SELECT database_id, area, product, edition, version FROM data_area
WHERE database_id = ANY(sqlc.arg(databases)::uuid[]) ORDER BY database_id, area;

-- name: PutArea :exec
INSERT INTO data_area (database_id, area, product, edition, version) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT ON CONSTRAINT data_area_pk DO UPDATE
SET product = excluded.product, edition = excluded.edition, version = excluded.version;

-- name: DeleteSessions :exec
DELETE FROM session WHERE slot_id IN (SELECT id FROM login_slot WHERE database_id = $1);

-- name: DeleteSlots :exec
DELETE FROM login_slot WHERE database_id = $1;

-- name: DeleteBorrowed :exec
DELETE FROM borrowed_login WHERE database_id = $1;

-- name: DeleteDatabase :exec
DELETE FROM company_database WHERE id = $1;
