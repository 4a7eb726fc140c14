-- name: NextSerial :one
INSERT INTO contract_counter AS c (year, serial) VALUES (@year, 1)
ON CONFLICT (year) DO UPDATE SET serial = c.serial + 1
RETURNING serial;

-- name: InsertContract :exec
INSERT INTO contract (id, subscriber, number, plan, language, customer, time_zone, document_key, document_sha256,
    document_size, filename, created)
VALUES (@id, @subscriber, @number, @plan, @language, @customer, @time_zone, @document_key, @document_sha256,
    @document_size, @filename, @created);

-- name: GetContract :one
SELECT id, subscriber, number, plan, language, customer, time_zone, document_key, document_sha256, document_size,
    filename, created, superseded_by, account, address, accepted_sha256, licence, accepted
FROM contract_and_acceptance
WHERE subscriber = @subscriber AND id = @id;

-- name: ContractsOf :many
SELECT id, subscriber, number, plan, language, customer, time_zone, document_key, document_sha256, document_size,
    filename, created, superseded_by, account, address, accepted_sha256, licence, accepted
FROM contract_and_acceptance
WHERE subscriber = @subscriber
ORDER BY id;

-- name: ListContracts :many
SELECT id, subscriber, number, plan, language, customer, time_zone, document_key, document_sha256, document_size,
    filename, created, superseded_by, account, address, accepted_sha256, licence, accepted
FROM contract_and_acceptance
WHERE subscriber = @subscriber AND (sqlc.narg('before')::uuid IS NULL OR id < sqlc.narg('before')::uuid)
ORDER BY id DESC
LIMIT @count;

-- name: LockContracts :many
SELECT id FROM contract WHERE subscriber = @subscriber ORDER BY id FOR UPDATE;

-- name: SupersedeWaiting :many
UPDATE contract c SET superseded_by = @superseded_by::uuid
WHERE c.subscriber = @subscriber AND c.superseded_by IS NULL AND c.id <> @superseded_by::uuid
    AND NOT EXISTS (SELECT FROM contract_acceptance a WHERE a.contract = c.id)
RETURNING c.id;

-- name: SupersedeOthers :many
UPDATE contract c SET superseded_by = @superseded_by::uuid
WHERE c.subscriber = @subscriber AND c.superseded_by IS NULL AND c.id <> @superseded_by::uuid
RETURNING c.id;

-- name: InsertAcceptance :exec
INSERT INTO contract_acceptance (contract, account, address, document_sha256, licence, accepted)
VALUES (@contract, @account, @address, @document_sha256, @licence, @accepted);

-- name: KnownDocuments :many
SELECT document_key FROM contract WHERE document_key = ANY (@keys::text[]);
