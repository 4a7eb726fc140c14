package snapshot

import (
	"bytes"
	"context"
	"fmt"
	"time"

	snapshotv1 "kontor.internal/proto/gen/go/kontor/snapshot/v1"
)

// Contents is what a snapshot says about itself.
type Contents struct {
	// Ref names it.
	Ref Ref
	// Moment that it shows.
	Moment time.Time
	// Database it was read from, and the server's version number.
	Database      string
	ServerVersion int
	// Tables with their rows.
	Tables []TableContents
	// Packs that it needs.
	Packs int
}

// TableContents is one table of a snapshot.
type TableContents struct {
	// Schema and Name of the table.
	Schema, Name string
	// Columns in the order in which Lines gives them, the key's first.
	Columns []string
	// KeyColumns of them are the key that rows are ordered by.
	KeyColumns int
	// Rows, and bytes of their lines.
	Rows, Bytes int64
}

// Look reads what a snapshot says about itself. head may be nil.
func Look(ctx context.Context, repo Repository, ref Ref, head *Head) (*Contents, error) {
	r, err := repo.reader()
	if err != nil {
		return nil, err
	}
	m, err := r.readManifest(ctx, ref, head)
	if err != nil {
		return nil, err
	}
	c := &Contents{
		Ref: ref, Moment: m.GetMoment().AsTime(), Database: m.GetDatabase().GetName(), ServerVersion: int(m.GetDatabase().GetServerVersion()), Packs: len(m.GetPacks()) / 16,
	}
	for _, t := range m.GetTables() {
		c.Tables = append(c.Tables, TableContents{
			Schema: t.GetRelation().GetSchema(), Name: t.GetRelation().GetName(), Columns: t.GetColumns(), KeyColumns: int(t.GetKeyColumns()),
			Rows: int64(t.GetRows()), Bytes: int64(t.GetBytes()),
		})
	}
	return c, nil
}

// Lines gives one table's rows in the order of its key, without restoring anything: each a line of COPY's text format with its
// newline, valid until each returns.
func Lines(ctx context.Context, repo Repository, ref Ref, head *Head, schema, table string, each func(line []byte) error) error {
	r, err := repo.reader()
	if err != nil {
		return err
	}
	m, err := r.readManifest(ctx, ref, head)
	if err != nil {
		return err
	}
	t := tableIn(m, schema, table)
	if t == nil {
		return fmt.Errorf("snapshot: no table %s", quote(&snapshotv1.Relation{Schema: schema, Name: table}))
	}
	for _, p := range t.GetParts() {
		err := r.chunks(ctx, p, func(_ entry, lines []byte) error {
			for len(lines) > 0 {
				end := bytes.IndexByte(lines, '\n') + 1
				if end == 0 {
					return damagedf("a line without an end")
				}
				if err := each(lines[:end]); err != nil {
					return err
				}
				lines = lines[end:]
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func tableIn(m *snapshotv1.Manifest, schema, name string) *snapshotv1.Table {
	for _, t := range m.GetTables() {
		if t.GetRelation().GetSchema() == schema && t.GetRelation().GetName() == name {
			return t
		}
	}
	return nil
}

// Fields are a line's values as PostgreSQL writes them; nil is NULL.
func Fields(line []byte) []*string {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	parts := bytes.Split(line, []byte{'\t'})
	fields := make([]*string, len(parts))
	for i, p := range parts {
		if string(p) != `\N` {
			v := unescape(p)
			fields[i] = &v
		}
	}
	return fields
}
