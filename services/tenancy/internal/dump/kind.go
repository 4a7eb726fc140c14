// Package dump reads copies of on-premises databases as data. Nothing found in
// a copy is ever executed: an archive's own statements are anybody's text
// (CVE-2025-8714), so only rows and sequence positions are taken from it.
package dump

import (
	"bytes"
	"unicode/utf8"
)

// Kind is what a file turns out to be by its first bytes; its text is the name
// shown to people.
type Kind string

// The kinds that people are known to send. Only Archive can be used.
const (
	Archive      Kind = "PostgreSQL custom-format archive"
	OtherArchive Kind = "PostgreSQL archive of another format"
	Empty        Kind = "empty file"
	Zip          Kind = "ZIP file"
	Gzip         Kind = "gzip file"
	Zstandard    Kind = "Zstandard file"
	Bzip2        Kind = "bzip2 file"
	XZ           Kind = "XZ file"
	SevenZip     Kind = "7-Zip file"
	RAR          Kind = "RAR file"
	Tar          Kind = "tar file"
	PDF          Kind = "PDF document"
	SQLite       Kind = "SQLite database"
	PlainDump    Kind = "plain SQL dump"
	Text         Kind = "text file"
	Unknown      Kind = "file of an unknown kind"
)

// HeadBytes is how much of a file's beginning KindOf wants to see.
const HeadBytes = 4096

const (
	tarMagicAt      = 257
	formatAt        = 10 // after PGDMP, three bytes of version, sizes of integer and offset
	formatCustom    = 1
	archiveMagic    = "PGDMP"
	plainDumpHeader = "PostgreSQL database dump"
)

var magics = []struct {
	magic string
	kind  Kind
}{
	{"PK\x03\x04", Zip},
	{"PK\x05\x06", Zip},
	{"\x1f\x8b", Gzip},
	{"\x28\xb5\x2f\xfd", Zstandard},
	{"BZh", Bzip2},
	{"\xfd7zXZ\x00", XZ},
	{"7z\xbc\xaf\x27\x1c", SevenZip},
	{"Rar!\x1a\x07", RAR},
	{"%PDF-", PDF},
	{"SQLite format 3\x00", SQLite},
}

// KindOf tells a file's kind by its first HeadBytes bytes, or all there are.
func KindOf(head []byte) Kind {
	switch {
	case len(head) == 0:
		return Empty
	case bytes.HasPrefix(head, []byte(archiveMagic)):
		return archiveKind(head)
	case len(head) > tarMagicAt && bytes.HasPrefix(head[tarMagicAt:], []byte("ustar")):
		return Tar
	}
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			return m.kind
		}
	}
	return textKind(head)
}

// archiveKind takes an archive cut within its header for a custom one: it is
// damaged, which reading it finds.
func archiveKind(head []byte) Kind {
	if len(head) > formatAt && head[formatAt] != formatCustom {
		return OtherArchive
	}
	return Archive
}

func textKind(head []byte) Kind {
	switch {
	case bytes.Contains(head, []byte(plainDumpHeader)):
		return PlainDump
	case bytes.IndexByte(head, 0) < 0 && utf8.Valid(wholeRunes(head)):
		return Text
	}
	return Unknown
}

// wholeRunes drops a character that the end of head cut in two.
func wholeRunes(head []byte) []byte {
	for cut := 0; cut < utf8.UTFMax && cut < len(head); cut++ {
		last := len(head) - 1 - cut
		if !utf8.RuneStart(head[last]) {
			continue
		}
		if !utf8.FullRune(head[last:]) {
			return head[:last]
		}
		break
	}
	return head
}
