package export

import (
	"io"
	"strings"
)

// csvFile is RFC 4180: fields are quoted where they must be, so that NULL, which is nothing, and an empty text, which is `""`,
// differ. encoding/csv can't write that. PostgreSQL's COPY reads it as it is.
type csvFile struct{ to io.Writer }

func newCSV(to io.Writer, columns []string) (sheet, error) {
	f := csvFile{to}
	header := make([]*string, len(columns))
	for i := range columns {
		header[i] = &columns[i]
	}
	_, err := f.add(header)
	return f, err
}

func (f csvFile) add(values []*string) (int, error) {
	for i, v := range values {
		if i > 0 {
			if _, err := io.WriteString(f.to, ","); err != nil {
				return 0, err
			}
		}
		if v == nil {
			continue
		}
		if _, err := io.WriteString(f.to, csvField(*v)); err != nil {
			return 0, err
		}
	}
	_, err := io.WriteString(f.to, "\r\n")
	return 0, err
}

func (f csvFile) full() bool { return false }

func (f csvFile) close() error { return nil }

// csvField quotes what would be read as something else; `\.` ends COPY's data in some versions.
func csvField(v string) string {
	if v != "" && v != `\.` && !strings.ContainsAny(v, "\",\r\n") && v[0] != ' ' && v[len(v)-1] != ' ' {
		return v
	}
	return `"` + strings.ReplaceAll(v, `"`, `""`) + `"`
}
