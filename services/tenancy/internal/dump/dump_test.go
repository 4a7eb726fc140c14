package dump_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"kontor.internal/services/tenancy/internal/dump"
)

const maxLine = 1 << 10

const script = `--
-- PostgreSQL database dump
--

\restrict abc123

SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);

COPY books.partner (id, title, "Tax ""No"", old") FROM stdin;
1	a\tb	\N
2	DROP TABLE x;	c\\d
\.


COPY books.empty (id) FROM stdin;
\.

SELECT pg_catalog.setval('books.partner_id_seq', 42, true);

\unrestrict abc123
`

func TestReaderTakesRowsAndSequences(t *testing.T) {
	r := dump.NewReader(strings.NewReader(script), maxLine)
	block, err := r.Next()
	want := &dump.Table{Schema: "books", Name: "partner", Columns: []string{"id", "title", `Tax "No", old`}}
	if err != nil || !reflect.DeepEqual(block.Table, want) {
		t.Fatalf("first block: %+v, %v", block.Table, err)
	}
	row, err := r.Row()
	if err != nil {
		t.Fatal(err)
	}
	fields, err := dump.Fields(row)
	if err != nil || len(fields) != 3 || *fields[1] != "a\tb" || fields[2] != nil {
		t.Fatalf("first row: %v, %v", fields, err)
	}
	// The second row is left unread: Next goes past it.
	if block, err = r.Next(); err != nil || block.Table == nil || block.Table.Name != "empty" {
		t.Fatalf("second block: %+v, %v", block, err)
	}
	if _, err = r.Row(); !errors.Is(err, io.EOF) {
		t.Fatalf("an empty table has a row: %v", err)
	}
	sequence := &dump.Sequence{Schema: "books", Name: "partner_id_seq", Last: 42, Called: true}
	if block, err = r.Next(); err != nil || !reflect.DeepEqual(block.Sequence, sequence) {
		t.Fatalf("sequence: %+v, %v", block.Sequence, err)
	}
	if _, err = r.Next(); !errors.Is(err, io.EOF) {
		t.Fatalf("end: %v", err)
	}
}

func TestReaderRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		want   error
	}{
		"a statement of the archive's own":     {"DROP TABLE x;\n", dump.ErrScript},
		"a shell command":                      {"\\! id\n", dump.ErrScript},
		"two statements on a setting's line":   {"SET a = 1; DROP TABLE x;\n", dump.ErrScript},
		"a copy from a program":                {"COPY a.b (c) FROM PROGRAM 'id';\n", dump.ErrScript},
		"a table without its schema":           {"COPY b (c) FROM stdin;\n", dump.ErrScript},
		"a sequence that no number can hold":   {"SELECT pg_catalog.setval('a.b', 9999999999999999999, true);\n", dump.ErrScript},
		"a table cut between rows":             {"COPY a.b (c) FROM stdin;\n1\n", dump.ErrTruncated},
		"a table cut within a row":             {"COPY a.b (c) FROM stdin;\n1", dump.ErrTruncated},
		"a row longer than memory is given to": {"COPY a.b (c) FROM stdin;\n" + strings.Repeat("x", maxLine+1) + "\n\\.\n", dump.ErrLongLine},
	} {
		t.Run(name, func(t *testing.T) {
			if err := drain(dump.NewReader(strings.NewReader(c.script), maxLine)); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestFieldsRefuseBrokenEscapes(t *testing.T) {
	for _, row := range []string{`a\`, `\q`, `a	\x41`} {
		if _, err := dump.Fields([]byte(row)); !errors.Is(err, dump.ErrScript) {
			t.Errorf("%q: %v", row, err)
		}
	}
}

func TestKindOfNamesWhatItIs(t *testing.T) {
	tar := make([]byte, 512)
	copy(tar[257:], "ustar")
	for head, want := range map[string]dump.Kind{
		"":                                   dump.Empty,
		"PGDMP\x01\x10\x00\x04\x08\x01":      dump.Archive,
		"PGDMP\x01\x10\x00\x04\x08\x03":      dump.OtherArchive,
		"PGDMP\x01":                          dump.Archive,
		"PK\x03\x04rest":                     dump.Zip,
		"\x1f\x8b\x08":                       dump.Gzip,
		string(tar):                          dump.Tar,
		"%PDF-1.7":                           dump.PDF,
		"--\n-- PostgreSQL database dump\n":  dump.PlainDump,
		"name;amount\nzīle;1\n":              dump.Text,
		"cut within a character: z\xc4":      dump.Text,
		"\x00\x01\x02":                       dump.Unknown,
		"not of any encoding: \xff\xfe here": dump.Unknown,
	} {
		if got := dump.KindOf([]byte(head)); got != want {
			t.Errorf("%q is %q, want %q", head, got, want)
		}
	}
}

func drain(r *dump.Reader) error {
	for {
		if _, err := r.Next(); err != nil {
			return err
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(script))
	f.Add([]byte("COPY a.\"b\"\"c\" (d) FROM stdin;\n\\N\n\\.\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := dump.NewReader(bytes.NewReader(in), maxLine)
		for {
			block, err := r.Next()
			if err != nil {
				return
			}
			if (block.Table == nil) == (block.Sequence == nil) {
				t.Fatal("a block is a table or a sequence")
			}
			if block.Table != nil && len(block.Table.Columns) == 0 {
				t.Fatal("a table without columns")
			}
			for {
				row, err := r.Row()
				if err != nil {
					break
				}
				if len(row) > maxLine || bytes.IndexByte(row, '\n') >= 0 {
					t.Fatal("a row beyond its limits")
				}
				_, _ = dump.Fields(row)
			}
		}
	})
}
