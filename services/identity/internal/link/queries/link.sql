-- name: InsertLink :exec
INSERT INTO link (id, account_id, purpose, create_time, expire_time)
VALUES (@id, @account_id, @purpose, @create_time, @expire_time);

-- name: GetLink :one
SELECT id, account_id, purpose, expire_time, use_time FROM link WHERE id = @id AND purpose = @purpose;

-- name: LatestOpenLink :one
SELECT id, account_id, purpose, expire_time, use_time
FROM link
WHERE account_id = @account_id AND purpose = @purpose AND use_time IS NULL
ORDER BY expire_time DESC, id DESC
LIMIT 1;

-- name: UseLinks :exec
-- The one that was followed and all others to the same end.
UPDATE link SET use_time = @use_time WHERE account_id = @account_id AND purpose = @purpose AND use_time IS NULL;

-- name: PurgeLinks :execrows
DELETE FROM link WHERE expire_time < @before;
