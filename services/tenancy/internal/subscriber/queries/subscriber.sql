-- name: NextCode :one
SELECT nextval('subscriber_code');

-- name: InsertSubscriber :exec
INSERT INTO subscriber (id, code, title, region, language, country, owner_account, made_for, created)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: MadeFor :one
SELECT EXISTS (SELECT FROM subscriber WHERE made_for = sqlc.arg(account_id)::uuid);

-- name: GetSubscriber :one
SELECT id, code, title, legal_form, first_name, last_name, registration_number, postal_address, region, language, country,
       owner_account, pending_owner, completed, created, revision
FROM subscriber WHERE id = $1;

-- name: LockSubscriber :one
SELECT id, code, title, legal_form, first_name, last_name, registration_number, postal_address, region, language, country,
       owner_account, pending_owner, completed, created, revision
FROM subscriber WHERE id = $1 FOR NO KEY UPDATE;

-- name: ListSubscribers :many
SELECT id, code, title, legal_form, first_name, last_name, registration_number, postal_address, region, language, country,
       owner_account, pending_owner, completed, created, revision
FROM subscriber WHERE id = ANY(sqlc.arg(ids)::uuid[]) ORDER BY id;

-- name: ListOwned :many
SELECT id, code, title, legal_form, first_name, last_name, registration_number, postal_address, region, language, country,
       owner_account, pending_owner, completed, created, revision
FROM subscriber WHERE owner_account = $1 ORDER BY id LIMIT 100;

-- name: UpdateSubscriber :exec
UPDATE subscriber
SET title = $2, legal_form = $3, first_name = $4, last_name = $5, registration_number = $6, postal_address = $7,
    region = $8, language = $9, country = $10, owner_account = $11, pending_owner = $12, completed = $13,
    revision = revision + 1
WHERE id = $1;
