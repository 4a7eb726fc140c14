-- name: LockRing :exec
-- One copy changes the keys at a time; freed with the transaction.
SELECT pg_advisory_xact_lock(hashtext('kontor identity signing keys'));

-- name: ListKeys :many
SELECT id, public_key, sealed_key, sealed_with, create_time, start_time FROM signing_key ORDER BY start_time, id;

-- name: InsertKey :exec
INSERT INTO signing_key (id, public_key, sealed_key, sealed_with, create_time, start_time)
VALUES (@id, @public_key, @sealed_key, @sealed_with, @create_time, @start_time);

-- name: ResealKey :exec
UPDATE signing_key SET sealed_key = @sealed_key, sealed_with = @sealed_with WHERE id = @id;

-- name: DeleteKey :exec
DELETE FROM signing_key WHERE id = @id;
