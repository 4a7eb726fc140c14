-- name: InsertCluster :exec
INSERT INTO cluster (id, title, region, host, port, login, sealed_password, ca_pem, capacity, created)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: PutDefault :exec
INSERT INTO cluster (id, title, region, host, port, login, sealed_password, ca_pem, capacity, created)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT ON CONSTRAINT cluster_pk DO UPDATE
SET region = excluded.region, host = excluded.host, port = excluded.port, login = excluded.login,
    sealed_password = excluded.sealed_password, ca_pem = excluded.ca_pem;

-- name: GetCluster :one
SELECT c.id, c.title, c.region, c.host, c.port, c.login, c.sealed_password, c.ca_pem, c.capacity, c.open, c.created,
    (SELECT count(*)::int FROM company_database d WHERE d.cluster_id = c.id) AS databases
FROM cluster c WHERE c.id = $1;

-- name: ListClusters :many
SELECT c.id, c.title, c.region, c.host, c.port, c.login, c.sealed_password, c.ca_pem, c.capacity, c.open, c.created,
    (SELECT count(*)::int FROM company_database d WHERE d.cluster_id = c.id) AS databases
FROM cluster c
WHERE (c.created, c.id) > (sqlc.arg(after_created)::timestamptz, sqlc.arg(after_id)::uuid)
ORDER BY c.created, c.id LIMIT $1;

-- name: ListInRegion :many
SELECT c.id, c.title, c.region, c.host, c.port, c.login, c.sealed_password, c.ca_pem, c.capacity, c.open, c.created,
    (SELECT count(*)::int FROM company_database d WHERE d.cluster_id = c.id) AS databases
FROM cluster c WHERE c.region = $1 ORDER BY c.id;

-- name: LockCluster :one
SELECT id, title, capacity, open FROM cluster WHERE id = $1 FOR UPDATE;

-- name: UpdateCluster :exec
UPDATE cluster SET title = $2, capacity = $3, open = $4 WHERE id = $1;
