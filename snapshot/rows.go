package snapshot

import (
	"context"
	"errors"
	"fmt"

	snapshotv1 "kontor.internal/proto/gen/go/kontor/snapshot/v1"
)

// ErrNoTable says that a snapshot has no such table.
var ErrNoTable = errors.New("snapshot: no such table")

// OpenedTable is one table of a snapshot, to read its rows without restoring anything.
type OpenedTable struct {
	TableContents
	reader *reader
	table  *snapshotv1.Table
}

// OpenTable opens a table of a snapshot. head may be nil. ErrNoTable.
func OpenTable(ctx context.Context, repo Repository, ref Ref, head *Head, schema, table string) (*OpenedTable, error) {
	r, err := repo.reader()
	if err != nil {
		return nil, err
	}
	m, err := r.readManifest(ctx, ref, head)
	if err != nil {
		return nil, err
	}
	t := tableIn(m, schema, table)
	if t == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoTable, quote(&snapshotv1.Relation{Schema: schema, Name: table}))
	}
	return &OpenedTable{TableContents: contentsOf(t), reader: r, table: t}, nil
}

// Lines gives one table's rows in the order of its key: each a line of COPY's text format with its newline, valid until each returns.
func Lines(ctx context.Context, repo Repository, ref Ref, head *Head, schema, table string, each func(line []byte) error) error {
	t, err := OpenTable(ctx, repo, ref, head, schema, table)
	if err != nil {
		return err
	}
	return t.LinesFrom(ctx, 0, each)
}

// LinesFrom gives the table's rows from the nth on, counted from 0, as Lines does. What lies before is not read: branches of the trees and
// chunks are left out by how many rows they have. Nor is much read that is not asked for: whoever wants no more returns an error.
func (t *OpenedTable) LinesFrom(ctx context.Context, n int64, each func(line []byte) error) error {
	f := &from{reader: t.reader, skip: uint64(max(n, 0)), ahead: 1, each: each}
	for _, p := range t.table.GetParts() {
		if err := f.part(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// from reads rows from some number on.
type from struct {
	*reader
	skip  uint64 // rows that are still to be left out
	ahead int    // how many chunks are read together next: few at first, whoever reads a page needs no more
	each  func(line []byte) error
}

func (f *from) part(ctx context.Context, p *snapshotv1.Part) error {
	if p.GetRoot() == nil || p.GetRows() <= f.skip {
		f.skip -= min(f.skip, p.GetRows())
		return nil
	}
	root, err := rootOf(p)
	if err != nil {
		return err
	}
	return f.node(ctx, root, int(p.GetLevels())-1)
}

// rootOf a part's tree, which has one.
func rootOf(p *snapshotv1.Part) (root entry, err error) {
	if root.at, err = fromLocation(p.GetRoot()); err != nil {
		return entry{}, err
	}
	if len(p.GetName()) != nameBytes || p.GetLevels() == 0 || p.GetLevels() > maxLevels {
		return entry{}, damagedf("a part without a root")
	}
	root.name, root.rows, root.bytes = Name(p.GetName()), p.GetRows(), p.GetBytes()
	return root, nil
}

// node reads what is below a node, but for what is to be left out.
func (f *from) node(ctx context.Context, at entry, level int) error {
	children, err := f.reader.node(ctx, nil, at.at, at.name, level)
	if err != nil {
		return err
	}
	var rows, bytes uint64
	for _, c := range children {
		rows, bytes = rows+c.rows, bytes+c.bytes
	}
	if rows != at.rows || bytes != at.bytes {
		return damagedf("a node of %d rows, %d bytes instead of %d, %d", rows, bytes, at.rows, at.bytes)
	}
	for len(children) > 0 && children[0].rows <= f.skip {
		f.skip -= children[0].rows
		children = children[1:]
	}
	if level == 0 {
		return f.chunks(ctx, children)
	}
	for _, c := range children {
		if err := f.node(ctx, c, level-1); err != nil {
			return err
		}
	}
	return nil
}

func (f *from) chunks(ctx context.Context, children []entry) error {
	for len(children) > 0 {
		some := children[:min(f.ahead, len(children))]
		children = children[len(some):]
		f.ahead = min(2*f.ahead, chunksRead)
		ahead, err := f.reader.ahead(ctx, places(some))
		if err != nil {
			return err
		}
		for _, c := range some {
			lines, err := f.chunk(ctx, ahead, c)
			if err != nil {
				return err
			}
			if err := f.lines(lines, c.rows); err != nil {
				return err
			}
		}
	}
	return nil
}

// lines gives a chunk's rows, but for those that are still to be left out.
func (f *from) lines(lines []byte, rows uint64) error {
	ends := chunkOf(lines).ends
	if uint64(len(ends)) != rows {
		return damagedf("a chunk of %d rows instead of %d", len(ends), rows)
	}
	begin := uint32(0)
	for _, end := range ends {
		line := lines[begin:end]
		begin = end
		if f.skip > 0 {
			f.skip--
			continue
		}
		if err := f.each(line); err != nil {
			return err
		}
	}
	return nil
}
