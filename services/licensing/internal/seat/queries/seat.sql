-- name: AddPool :exec
INSERT INTO seat_pool (licence, longest_lease) VALUES (@licence, @lease) ON CONFLICT (licence) DO NOTHING;

-- name: GetPool :one
SELECT licence, recovery, resting, longest_lease FROM seat_pool WHERE licence = @licence;

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

-- name: Positions :many
SELECT partition, entry FROM seat_position ORDER BY partition;

-- name: LockPosition :one
SELECT entry FROM seat_position WHERE partition = @partition FOR UPDATE;

-- name: SetPosition :exec
UPDATE seat_position SET entry = @entry WHERE partition = @partition;

-- name: InsertEvent :execrows
INSERT INTO seat_event (partition, entry, kind, subscriber, licence, seat, account, company, product, device_id,
    device_title, slot, generation, seat_limit, actor, address, happened)
VALUES (@partition, @entry, @kind, @subscriber, @licence, @seat, @account, @company, @product, @device_id,
    @device_title, @slot, @generation, @seat_limit, @actor, @address, @happened)
ON CONFLICT (partition, entry) DO NOTHING;

-- name: EventsOfSeat :many
SELECT kind, device_title, happened FROM seat_event WHERE seat = @seat ORDER BY happened;

-- name: OwnerOfPool :one
SELECT subscriber FROM licence WHERE id = @licence;
