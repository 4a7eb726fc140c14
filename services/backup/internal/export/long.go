package export

import (
	"archive/zip"
	"strconv"

	engine "kontor.internal/snapshot"
)

// longColumns say where a text belongs: the workbook's path, the sheet's row, and the column.
var longColumns = []string{"workbook", "row", "column", "text"}

// longTexts writes the texts of a table that were cut off whole into a CSV file beside its workbooks, of which the first is
// given. It reads the table again: within the first reading they could be kept nowhere.
func (b *bundling) longTexts(t engine.TableContents, first int) error {
	books := b.manifest.Files[first:]
	var cut int64
	for _, book := range books {
		cut += book.CutCells
	}
	if cut == 0 {
		return nil
	}
	f, err := b.open(t, longColumns, ".long.csv", zip.Deflate)
	if err != nil {
		return err
	}
	if f.sheet, err = newCSV(f.to, longColumns); err != nil {
		return err
	}
	for i := range books {
		if books[i].CutCells > 0 {
			books[i].LongTexts = f.entry.Path
		}
	}
	book, row := 0, int64(0)
	err = b.lines(t, func(line []byte) error {
		if row == books[book].Rows {
			book, row = book+1, 0
		}
		row++
		return f.addLong(books[book].Path, row+1, t.Columns, engine.Fields(line)) // Behind the header.
	})
	if err != nil {
		return err
	}
	f.entry.KeyColumns = []string{}
	return b.end(f)
}

func (f *file) addLong(book string, row int64, columns []string, values []*string) error {
	for i, v := range values {
		if v == nil || exact(*v) || len(cutText(*v)) == len(*v) {
			continue
		}
		at := strconv.FormatInt(row, 10)
		if _, err := f.sheet.add([]*string{&book, &at, &columns[i], v}); err != nil {
			return err
		}
		f.entry.Rows++
	}
	return nil
}
