-- name: InsertCompany :exec
INSERT INTO company (id, subscriber_id, title, tax_number, country, region, head_id, upload_id, state, created)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: GetCompany :one
SELECT id, subscriber_id, title, tax_number, country, region, head_id, upload_id, state, operation, failure_reason, created, revision, live_id
FROM company WHERE subscriber_id = $1 AND id = $2;

-- name: GetCompanyByID :one
SELECT id, subscriber_id, title, tax_number, country, region, head_id, upload_id, state, operation, failure_reason, created, revision, live_id
FROM company WHERE id = $1;

-- name: LockCompany :one
SELECT id, subscriber_id, title, tax_number, country, region, head_id, upload_id, state, operation, failure_reason, created, revision, live_id
FROM company WHERE id = $1 FOR UPDATE;

-- name: ShareCompany :one
SELECT id, subscriber_id, title, tax_number, country, region, head_id, upload_id, state, operation, failure_reason, created, revision, live_id
FROM company WHERE subscriber_id = $1 AND id = $2 FOR SHARE;

-- name: CompanyOfOperation :one
SELECT id, subscriber_id, title, tax_number, country, region, head_id, upload_id, state, operation, failure_reason, created, revision, live_id
FROM company WHERE subscriber_id = $1 AND operation = $2;

-- name: ListCompanies :many
SELECT id, subscriber_id, title, tax_number, country, region, head_id, upload_id, state, operation, failure_reason, created, revision, live_id
FROM company
WHERE subscriber_id = $1 AND id > sqlc.arg(after)::uuid
    AND (sqlc.arg(all_of_them)::boolean OR id = ANY(sqlc.arg(chosen)::uuid[]))
ORDER BY id LIMIT $2;

-- name: ScanReady :many
SELECT id, subscriber_id, title, tax_number, country, region, head_id, upload_id, state, operation, failure_reason, created, revision, live_id
FROM company WHERE state = 2 AND (subscriber_id, id) > (sqlc.arg(after_subscriber)::uuid, sqlc.arg(after)::uuid)
ORDER BY subscriber_id, id LIMIT $1;

-- name: ListCreating :many
SELECT id, subscriber_id, title, tax_number, country, region, head_id, upload_id, state, operation, failure_reason, created, revision, live_id
FROM company WHERE state = 1 ORDER BY id LIMIT $1;

-- name: CountStanding :one
SELECT count(*)::int FROM company WHERE subscriber_id = $1 AND state <> 4;

-- name: ListTitles :many
SELECT id, title FROM company WHERE subscriber_id = $1 AND id = ANY(sqlc.arg(ids)::uuid[]);

-- name: UpdateCompany :exec
UPDATE company SET title = $2, head_id = $3, state = $4, operation = $5, failure_reason = $6, live_id = $7, revision = revision + 1
WHERE id = $1;

-- name: PutAreaUpload :exec
INSERT INTO area_upload (company_id, upload_id, operation) VALUES ($1, $2, $3)
ON CONFLICT (company_id) DO UPDATE SET upload_id = excluded.upload_id, operation = excluded.operation;

-- name: DropAreaUpload :exec
DELETE FROM area_upload WHERE company_id = $1;

-- name: ListAreaUploads :many
SELECT a.company_id, c.subscriber_id, a.upload_id, a.operation FROM area_upload a
JOIN company c ON c.id = a.company_id
ORDER BY a.company_id LIMIT $1;
