-- name: InsertAccount :exec
INSERT INTO account (id, kind, state, full_name, language, self_registered, create_time, activate_time)
VALUES (@id, @kind, @state, @full_name, @language, @self_registered, @create_time, @activate_time);

-- name: InsertIdentifier :exec
INSERT INTO identifier (id, account_id, kind, value, key, main, verify_time, create_time)
VALUES (@id, @account_id, @kind, @value, @key, @main, @verify_time, @create_time);

-- name: GetAccount :one
SELECT a.id, a.kind, a.state, a.full_name, a.language, a.self_registered, a.create_time, i.value AS email
FROM account a
JOIN identifier i ON i.account_id = a.id AND i.main
WHERE a.id = @id;

-- name: LockAccount :one
SELECT a.id, a.kind, a.state, a.full_name, a.language, a.self_registered, a.create_time, i.value AS email
FROM account a
JOIN identifier i ON i.account_id = a.id AND i.main
WHERE a.id = @id
FOR UPDATE OF a;

-- name: GetAccountByKey :one
SELECT a.id, a.kind, a.state, a.full_name, a.language, a.self_registered, a.create_time, m.value AS email
FROM identifier i
JOIN account a ON a.id = i.account_id
JOIN identifier m ON m.account_id = a.id AND m.main
WHERE i.key = @key;

-- name: LockAccountByKey :one
SELECT a.id, a.kind, a.state, a.full_name, a.language, a.self_registered, a.create_time, m.value AS email
FROM identifier i
JOIN account a ON a.id = i.account_id
JOIN identifier m ON m.account_id = a.id AND m.main
WHERE i.key = @key
FOR UPDATE OF a;

-- name: ListAccounts :many
SELECT a.id, a.kind, a.state, a.full_name, a.language, a.self_registered, a.create_time, i.value AS email
FROM account a
JOIN identifier i ON i.account_id = a.id AND i.main
WHERE a.id = ANY (@ids::uuid[]);

-- name: GetCredential :one
SELECT password_hash FROM credential WHERE account_id = @account_id;

-- name: FindCredential :one
-- What a verified identifier lets sign in with.
SELECT a.id, a.state, c.password_hash
FROM identifier i
JOIN account a ON a.id = i.account_id
JOIN credential c ON c.account_id = a.id
WHERE i.key = @key AND i.verify_time IS NOT NULL;

-- name: PutCredential :exec
INSERT INTO credential (account_id, password_hash, change_time)
VALUES (@account_id, @password_hash, @change_time)
ON CONFLICT (account_id) DO UPDATE SET password_hash = excluded.password_hash, change_time = excluded.change_time;

-- name: ReplaceHash :exec
-- The same password under newer parameters; changes nothing when it was changed meanwhile.
UPDATE credential SET password_hash = @new_hash WHERE account_id = @account_id AND password_hash = @old_hash;

-- name: Activate :exec
UPDATE account SET state = 'active', full_name = @full_name, activate_time = @activate_time WHERE id = @id;

-- name: VerifyMain :exec
UPDATE identifier SET verify_time = @verify_time WHERE account_id = @account_id AND main AND verify_time IS NULL;

-- name: UpdatePending :exec
-- What a visitor says again about an account that waits; what is known stays.
UPDATE account
SET self_registered = self_registered OR @self_registered,
    full_name = CASE WHEN full_name = '' THEN @full_name ELSE full_name END
WHERE id = @id;

-- name: UpdateProfile :exec
UPDATE account SET full_name = @full_name, language = @language WHERE id = @id;

-- name: PostLetter :execrows
-- One row when a letter of the kind may go out now.
INSERT INTO letter (account_id, kind, time) VALUES (@account_id, @kind, @now::timestamptz)
ON CONFLICT (account_id, kind) DO UPDATE SET time = excluded.time WHERE letter.time <= @not_after::timestamptz;

-- name: LockKey :exec
-- Whoever registers the same identifier at once waits here.
SELECT pg_advisory_xact_lock(hashtextextended('kontor identity identifier ' || @key::text, 0));

-- name: ListIdentifiers :many
SELECT id, kind, value, main, verify_time
FROM identifier
WHERE account_id = @account_id AND id > @after
ORDER BY id
LIMIT @page_limit;
