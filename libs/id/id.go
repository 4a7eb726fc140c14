// Package id makes the identifiers of everything Kontor stores: UUIDs of version 7, which sort by the time they were
// made (RFC 9562, section 5.7).
package id

import (
	"fmt"

	"github.com/google/uuid"
)

// Source makes identifiers. Rules take one, so that tests can foresee them.
type Source func() uuid.UUID

// New returns a fresh identifier. It panics only when the system has no randomness left, which no caller could mend.
func New() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// NewString returns a fresh identifier in its 36-character form.
func NewString() string { return New().String() }

// Parse reads the canonical 36-character form, lower case, and nothing else: one identifier has one spelling, so that
// resource names and signatures over them compare as text.
func Parse(text string) (uuid.UUID, error) {
	parsed, err := uuid.Parse(text)
	if err != nil || parsed.String() != text {
		return uuid.Nil, fmt.Errorf("id: %q is not a UUID in its canonical form", text)
	}
	return parsed, nil
}

// Sequence returns a source of foreseeable identifiers for tests: 1, 2, 3 and so on in the last bytes. It is not safe
// for use by several goroutines.
func Sequence() Source {
	var next uint64
	return func() uuid.UUID {
		next++
		made := uuid.UUID{6: 0x70, 8: 0x80}
		for i := range 6 {
			made[15-i] = byte(next >> (8 * i))
		}
		return made
	}
}
