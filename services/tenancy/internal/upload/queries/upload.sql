-- name: InsertUpload :exec
INSERT INTO upload (id, subscriber_id, filename, size_bytes, sha256, state, created, expires)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: GetUpload :one
SELECT * FROM upload WHERE id = $1 AND subscriber_id = $2 AND (state = 4 OR expires > sqlc.arg(now));

-- name: LockUpload :one
SELECT * FROM upload WHERE id = $1 AND subscriber_id = $2 AND (state = 4 OR expires > sqlc.arg(now)) FOR UPDATE;

-- name: FindSame :one
SELECT * FROM upload
WHERE subscriber_id = $1 AND sha256 = $2 AND size_bytes = $3 AND expires > sqlc.arg(now)
    AND state < 4 AND refusal <> 'UPLOAD_CHECKSUM_MISMATCH'
ORDER BY id LIMIT 1;

-- name: CountOpen :one
SELECT count(*) FILTER (WHERE state < 3) AS uploads, coalesce(sum(size_bytes), 0)::bigint AS bytes
FROM upload WHERE subscriber_id = $1 AND state <> 3 AND expires > sqlc.arg(now);

-- name: TakeBytes :execrows
UPDATE upload SET received_bytes = received_bytes + sqlc.arg(bytes)::bigint
WHERE id = $1 AND state = 1 AND received_bytes = sqlc.arg(begins)::bigint;

-- name: InsertPart :exec
INSERT INTO upload_part (upload_id, begins, size_bytes, object_id) VALUES ($1, $2, $3, $4);

-- name: ListParts :many
SELECT * FROM upload_part WHERE upload_id = $1 ORDER BY begins;

-- name: Examined :execrows
UPDATE upload SET state = $2, product = $3, edition = $4, version = $5, refusal = $6, refusal_values = $7
WHERE id = $1 AND state = 1;

-- name: SetState :exec
UPDATE upload SET state = $2, expires = $3 WHERE id = $1;

-- name: ListExpired :many
SELECT u.* FROM upload u
WHERE u.expires <= sqlc.arg(now) AND (u.state < 4 OR EXISTS (SELECT FROM upload_part p WHERE p.upload_id = u.id))
ORDER BY u.expires LIMIT $1;

-- name: DeleteParts :many
DELETE FROM upload_part WHERE upload_id = $1 RETURNING object_id;

-- name: DeleteUpload :exec
DELETE FROM upload WHERE id = $1 AND state < 4;

-- name: KnownObjects :many
SELECT object_id FROM upload_part WHERE object_id = ANY (sqlc.arg(objects)::uuid[]);

-- name: LockAny :one
SELECT * FROM upload WHERE id = $1 FOR UPDATE;
