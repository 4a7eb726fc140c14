-- name: InsertSession :exec
INSERT INTO session (id, account_id, device_name, address, company, generation, token_hash,
                     create_time, refresh_time, idle_expire_time, expire_time)
VALUES (@id, @account_id, @device_name, @address, '', 0, @token_hash,
        @create_time, @create_time, @idle_expire_time, @expire_time);

-- name: LockForSignIn :one
-- Keeps the password and the state as they are until the session stands.
SELECT a.state, a.kind, c.password_hash
FROM account a
JOIN credential c ON c.account_id = a.id
WHERE a.id = @account_id
FOR SHARE;

-- name: LockSession :one
SELECT s.id, s.account_id, s.device_name, s.address, s.company, s.generation, s.token_hash, s.create_time,
       s.refresh_time, s.idle_expire_time, s.expire_time, s.end_time, a.kind
FROM session s
JOIN account a ON a.id = s.account_id
WHERE s.id = @id
FOR UPDATE OF s;

-- name: GetSession :one
SELECT s.id, s.account_id, s.device_name, s.address, s.company, s.create_time, s.refresh_time, s.idle_expire_time,
       s.expire_time, s.end_time
FROM session s
WHERE s.id = @id;

-- name: RotateSession :exec
UPDATE session
SET generation = @generation, token_hash = @token_hash, refresh_time = @refresh_time, idle_expire_time = @idle_expire_time
WHERE id = @id;

-- name: InsertRotation :exec
INSERT INTO session_rotation (session_id, generation, token_hash, rotate_time)
VALUES (@session_id, @generation, @token_hash, @rotate_time);

-- name: ListRotations :many
SELECT generation, token_hash, rotate_time FROM session_rotation WHERE session_id = @session_id ORDER BY generation;

-- name: DropRotations :exec
DELETE FROM session_rotation WHERE session_id = @session_id AND rotate_time < @before;

-- name: SetCompany :exec
UPDATE session SET company = @company WHERE id = @id;

-- name: EndSession :execrows
UPDATE session SET end_time = @end_time, end_cause = @end_cause
WHERE id = @id AND account_id = @account_id AND end_time IS NULL;

-- name: EndSessions :many
-- All of an account but one; the nil UUID spares none.
UPDATE session SET end_time = @end_time, end_cause = @end_cause
WHERE account_id = @account_id AND id <> @spared AND end_time IS NULL AND idle_expire_time > @end_time
RETURNING id;

-- name: ListSessions :many
SELECT id, account_id, device_name, address, company, create_time, refresh_time, idle_expire_time, expire_time, end_time
FROM session
WHERE account_id = @account_id AND end_time IS NULL AND idle_expire_time > @alive_at::timestamptz AND id < @before_id
ORDER BY id DESC
LIMIT @page_limit;

-- name: PurgeSessions :execrows
DELETE FROM session WHERE idle_expire_time < @before OR end_time < @before;
