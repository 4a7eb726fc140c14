package snapshot

import (
	"bytes"
	"context"
	"slices"

	snapshotv1 "kontor.internal/proto/gen/go/kontor/snapshot/v1"
)

// Difference is how one table differs between two snapshots.
type Difference struct {
	// Schema and Name of the table.
	Schema, Name string
	// Fate of the table itself.
	Fate Fate
	// ColumnsChanged says that its columns or its key are others; rows are then counted, not compared.
	ColumnsChanged bool
	// RowsBefore and RowsAfter in it.
	RowsBefore, RowsAfter int64
	// Added, Removed and Changed rows, by key; of a table without one whole rows are added and removed.
	Added, Removed, Changed int64
	// Samples of them, so many of each as were asked for.
	Samples []Sample
}

// Fate is what became of a table or a row.
type Fate int

// What became of it from one snapshot to the other.
const (
	FateChanged Fate = iota + 1
	FateAdded
	FateRemoved
)

// Sample is a row that differs.
type Sample struct {
	Fate Fate
	// Before and After are its line in each snapshot, without the newline; empty where it is missing.
	Before, After string
}

// CompareOrder says what to compare.
type CompareOrder struct {
	// Before and After are two snapshots of a repository.
	Before, After Ref
	// BeforeHead and AfterHead that their manifests must have; nil when they are not known.
	BeforeHead, AfterHead *Head
	// Samples of each fate that are shown of each table.
	Samples int
}

// Compare tells the tables that differ between two snapshots. Chunks that both have are not read: what is read is about as
// much as what changed. Large objects are not compared.
func Compare(ctx context.Context, repo Repository, o CompareOrder) ([]Difference, error) {
	r, err := repo.reader()
	if err != nil {
		return nil, err
	}
	before, err := r.readManifest(ctx, o.Before, o.BeforeHead)
	if err != nil {
		return nil, err
	}
	after, err := r.readManifest(ctx, o.After, o.AfterHead)
	if err != nil {
		return nil, err
	}
	var all []Difference
	for _, t := range before.GetTables() {
		d, err := r.compareTables(ctx, t, tableIn(after, t.GetRelation().GetSchema(), t.GetRelation().GetName()), o.Samples)
		if err != nil {
			return nil, err
		}
		if d != nil {
			all = append(all, *d)
		}
	}
	for _, t := range after.GetTables() {
		if tableIn(before, t.GetRelation().GetSchema(), t.GetRelation().GetName()) == nil {
			all = append(all, Difference{
				Schema: t.GetRelation().GetSchema(), Name: t.GetRelation().GetName(), Fate: FateAdded, RowsAfter: int64(t.GetRows()), Added: int64(t.GetRows()),
			})
		}
	}
	return all, nil
}

// compareTables is nil when both have the same rows.
func (r *reader) compareTables(ctx context.Context, before, after *snapshotv1.Table, samples int) (*Difference, error) {
	d := &Difference{
		Schema: before.GetRelation().GetSchema(), Name: before.GetRelation().GetName(), Fate: FateChanged,
		RowsBefore: int64(before.GetRows()), RowsAfter: int64(after.GetRows()),
	}
	if after == nil {
		d.Fate, d.Removed = FateRemoved, d.RowsBefore
		return d, nil
	}
	if !slices.Equal(before.GetColumns(), after.GetColumns()) || before.GetKeyColumns() != after.GetKeyColumns() {
		d.ColumnsChanged = true
		return d, nil
	}
	c := &comparing{reader: r, ctx: ctx, keys: int(before.GetKeyColumns()), limit: samples, to: d}
	old, err := c.entries(before)
	if err != nil {
		return nil, err
	}
	now, err := c.entries(after)
	if err != nil {
		return nil, err
	}
	if c.keys == 0 { // Equal rows may lie on both sides of where a chunk begins.
		old, now = apart(old, now)
		err = c.region(old, now)
	} else {
		err = c.regions(old, now)
	}
	if err != nil {
		return nil, err
	}
	if d.Added+d.Removed+d.Changed == 0 {
		return nil, nil //nolint:nilnil // Nothing differs.
	}
	return d, nil
}

// comparing compares two versions of a table.
type comparing struct {
	*reader
	ctx   context.Context //nolint:containedctx // Lives as long as one comparison.
	keys  int
	limit int
	to    *Difference
}

// entries of a table's chunks, in order.
func (c *comparing) entries(t *snapshotv1.Table) (all []entry, err error) {
	for _, p := range t.GetParts() {
		err := c.leaves(c.ctx, p, func(Name, location) {}, func(chunks []entry) error {
			all = append(all, chunks...)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// apart leaves out the chunks that both have, each as often as both have it.
func apart(old, now []entry) (gone, come []entry) {
	count := map[Name]int{}
	for _, e := range now {
		count[e.name]++
	}
	for _, e := range old {
		if count[e.name]--; count[e.name] < 0 {
			gone = append(gone, e)
		}
	}
	for _, e := range slices.Backward(now) {
		if count[e.name]--; count[e.name] >= 0 {
			come = append(come, e)
		}
	}
	return gone, come
}

// regions compares what lies between keys at which both versions begin a chunk: rows of the same key lie in the same region.
func (c *comparing) regions(old, now []entry) error {
	at := make(map[uint64]int, len(now))
	for i, e := range slices.Backward(now) {
		at[e.start] = i
	}
	begin, from := 0, 0 // of the region that is open, in old and now
	for i := 1; i <= len(old); i++ {
		end := len(now)
		if i < len(old) {
			found, ok := at[old[i].start]
			if !ok || found < from {
				continue
			}
			end = found
		}
		if err := c.region(old[begin:i], now[from:end]); err != nil {
			return err
		}
		begin, from = i, end
	}
	if len(old) == 0 {
		return c.region(nil, now)
	}
	return nil
}

func (c *comparing) region(old, now []entry) error {
	if slices.EqualFunc(old, now, func(a, b entry) bool { return a.name == b.name }) {
		return nil
	}
	before, err := c.rows(old)
	if err != nil {
		return err
	}
	after, err := c.rows(now)
	if err != nil {
		return err
	}
	if c.keys == 0 {
		c.whole(before, after)
		return nil
	}
	rest := make(map[string][]byte, len(after))
	for _, line := range after {
		rest[string(keyOf(line, c.keys))] = line
	}
	for _, line := range before {
		key := string(keyOf(line, c.keys))
		match, ok := rest[key]
		delete(rest, key)
		switch {
		case !ok:
			c.note(FateRemoved, line, nil)
		case !bytes.Equal(line, match):
			c.note(FateChanged, line, match)
		}
	}
	for _, line := range after { // In order, not in the map's.
		if _, ok := rest[string(keyOf(line, c.keys))]; ok {
			c.note(FateAdded, nil, line)
		}
	}
	return nil
}

// whole compares rows without a key, each as often as it is there.
func (c *comparing) whole(before, after [][]byte) {
	count := map[string]int{}
	for _, line := range before {
		count[string(line)]++
	}
	for _, line := range after {
		if count[string(line)]--; count[string(line)] < 0 {
			c.note(FateAdded, nil, line)
		}
	}
	for _, line := range before {
		if count[string(line)] > 0 {
			count[string(line)]--
			c.note(FateRemoved, line, nil)
		}
	}
}

func (c *comparing) rows(chunks []entry) (rows [][]byte, err error) {
	ahead, err := c.ahead(c.ctx, places(chunks))
	if err != nil {
		return nil, err
	}
	for _, e := range chunks {
		lines, err := c.chunk(c.ctx, ahead, e)
		if err != nil {
			return nil, err
		}
		begin := uint32(0)
		for _, end := range chunkOf(lines).ends {
			rows = append(rows, lines[begin:end])
			begin = end
		}
	}
	return rows, nil
}

func (c *comparing) note(fate Fate, before, after []byte) {
	counter := map[Fate]*int64{FateAdded: &c.to.Added, FateRemoved: &c.to.Removed, FateChanged: &c.to.Changed}[fate]
	*counter++
	if *counter <= int64(c.limit) {
		c.to.Samples = append(c.to.Samples, Sample{fate, string(bytes.TrimSuffix(before, []byte{'\n'})), string(bytes.TrimSuffix(after, []byte{'\n'}))})
	}
}
