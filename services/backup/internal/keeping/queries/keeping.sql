-- name: Untidy :many
SELECT c.id, c.subscriber FROM company c LEFT JOIN keeping k ON k.company = c.id
WHERE coalesce(k.tidy_time, '-infinity') <= sqlc.arg(now)::timestamptz ORDER BY k.tidy_time NULLS FIRST LIMIT sqlc.arg(most);

-- name: Postpone :exec
INSERT INTO keeping (company, tidy_time, look_time) VALUES (sqlc.arg(company), sqlc.arg(tidy_time), '-infinity')
ON CONFLICT (company) DO UPDATE SET tidy_time = excluded.tidy_time;

-- name: NoteTidied :exec
UPDATE keeping SET tidy_time = $2, tidied_time = $3 WHERE company = $1;

-- name: Unlooked :many
SELECT c.id, c.subscriber, k.unread_since FROM company c LEFT JOIN keeping k ON k.company = c.id
WHERE coalesce(k.look_time, '-infinity') <= sqlc.arg(now)::timestamptz AND NOT coalesce(k.destroyed, false)
ORDER BY k.look_time NULLS FIRST LIMIT sqlc.arg(most);

-- name: NoteLooked :exec
INSERT INTO keeping (company, tidy_time, look_time, unread_since)
VALUES (sqlc.arg(company), '-infinity', sqlc.arg(look_time), sqlc.narg(unread_since))
ON CONFLICT (company) DO UPDATE SET look_time = excluded.look_time, unread_since = excluded.unread_since;

-- name: Regions :many
SELECT region FROM company WHERE company.id = $1 UNION SELECT region FROM repository WHERE repository.company = $1
UNION SELECT region FROM snapshot WHERE snapshot.company = $1 ORDER BY region;

-- name: Repositories :many
SELECT region FROM repository WHERE company = $1 ORDER BY region;

-- name: Kept :many
SELECT id, region, form, origin, create_time, verify_state FROM snapshot WHERE company = $1 AND ready;

-- name: Expire :one
DELETE FROM snapshot s WHERE s.id = $1 AND s.ready
    AND NOT EXISTS (SELECT FROM restore r WHERE r.snapshot = s.id AND r.state IN ('filling', 'committing'))
    AND NOT EXISTS (SELECT FROM legal_hold h WHERE h.company = s.company AND h.lift_time IS NULL)
    AND NOT EXISTS (SELECT FROM company c WHERE c.last_snapshot = s.id)
RETURNING s.id, s.region, s.form, s.sequence, s.object_key;

-- name: GetCompany :one
SELECT id, subscriber, region FROM company WHERE id = $1 AND subscriber = $2;

-- name: LockCompany :one
SELECT id FROM company WHERE id = $1 FOR UPDATE;

-- name: Held :one
SELECT EXISTS (SELECT FROM legal_hold WHERE company = $1 AND lift_time IS NULL);

-- name: InsertHold :exec
INSERT INTO legal_hold (id, company, subscriber, reason, creator, create_time) VALUES ($1, $2, $3, $4, $5, $6);

-- name: LiftHold :execrows
UPDATE legal_hold SET lift_time = $2, lifter = $3 WHERE id = $1 AND lift_time IS NULL;

-- name: GetHold :one
SELECT id, company, subscriber, reason, creator, create_time, lift_time, lifter FROM legal_hold WHERE id = $1;

-- name: ListHolds :many
SELECT id, company, subscriber, reason, creator, create_time, lift_time, lifter FROM legal_hold
WHERE (sqlc.narg(company)::uuid IS NULL OR company = sqlc.narg(company)::uuid)
    AND (NOT sqlc.arg(further)::boolean OR (lift_time IS NULL, id) < (sqlc.arg(standing)::boolean, sqlc.arg(before)::uuid))
ORDER BY (lift_time IS NULL) DESC, id DESC LIMIT sqlc.arg(most);

-- name: MarkDestroyed :exec
INSERT INTO keeping (company, tidy_time, look_time, destroyed) VALUES ($1, '-infinity', '-infinity', true)
ON CONFLICT (company) DO UPDATE SET destroyed = true, tidy_time = '-infinity';

-- name: UnderWay :one
SELECT EXISTS (SELECT FROM snapshot WHERE company = $1 AND NOT ready AND lease_time > clock_timestamp());

-- name: BeginDestruction :exec
INSERT INTO destruction (id, company, subscriber, regions, snapshots, last_time, reason, creator, begin_time)
SELECT sqlc.arg(id), c.id, c.subscriber, sqlc.arg(regions)::text[], (SELECT count(*) FROM snapshot s WHERE s.company = c.id AND s.ready), c.last_time,
    sqlc.arg(reason), sqlc.arg(creator), sqlc.arg(begin_time)
FROM company c WHERE c.id = sqlc.arg(company)
ON CONFLICT (company) DO NOTHING;

-- name: GetDestruction :one
SELECT id, company, subscriber, regions, snapshots, last_time, reason, creator, begin_time, destroy_time, final_time, cleared FROM destruction WHERE company = $1;

-- name: EndDestruction :execrows
UPDATE destruction SET destroy_time = $2, final_time = $3 WHERE company = $1 AND destroy_time IS NULL;

-- name: ForgetSnapshots :exec
WITH gone AS (DELETE FROM snapshot WHERE snapshot.company = $1)
UPDATE company SET last_snapshot = NULL, last_time = NULL, rest = '', late = false WHERE company.id = $1;

-- name: NoteCleared :exec
UPDATE destruction SET cleared = true WHERE company = $1;

-- name: ListDestructions :many
SELECT id, company, subscriber, regions, snapshots, last_time, reason, creator, begin_time, destroy_time, final_time, cleared FROM destruction
WHERE destroy_time IS NOT NULL AND (sqlc.narg(before)::uuid IS NULL OR id < sqlc.narg(before)::uuid) ORDER BY id DESC LIMIT sqlc.arg(most);

-- name: AllKeys :many
SELECT company, region FROM repository WHERE (company, region) > (sqlc.arg(company)::uuid, sqlc.arg(region)::text) ORDER BY company, region LIMIT 500;
