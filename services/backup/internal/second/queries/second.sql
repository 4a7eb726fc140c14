-- name: Behind :many
SELECT r.company, r.subscriber FROM repository r LEFT JOIN second_copy c ON c.company = r.company AND c.region = r.region AND c.second = sqlc.arg(second)
WHERE r.region = sqlc.arg(region) AND r.committed > coalesce(c.sequence, 0) AND coalesce(c.next_time, '-infinity') <= sqlc.arg(now)::timestamptz
ORDER BY c.shown_time NULLS FIRST LIMIT sqlc.arg(most);

-- name: RegionsInUse :many
SELECT DISTINCT region FROM repository ORDER BY region;

-- name: Postpone :exec
INSERT INTO second_copy (company, region, second, next_time, collect_time)
VALUES (sqlc.arg(company), sqlc.arg(region), sqlc.arg(second), sqlc.arg(next_time), sqlc.arg(next_time))
ON CONFLICT (company, region, second) DO UPDATE SET next_time = excluded.next_time;

-- name: GetCopy :one
SELECT sequence, shown_time, collect_time, suspects, failures FROM second_copy WHERE company = $1 AND region = $2 AND second = $3;

-- name: NoteCopied :exec
UPDATE second_copy SET sequence = $4, shown_time = sqlc.arg(shown_time)::timestamptz, failures = 0 WHERE company = $1 AND region = $2 AND second = $3;

-- name: NoteFailed :exec
UPDATE second_copy SET failures = failures + 1, next_time = sqlc.arg(next_time)
WHERE company = sqlc.arg(company) AND region = sqlc.arg(region) AND second = sqlc.arg(second);

-- name: Committed :many
SELECT id, sequence, head FROM snapshot
WHERE company = $1 AND region = $2 AND form = 1 AND ready AND sequence <= sqlc.arg(newest) ORDER BY sequence;

-- name: NewestCommitted :one
SELECT sequence, create_time FROM snapshot
WHERE company = $1 AND region = $2 AND form = 1 AND ready AND sequence <= sqlc.arg(newest) ORDER BY sequence DESC LIMIT 1;

-- name: NoteCollected :exec
UPDATE second_copy SET suspects = $4, collect_time = $5 WHERE company = $1 AND region = $2 AND second = $3;

-- name: Lag :one
SELECT c.second, c.shown_time, (SELECT max(s.create_time) FROM snapshot s WHERE s.company = c.company AND s.region = c.region AND s.form = 1 AND s.ready)::timestamptz AS newest
FROM second_copy c WHERE c.company = $1 AND c.region = $2 AND c.second = $3;
