package load

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"kontor.internal/kits/kit"
)

// references are the foreign keys of a kit's tables. An archive holds tables in the order of their names, so rows come
// before those that they refer to; and checked whole at the end, millions of rows take seconds.
type references struct{ drop, add []string }

const foreignKeys = `
	SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
	       format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
	FROM pg_constraint
	WHERE contype = 'f' AND conparentid = 0 AND conrelid = ANY (SELECT unnest($1::text[])::regclass)
	ORDER BY conrelid, conname`

// liftReferences takes the foreign keys off, within the transaction.
func liftReferences(ctx context.Context, tx pgx.Tx, k *kit.Kit) (r references, err error) {
	tables := make([]string, len(k.Tables))
	for i, t := range k.Tables {
		tables[i] = quoted(t.Table)
	}
	rows, err := tx.Query(ctx, foreignKeys, tables)
	if err != nil {
		return r, err
	}
	var drop, add string
	_, err = pgx.ForEachRow(rows, []any{&drop, &add}, func() error {
		r.drop, r.add = append(r.drop, drop), append(r.add, add)
		return nil
	})
	if err != nil {
		return r, err
	}
	return r, r.run(ctx, tx, append([]string{"SET CONSTRAINTS ALL IMMEDIATE"}, r.drop...))
}

// restore puts them back, which checks all rows.
func (r references) restore(ctx context.Context, tx pgx.Tx) error { return r.run(ctx, tx, r.add) }

func (references) run(ctx context.Context, tx pgx.Tx, statements []string) error {
	for _, statement := range statements {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// quoted is the name of a table that the kit lists.
func quoted(table string) string { return pgx.Identifier(strings.SplitN(table, ".", 2)).Sanitize() }
