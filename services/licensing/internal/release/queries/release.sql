-- name: InsertRelease :exec
INSERT INTO release (id, kind, subject, version, release_date, platform, platform_version, issue, texts, author, created)
VALUES (@id, @kind, @subject, @version, @release_date, @platform, @platform_version, @issue, @texts, @author, @created);

-- name: UpdateRelease :execrows
UPDATE release
SET release_date = @release_date, platform = @platform, platform_version = @platform_version, issue = @issue, texts = @texts,
    revision = revision + 1
WHERE id = @id AND revision = @revision;

-- name: GetRelease :one
SELECT id, kind, subject, version, release_date, platform, platform_version, issue, texts, author, created, published,
    published_by, withdrawn, withdrawn_by, withdraw_reason, revision, told, told_until
FROM release WHERE id = $1;

-- name: LockRelease :one
SELECT id, kind, subject, version, release_date, platform, platform_version, issue, texts, author, created, published,
    published_by, withdrawn, withdrawn_by, withdraw_reason, revision, told, told_until
FROM release WHERE id = $1 FOR UPDATE;

-- name: PublishRelease :exec
UPDATE release SET published = @published::timestamptz, published_by = @published_by::uuid, revision = revision + 1 WHERE id = @id;

-- name: WithdrawRelease :exec
UPDATE release
SET withdrawn = @withdrawn::timestamptz, withdrawn_by = @withdrawn_by::uuid, withdraw_reason = @withdraw_reason, revision = revision + 1
WHERE id = @id;

-- name: ListAllReleases :many
SELECT id, kind, subject, version, release_date, platform, platform_version, issue, texts, author, created, published,
    published_by, withdrawn, withdrawn_by, withdraw_reason, revision, told, told_until
FROM release
WHERE sqlc.narg('before')::uuid IS NULL OR id < sqlc.narg('before')::uuid
ORDER BY id DESC
LIMIT @count;

-- name: ListPublished :many
SELECT id, kind, subject, version, release_date, platform, platform_version, issue, texts, author, created, published,
    published_by, withdrawn, withdrawn_by, withdraw_reason, revision, told, told_until
FROM release
WHERE kind = @kind AND subject = @subject AND published IS NOT NULL AND withdrawn IS NULL
    AND (NOT @further::boolean OR version < @before::integer[])
ORDER BY version DESC
LIMIT @count;

-- name: ListNewer :many
SELECT id, kind, subject, version, release_date, platform, platform_version, issue, texts, author, created, published,
    published_by, withdrawn, withdrawn_by, withdraw_reason, revision, told, told_until
FROM release
WHERE kind = @kind AND subject = @subject AND published IS NOT NULL AND withdrawn IS NULL AND version > @after::integer[]
ORDER BY version DESC
LIMIT @count;

-- name: NextToTell :one
SELECT id, kind, subject, version, release_date, platform, platform_version, issue, texts, author, created, published,
    published_by, withdrawn, withdrawn_by, withdraw_reason, revision, told, told_until
FROM release
WHERE published IS NOT NULL AND told IS NULL
ORDER BY published
LIMIT 1
FOR UPDATE SKIP LOCKED;

-- name: NoteTold :exec
UPDATE release SET told = sqlc.narg('told'), told_until = sqlc.narg('told_until') WHERE id = @id;

-- name: HoldersOf :many
SELECT DISTINCT subscriber
FROM licence
WHERE starts <= @now AND (ends IS NULL OR ends > @now::timestamptz)
    AND products @> @product::jsonb
    AND (sqlc.narg('after')::uuid IS NULL OR subscriber > sqlc.narg('after')::uuid)
ORDER BY subscriber
LIMIT @count;

-- name: InsertKit :exec
INSERT INTO release_kit (id, release, target, filename, size_bytes, sha256, author, created)
VALUES (@id, @release, @target, @filename, @size_bytes, @sha256, @author, @created);

-- name: DeleteKitOf :many
DELETE FROM release_kit WHERE release = @release AND target = @target RETURNING id;

-- name: GetKit :one
SELECT id, release, target, filename, size_bytes, sha256, received, signature, object_key, author, created
FROM release_kit WHERE release = @release AND id = @id;

-- name: LockKit :one
SELECT id, release, target, filename, size_bytes, sha256, received, signature, object_key, author, created
FROM release_kit WHERE release = @release AND id = @id FOR UPDATE;

-- name: KitsOf :many
SELECT id, release, target, filename, size_bytes, sha256, received, signature, object_key, author, created
FROM release_kit WHERE release = ANY (@releases::uuid[])
ORDER BY release, target;

-- name: TakeBytes :execrows
UPDATE release_kit SET received = received + @bytes WHERE id = @id AND received = @begins AND signature = '';

-- name: InsertPart :exec
INSERT INTO release_kit_part (kit, begins, size_bytes, object_key) VALUES (@kit, @begins, @size_bytes, @object_key);

-- name: PartsOf :many
SELECT kit, begins, size_bytes, object_key FROM release_kit_part WHERE kit = @kit ORDER BY begins;

-- name: ForgetParts :exec
DELETE FROM release_kit_part WHERE kit = @kit;

-- name: StartAnew :exec
UPDATE release_kit SET received = 0 WHERE id = @id AND signature = '';

-- name: CompleteKit :execrows
UPDATE release_kit SET signature = @signature, object_key = @object_key WHERE id = @id AND signature = '' AND received = size_bytes;

-- name: KnownObjects :many
SELECT object_key FROM release_kit WHERE object_key = ANY (@keys::text[])
UNION
SELECT object_key FROM release_kit_part WHERE object_key = ANY (@keys::text[]);

-- name: InsertKey :exec
INSERT INTO release_key (id, public, sealed, created) VALUES (@id, @public, @sealed, @created);

-- name: UpdateKey :exec
UPDATE release_key SET sealed = @sealed WHERE id = @id;

-- name: ListKeys :many
SELECT id, public, sealed, created FROM release_key ORDER BY created DESC, id DESC;

-- name: LockKeys :exec
LOCK TABLE release_key IN EXCLUSIVE MODE;

-- name: InsertProblem :exec
INSERT INTO known_problem (id, kind, subject, from_version, fixed_version, texts, author, created, updated)
VALUES (@id, @kind, @subject, @from_version, @fixed_version, @texts, @author, @created, @created);

-- name: UpdateProblem :execrows
UPDATE known_problem
SET from_version = @from_version, fixed_version = @fixed_version, texts = @texts, updated = @updated, revision = revision + 1
WHERE id = @id AND revision = @revision;

-- name: GetProblem :one
SELECT id, kind, subject, from_version, fixed_version, texts, author, created, updated, revision
FROM known_problem WHERE id = $1;

-- name: ListProblems :many
SELECT id, kind, subject, from_version, fixed_version, texts, author, created, updated, revision
FROM known_problem
WHERE kind = @kind AND subject = @subject
    AND (cardinality(@version::integer[]) = 0
        OR from_version <= @version::integer[] AND (cardinality(fixed_version) = 0 OR fixed_version > @version::integer[]))
    AND (sqlc.narg('before')::uuid IS NULL OR id < sqlc.narg('before')::uuid)
ORDER BY id DESC
LIMIT @count;
