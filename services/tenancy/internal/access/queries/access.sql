-- name: IsStaff :one
SELECT EXISTS (SELECT FROM staff WHERE account_id = $1);

-- name: StandingIn :many
SELECT EXISTS (SELECT FROM staff f WHERE f.account_id = sqlc.arg(account_id)::uuid) AS staff,
       m.id AS member_id, m.access, m.end_date, s.owner_account, r.company_id, r.role
FROM (SELECT 1) one
     LEFT JOIN member m ON m.account_id = sqlc.arg(account_id)::uuid AND m.subscriber_id = sqlc.arg(subscriber_id)::uuid
                       AND m.excluded IS NULL
     LEFT JOIN subscriber s ON s.id = m.subscriber_id
     LEFT JOIN member_role r ON r.member_id = m.id
ORDER BY r.company_id NULLS FIRST, r.role;

-- name: ConnectionPermissions :one
SELECT EXISTS (SELECT FROM staff f WHERE f.account_id = sqlc.arg(account_id)::uuid) AS staff, c.permissions
FROM (SELECT 1) one
     LEFT JOIN connection_access c ON c.account_id = sqlc.arg(account_id)::uuid AND c.connection_id = sqlc.arg(connection_id)::uuid;

-- name: StandingsByConnection :many
SELECT k.subscriber_id, m.access, m.end_date, s.owner_account, r.company_id, r.role
FROM connection_subscriber k
     JOIN subscriber s ON s.id = k.subscriber_id
     JOIN member m ON m.subscriber_id = k.subscriber_id AND m.account_id = sqlc.arg(account_id)::uuid AND m.excluded IS NULL
     LEFT JOIN member_role r ON r.member_id = m.id
WHERE k.connection_id = sqlc.arg(connection_id)::uuid
ORDER BY k.subscriber_id, r.company_id NULLS FIRST, r.role;

-- name: AddConnectionSubscriber :exec
INSERT INTO connection_subscriber (connection_id, subscriber_id, created) VALUES ($1, $2, $3)
ON CONFLICT (connection_id, subscriber_id) DO NOTHING;

-- name: GrantConnection :execrows
INSERT INTO connection_access (account_id, connection_id, permissions, created) VALUES ($1, $2, $3, $4)
ON CONFLICT (account_id, connection_id) DO UPDATE SET permissions = EXCLUDED.permissions
WHERE connection_access.permissions <> EXCLUDED.permissions;

-- name: RevokeConnection :execrows
DELETE FROM connection_access WHERE account_id = $1 AND connection_id = $2;
