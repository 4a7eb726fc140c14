package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	snapshotv1 "kontor.internal/proto/gen/go/kontor/snapshot/v1"
)

// File is one that a company has beside its database. It never changes.
type File struct {
	// Name that no other of the company's files has.
	Name string
	// Size in bytes.
	Size int64
	// SHA256 of its bytes, 32.
	SHA256 []byte
	// ContentType, as in MIME.
	ContentType string
	// Time when it came.
	Time time.Time
	// About is what its source says of it, in a form of its own.
	About string
}

// Files are where a company's files come from. What fails there keeps no database from being copied.
type Files interface {
	// List gives the files that came after a place, in an order in which none comes later before another, each with the place behind it;
	// an empty place is before the first. ErrPlaceLost says that the place is unknown: then all are copied anew.
	List(ctx context.Context, after string, each func(f File, place string) error) error
	// Open gives a file's bytes. ErrFileLost says that they are gone for good.
	Open(ctx context.Context, f File) (io.ReadCloser, error)
}

// ErrPlaceLost says that a source of files does not know a place.
var ErrPlaceLost = errors.New("snapshot: the source of files does not know this place")

// ErrFileLost says that a file's bytes are not, and will not be, those that its source announced. It is listed without them, and keeps
// no other from being copied.
var ErrFileLost = errors.New("snapshot: the file's bytes are lost")

// fileLimit is how long what a source says of a file may be, in bytes.
const fileLimit = 64 << 10

// lostPieces stands for how many rows a file has whose bytes are lost.
const lostPieces = -1

// filePiece is how many bytes of a file stand in a row.
const filePiece = 32 << 10

// The tables of files; a database's have schemas.
func fileList() *table {
	return &table{name: "files", keys: 1, columns: []column{
		{"number", ""}, {"name", ""}, {"size", ""}, {"sha256", ""}, {"content_type", ""}, {"time", ""}, {"about", ""}, {"first", ""}, {"pieces", ""},
	}}
}

func fileContents() *table {
	return &table{name: "contents", keys: 2, columns: []column{{"number", ""}, {"piece", ""}, {"data", ""}}}
}

// filesTables are the tables of a snapshot's files.
func filesTables(m *snapshotv1.Manifest) []*snapshotv1.Table {
	if m.GetFiles() == nil {
		return nil
	}
	return []*snapshotv1.Table{m.GetFiles().GetList(), m.GetFiles().GetContents()}
}

// filed is what became of files.
type filed struct {
	parts  []*part
	added  int64
	failed error
}

// keep puts what was noted of the parts in its place.
func (f *filed) keep() {
	for _, p := range f.parts {
		p.note.keep()
	}
}

// drop removes what was noted, unless it was kept.
func (f *filed) drop() {
	for _, p := range f.parts {
		p.memory.close()
		p.note.drop()
	}
}

// storeFiles takes over the files of the snapshot before and adds those that came since. Where their source fails, those of the
// snapshot before stay; only what fails on the way into the repository fails the snapshot.
func (m *maker) storeFiles(ctx context.Context, manifest *snapshotv1.Manifest) error {
	manifest.Files = m.previous.GetFiles()
	if m.Files == nil {
		return nil
	}
	made, parts, added, err := m.addFiles(ctx, m.previous.GetFiles())
	if errors.Is(err, ErrPlaceLost) && m.previous.GetFiles() != nil {
		drop(parts)
		made, parts, added, err = m.addFiles(ctx, nil)
	}
	var source *sourceError
	switch {
	case err == nil:
		manifest.Files, m.files.parts, m.files.added = made, parts, added
		return nil
	case errors.As(err, &source) && ctx.Err() == nil:
		drop(parts) // What was written of them goes with a collection.
		m.files.failed = source.err
		return nil
	}
	m.files.parts = parts
	return err
}

func drop(parts []*part) { (&filed{parts: parts}).drop() }

// sourceError is a failure of where files come from.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return "snapshot: files: " + e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// addFiles adds what came since to the files that a snapshot before had; nil for none.
func (m *maker) addFiles(ctx context.Context, before *snapshotv1.Files) (made *snapshotv1.Files, parts []*part, added int64, err error) {
	a := &adding{m: m, ctx: ctx, before: before, place: before.GetCursor()}
	err = m.Files.List(ctx, before.GetCursor(), func(f File, place string) error {
		a.inner = a.add(f, place)
		return a.inner
	})
	if err != nil && a.inner == nil {
		err = &sourceError{err} // Not ours that came back through it.
	} else {
		err = a.inner
	}
	if err == nil {
		made, err = a.finish()
	}
	return made, a.parts, a.added, err
}

// adding is files on their way into a snapshot.
type adding struct {
	m              *maker
	ctx            context.Context //nolint:containedctx // Lives as long as the listing of files.
	before         *snapshotv1.Files
	list, contents *growing
	parts          []*part
	place          string
	added, lost    int64
	inner          error // of add
	buffer, line   []byte
}

// add copies one file. Its row follows its contents, so a row has all of them.
func (a *adding) add(f File, place string) (err error) {
	if len(f.Name)+len(f.ContentType)+len(f.About)+len(place) > fileLimit || len(f.SHA256) != sha256.Size || f.Size < 0 {
		return &sourceError{fmt.Errorf("file %.200q is not described as files are", f.Name)}
	}
	if a.list == nil {
		if err := a.open(); err != nil {
			return err
		}
	}
	number, first := a.list.rows()+1, a.contents.rows()
	pieces, err := a.copy(f, number)
	switch {
	case errors.Is(err, ErrFileLost):
		pieces = lostPieces
		a.lost++
	case err != nil:
		return err
	}
	a.line = a.line[:0]
	for i, field := range []string{
		strconv.FormatUint(number, 10), f.Name, strconv.FormatInt(f.Size, 10), hex.EncodeToString(f.SHA256), f.ContentType,
		f.Time.UTC().Format(time.RFC3339Nano), f.About, strconv.FormatUint(first, 10), strconv.FormatInt(pieces, 10),
	} {
		a.line = append(escape(a.line, []byte(field)), separator(i, len(fileList().columns)))
	}
	if _, err := a.list.cut.Write(a.line); err != nil {
		return err
	}
	a.place = place
	a.added++
	return nil
}

func separator(i, count int) byte {
	if i+1 == count {
		return '\n'
	}
	return '\t'
}

// copy copies a file's bytes, which must be those that were announced.
func (a *adding) copy(f File, number uint64) (pieces int64, err error) {
	from, err := a.m.Files.Open(a.ctx, f)
	if errors.Is(err, ErrFileLost) {
		return 0, err
	}
	if err != nil {
		return 0, &sourceError{err}
	}
	defer func() {
		if closed := from.Close(); closed != nil && err == nil {
			err = &sourceError{closed}
		}
	}()
	if a.buffer == nil {
		a.buffer = make([]byte, filePiece)
	}
	hash, size := sha256.New(), int64(0)
	for {
		n, err := io.ReadFull(from, a.buffer)
		end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		switch {
		case errors.Is(err, ErrFileLost):
			return 0, err
		case err != nil && !end:
			return 0, &sourceError{err}
		}
		if n > 0 {
			hash.Write(a.buffer[:n])
			if size += int64(n); size > f.Size {
				break
			}
			a.line = append(strconv.AppendUint(a.line[:0], number, 10), '\t')
			a.line = append(strconv.AppendInt(a.line, pieces, 10), '\t')
			a.line = append(escape(a.line, a.buffer[:n]), '\n')
			if _, err := a.contents.cut.Write(a.line); err != nil {
				return 0, err
			}
			pieces++
		}
		if end {
			break
		}
	}
	if size != f.Size || string(hash.Sum(nil)) != string(f.SHA256) {
		return 0, fmt.Errorf("%w: %s is not what its source says of it", ErrFileLost, f.Name)
	}
	return pieces, nil
}

// open begins both tables with what the snapshot before had.
func (a *adding) open() (err error) {
	if a.contents, err = a.grow(fileContents(), a.before.GetContents()); err == nil {
		a.list, err = a.grow(fileList(), a.before.GetList())
	}
	return err
}

// growing is a table that rows are added to.
type growing struct {
	made *snapshotv1.Table // with the parts that stay as they are
	part *part
	s    *storing
	cut  *cutter
}

// rows that the table has so far.
func (g *growing) rows() uint64 {
	return g.made.GetRows() + g.s.rowsSeen + uint64(len(g.cut.open.ends))
}

// grow takes over a table of the snapshot before. Its last part is opened again unless it is full; its chunks are not read.
func (a *adding) grow(t *table, before *snapshotv1.Table) (*growing, error) {
	g := &growing{
		made: &snapshotv1.Table{Relation: t.relation(), Columns: t.columnNames(), KeyColumns: uint32(t.keys)}, part: &part{plan: &plan{table: t}},
	}
	kept := before.GetParts()
	if n := len(kept); n > 0 && kept[n-1].GetBytes() < partBytes {
		g.part.before, g.part.from = kept[n-1], kept[n-1].GetFrom()
		kept = kept[:n-1]
	} else if n > 0 {
		g.part.from = []string{strconv.FormatUint(a.before.GetList().GetRows()+1, 10)}
	}
	for _, p := range kept {
		g.made.Parts, g.made.Rows, g.made.Bytes = append(g.made.Parts, p), g.made.GetRows()+p.GetRows(), g.made.GetBytes()+p.GetBytes()
	}
	a.parts = append(a.parts, g.part)
	if err := a.m.recall(a.ctx, g.part); err != nil {
		return nil, err
	}
	if a.m.Cache != "" {
		var err error
		if g.part.note, err = note(a.m.cacheOf(t.relation(), g.part.from)); err != nil {
			return nil, err
		}
	}
	g.s = &storing{maker: a.m, ctx: a.ctx, part: g.part}
	g.s.grower.save = g.s.saveNode
	g.s.marker.begin(nil, true)
	if g.part.memory != nil {
		for _, c := range g.part.memory.chunks {
			if err := g.s.add(c, &c); err != nil {
				return nil, err
			}
		}
	}
	g.cut = &cutter{seed: a.m.naming.cut, keys: t.keys, emit: g.s.chunk}
	return g, nil
}

// finish is the files as they are now.
func (a *adding) finish() (*snapshotv1.Files, error) {
	made := &snapshotv1.Files{Cursor: a.place, Moment: timestamppb.New(a.m.Moment), Lost: a.before.GetLost() + uint64(a.lost)}
	if a.list == nil {
		made.List, made.Contents = a.before.GetList(), a.before.GetContents()
		return made, nil
	}
	for _, g := range []*growing{a.contents, a.list} {
		if err := g.cut.close(); err != nil {
			return nil, err
		}
		g.s.marker.marks = nil // They are for ranges that may change.
		if err := g.s.finish(); err != nil {
			return nil, err
		}
		r := g.part.result
		g.made.Parts, g.made.Rows, g.made.Bytes = append(g.made.Parts, r), g.made.GetRows()+r.GetRows(), g.made.GetBytes()+r.GetBytes()
	}
	made.List, made.Contents = a.list.made, a.contents.made
	return made, nil
}

// escape writes a value as COPY's text format does.
func escape(room, value []byte) []byte {
	for _, b := range value {
		switch b {
		case '\\':
			room = append(room, '\\', '\\')
		case '\b':
			room = append(room, '\\', 'b')
		case '\f':
			room = append(room, '\\', 'f')
		case '\n':
			room = append(room, '\\', 'n')
		case '\r':
			room = append(room, '\\', 'r')
		case '\t':
			room = append(room, '\\', 't')
		case '\v':
			room = append(room, '\\', 'v')
		default:
			room = append(room, b)
		}
	}
	return room
}

// FiledFile is a file in a snapshot.
type FiledFile struct {
	File
	// Number of the file, from 1.
	Number int64
	// Lost says that its bytes could not be copied.
	Lost   bool
	first  int64
	pieces int64
}

// OpenedFiles are a snapshot's files.
type OpenedFiles struct {
	// Count of them.
	Count int64
	// Moment up to which they were copied; zero without any.
	Moment time.Time
	reader *reader
	files  *snapshotv1.Files
}

// ErrNoFile says that a snapshot has no such file.
var ErrNoFile = errors.New("snapshot: no such file")

// OpenFiles opens the files of a snapshot. head may be nil.
func OpenFiles(ctx context.Context, repo Repository, ref Ref, head *Head) (*OpenedFiles, error) {
	r, err := repo.reader()
	if err != nil {
		return nil, err
	}
	m, err := r.readManifest(ctx, ref, head)
	if err != nil {
		return nil, err
	}
	f := &OpenedFiles{reader: r, files: &snapshotv1.Files{}}
	if m.GetFiles() != nil {
		f.files = proto.CloneOf(m.GetFiles())
		f.Count, f.Moment = int64(f.files.GetList().GetRows()), f.files.GetMoment().AsTime()
	}
	return f, nil
}

// List gives the files from the nth on, counted from 0. What lies before is not read. Whoever wants no more returns an error.
func (o *OpenedFiles) List(ctx context.Context, n int64, each func(f FiledFile) error) error {
	list := &OpenedTable{reader: o.reader, table: o.files.GetList()}
	return list.LinesFrom(ctx, n, func(line []byte) error {
		f, err := parseFile(line)
		if err != nil {
			return err
		}
		return each(f)
	})
}

// errFound ends a search.
var errFound = errors.New("found")

// Find looks for a file by its name. ErrNoFile.
func (o *OpenedFiles) Find(ctx context.Context, name string) (found FiledFile, err error) {
	err = o.List(ctx, 0, func(f FiledFile) error {
		if f.Name == name {
			found = f
			return errFound
		}
		return nil
	})
	switch {
	case errors.Is(err, errFound):
		return found, nil
	case err == nil:
		err = fmt.Errorf("%w: %s", ErrNoFile, name)
	}
	return found, err
}

// Read gives a file's bytes in pieces, valid until each returns, and fails unless they are those that were copied. ErrFileLost.
func (o *OpenedFiles) Read(ctx context.Context, f FiledFile, each func(piece []byte) error) error {
	if f.Lost {
		return fmt.Errorf("%w: %s", ErrFileLost, f.Name)
	}
	hash, size, number := sha256.New(), int64(0), strconv.FormatInt(f.Number, 10)
	contents := &OpenedTable{reader: o.reader, table: o.files.GetContents()}
	left := f.pieces
	if left > 0 {
		err := contents.LinesFrom(ctx, f.first, func(line []byte) error {
			fields := Fields(line)
			if len(fields) != len(fileContents().columns) || fields[2] == nil || *fields[0] != number || *fields[1] != strconv.FormatInt(f.pieces-left, 10) {
				return damagedf("a piece of another file")
			}
			piece := []byte(*fields[2])
			hash.Write(piece)
			size += int64(len(piece))
			if err := each(piece); err != nil {
				return err
			}
			if left--; left == 0 {
				return errFound
			}
			return nil
		})
		switch {
		case err == nil:
			return damagedf("file %q ends too early", f.Name)
		case !errors.Is(err, errFound):
			return err
		}
	}
	if size != f.Size || string(hash.Sum(nil)) != string(f.SHA256) {
		return damagedf("file %q has other bytes than were copied", f.Name)
	}
	return nil
}

func parseFile(line []byte) (f FiledFile, err error) {
	fields := Fields(line)
	if len(fields) != len(fileList().columns) {
		return f, damagedf("a file of %d fields", len(fields))
	}
	values := make([]string, len(fields))
	for i, v := range fields {
		if v == nil {
			return f, damagedf("a file without a field")
		}
		values[i] = *v
	}
	f.Name, f.ContentType, f.About = values[1], values[4], values[6]
	numbers := []*int64{0: &f.Number, 2: &f.Size, 7: &f.first, 8: &f.pieces}
	for i, to := range numbers {
		if to == nil {
			continue
		}
		if *to, err = strconv.ParseInt(values[i], 10, 64); err != nil || *to < 0 && to != &f.pieces || *to < lostPieces {
			return f, damagedf("a file whose field %d is no number", i)
		}
	}
	f.Lost = f.pieces == lostPieces
	if f.SHA256, err = hex.DecodeString(values[3]); err != nil {
		return f, damagedf("a file without a sum")
	}
	if f.Time, err = time.Parse(time.RFC3339Nano, values[5]); err != nil {
		return f, damagedf("a file without a time")
	}
	return f, nil
}
