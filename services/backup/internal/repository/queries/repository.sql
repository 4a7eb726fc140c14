-- name: NextSequence :one
INSERT INTO repository (company, region, subscriber, sequence) VALUES ($1, $2, $3, 1)
ON CONFLICT (company, region) DO UPDATE SET sequence = repository.sequence + 1
RETURNING sequence, generation;

-- name: LastCommitted :one
SELECT id, sequence, head, create_time FROM snapshot WHERE company = $1 AND region = $2 AND form = 1 AND ready ORDER BY sequence DESC LIMIT 1;

-- name: DamagedSince :one
SELECT EXISTS (SELECT FROM snapshot s WHERE s.company = $1 AND s.region = $2 AND s.form = 1 AND s.ready AND s.verify_state = 3
    AND s.verify_time >= sqlc.arg(since)::timestamptz);

-- name: LastWhole :one
SELECT max(create_time)::timestamptz FROM snapshot WHERE company = $1 AND region = $2 AND form = 1 AND ready AND whole
HAVING max(create_time) IS NOT NULL;

-- name: Committed :many
SELECT id, sequence, head FROM snapshot WHERE company = $1 AND region = $2 AND form = 1 AND ready ORDER BY sequence;

-- name: LockLedger :one
SELECT generation, collecting, suspects, cleared FROM repository WHERE company = $1 AND region = $2 FOR UPDATE;

-- name: SaveLedger :exec
UPDATE repository SET generation = $3, collecting = $4, suspects = $5, cleared = $6 WHERE company = $1 AND region = $2;

-- name: NoteCommitted :exec
UPDATE repository SET committed = greatest(committed, $3) WHERE company = $1 AND region = $2;

-- name: TryLock :one
SELECT pg_try_advisory_lock(hashtextextended($1::text, 0));

-- name: Unlock :exec
SELECT pg_advisory_unlock(hashtextextended($1::text, 0));
