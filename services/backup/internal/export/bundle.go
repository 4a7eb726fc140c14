package export

import (
	"archive/zip"
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
	engine "kontor.internal/snapshot"
)

// source is where rows come from.
type source struct {
	tables []engine.TableContents
	// lines gives a table's rows as lines of COPY's text format. It may be asked twice.
	lines func(t engine.TableContents, each func(line []byte) error) error
	// progress hears of bytes of lines.
	progress func(done, total int64)
}

// option is what formats differ in.
type option struct {
	ending string
	method uint16
	// begin writes a file's beginning.
	begin func(to io.Writer, columns []string) (sheet, error)
}

// sheet takes a file's rows.
type sheet interface {
	// add says how many values were cut off.
	add(values []*string) (cut int, err error)
	// full says that the next row belongs into another file.
	full() bool
	// close ends the file; its destination stays open.
	close() error
}

var options = map[backupv1.ExportFormat]option{
	csv:   {ending: ".csv", method: zip.Deflate, begin: newCSV},
	excel: {ending: ".xlsx", method: zip.Store, begin: newWorkbook(sheetRows, sheetBytes)}, // A workbook is compressed in itself.
}

// bundling is a zip being written. Nothing is kept but what the manifest says.
type bundling struct {
	source
	option
	zip      *zip.Writer
	paths    *paths
	manifest manifest
	done     int64
	total    int64
}

// bundle writes a zip of all tables.
func bundle(to io.Writer, about manifest, from source, how option) error {
	b := &bundling{source: from, option: how, zip: zip.NewWriter(to), paths: newPaths(), manifest: about}
	b.paths.taken["manifest.json"] = true
	for _, t := range from.tables {
		b.total += t.Bytes
	}
	for _, t := range from.tables {
		if err := b.table(t); err != nil {
			return err
		}
	}
	if err := writeManifest(b.zip, b.manifest); err != nil {
		return err
	}
	return b.zip.Close()
}

// table writes one table's files.
func (b *bundling) table(t engine.TableContents) error {
	first := len(b.manifest.Files)
	f, err := b.begin(t, 1)
	if err != nil {
		return err
	}
	number := 1
	err = b.lines(t, func(line []byte) error {
		if f.sheet.full() {
			if err := b.end(f); err != nil {
				return err
			}
			number++
			if f, err = b.begin(t, number); err != nil {
				return err
			}
		}
		return b.add(f, t, line)
	})
	if err != nil {
		return err
	}
	if err := b.end(f); err != nil {
		return err
	}
	return b.longTexts(t, first)
}

func (b *bundling) add(f *file, t engine.TableContents, line []byte) error {
	if b.done += int64(len(line)); f.entry.Rows%256 == 0 {
		b.progress(min(b.done, b.total), b.total)
	}
	cut, err := f.sheet.add(valuesOf(t, line))
	f.entry.Rows++
	f.entry.CutCells += int64(cut)
	return err
}

// valuesOf are a row's values; a table without columns has rows of none.
func valuesOf(t engine.TableContents, line []byte) []*string {
	if len(t.Columns) == 0 {
		return nil
	}
	return engine.Fields(line)
}

// file is one being written.
type file struct {
	entry fileEntry
	sheet sheet
	to    *counting
}

// begin begins a table's file of a number.
func (b *bundling) begin(t engine.TableContents, number int) (*file, error) {
	ending := b.ending
	if number > 1 {
		ending = fmt.Sprintf("-%d%s", number, ending)
	}
	f, err := b.open(t, t.Columns, ending, b.method)
	if err == nil {
		f.sheet, err = b.option.begin(f.to, t.Columns)
	}
	return f, err
}

func (b *bundling) open(t engine.TableContents, columns []string, ending string, method uint16) (*file, error) {
	path := b.paths.file(t.Schema, t.Name, ending)
	entry, err := b.zip.CreateHeader(&zip.FileHeader{Name: path, Method: method, Modified: b.manifest.Moment})
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return &file{
		entry: fileEntry{Path: path, Schema: t.Schema, Table: t.Name, Columns: notNil(columns), KeyColumns: notNil(t.Columns[:t.KeyColumns])},
		to:    newCounting(entry),
	}, nil
}

func notNil(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}

func (b *bundling) end(f *file) error {
	if err := f.sheet.close(); err != nil {
		return err
	}
	if err := f.to.out.Flush(); err != nil {
		return err
	}
	f.entry.Bytes, f.entry.SHA256 = f.to.bytes, hex.EncodeToString(f.to.sum.Sum(nil))
	b.manifest.Files = append(b.manifest.Files, f.entry)
	return nil
}

// counting is a buffered file of a zip that knows its size and hash.
type counting struct {
	out   *bufio.Writer
	entry io.Writer
	sum   hash.Hash
	bytes int64
}

func newCounting(entry io.Writer) *counting {
	c := &counting{entry: entry, sum: sha256.New()}
	c.out = bufio.NewWriterSize(passing{c}, 64<<10)
	return c
}

func (c *counting) Write(p []byte) (int, error) { return c.out.Write(p) }

// passing is behind the buffer.
type passing struct{ *counting }

func (p passing) Write(b []byte) (int, error) {
	n, err := p.entry.Write(b)
	p.bytes += int64(n)
	_, _ = p.sum.Write(b[:n]) // It never fails.
	return n, err
}
