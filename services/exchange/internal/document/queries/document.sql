-- name: LockConnection :one
SELECT id, subscriber_id, sender_company, sender_title, sender_program, sender_email, sender_account, receiver_subscriber, receiver_company, receiver_title, receiver_program, receiver_email, receiver_account, tax_number, state, sync_seconds, places, created, updated, revision
FROM connection WHERE id = $1 FOR UPDATE;

-- name: SetPlaces :exec
UPDATE connection SET places = $2 WHERE id = $1;

-- name: InsertDocument :exec
INSERT INTO document (id, connection_id, message_id, kind, filename, size_bytes, sha256, seller, number, invoice, breaks, supersedes, transport, office, version, created, delivered)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17);

-- name: GetDocument :one
SELECT id, connection_id, message_id, kind, filename, size_bytes, sha256, seller, number, invoice, breaks, supersedes, transport, office, version, created, delivered, entered
FROM document WHERE connection_id = $1 AND id = $2;

-- name: LockDocument :one
SELECT id, connection_id, message_id, kind, filename, size_bytes, sha256, seller, number, invoice, breaks, supersedes, transport, office, version, created, delivered, entered
FROM document WHERE connection_id = $1 AND id = $2 FOR UPDATE;

-- name: FindMessage :one
SELECT id, connection_id, message_id, kind, filename, size_bytes, sha256, seller, number, invoice, breaks, supersedes, transport, office, version, created, delivered, entered
FROM document WHERE connection_id = $1 AND message_id = $2;

-- name: FindEffect :one
SELECT id, connection_id, message_id, kind, filename, size_bytes, sha256, seller, number, invoice, breaks, supersedes, transport, office, version, created, delivered, entered
FROM document WHERE connection_id = $1 AND seller = $2 AND kind = $3 AND number = $4 AND sha256 = $5 AND number <> '' AND transport <> 7;

-- name: ListDocuments :many
SELECT id, connection_id, message_id, kind, filename, size_bytes, sha256, seller, number, invoice, breaks, supersedes, transport, office, version, created, delivered, entered
FROM document WHERE connection_id = $1 AND id > sqlc.arg(after)::uuid ORDER BY id LIMIT $2;

-- name: ListWaiting :many
SELECT id, connection_id, message_id, kind, filename, size_bytes, sha256, seller, number, invoice, breaks, supersedes, transport, office, version, created, delivered, entered
FROM document WHERE connection_id = $1 AND transport IN (1, 2) AND version = 1 ORDER BY id LIMIT $2;

-- name: UpdateDocument :exec
UPDATE document SET transport = $2, office = $3, version = $4, delivered = $5 WHERE id = $1;

-- name: InsertStep :exec
INSERT INTO document_step (connection_id, place, document_id, axis, sequence, state, reason, account, created)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: ListStepsOf :many
SELECT connection_id, place, document_id, axis, sequence, state, reason, account, created FROM document_step
WHERE document_id = ANY(sqlc.arg(documents)::uuid[]) ORDER BY connection_id, place;

-- name: ListSteps :many
SELECT s.connection_id, s.place, s.document_id, s.axis, s.sequence, s.state, s.reason, s.account, s.created, d.message_id
FROM document_step s JOIN document d ON d.id = s.document_id
WHERE s.connection_id = $1 AND s.place > sqlc.arg(after)::bigint ORDER BY s.place LIMIT $2;

-- name: InsertReceipt :exec
INSERT INTO receipt (document_id, signed, created) VALUES ($1, $2, $3);

-- name: GetReceipt :one
SELECT document_id, signed, created FROM receipt WHERE document_id = $1;

-- name: ListEntered :many
SELECT d.id, d.connection_id, d.message_id, d.kind, d.filename, d.size_bytes, d.sha256, d.seller, d.number, d.invoice, d.breaks, d.supersedes, d.transport, d.office, d.version, d.created, d.delivered, d.entered
FROM document d JOIN connection c ON c.id = d.connection_id
WHERE (c.sender_company = @company OR c.receiver_company = @company)
    AND (d.entered, d.id) > (@entered::bigint, @after::uuid) AND d.entered < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
ORDER BY d.entered, d.id LIMIT @count;

-- name: HasEntered :one
SELECT EXISTS (
    SELECT FROM document d JOIN connection c ON c.id = d.connection_id
    WHERE (c.sender_company = @company OR c.receiver_company = @company)
        AND (d.entered, d.id) > (@entered::bigint, @after::uuid) AND d.entered < pg_snapshot_xmin(pg_current_snapshot())::text::bigint);

-- name: KnowsTransaction :one
SELECT (@entered::bigint < pg_snapshot_xmax(pg_current_snapshot())::text::bigint)::boolean;
