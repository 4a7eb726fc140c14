-- name: EntriesBetween :many
SELECT entry, kind, seat, account, actor, mode, seat_limit, happened, since FROM seat_event
WHERE licence = @licence AND happened < @until AND (happened, entry) > (@after, @after_entry::text)
ORDER BY happened, entry LIMIT @most;

-- name: FirstHappened :one
SELECT happened FROM seat_event WHERE licence = @licence AND happened >= @since ORDER BY happened LIMIT 1;

-- name: GapsBetween :many
SELECT since::timestamptz AS since, happened FROM seat_event
WHERE licence = @licence AND kind = 'gap' AND happened > @start AND since < @until ORDER BY happened LIMIT 1000;

-- name: ReadUntil :one
SELECT COALESCE(min(seen), 'epoch')::timestamptz AS seen FROM seat_position;

-- name: BaseBefore :one
SELECT ends, held, seat_limit FROM seat_statement WHERE licence = @licence AND ends <= @instant ORDER BY ends DESC LIMIT 1;

-- name: GetStatement :one
SELECT signed FROM seat_statement WHERE licence = @licence AND day = @day;

-- name: InsertStatement :exec
INSERT INTO seat_statement (licence, day, starts, ends, peak, hour_peaks, refusals, refused_people, overdraft_peak, gap, seat_limit, held, signed, created)
VALUES (@licence, @day, @starts, @ends, @peak, @hour_peaks, @refusals, @refused_people, @overdraft_peak, @gap, @seat_limit, @held, @signed, @created)
ON CONFLICT (licence, day) DO NOTHING;

-- name: ListStatements :many
SELECT day, signed FROM seat_statement
WHERE licence = @licence AND (sqlc.narg(before)::date IS NULL OR day < sqlc.narg(before))
ORDER BY day DESC LIMIT @most;

-- name: DaysSince :many
SELECT day, peak, hour_peaks, refusals, refused_people, overdraft_peak, gap FROM seat_statement
WHERE licence = @licence AND day >= @since ORDER BY day;

-- name: Unstated :many
SELECT p.licence, l.subscriber FROM seat_pool AS p
JOIN licence AS l ON l.id = p.licence
LEFT JOIN seat_statement AS last ON last.licence = p.licence
    AND last.ends = (SELECT max(s.ends) FROM seat_statement AS s WHERE s.licence = p.licence)
WHERE p.licence > @after AND COALESCE(last.ends, '-infinity') < @until
    AND (last.held <> '{}' OR EXISTS (
        SELECT FROM seat_event AS e
        WHERE e.licence = p.licence AND e.happened >= COALESCE(last.ends, '-infinity') AND e.happened < @until))
ORDER BY p.licence LIMIT @most;

-- name: ForcesOf :many
SELECT seat, reason FROM seat_force WHERE seat = ANY(@seats::uuid[]);

-- name: ListOverdraft :many
SELECT o.seat, o.account, o.period, c.happened AS started, COALESCE(
    (SELECT min(e.happened) FROM seat_event AS e
        WHERE e.seat = o.seat AND e.kind IN ('released', 'expired', 'taken', 'transferred')),
    (SELECT min(r.happened) FROM seat_event AS r
        WHERE r.licence = o.licence AND r.kind = 'recovering' AND r.happened > c.happened AND NOT EXISTS (
            SELECT FROM seat_event AS b WHERE b.seat = o.seat AND b.kind = 'returned' AND b.happened > r.happened - interval '1 hour')),
    'epoch')::timestamptz AS ended
FROM seat_overdraft AS o
JOIN seat_event AS c ON c.seat = o.seat AND c.kind = 'claimed' AND c.mode = 'overdraft'
WHERE o.licence = @licence AND o.period = @period AND (c.happened, o.seat) > (@after, @after_seat::uuid)
ORDER BY c.happened, o.seat LIMIT @most;
