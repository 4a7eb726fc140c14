package account

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"kontor.internal/libs/failure"
)

// Lengths of an e-mail address and of what stands before its @, in bytes (RFC 5321, 4.5.3.1).
const (
	maxEmail = 254
	maxLocal = 64
)

// domains reads domain names as mail servers look them up (RFC 5891), none of
// whose labels is empty or too long.
var domains = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true)) //nolint:gochecknoglobals // A constant.

// Email is an e-mail address.
type Email struct {
	// Written is the address as its holder wrote it, without blanks around it.
	Written string
	// Key is the one spelling that is compared: lower case, the domain in its ASCII form.
	Key string
}

// ParseEmail reads an address such as can receive our letters: one @, a domain
// with a dot, no quoting. The field is named in the error.
func ParseEmail(text, field string) (Email, error) {
	written := norm.NFC.String(strings.TrimSpace(text))
	at := strings.LastIndexByte(written, '@')
	if at < 0 || len(written) > maxEmail || !utf8.ValidString(written) {
		return Email{}, notEmail(field)
	}
	local, domain := written[:at], written[at+1:]
	if !goodLocal(local) {
		return Email{}, notEmail(field)
	}
	ascii, err := domains.ToASCII(domain)
	if err != nil || !strings.Contains(ascii, ".") || strings.HasSuffix(ascii, ".") || strings.HasPrefix(ascii, ".") {
		return Email{}, notEmail(field)
	}
	return Email{Written: written, Key: strings.ToLower(local) + "@" + strings.ToLower(ascii)}, nil
}

func goodLocal(local string) bool {
	if local == "" || len(local) > maxLocal ||
		strings.HasPrefix(local, ".") || strings.HasSuffix(local, ".") || strings.Contains(local, "..") {
		return false
	}
	return !strings.ContainsFunc(local, func(r rune) bool {
		return unicode.IsControl(r) || unicode.IsSpace(r) || !unicode.IsGraphic(r) || strings.ContainsRune(`()<>[]:;@\,"`, r)
	})
}

func notEmail(field string) error { return failure.Invalid(field, "is not an e-mail address") }

// IdentifierKey is the form in which an identifier typed at sign-in is
// compared. What can be no identifier has a key too: one that nobody has.
func IdentifierKey(text string) string {
	if email, err := ParseEmail(text, ""); err == nil {
		return email.Key
	}
	return strings.ToLower(norm.NFC.String(strings.TrimSpace(text)))
}
