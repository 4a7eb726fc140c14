-- name: InsertLicence :exec
INSERT INTO licence (id, subscriber, kind, plan, products, add_ons, seats, companies, seats_per_company, accounts,
    lease_seconds, terms_since, start_date, end_date, time_zone, starts, ends, contract, author, reason, price_minor,
    price_currency, started, remind_at, created)
VALUES (@id, @subscriber, @kind, @plan, @products, @add_ons, @seats, @companies, @seats_per_company, @accounts,
    @lease_seconds, @terms_since, @start_date, @end_date, @time_zone, @starts, @ends, @contract, @author, @reason,
    @price_minor, @price_currency, @started, @remind_at, @created);

-- name: GetLicence :one
SELECT id, subscriber, kind, plan, products, add_ons, seats, companies, seats_per_company, accounts, lease_seconds,
    terms_since, start_date, end_date, time_zone, starts, ends, contract, author, reason, price_minor, price_currency,
    started, ended, reminded, remind_at, revision, created
FROM licence
WHERE subscriber = @subscriber AND id = @id;

-- name: LockLicence :one
SELECT id, subscriber, kind, plan, products, add_ons, seats, companies, seats_per_company, accounts, lease_seconds,
    terms_since, start_date, end_date, time_zone, starts, ends, contract, author, reason, price_minor, price_currency,
    started, ended, reminded, remind_at, revision, created
FROM licence
WHERE subscriber = @subscriber AND id = @id
FOR UPDATE;

-- name: LockTrial :one
SELECT id, subscriber, kind, plan, products, add_ons, seats, companies, seats_per_company, accounts, lease_seconds,
    terms_since, start_date, end_date, time_zone, starts, ends, contract, author, reason, price_minor, price_currency,
    started, ended, reminded, remind_at, revision, created
FROM licence
WHERE subscriber = @subscriber AND kind = 'trial'
FOR UPDATE;

-- name: LicencesOf :many
SELECT id, subscriber, kind, plan, products, add_ons, seats, companies, seats_per_company, accounts, lease_seconds,
    terms_since, start_date, end_date, time_zone, starts, ends, contract, author, reason, price_minor, price_currency,
    started, ended, reminded, remind_at, revision, created
FROM licence
WHERE subscriber = @subscriber
ORDER BY id;

-- name: ListLicences :many
SELECT id, subscriber, kind, plan, products, add_ons, seats, companies, seats_per_company, accounts, lease_seconds,
    terms_since, start_date, end_date, time_zone, starts, ends, contract, author, reason, price_minor, price_currency,
    started, ended, reminded, remind_at, revision, created
FROM licence
WHERE subscriber = @subscriber AND (sqlc.narg('before')::uuid IS NULL OR id < sqlc.narg('before')::uuid)
ORDER BY id DESC
LIMIT @count;

-- name: UpdateLicence :exec
UPDATE licence
SET plan = @plan, products = @products, add_ons = @add_ons, seats = @seats, companies = @companies,
    seats_per_company = @seats_per_company, accounts = @accounts, lease_seconds = @lease_seconds,
    terms_since = @terms_since, end_date = @end_date, ends = @ends,
    started = CASE WHEN @is_started::boolean THEN COALESCE(started, @now::timestamptz) END,
    ended = CASE WHEN @is_ended::boolean THEN COALESCE(ended, @now::timestamptz) END,
    reminded = @reminded, remind_at = @remind_at, revision = @revision
WHERE id = @id;

-- name: InsertChange :exec
INSERT INTO licence_change (id, licence, field, old_value, new_value, until_date, reason, price_minor, price_currency,
    author, created)
VALUES (@id, @licence, @field, @old_value, @new_value, @until_date, @reason, @price_minor, @price_currency, @author,
    @created);

-- name: ChangesOf :many
SELECT id, licence, field, old_value, new_value, until_date, reason, price_minor, price_currency, author, created
FROM licence_change
WHERE licence = ANY (@licences::uuid[])
ORDER BY id;

-- name: ListChanges :many
SELECT c.id, c.licence, c.field, c.old_value, c.new_value, c.until_date, c.reason, c.price_minor, c.price_currency,
    c.author, c.created
FROM licence_change c JOIN licence l ON l.id = c.licence
WHERE l.subscriber = @subscriber AND c.licence = @licence
    AND (sqlc.narg('before')::uuid IS NULL OR c.id < sqlc.narg('before')::uuid)
ORDER BY c.id DESC
LIMIT @count;

-- name: DueToStart :many
SELECT subscriber, id FROM licence WHERE started IS NULL AND starts <= @now ORDER BY starts LIMIT @count;

-- name: DueToEnd :many
SELECT subscriber, id FROM licence WHERE ended IS NULL AND ends <= @now ORDER BY ends LIMIT @count;

-- name: DueToRemind :many
SELECT subscriber, id FROM licence WHERE ended IS NULL AND remind_at <= @now ORDER BY remind_at LIMIT @count;

-- name: AcceptedBy :one
SELECT a.account, c.language
FROM contract c JOIN contract_acceptance a ON a.contract = c.id
WHERE a.licence = @licence
ORDER BY a.accepted DESC
LIMIT 1;

-- name: OthersRun :one
SELECT EXISTS (
    SELECT FROM licence
    WHERE subscriber = @subscriber AND id <> @id AND starts <= @now AND (ends IS NULL OR ends > @now)
) AS others_run;
