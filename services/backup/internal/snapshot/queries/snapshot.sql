-- name: SeeCompany :exec
INSERT INTO company (id, subscriber, region, seen_time, next_time) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO UPDATE SET region = excluded.region WHERE company.region <> excluded.region;

-- name: GetCompany :one
SELECT id, subscriber, region, seen_time, next_time, last_snapshot, last_time, paused, paused_until, late, failures, failure_reason, rest, unchanged_time, documents_place
FROM company WHERE id = $1 AND subscriber = $2;

-- name: DueCompanies :many
SELECT id, subscriber, region, seen_time, next_time, last_snapshot, last_time, paused, paused_until, late, failures, failure_reason, rest, unchanged_time, documents_place
FROM company WHERE next_time <= sqlc.arg(now)::timestamptz AND NOT EXISTS (SELECT FROM keeping k WHERE k.company = company.id AND k.destroyed)
ORDER BY last_time NULLS FIRST, next_time LIMIT sqlc.arg(most);

-- name: LatestBefore :many
SELECT id, subscriber, region, seen_time, next_time, last_snapshot, last_time, paused, paused_until, late, failures, failure_reason, rest, unchanged_time, documents_place
FROM company WHERE NOT late AND NOT paused AND NOT EXISTS (SELECT FROM keeping k WHERE k.company = company.id AND k.destroyed)
    AND greatest(seen_time, last_time, paused_until, unchanged_time) < sqlc.arg(before)::timestamptz
ORDER BY id LIMIT 100;

-- name: MarkLate :execrows
UPDATE company SET late = true WHERE id = $1 AND NOT late;

-- name: Postpone :exec
UPDATE company SET next_time = $2 WHERE id = $1;

-- name: Pause :exec
UPDATE company SET paused = true, late = false, next_time = $2 WHERE id = $1;

-- name: Unpause :exec
UPDATE company SET paused = false, paused_until = $2 WHERE id = $1 AND paused;

-- name: NoteFailure :exec
UPDATE company SET failures = failures + 1, failure_reason = $2, next_time = $3 WHERE id = $1;

-- name: LockCompany :one
SELECT id, subscriber, region, seen_time, next_time, last_snapshot, last_time, paused, paused_until, late, failures, failure_reason, rest, unchanged_time, documents_place
FROM company WHERE id = $1 FOR UPDATE;

-- name: NoteSuccess :exec
UPDATE company SET failures = 0, failure_reason = '', late = false, last_snapshot = sqlc.arg(snapshot)::uuid, rest = sqlc.arg(rest),
    last_time = sqlc.arg(last_time)::timestamptz, next_time = sqlc.arg(next_time),
    documents_place = sqlc.arg(documents_place)
WHERE id = sqlc.arg(id) AND (last_time IS NULL OR last_time <= sqlc.arg(last_time)::timestamptz);

-- name: NoteUnchanged :exec
UPDATE company SET unchanged_time = $2, next_time = $3 WHERE id = $1;

-- name: ListCompanies :many
SELECT id, subscriber, region, seen_time, next_time, last_snapshot, last_time, paused, paused_until, late, failures, failure_reason, rest, unchanged_time, documents_place
FROM company
WHERE NOT EXISTS (SELECT FROM keeping k WHERE k.company = company.id AND k.destroyed)
    AND (sqlc.narg(late_before)::timestamptz IS NULL
        OR NOT paused AND greatest(seen_time, last_time, paused_until, unchanged_time) < sqlc.narg(late_before)::timestamptz)
    AND (NOT sqlc.arg(further)::boolean OR (coalesce(last_time, 'epoch'), id) > (sqlc.arg(after_time)::timestamptz, sqlc.arg(after_id)::uuid))
ORDER BY coalesce(last_time, 'epoch'), id LIMIT sqlc.arg(most);

-- name: Destroyed :one
SELECT EXISTS (SELECT FROM keeping k WHERE k.company = c.id AND k.destroyed) FROM company c WHERE c.id = $1 FOR SHARE OF c;

-- name: TakeSlot :one
SELECT pg_try_advisory_lock(hashtextextended($1::text, 0));

-- name: GiveSlot :exec
SELECT pg_advisory_unlock(hashtextextended($1::text, 0));

-- name: UnderWay :one
SELECT EXISTS (SELECT FROM snapshot WHERE company = $1 AND NOT ready AND lease_time > clock_timestamp());

-- name: DropLost :many
DELETE FROM snapshot WHERE NOT ready AND (id = sqlc.arg(id) OR (company = sqlc.arg(company) AND lease_time < clock_timestamp()))
RETURNING object_key;

-- name: DropDead :many
DELETE FROM snapshot WHERE NOT ready AND lease_time < clock_timestamp() RETURNING object_key;

-- name: ClaimSnapshot :exec
INSERT INTO snapshot (id, company, subscriber, region, origin, creator, form, claim, object_key, create_time, lease_time)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, sqlc.narg(object_key), $9, clock_timestamp() + interval '1 minute');

-- name: KeepClaim :execrows
UPDATE snapshot SET lease_time = clock_timestamp() + interval '1 minute' WHERE id = $1 AND claim = $2 AND NOT ready;

-- name: FinishSnapshot :execrows
UPDATE snapshot SET ready = true, size_bytes = $3, stored_bytes = $4, sha256 = $5, data_areas = $6, create_time = $7,
    sequence = $8, head = $9, rows = $10, read_bytes = $11, whole = $12, key_version = $13,
    documents = $14, document_bytes = $15, documents_added = $16, documents_time = sqlc.narg(documents_time), documents_failure = $17, documents_lost = $18
WHERE id = $1 AND claim = $2 AND NOT ready;

-- name: DropClaim :exec
DELETE FROM snapshot WHERE id = $1 AND claim = $2 AND NOT ready;

-- name: GetSnapshot :one
SELECT id, company, subscriber, region, origin, creator, form, object_key, create_time, size_bytes, stored_bytes, sha256, data_areas,
    sequence, head, rows, read_bytes, key_version, verify_state, verify_time, verify_failure, drill_time, documents, document_bytes, documents_added, documents_time, documents_failure, documents_lost
FROM snapshot WHERE id = $1 AND company = $2 AND subscriber = $3 AND ready;

-- name: ListSnapshots :many
SELECT id, company, subscriber, region, origin, creator, form, object_key, create_time, size_bytes, stored_bytes, sha256, data_areas,
    sequence, head, rows, read_bytes, key_version, verify_state, verify_time, verify_failure, drill_time, documents, document_bytes, documents_added, documents_time, documents_failure, documents_lost
FROM snapshot
WHERE company = sqlc.arg(company) AND subscriber = sqlc.arg(subscriber) AND ready
    AND (sqlc.narg(before_time)::timestamptz IS NULL
        OR (create_time, id) < (sqlc.narg(before_time)::timestamptz, sqlc.arg(before_id)::uuid))
ORDER BY create_time DESC, id DESC LIMIT sqlc.arg(most);

-- name: NewestArchive :one
SELECT max(create_time)::timestamptz FROM snapshot WHERE company = $1 AND region = $2 AND form = 2 AND ready
HAVING max(create_time) IS NOT NULL;

-- name: NoteVerified :execrows
UPDATE snapshot SET verify_state = $2, verify_time = $3, verify_failure = $4 WHERE id = $1;

-- name: NoteDrilled :exec
UPDATE snapshot SET drill_time = sqlc.arg(drill_time)::timestamptz WHERE id = sqlc.arg(id);

-- name: NewestGood :one
SELECT id, company, subscriber, region, origin, creator, form, object_key, create_time, size_bytes, stored_bytes, sha256, data_areas,
    sequence, head, rows, read_bytes, key_version, verify_state, verify_time, verify_failure, drill_time, documents, document_bytes, documents_added, documents_time, documents_failure, documents_lost
FROM snapshot WHERE company = $1 AND subscriber = $2 AND form = $3 AND ready AND verify_state <> 3 ORDER BY create_time DESC, id DESC LIMIT 1;

-- name: HasObject :one
SELECT EXISTS (SELECT FROM snapshot WHERE object_key = $1);

-- name: RestoreUnderWay :one
SELECT EXISTS (SELECT FROM restore WHERE company = $1 AND state IN ('filling', 'committing') AND lease_time > clock_timestamp());

-- name: GetRestore :one
SELECT id, company, subscriber, snapshot, mode, state, attempt, target, before, creator, create_time FROM restore WHERE id = $1;

-- name: LostRestores :many
SELECT id, company, subscriber, snapshot, mode, state, attempt, target, before, creator, create_time
FROM restore WHERE state IN ('filling', 'committing') AND lease_time < clock_timestamp() - interval '1 minute' LIMIT 100;

-- name: InsertRestore :exec
INSERT INTO restore (id, company, subscriber, snapshot, snapshot_time, mode, state, creator, create_time, lease_time)
VALUES ($1, $2, $3, $4, $5, $6, 'filling', $7, $8, clock_timestamp() + interval '1 minute');

-- name: KeepRestore :exec
UPDATE restore SET lease_time = clock_timestamp() + interval '1 minute' WHERE id = $1 AND state IN ('filling', 'committing');

-- name: NextAttempt :one
UPDATE restore SET attempt = attempt + 1, target = '' WHERE id = $1 AND state = 'filling' RETURNING attempt;

-- name: SetTarget :exec
UPDATE restore SET target = $2 WHERE id = $1;

-- name: SetBefore :exec
UPDATE restore SET before = sqlc.arg(before)::uuid WHERE id = sqlc.arg(id);

-- name: ReviveRestore :exec
UPDATE restore SET state = 'filling', lease_time = clock_timestamp() + interval '1 minute' WHERE id = $1 AND state = 'dropped';

-- name: SetRestoreState :exec
UPDATE restore SET state = $2 WHERE id = $1;

-- name: GetCopy :one
SELECT r.id, r.company, r.subscriber, r.snapshot, r.target, r.state, r.creator, r.create_time, r.snapshot_time
FROM restore r
WHERE r.id = $1 AND r.company = $2 AND r.subscriber = $3 AND r.mode = 1 AND r.state IN ('done', 'dropped');

-- name: ListCopies :many
SELECT r.id, r.company, r.subscriber, r.snapshot, r.target, r.state, r.creator, r.create_time, r.snapshot_time
FROM restore r
WHERE r.company = sqlc.arg(company) AND r.subscriber = sqlc.arg(subscriber) AND r.mode = 1 AND r.state = 'done'
    AND (sqlc.narg(before)::uuid IS NULL OR r.id < sqlc.narg(before)::uuid)
ORDER BY r.id DESC LIMIT sqlc.arg(most);
