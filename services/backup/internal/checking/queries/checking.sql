-- name: Unplanned :many
SELECT c.id, c.subscriber FROM company c WHERE NOT EXISTS (SELECT FROM checking k WHERE k.company = c.id AND k.kind = 'drill') LIMIT 500;

-- name: Plan :exec
INSERT INTO checking (company, kind, subscriber, due_time) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING;

-- name: BeginSampling :exec
INSERT INTO sampling (next_time) VALUES ($1) ON CONFLICT DO NOTHING;

-- name: TakeSample :execrows
UPDATE sampling SET next_time = sqlc.arg(next_time) WHERE next_time <= sqlc.arg(now);

-- name: DrawSample :exec
UPDATE checking SET due_time = least(due_time, sqlc.arg(now)::timestamptz) WHERE kind = 'repository' AND company IN (
    SELECT k.company FROM checking k
    WHERE k.kind = 'repository' AND EXISTS (SELECT FROM snapshot s WHERE s.company = k.company AND s.form = 1 AND s.ready AND s.verify_state <> 3)
    ORDER BY random()
    LIMIT (SELECT greatest(1, ceil(count(*) * sqlc.arg(percent)::float8 / 100))::bigint FROM checking WHERE kind = 'repository'));

-- name: Due :many
SELECT company, kind, subscriber FROM checking
WHERE due_time <= sqlc.arg(now) AND lease_time < clock_timestamp() ORDER BY due_time LIMIT 20;

-- name: Postpone :exec
UPDATE checking SET due_time = $3 WHERE company = $1 AND kind = $2;

-- name: Take :one
UPDATE checking SET claim = sqlc.arg(claim)::uuid, lease_time = clock_timestamp() + interval '1 minute'
WHERE company = $1 AND kind = $2 AND lease_time < clock_timestamp()
RETURNING failures;

-- name: Keep :execrows
UPDATE checking SET lease_time = clock_timestamp() + interval '1 minute' WHERE company = $1 AND kind = $2 AND claim = sqlc.arg(claim)::uuid;

-- name: Release :exec
UPDATE checking SET lease_time = '-infinity', due_time = sqlc.arg(due_time), failures = sqlc.arg(failures)
WHERE company = $1 AND kind = $2 AND claim = sqlc.arg(claim)::uuid;
