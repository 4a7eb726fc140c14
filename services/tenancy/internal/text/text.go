// Package text checks what people write into single lines: names and titles, which later stand in subjects of letters
// and in documents.
package text

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"kontor.internal/libs/failure"
)

// Line trims a single line and refuses line breaks, other control characters, invisible direction marks that could turn
// the text around it, and more than limit characters.
func Line(path, value string, limit int) (string, error) {
	value = strings.TrimSpace(value)
	if utf8.RuneCountInString(value) > limit {
		return "", failure.Invalid(path, "is too long")
	}
	if strings.ContainsFunc(value, notForLines) {
		return "", failure.Invalid(path, "has characters that do not belong in one line of text")
	}
	return value, nil
}

// Block is Line for several lines.
func Block(path, value string, limit int) (string, error) {
	value = strings.TrimSpace(strings.ReplaceAll(value, "\r\n", "\n"))
	if utf8.RuneCountInString(value) > limit {
		return "", failure.Invalid(path, "is too long")
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r != '\n' && r != '\t' && notForLines(r) }) {
		return "", failure.Invalid(path, "has characters that do not belong in text")
	}
	return value, nil
}

func notForLines(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}
