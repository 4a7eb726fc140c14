-- name: DropLost :many
DELETE FROM export WHERE id = $1 AND NOT ready RETURNING object_key;

-- name: ClaimExport :exec
INSERT INTO export (id, company, subscriber, region, snapshot, snapshot_time, format, creator, claim, object_key, create_time, expire_time, lease_time)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, clock_timestamp() + interval '1 minute');

-- name: KeepClaim :execrows
UPDATE export SET lease_time = clock_timestamp() + interval '1 minute' WHERE id = $1 AND claim = $2 AND NOT ready;

-- name: FinishExport :execrows
UPDATE export SET ready = true, key_version = $3, size_bytes = $4, stored_bytes = $5, sha256 = $6, tables = $7, rows = $8,
    create_time = $9, expire_time = $10
WHERE id = $1 AND claim = $2 AND NOT ready;

-- name: DropClaim :exec
DELETE FROM export WHERE id = $1 AND claim = $2;

-- name: GetExport :one
SELECT id, company, subscriber, region, snapshot, snapshot_time, format, creator, claim, object_key, key_version, size_bytes, stored_bytes,
    sha256, tables, rows, create_time, expire_time
FROM export WHERE id = $1 AND company = $2 AND subscriber = $3 AND ready AND expire_time > sqlc.arg(now)::timestamptz;

-- name: ListExports :many
SELECT id, company, subscriber, region, snapshot, snapshot_time, format, creator, claim, object_key, key_version, size_bytes, stored_bytes,
    sha256, tables, rows, create_time, expire_time
FROM export
WHERE company = sqlc.arg(company) AND subscriber = sqlc.arg(subscriber) AND ready AND expire_time > sqlc.arg(now)::timestamptz
    AND (sqlc.narg(before_time)::timestamptz IS NULL
        OR (create_time, id) < (sqlc.narg(before_time)::timestamptz, sqlc.arg(before_id)::uuid))
ORDER BY create_time DESC, id DESC LIMIT sqlc.arg(most);

-- name: EndExport :many
UPDATE export SET expire_time = sqlc.arg(now) WHERE id = $1 AND company = $2 AND subscriber = $3 AND ready RETURNING id, claim, object_key;

-- name: EndedExports :many
SELECT id, claim, object_key FROM export
WHERE (ready AND expire_time <= sqlc.arg(now)::timestamptz) OR (NOT ready AND lease_time < clock_timestamp()) LIMIT 100;

-- name: HasObject :one
SELECT EXISTS (SELECT FROM export WHERE object_key = $1);
