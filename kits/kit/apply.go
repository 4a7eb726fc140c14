package kit

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// applyLock keeps two upgrades of one database apart (advisory locks belong to a database).
const applyLock = 0x6b6974 // "kit"

// Beginner begins a transaction: a *pgx.Conn, a *pgxpool.Pool or a transaction.
type Beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Querier runs statements: a *pgx.Conn, a *pgxpool.Pool or a transaction.
type Querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Install says how a kit is applied to a database.
type Install struct {
	Edition string // one of the kit's; empty keeps the installed one and takes the kit's first where there is none
	Owner   string // role that shall own everything, which the connection's role is a member of; empty: the connection's role
	Prefix  string // company's prefix of group roles (see GroupRoles); empty gives no grants: copies on the premises, templates
}

// Applied says what Apply did.
type Applied struct {
	From       Version  // release that the area was at; zero where there was no such area
	To         Version  // the kit's release
	Migrations []string // names of the area's migrations that ran
}

// RefusedError says why a database can't be brought to a kit's release.
type RefusedError struct {
	Kit       string  // product and version of the kit
	Installed Release // what stands in the area; Area alone where the trouble is not the release
	Text      string
}

// Error says what is in the way.
func (e *RefusedError) Error() string { return fmt.Sprintf("%s can't be applied: %s", e.Kit, e.Text) }

// Apply brings the kit's data area of a database to the kit's release and, with a prefix, gives the group roles their
// grants. It all happens in one transaction: killed half-way it leaves the database as it was. Applied again it changes
// nothing but grants. A newer release, or another product in the area, is a *RefusedError.
func (k *Kit) Apply(ctx context.Context, db Beginner, in Install) (Applied, error) {
	var applied Applied
	err := k.asOwner(ctx, db, in.Owner, func(tx pgx.Tx) error {
		var err error
		if applied, err = k.apply(ctx, tx, in); err != nil {
			return err
		}
		if in.Prefix == "" {
			return nil
		}
		return k.grant(ctx, tx, in.Prefix)
	})
	if err != nil {
		return Applied{}, err
	}
	return applied, nil
}

// Grant gives the group roles with this prefix exactly what the kit says, taking back what they had before: after a
// restore, or in a database made from a template. The area must be at the kit's release.
func (k *Kit) Grant(ctx context.Context, db Beginner, owner, prefix string) error {
	return k.asOwner(ctx, db, owner, func(tx pgx.Tx) error { return k.grant(ctx, tx, prefix) })
}

// asOwner runs a transaction as the owner, alone among those that change the database's shape.
func (k *Kit) asOwner(ctx context.Context, db Beginner, owner string, work func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		var role, path, security string
		err := tx.QueryRow(ctx, "SELECT current_setting('role'), current_setting('search_path'), current_setting('row_security')").
			Scan(&role, &path, &security)
		if err != nil {
			return fmt.Errorf("prepare to change the database: %w", err)
		}
		acting := owner
		if acting == "" {
			acting = role
		}
		const set = "SELECT set_config('role', $1, true), set_config('search_path', $2, true), set_config('row_security', $3, true)"
		if _, err := tx.Exec(ctx, set, acting, "", "off"); err != nil {
			return fmt.Errorf("prepare to change the database: %w", err)
		}
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", applyLock); err != nil {
			return fmt.Errorf("prepare to change the database: %w", err)
		}
		if err := work(tx); err != nil {
			return err
		}
		// Where db is a transaction already, it goes on as whom and where it was.
		_, err = tx.Exec(ctx, set, role, path, security)
		return err
	})
}

func (k *Kit) apply(ctx context.Context, tx pgx.Tx, in Install) (Applied, error) {
	platform, err := readMigrations(platformFiles, "platform")
	if err != nil {
		return Applied{}, fmt.Errorf("read the platform's migrations: %w", err)
	}
	if _, err := k.migrate(ctx, tx, "kontor_meta", platform); err != nil {
		return Applied{}, err
	}
	installed, err := k.installed(ctx, tx)
	if err != nil {
		return Applied{}, err
	}
	edition, err := k.edition(in.Edition, installed)
	if err != nil {
		return Applied{}, err
	}
	ran, err := k.migrate(ctx, tx, k.Area, k.migrations)
	if err != nil {
		return Applied{}, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO kontor_meta.release AS r (area, product, edition, version, applied_at)
		VALUES ($1, $2, $3, $4, clock_timestamp())
		ON CONFLICT ON CONSTRAINT release_pkey DO UPDATE
		SET edition = excluded.edition, version = excluded.version, applied_at = excluded.applied_at
		WHERE (r.edition, r.version) IS DISTINCT FROM (excluded.edition, excluded.version)`,
		k.Area, k.Product, edition, k.Version.String())
	if err != nil {
		return Applied{}, fmt.Errorf("write down release %s: %w", k, err)
	}
	return Applied{From: installed.Version, To: k.Version, Migrations: ran}, nil
}

// installed returns the area's release, zero where there is none, if this kit may follow it.
func (k *Kit) installed(ctx context.Context, tx pgx.Tx) (Release, error) {
	releases, err := Releases(ctx, tx)
	if err != nil {
		return Release{}, err
	}
	for _, release := range releases {
		if release.Area != k.Area {
			continue
		}
		if release.Product != k.Product {
			return Release{}, k.refused(release, "the area belongs to product %s", release.Product)
		}
		if release.Version.Compare(k.Version) > 0 {
			return Release{}, k.refused(release, "the database is at %s already, which is newer", release.Version)
		}
		return release, nil
	}
	return Release{}, nil
}

func (k *Kit) edition(wanted string, installed Release) (string, error) {
	if wanted == "" {
		wanted = installed.Edition
	}
	if wanted == "" {
		wanted = k.Editions[0]
	}
	for _, edition := range k.Editions {
		if edition == wanted {
			return edition, nil
		}
	}
	return "", k.refused(installed, "it has no edition %s", wanted)
}

func (k *Kit) refused(installed Release, format string, values ...any) error {
	return &RefusedError{Kit: k.String(), Installed: installed, Text: fmt.Sprintf(format, values...)}
}

// migrate runs what a schema lacks of a list of migrations, and returns their names.
func (k *Kit) migrate(ctx context.Context, tx pgx.Tx, schema string, list []migration) ([]string, error) {
	done, err := k.migrated(ctx, tx, schema)
	if err != nil {
		return nil, err
	}
	if len(done) > len(list) {
		return nil, k.refused(Release{Area: schema}, "schema %s has %d migrations, of which only %d are known", schema, len(done), len(list))
	}
	for i, earlier := range done {
		if earlier != list[i].sum {
			return nil, k.refused(Release{Area: schema}, "migration %s was applied to schema %s in another wording", list[i].name, schema)
		}
	}
	if len(done) == len(list) {
		return nil, nil
	}
	var sql strings.Builder
	var names []string
	if len(done) == 0 {
		fmt.Fprintf(&sql, migrationsTable, quote(schema))
	}
	for _, one := range list[len(done):] {
		fmt.Fprintf(&sql, "%s;\nINSERT INTO %s.migrations (number, name, sha256, applied_at) VALUES (%d, %s, %s, clock_timestamp());\n",
			one.sql, quote(schema), one.number, quoteText(one.name), quoteText(one.sum))
		names = append(names, one.name)
	}
	if err := script(ctx, tx, sql.String()); err != nil {
		return nil, fmt.Errorf("migrate schema %s (%s): %w", schema, strings.Join(names, ", "), err)
	}
	return names, nil
}

const migrationsTable = `CREATE SCHEMA IF NOT EXISTS %[1]s;
CREATE TABLE %[1]s.migrations (
    number     integer     NOT NULL,
    name       text        NOT NULL,
    sha256     text        NOT NULL,
    applied_at timestamptz NOT NULL,
    CONSTRAINT migrations_pkey PRIMARY KEY (number)
);
COMMENT ON TABLE %[1]s.migrations IS 'Migrations of this schema that were applied, with the hash of each file.';
`

// migrated returns the hashes of a schema's migrations in their order; none where there is no such schema.
func (k *Kit) migrated(ctx context.Context, tx pgx.Tx, schema string) ([]string, error) {
	var there bool
	if err := tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", schema+".migrations").Scan(&there); err != nil {
		return nil, fmt.Errorf("look for schema %s: %w", schema, err)
	}
	if !there {
		return nil, nil
	}
	rows, err := tx.Query(ctx, "SELECT sha256 FROM "+quote(schema)+".migrations ORDER BY number")
	if err != nil {
		return nil, fmt.Errorf("read migrations of schema %s: %w", schema, err)
	}
	sums, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read migrations of schema %s: %w", schema, err)
	}
	return sums, nil
}

func (k *Kit) grant(ctx context.Context, tx pgx.Tx, prefix string) error {
	sql, err := k.grantSQL(prefix)
	if err != nil {
		return err
	}
	if err := script(ctx, tx, sql); err != nil {
		return fmt.Errorf("grant what %s says: %w", k, err)
	}
	return nil
}

// script sends several statements in one message, within the transaction.
func script(ctx context.Context, tx pgx.Tx, sql string) error {
	_, err := tx.Conn().PgConn().Exec(ctx, sql).ReadAll()
	return err
}
