-- name: LockKeys :exec
LOCK TABLE signing_key IN SHARE ROW EXCLUSIVE MODE;

-- name: ListKeys :many
SELECT id, public, sealed, sign_from, sign_until, publish_until, created
FROM signing_key
WHERE publish_until > @now
ORDER BY sign_from;

-- name: InsertKey :exec
INSERT INTO signing_key (id, public, sealed, sign_from, sign_until, publish_until, created)
VALUES (@id, @public, @sealed, @sign_from, @sign_until, @publish_until, @created);

-- name: ResealKey :exec
UPDATE signing_key SET sealed = @sealed WHERE id = @id;

-- name: DeleteOldKeys :exec
DELETE FROM signing_key WHERE publish_until <= @now;
