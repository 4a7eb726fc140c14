package snapshot

import (
	"bytes"
	"context"
	"regexp"
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
	// KeyTypes are the key columns' types, as PostgreSQL writes them.
	KeyTypes []string
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
		c.Tables = append(c.Tables, contentsOf(t))
	}
	return c, nil
}

func contentsOf(t *snapshotv1.Table) TableContents {
	return TableContents{
		Schema: t.GetRelation().GetSchema(), Name: t.GetRelation().GetName(), Columns: t.GetColumns(), KeyColumns: int(t.GetKeyColumns()),
		KeyTypes: keyTypes(t.GetOrder()), Rows: int64(t.GetRows()), Bytes: int64(t.GetBytes()),
	}
}

// keyTypes takes the types out of what a key's order hangs on: `numeric(12,2) 0,text 100 2.36`.
func keyTypes(order string) (types []string) {
	depth, begin := 0, 0
	for i := 0; i <= len(order) && order != ""; i++ {
		switch {
		case i == len(order) || (order[i] == ',' && depth == 0):
			kind := order[begin:i]
			if collation := collated.FindStringIndex(kind); collation != nil {
				kind = kind[:collation[0]]
			}
			types, begin = append(types, kind), i+1
		case order[i] == '(':
			depth++
		case order[i] == ')':
			depth--
		}
	}
	return types
}

// collated is a collation's object id behind a type, and its version.
var collated = regexp.MustCompile(` \d+( [^ ]*)?$`)

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
