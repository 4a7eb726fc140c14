package export

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"time"

	backupv1 "kontor.internal/proto/gen/go/kontor/backup/v1"
)

// formatNames are the formats as the manifest tells them.
var formatNames = map[backupv1.ExportFormat]string{csv: "CSV", excel: "EXCEL"}

// manifest says what is in a zip file.
type manifest struct {
	// Company's resource name, and its title.
	Company string `json:"company"`
	Title   string `json:"title"`
	// Snapshot's resource name, and the moment that it shows.
	Snapshot string    `json:"snapshot"`
	Moment   time.Time `json:"moment"`
	Format   string    `json:"format"`
	// Files in the order of the zip.
	Files []fileEntry `json:"files"`
}

// fileEntry is one file of the zip.
type fileEntry struct {
	Path string `json:"path"`
	// Schema and Table as they are really called.
	Schema string `json:"schema"`
	Table  string `json:"table"`
	// Columns in their order, the key's first; KeyColumns are those that rows are ordered by.
	Columns    []string `json:"columns"`
	KeyColumns []string `json:"key_columns"`
	// Rows of the table in this file.
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	// CutCells says how many texts were too long for a cell of this workbook. They stand whole in the file LongTexts.
	CutCells  int64  `json:"cut_cells,omitempty"`
	LongTexts string `json:"long_texts,omitempty"`
}

// writeManifest ends a zip.
func writeManifest(to *zip.Writer, m manifest) error {
	entry, err := to.CreateHeader(&zip.FileHeader{Name: "manifest.json", Method: zip.Deflate, Modified: m.Moment})
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if m.Files == nil {
		m.Files = []fileEntry{}
	}
	out := json.NewEncoder(entry)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(m)
}
