-- name: AddPool :exec
INSERT INTO seat_pool (licence, longest_lease) VALUES (@licence, @lease) ON CONFLICT (licence) DO NOTHING;

-- name: GetPool :one
SELECT licence, recovery, resting, longest_lease FROM seat_pool WHERE licence = @licence;

-- name: PoolsInUse :many
SELECT licence FROM seat_pool WHERE NOT resting ORDER BY licence;

-- name: LockPool :exec
SELECT pg_advisory_lock(@key::bigint);

-- name: UnlockPool :exec
SELECT pg_advisory_unlock(@key::bigint);

-- name: WakePool :one
UPDATE seat_pool SET recovery = recovery + 1, resting = false, longest_lease = GREATEST(longest_lease, @lease::integer)
WHERE licence = @licence
RETURNING recovery, longest_lease;

-- name: LengthenPool :one
UPDATE seat_pool SET longest_lease = GREATEST(longest_lease, @lease::integer) WHERE licence = @licence
RETURNING longest_lease;

-- name: RestPool :exec
UPDATE seat_pool SET resting = true WHERE licence = @licence AND recovery = @recovery;

-- name: AddPosition :exec
INSERT INTO seat_position (partition, entry) VALUES (@partition, '0-0') ON CONFLICT (partition) DO NOTHING;

-- name: PositionSeen :one
SELECT seen FROM seat_position WHERE partition = @partition;

-- name: SetSeen :exec
UPDATE seat_position SET seen = @seen WHERE seen < @seen;

-- name: Positions :many
SELECT partition, entry FROM seat_position ORDER BY partition;

-- name: PositionEntry :one
SELECT entry FROM seat_position WHERE partition = @partition;

-- name: TryDiary :one
SELECT pg_try_advisory_lock(@key::bigint);

-- name: LockPosition :one
SELECT entry FROM seat_position WHERE partition = @partition FOR UPDATE;

-- name: SetPosition :exec
UPDATE seat_position SET entry = @entry WHERE partition = @partition;

-- name: InsertEvents :many
INSERT INTO seat_event (partition, entry, kind, subscriber, licence, seat, account, company, product, device_id,
    device_title, slot, generation, seat_limit, actor, address, happened, mode, since)
SELECT @partition::smallint, n.entry, n.kind, n.subscriber::uuid, n.licence::uuid, NULLIF(n.seat, '')::uuid,
    NULLIF(n.account, '')::uuid, NULLIF(n.company, '')::uuid, n.product, n.device, n.title, n.slot, n.generation, n.seat_limit,
    NULLIF(n.actor, '')::uuid, n.address, n.happened, n.mode, NULLIF(n.since, @never::timestamptz)
FROM (SELECT unnest(@entries::text[]) AS entry, unnest(@kinds::text[]) AS kind, unnest(@subscribers::text[]) AS subscriber,
    unnest(@licences::text[]) AS licence, unnest(@seats::text[]) AS seat, unnest(@accounts::text[]) AS account,
    unnest(@companies::text[]) AS company, unnest(@products::text[]) AS product, unnest(@devices::text[]) AS device,
    unnest(@titles::text[]) AS title, unnest(@slots::integer[]) AS slot, unnest(@generations::bigint[]) AS generation,
    unnest(@limits::integer[]) AS seat_limit, unnest(@actors::text[]) AS actor, unnest(@addresses::text[]) AS address,
    unnest(@happened::timestamptz[]) AS happened, unnest(@modes::text[]) AS mode, unnest(@since::timestamptz[]) AS since) AS n
ON CONFLICT (partition, entry) DO NOTHING
RETURNING entry;

-- name: EventsOfSeat :many
SELECT kind, company, device_id, device_title, generation, happened FROM seat_event WHERE seat = @seat ORDER BY happened, entry;

-- name: OwnerOfPool :one
SELECT subscriber FROM licence WHERE id = @licence;

-- name: EndedSeats :many
SELECT e.seat::uuid FROM seat_event AS e
WHERE e.seat = ANY(@seats::uuid[]) AND e.kind IN ('released', 'taken', 'transferred')
UNION
SELECT f.seat FROM seat_force AS f WHERE f.seat = ANY(@seats::uuid[]) AND f.due <= @now;

-- name: InsertForce :exec
INSERT INTO seat_force (seat, licence, actor, due, reason, created) VALUES (@seat, @licence, @actor, @due, @reason, @created)
ON CONFLICT (seat) DO UPDATE SET due = LEAST(seat_force.due, excluded.due);

-- name: SetForceDue :exec
UPDATE seat_force SET due = @due WHERE seat = @seat;

-- name: ForcesOf :many
SELECT seat, due FROM seat_force WHERE seat = ANY(@seats::uuid[]);

-- name: InsertOverdraft :exec
INSERT INTO seat_overdraft (seat, licence, account, period, created) VALUES (@seat, @licence, @account, @period, @created);

-- name: TravelSeatsOut :many
SELECT id, account, company, product, device_id, device_title, slot, ends FROM travel_seat
WHERE licence = @licence AND returned IS NULL AND ends > @now ORDER BY ends;

-- name: CountTravelSeatsOut :one
SELECT count(*) FROM travel_seat WHERE licence = @licence AND returned IS NULL AND ends > @now;

-- name: InsertTravelSeat :exec
INSERT INTO travel_seat (id, subscriber, licence, account, company, product, device_id, device_title, slot, file, starts, ends, created)
VALUES (@id, @subscriber, @licence, @account, @company, @product, @device_id, @device_title, @slot, @file, @starts, @ends, @created);

-- name: GetTravelSeat :one
SELECT id, subscriber, licence, account, company, product, device_id, device_title, slot, file, starts, ends, created, returned
FROM travel_seat WHERE id = @id;

-- name: ReturnTravelSeat :exec
UPDATE travel_seat SET returned = @returned WHERE id = @id AND returned IS NULL;

-- name: ListTravelSeats :many
SELECT id, subscriber, licence, account, company, product, device_id, device_title, slot, file, starts, ends, created, returned
FROM travel_seat WHERE licence = @licence AND (sqlc.narg(before)::timestamptz IS NULL OR (created, id) < (sqlc.narg(before), @before_id::uuid))
ORDER BY created DESC, id DESC LIMIT @most;

-- name: InsertGuestSeat :exec
INSERT INTO guest_seat (id, subscriber, licence, account, company, product, starts, ends, reason, author, created)
VALUES (@id, @subscriber, @licence, @account, @company, @product, @starts, @ends, @reason, @author, @created);

-- name: LockGuests :exec
SELECT id FROM licence WHERE id = @licence FOR UPDATE;

-- name: CountGuestSeats :one
SELECT count(*) FROM guest_seat WHERE licence = @licence AND ended IS NULL AND ends > @starts AND starts < @ends;

-- name: GetGuestSeat :one
SELECT id, subscriber, licence, account, company, product, starts, ends, reason, author, created, ended FROM guest_seat WHERE id = @id;

-- name: GuestSeatFor :one
SELECT licence, max(ends)::timestamptz AS ends FROM guest_seat
WHERE subscriber = @subscriber AND account = @account AND company = @company AND product = @product
    AND ended IS NULL AND starts <= @now AND ends > @now
GROUP BY licence ORDER BY 2 DESC LIMIT 1;

-- name: EndGuestSeat :execrows
UPDATE guest_seat SET ended = @ended WHERE id = @id AND ended IS NULL;

-- name: ListGuestSeats :many
SELECT id, subscriber, licence, account, company, product, starts, ends, reason, author, created, ended FROM guest_seat
WHERE licence = @licence AND (sqlc.narg(before)::timestamptz IS NULL OR (created, id) < (sqlc.narg(before), @before_id::uuid))
ORDER BY created DESC, id DESC LIMIT @most;
