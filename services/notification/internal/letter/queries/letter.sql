-- name: InsertLetter :execrows
INSERT INTO letter (id, event_id, kind, state, about, create_time) VALUES ($1, $2, $3, 1, $4, $5)
ON CONFLICT ON CONSTRAINT letter_once_per_event DO NOTHING;

-- name: GetLetter :one
SELECT id, event_id, kind, state, about, recipient, language, subject, tries, outcome, create_time, end_time
FROM letter WHERE id = $1;

-- name: LockLetter :one
SELECT id, event_id, kind, state, about, recipient, language, subject, tries, outcome, create_time, end_time
FROM letter WHERE id = $1 FOR UPDATE;

-- name: BeginTry :exec
UPDATE letter SET recipient = $2, language = $3, subject = $4, tries = tries + 1 WHERE id = $1;

-- name: NoteOutcome :exec
UPDATE letter SET outcome = $2 WHERE id = $1 AND state = 1;

-- name: EndLetter :execrows
UPDATE letter SET state = $2, outcome = $3, end_time = $4 WHERE id = $1 AND state = 1;

-- name: ReopenLetter :exec
UPDATE letter SET state = 1, end_time = NULL WHERE id = $1;

-- name: ListLetters :many
SELECT id, event_id, kind, state, about, recipient, language, subject, tries, outcome, create_time, end_time
FROM letter
WHERE (sqlc.arg(recipient)::text = '' OR lower(recipient) = lower(sqlc.arg(recipient)::text))
  AND (sqlc.arg(state)::integer = 0 OR state = sqlc.arg(state)::integer)
  AND (sqlc.narg(before_time)::timestamptz IS NULL OR (create_time, id) < (sqlc.narg(before_time)::timestamptz, sqlc.arg(before_id)::uuid))
ORDER BY create_time DESC, id DESC
LIMIT sqlc.arg(count)::integer;
