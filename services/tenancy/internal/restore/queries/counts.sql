-- name: NextCluster :one
SELECT id FROM cluster WHERE id > $1 ORDER BY id LIMIT 1;

-- name: LiveOn :many
SELECT c.id, c.subscriber_id, d.database_name FROM company AS c JOIN company_database AS d ON d.id = c.live_id WHERE d.cluster_id = $1;
