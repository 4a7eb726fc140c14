package export

import (
	"archive/zip"
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// cellUnits is how many UTF-16 units Excel takes in a cell.
const cellUnits = 32767

// workbook is an Excel file (ECMA-376, Office Open XML) with one sheet, written as rows come: libraries gather a sheet in memory, or
// in clear in a file beside. Texts stand in their cells, marked as texts, so that none is a formula.
type workbook struct {
	zip     *zip.Writer
	out     *bufio.Writer
	columns []string // A, B, C …
	row     int64
	bytes   int64
	most    limits
}

// limits of a sheet: rows without the header, and bytes of XML.
type limits struct{ rows, bytes int64 }

const (
	// sheetRows is under Excel's own limit, 1,048,576.
	sheetRows = 1_000_000
	// sheetBytes leaves room for the longest row under 4 GiB, from which on not every program reads a sheet.
	sheetBytes = 2 << 30
)

// The parts around the sheet. Styles: 0 plain, 1 a whole number that Excel would show as 1E+12, 2 the header.
var workbookParts = []struct{ name, content string }{
	{"[Content_Types].xml", `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">` +
		`<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>` +
		`<Default Extension="xml" ContentType="application/xml"/>` +
		`<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>` +
		`<Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/>` +
		`<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>`},
	{"_rels/.rels", `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` +
		`<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>`},
	{"xl/workbook.xml", `<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" ` +
		`xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>`},
	{"xl/_rels/workbook.xml.rels", `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` +
		`<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>` +
		`<Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/></Relationships>`},
	{"xl/styles.xml", `<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">` +
		`<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font></fonts>` +
		`<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>` +
		`<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>` +
		`<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>` +
		`<cellXfs count="3"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>` +
		`<xf numFmtId="1" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>` +
		`<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/></cellXfs></styleSheet>`},
}

const (
	xmlHeader = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n"
	sheetHead = xmlHeader + `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetViews><sheetView workbookViewId="0">` +
		`<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>`
	sheetEnd = `</sheetData></worksheet>`

	plain, wide, bold = 0, 1, 2
)

// newWorkbook begins workbooks of so many rows and bytes.
func newWorkbook(rows, bytes int64) func(to io.Writer, columns []string) (sheet, error) {
	return func(to io.Writer, columns []string) (sheet, error) {
		w := &workbook{zip: zip.NewWriter(to), most: limits{rows, bytes}}
		return w, w.open(columns)
	}
}

func (w *workbook) open(columns []string) error {
	for i := range columns {
		w.columns = append(w.columns, columnName(i))
	}
	for _, part := range workbookParts {
		entry, err := w.zip.Create(part.name)
		if err == nil {
			_, err = io.WriteString(entry, xmlHeader+part.content)
		}
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
	entry, err := w.zip.Create("xl/worksheets/sheet1.xml")
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	w.out = bufio.NewWriterSize(entry, 64<<10)
	w.print(sheetHead)
	w.begin()
	for i, name := range columns {
		w.text(i, name, bold)
	}
	return w.end()
}

// columnName is A for 0, Z for 25, AA for 26.
func columnName(i int) string {
	if i < 26 {
		return string(rune('A' + i))
	}
	return columnName(i/26-1) + columnName(i%26)
}

// print leaves an error to the buffer, which keeps it.
func (w *workbook) print(parts ...string) {
	for _, p := range parts {
		n, _ := w.out.WriteString(p)
		w.bytes += int64(n)
	}
}

func (w *workbook) begin() {
	w.row++
	w.print(`<row r="`, strconv.FormatInt(w.row, 10), `">`)
}

func (w *workbook) end() error {
	_, err := w.out.WriteString("</row>")
	return err
}

func (w *workbook) add(values []*string) (cut int, err error) {
	w.begin()
	for i, v := range values {
		switch {
		case v == nil: // No cell at all.
		case exact(*v):
			w.number(i, *v)
		default:
			cut += w.text(i, *v, plain)
		}
	}
	return cut, w.end()
}

func (w *workbook) cell(column, style int, kind string) {
	w.print(`<c r="`, w.columns[column], strconv.FormatInt(w.row, 10), `"`)
	if style != plain {
		w.print(` s="`, strconv.Itoa(style), `"`)
	}
	w.print(kind, `>`)
}

// generalDigits is how many digits of a whole number Excel shows by itself.
const generalDigits = 11

func (w *workbook) number(column int, v string) {
	style := plain
	if len(v) > generalDigits && !strings.Contains(v, ".") {
		style = wide
	}
	w.cell(column, style, "")
	w.print(`<v>`, v, `</v></c>`)
}

func (w *workbook) text(column int, v string, style int) (cut int) {
	short := cutText(v)
	w.cell(column, style, ` t="inlineStr"`)
	w.print(`<is><t xml:space="preserve">`)
	w.escape(short)
	w.print(`</t></is></c>`)
	if len(short) < len(v) {
		return 1
	}
	return 0
}

// cutText is as much of a text as goes into a cell.
func cutText(v string) string {
	if len(v) <= cellUnits {
		return v
	}
	units := 0
	for i, r := range v {
		if units++; r > 0xFFFF {
			units++
		}
		if units > cellUnits {
			return v[:i]
		}
	}
	return v
}

// escaped is how Excel writes what XML can't (ECMA-376 part 1, ST_Xstring); a text that looks so is escaped itself.
var escaped = regexp.MustCompile(`^_x[0-9A-Fa-f]{4}_`)

func (w *workbook) escape(v string) {
	for i, r := range v {
		switch {
		case r == '&':
			w.print("&amp;")
		case r == '<':
			w.print("&lt;")
		case r == '>':
			w.print("&gt;")
		case r < ' ' && r != '\t' && r != '\n', r == 0xFFFE, r == 0xFFFF:
			w.print(fmt.Sprintf("_x%04X_", r))
		case r == '_' && len(v) >= i+7 && escaped.MatchString(v[i:i+7]):
			w.print("_x005F_")
		default:
			n, _ := w.out.WriteRune(r) // utf8.RuneError for bytes that are no text.
			w.bytes += int64(n)
		}
	}
}

func (w *workbook) full() bool { return w.row > w.most.rows || w.bytes >= w.most.bytes }

func (w *workbook) close() error {
	w.print(sheetEnd)
	if err := w.out.Flush(); err != nil {
		return err
	}
	return w.zip.Close()
}

// Numbers that Excel, which counts in binary with 15 digits, keeps as they are.
const (
	exactDigits = 15
	exactLength = 20
)

// exact says whether a value is a number that Excel would show as it is.
func exact(v string) bool {
	digits := strings.TrimPrefix(v, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	if !isDigits(whole) || (point && !isDigits(fraction)) || (len(whole) > 1 && whole[0] == '0') {
		return false
	}
	significant := strings.TrimLeft(whole+fraction, "0")
	if significant == "" && v[0] == '-' {
		return false
	}
	return len(significant) <= exactDigits && len(digits) <= exactLength
}

func isDigits(v string) bool {
	for i := range len(v) {
		if v[i] < '0' || v[i] > '9' {
			return false
		}
	}
	return v != ""
}
