-- name: InsertScratch :one
INSERT INTO scratch (owner, company, subscriber, lease_time)
VALUES ($1, $2, $3, clock_timestamp() + interval '1 minute') RETURNING attempt;

-- name: KeepScratch :execrows
UPDATE scratch SET lease_time = clock_timestamp() + interval '1 minute' WHERE attempt = $1;

-- name: SetScratchTarget :execrows
UPDATE scratch SET target = $2 WHERE attempt = $1;

-- name: ForgetScratch :exec
DELETE FROM scratch WHERE attempt = $1;

-- name: ScratchesOf :many
SELECT attempt, owner, company, subscriber, target FROM scratch WHERE owner = $1;

-- name: LostScratches :many
SELECT attempt, owner, company, subscriber, target FROM scratch WHERE lease_time < clock_timestamp() ORDER BY attempt LIMIT 100;
