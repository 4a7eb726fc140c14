-- name: InsertConnection :exec
INSERT INTO connection (id, subscriber_id, sender_company, sender_title, sender_program, sender_email, sender_account,
    receiver_subscriber, receiver_company, receiver_title, receiver_program, receiver_email, receiver_account, tax_number,
    state, sync_seconds, created, updated)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17);

-- name: GetConnection :one
SELECT id, subscriber_id, sender_company, sender_title, sender_program, sender_email, sender_account, receiver_subscriber, receiver_company, receiver_title, receiver_program, receiver_email, receiver_account, tax_number, state, sync_seconds, places, created, updated, revision
FROM connection WHERE id = $1;

-- name: LockConnection :one
SELECT id, subscriber_id, sender_company, sender_title, sender_program, sender_email, sender_account, receiver_subscriber, receiver_company, receiver_title, receiver_program, receiver_email, receiver_account, tax_number, state, sync_seconds, places, created, updated, revision
FROM connection WHERE id = $1 FOR UPDATE;

-- name: ListConnections :many
SELECT id, subscriber_id, sender_company, sender_title, sender_program, sender_email, sender_account, receiver_subscriber, receiver_company, receiver_title, receiver_program, receiver_email, receiver_account, tax_number, state, sync_seconds, places, created, updated, revision
FROM connection WHERE (subscriber_id = $1 OR receiver_subscriber = $1) AND id > sqlc.arg(after)::uuid ORDER BY id LIMIT $2;

-- name: UpdateConnection :exec
UPDATE connection SET sender_account = $2, receiver_account = $3, state = $4, sync_seconds = $5, updated = $6, receiver_title = $7, revision = revision + 1
WHERE id = $1;
