-- name: TakeSlot :one
SELECT l.id, l.role_name, l.made, l.bound_to, l.year_from, l.year_to, l.groups, l.read_only
FROM login_slot AS l
WHERE l.database_id = $1 AND NOT EXISTS (SELECT FROM session AS s WHERE s.slot_id = l.id AND NOT s.swept)
ORDER BY (l.bound_to IS NOT DISTINCT FROM sqlc.arg(account)::uuid AND l.year_from = $2 AND l.year_to = $3) DESC, l.made DESC, l.id
LIMIT 1
FOR UPDATE OF l SKIP LOCKED;

-- name: CountSlots :one
SELECT count(*) FROM login_slot AS l
WHERE l.database_id IN (SELECT d.id FROM company_database AS d WHERE d.company_id = $1 AND d.state <> 4);

-- name: InsertSlot :exec
INSERT INTO login_slot (id, database_id, role_name) VALUES ($1, $2, $3);

-- name: PrepareSlot :exec
UPDATE login_slot SET made = false, groups = $2, read_only = $3 WHERE id = $1;

-- name: UnbindSlot :exec
UPDATE login_slot SET bound_to = NULL, year_from = $2, year_to = $3 WHERE id = $1;

-- name: InsertSession :exec
INSERT INTO session (id, company_id, slot_id, account_id, seat, area, product, read_only, created, lease_end, login_until,
    connections, device, seat_reads)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14);

-- name: ConnectionsGiven :one
SELECT coalesce(sum(s.connections), 0)::bigint
FROM session AS s
JOIN company AS c ON c.id = s.company_id
JOIN login_slot AS l ON l.id = s.slot_id
JOIN company_database AS d ON d.id = l.database_id
WHERE c.subscriber_id = $1 AND d.cluster_id = $2 AND NOT s.swept;

-- name: SetReady :one
UPDATE session SET ready = true WHERE id = $1 RETURNING (ended IS NOT NULL)::boolean AS over, end_reason;

-- name: Settle :one
WITH settled AS (UPDATE login_slot SET made = true, bound_to = sqlc.arg(bound_to)::uuid WHERE login_slot.id = sqlc.arg(slot))
UPDATE session SET ready = true WHERE session.id = $1 RETURNING (ended IS NOT NULL)::boolean AS over, end_reason;

-- name: GetSession :one
SELECT s.id, c.subscriber_id, s.company_id, s.account_id, s.seat, s.area, s.read_only, s.created, s.lease_end
FROM session AS s JOIN company AS c ON c.id = s.company_id
WHERE s.id = $1 AND s.company_id = $2 AND c.subscriber_id = $3;

-- name: ListSessions :many
SELECT s.id, c.subscriber_id, s.company_id, s.account_id, s.seat, s.area, s.read_only, s.created, s.lease_end
FROM session AS s JOIN company AS c ON c.id = s.company_id
WHERE s.company_id = $1 AND c.subscriber_id = $2 AND s.ended IS NULL AND s.id > sqlc.arg(after)::uuid
ORDER BY s.id LIMIT $3;

-- name: EndByID :many
UPDATE session AS s SET ended = sqlc.arg(now)::timestamptz, end_reason = sqlc.arg(reason)
FROM company AS c
WHERE s.id = ANY(sqlc.arg(ids)::uuid[]) AND s.ended IS NULL AND c.id = s.company_id
RETURNING s.id, c.subscriber_id, s.company_id, s.account_id;

-- name: EndOfSeats :many
UPDATE session AS s SET ended = sqlc.arg(now)::timestamptz, end_reason = sqlc.arg(reason)
FROM company AS c
WHERE s.seat = ANY(sqlc.arg(seats)::text[]) AND s.ended IS NULL AND c.id = s.company_id
RETURNING s.id, c.subscriber_id, s.company_id, s.account_id;

-- name: EndInPlace :many
UPDATE session AS s SET ended = sqlc.arg(now)::timestamptz, end_reason = sqlc.arg(reason)
FROM company AS c
WHERE s.seat = $1 AND s.company_id = $2 AND s.device = $3 AND (sqlc.arg(area)::text = '' OR s.area = sqlc.arg(area))
    AND s.ended IS NULL AND c.id = s.company_id
RETURNING s.id, c.subscriber_id, s.company_id, s.account_id;

-- name: EndOfCompany :many
UPDATE session AS s SET ended = sqlc.arg(now)::timestamptz, end_reason = sqlc.arg(reason)
FROM company AS c
WHERE s.company_id = $1 AND s.ended IS NULL AND c.id = s.company_id
RETURNING s.id, c.subscriber_id, s.company_id, s.account_id;

-- name: ListToSweep :many
SELECT s.id, s.company_id, s.ready, s.created, l.role_name, d.cluster_id
FROM session AS s
JOIN login_slot AS l ON l.id = s.slot_id
JOIN company_database AS d ON d.id = l.database_id
WHERE s.ended IS NOT NULL AND NOT s.swept
ORDER BY s.id;

-- name: MarkSwept :exec
UPDATE session SET swept = true WHERE id = ANY(sqlc.arg(ids)::uuid[]) AND ended IS NOT NULL;

-- name: ListDue :many
SELECT s.id, s.seat, s.lease_end, s.login_until, l.role_name, d.cluster_id
FROM session AS s
JOIN login_slot AS l ON l.id = s.slot_id
JOIN company_database AS d ON d.id = l.database_id
WHERE s.ended IS NULL AND s.lease_end <= sqlc.arg(until)::timestamptz
    AND (s.lease_end, s.id) > (sqlc.arg(after)::timestamptz, sqlc.arg(after_id)::uuid)
ORDER BY s.lease_end, s.id LIMIT $1;

-- name: SetLeases :exec
UPDATE session AS s SET lease_end = n.lease_end
FROM (SELECT unnest(sqlc.arg(ids)::uuid[]) AS id, unnest(sqlc.arg(ends)::timestamptz[]) AS lease_end) AS n
WHERE s.id = n.id AND s.ended IS NULL;

-- name: SetLoginUntil :exec
UPDATE session AS s SET login_until = n.login_until
FROM (SELECT unnest(sqlc.arg(ids)::uuid[]) AS id, unnest(sqlc.arg(ends)::timestamptz[]) AS login_until) AS n
WHERE s.id = n.id;

-- name: ListForReview :many
SELECT s.id, c.subscriber_id, s.company_id, s.account_id, s.product, s.read_only, s.seat_reads, l.groups, d.group_prefix, d.purpose, a.version
FROM session AS s
JOIN company AS c ON c.id = s.company_id
JOIN login_slot AS l ON l.id = s.slot_id
JOIN company_database AS d ON d.id = l.database_id
JOIN data_area AS a ON a.database_id = d.id AND a.area = s.area
WHERE s.ended IS NULL AND s.id > sqlc.arg(after)::uuid
    AND (sqlc.narg(account)::uuid IS NULL OR s.account_id = sqlc.narg(account))
    AND (sqlc.narg(subscriber)::uuid IS NULL OR c.subscriber_id = sqlc.narg(subscriber))
ORDER BY s.id LIMIT $1;
