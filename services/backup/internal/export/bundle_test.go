package export

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	engine "kontor.internal/snapshot"
)

// made is a zip, read.
type zipped struct {
	manifest manifest
	files    map[string][]byte
}

// bundled writes a zip of tables whose lines are given by their names.
func bundled(t *testing.T, how option, lines map[string][]string, tables ...engine.TableContents) zipped {
	t.Helper()
	var out bytes.Buffer
	from := source{tables: tables, progress: func(done, total int64) { require.LessOrEqual(t, done, total) }}
	from.lines = func(c engine.TableContents, each func([]byte) error) error {
		for _, line := range lines[c.Name] {
			if err := each([]byte(line + "\n")); err != nil {
				return err
			}
		}
		return nil
	}
	about := manifest{Company: "c", Title: "SIA Ņ", Snapshot: "s", Moment: time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC), Format: "X"}
	require.NoError(t, bundle(&out, about, from, how))
	return unzipped(t, out.Bytes())
}

func unzipped(t *testing.T, raw []byte) zipped {
	t.Helper()
	z := zipped{files: map[string][]byte{}}
	reader, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	require.NoError(t, err)
	for _, f := range reader.File {
		opened, err := f.Open()
		require.NoError(t, err)
		z.files[f.Name], err = io.ReadAll(opened)
		require.NoError(t, err)
	}
	require.NoError(t, json.Unmarshal(z.files["manifest.json"], &z.manifest))
	require.Len(t, z.files, len(z.manifest.Files)+1)
	for _, f := range z.manifest.Files {
		sum := sha256.Sum256(z.files[f.Path])
		require.Equal(t, hex.EncodeToString(sum[:]), f.SHA256)
		require.EqualValues(t, len(z.files[f.Path]), f.Bytes)
	}
	return z
}

func table(name string, columns ...string) engine.TableContents {
	return engine.TableContents{Schema: "books", Name: name, Columns: columns, KeyColumns: min(1, len(columns)), Bytes: 1 << 30}
}

func TestCSVTellsNullFromNothingAndQuotesWhatMustBe(t *testing.T) {
	z := bundled(t, options[csv], map[string][]string{"t": {
		`1` + "\t" + `\N`, "2\t", `3` + "\t" + `a "b", c`, `4` + "\t" + `two\nlines\r`, `5` + "\t" + `=SUM(A1)`, `6` + "\t" + ` x`, `7` + "\t" + `\\.`, `8` + "\t" + `\\x00ff`,
	}}, table("t", "id", "tex,t"))
	require.Equal(t, "id,\"tex,t\"\r\n1,\r\n2,\"\"\r\n3,\"a \"\"b\"\", c\"\r\n4,\"two\nlines\r\"\r\n5,=SUM(A1)\r\n6,\" x\"\r\n7,\"\\.\"\r\n8,\\x00ff\r\n",
		string(z.files["books/t.csv"]))
	f := z.manifest.Files[0]
	require.EqualValues(t, 8, f.Rows)
	require.Equal(t, []string{"id"}, f.KeyColumns)
	require.Equal(t, []string{"id", "tex,t"}, f.Columns)
}

func TestATableWithoutColumnsHasItsRows(t *testing.T) {
	z := bundled(t, options[csv], map[string][]string{"t": {"", ""}}, table("t"))
	require.Equal(t, "\r\n\r\n\r\n", string(z.files["books/t.csv"]))
	require.EqualValues(t, 2, z.manifest.Files[0].Rows)
	bundled(t, options[excel], map[string][]string{"t": {"", ""}}, table("t"))
}

func TestNumbersAreNumbersOnlyWhenExcelKeepsThem(t *testing.T) {
	for v, want := range map[string]bool{
		"0": true, "-1": true, "12.50": true, "0.001": true, "999999999999999": true, "-123456789.012345": true,
		"": false, "-": false, "-0": false, "-0.0": false, "007": false, "1.": false, ".5": false, "1e5": false, "NaN": false, "+1": false, "1 000": false, "1,5": false,
		"1000000000000000": false, "0.12345678901234567": false, "1.0000000000000000000": false, "0.0000000000000000000001": false, "١": false, "--1": false,
	} {
		require.Equal(t, want, exact(v), v)
	}
}

func open(t *testing.T, raw []byte) *excelize.File {
	t.Helper()
	f, err := excelize.OpenReader(bytes.NewReader(raw))
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestAWorkbookHoldsTextsAsTextsAndNumbersAsNumbers(t *testing.T) {
	texts := []string{
		"=1+1", "+371 2000", "-x", "@here", "007", "a<b>&\"c\"", " spaced ", "two\nlines", "tab\there", "Ņ ķ 🙂", "_x0041_", "\x01\x1f\r", "12345678901234567890", "",
	}
	var lines []string
	for i, v := range texts {
		v = strings.NewReplacer("\\", `\\`, "\n", `\n`, "\t", `\t`, "\r", `\r`).Replace(v)
		lines = append(lines, fmt.Sprintf("%d\t%s\t12.50\t\\N", i+1, v))
	}
	z := bundled(t, options[excel], map[string][]string{"t": lines}, table("t", "id", "text", "amount", "none"))
	f := open(t, z.files["books/t.xlsx"])
	rows, err := f.GetRows("Sheet1", excelize.Options{RawCellValue: true})
	require.NoError(t, err)
	require.Equal(t, []string{"id", "text", "amount", "none"}, rows[0])
	for i, want := range texts {
		require.Equal(t, want, rows[i+1][1])
		at := fmt.Sprintf("B%d", i+2)
		kind, err := f.GetCellType("Sheet1", at)
		require.NoError(t, err)
		require.Equal(t, excelize.CellTypeInlineString, kind, want)
		formula, err := f.GetCellFormula("Sheet1", at)
		require.NoError(t, err)
		require.Empty(t, formula)
		kind, err = f.GetCellType("Sheet1", fmt.Sprintf("C%d", i+2))
		require.NoError(t, err)
		require.Equal(t, excelize.CellTypeUnset, kind)
	}
	require.Equal(t, "12.50", rows[1][2])
	require.Len(t, rows[1], 3, "NULL has no cell")
}

func TestALongTableGoesOnInFurtherWorkbooksAndLongTextsStandBeside(t *testing.T) {
	how := options[excel]
	how.begin = newWorkbook(2, sheetBytes)
	long := strings.Repeat("ņ", cellUnits-1)
	z := bundled(t, how, map[string][]string{
		"t": {"1\t" + long + "🙂", "2\tx", "3\t" + long + "x", "4\t" + long + "xx", "5\ty"}, "t-2": {"1"},
	}, table("t", "id", "text"), table("t-2", "id"))
	var paths []string
	for _, f := range z.manifest.Files {
		paths = append(paths, f.Path)
	}
	require.Equal(t, []string{"books/t.xlsx", "books/t-2.xlsx", "books/t-3.xlsx", "books/t.long.csv", "books/t-2~2.xlsx"}, paths)
	require.EqualValues(t, []int64{2, 2, 1, 2, 1}, []int64{
		z.manifest.Files[0].Rows, z.manifest.Files[1].Rows, z.manifest.Files[2].Rows, z.manifest.Files[3].Rows, z.manifest.Files[4].Rows,
	})
	require.EqualValues(t, 1, z.manifest.Files[0].CutCells)
	require.Equal(t, "books/t.long.csv", z.manifest.Files[1].LongTexts)
	require.Empty(t, z.manifest.Files[2].LongTexts)
	require.Equal(t, "workbook,row,column,text\r\nbooks/t.xlsx,2,text,"+long+"🙂\r\nbooks/t-2.xlsx,3,text,"+long+"xx\r\n", string(z.files["books/t.long.csv"]))
	cell, err := open(t, z.files["books/t.xlsx"]).GetCellValue("Sheet1", "B2")
	require.NoError(t, err)
	require.Equal(t, long, cell, "half a letter is none")
	cell, err = open(t, z.files["books/t-2.xlsx"]).GetCellValue("Sheet1", "B2")
	require.NoError(t, err)
	require.Equal(t, long+"x", cell)
}

func TestASheetThatGrowsTooLongGoesOnToo(t *testing.T) {
	how := options[excel]
	how.begin = newWorkbook(sheetRows, 10_000)
	text := strings.Repeat("x", 6000)
	z := bundled(t, how, map[string][]string{"t": {text, text, text}}, table("t", "text"))
	require.Len(t, z.manifest.Files, 2)
	require.EqualValues(t, []int64{2, 1}, []int64{z.manifest.Files[0].Rows, z.manifest.Files[1].Rows})
}

// TestMemoryDoesNotGrowWithTheRows looks at what is in use while many rows go through.
func TestMemoryDoesNotGrowWithTheRows(t *testing.T) {
	for name, how := range map[string]option{"csv": options[csv], "excel": options[excel]} {
		t.Run(name, func(t *testing.T) {
			const rows = 200_000
			var most uint64
			line := []byte(strings.Repeat("some text\t12345\t", 20) + "\\N\n")
			columns := strings.Split(strings.Repeat("c ", 40)+"c", " ")
			from := source{tables: []engine.TableContents{table("t", columns...)}, progress: func(int64, int64) {}}
			from.lines = func(_ engine.TableContents, each func([]byte) error) error {
				for n := range rows {
					if n%50_000 == 49_999 {
						runtime.GC()
						var now runtime.MemStats
						runtime.ReadMemStats(&now)
						most = max(most, now.HeapAlloc)
					}
					if err := each(line); err != nil {
						return err
					}
				}
				return nil
			}
			require.NoError(t, bundle(io.Discard, manifest{}, from, how))
			require.NotZero(t, most)
			require.Less(t, most, uint64(32<<20), "66 MB of rows went through")
		})
	}
}

func TestColumnsAreNamedAsExcelDoes(t *testing.T) {
	for i, want := range map[int]string{0: "A", 25: "Z", 26: "AA", 51: "AZ", 52: "BA", 701: "ZZ", 702: "AAA", 1599: "BIN"} {
		require.Equal(t, want, columnName(i))
	}
}

func TestNamesOfFilesAreSafeAndUnlikeOneAnother(t *testing.T) {
	p := newPaths()
	for _, c := range []struct{ schema, name, want string }{
		{"..", "../../etc/passwd", "__/______etc_passwd.csv"},
		{"books", `a"b\c`, "books/a_b_c.csv"},
		{"books", "a/b/c", "books/a_b_c~2.csv"},
		{"books", "A_b_C", "books/A_b_C~3.csv"},
		{"books", "", "books/_.csv"},
		{"books", "CON", "books/CON_.csv"},
		{"Books", "x", "Books~2/x.csv"},
		{"books", "čeki", "books/čeki.csv"},
		{"manifest.json", "x", "manifest_json/x.csv"},
		{"books", strings.Repeat("ž", 63), "books/" + strings.Repeat("ž", 60) + ".csv"},
	} {
		require.Equal(t, c.want, p.file(c.schema, c.name, ".csv"))
	}
}

// FuzzCSV: whatever the values are, PostgreSQL's rules read them back.
func FuzzCSVField(f *testing.F) {
	for _, v := range []string{"", `"`, "a,b", "\r\n", " ", `\.`} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		got := csvField(v)
		if strings.HasPrefix(got, `"`) {
			require.Equal(t, v, strings.ReplaceAll(got[1:len(got)-1], `""`, `"`))
			return
		}
		require.Equal(t, v, got)
		require.NotEmpty(t, got)
		require.False(t, strings.ContainsAny(got, "\",\r\n"))
	})
}
