-- name: Lock :one
-- The count of a subject, made when it is not there, and locked.
INSERT INTO attempt (subject, failures, last_time, next_time)
VALUES (@subject, 0, @now, @now)
ON CONFLICT (subject) DO UPDATE SET subject = excluded.subject
RETURNING failures, last_time, next_time;

-- name: Put :exec
UPDATE attempt SET failures = @failures, last_time = @last_time, next_time = @next_time WHERE subject = @subject;

-- name: Drop :exec
DELETE FROM attempt WHERE subject = @subject;

-- name: IsKnown :one
SELECT EXISTS (SELECT FROM known_address WHERE account_id = @account_id AND address = @address AND last_time > @since);

-- name: Know :exec
INSERT INTO known_address (account_id, address, last_time) VALUES (@account_id, @address, @last_time)
ON CONFLICT (account_id, address) DO UPDATE SET last_time = excluded.last_time;

-- name: PurgeAttempts :execrows
DELETE FROM attempt WHERE last_time < @before AND next_time < @before;

-- name: PurgeKnown :execrows
DELETE FROM known_address WHERE last_time < @before;
