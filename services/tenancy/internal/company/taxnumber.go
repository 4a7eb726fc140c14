package company

import (
	"regexp"
	"strings"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// forms are the shapes of tax numbers after the country's prefix, as the European Commission's VAT information exchange
// system (VIES) publishes them; Norway's and Switzerland's as their own authorities do.
var forms = map[string]*regexp.Regexp{
	"AT": regexp.MustCompile(`^U[0-9]{8}$`), "BE": regexp.MustCompile(`^[01][0-9]{9}$`), "BG": regexp.MustCompile(`^[0-9]{9,10}$`),
	"CH": regexp.MustCompile(`^E[0-9]{9}$`), "CY": regexp.MustCompile(`^[0-9]{8}[A-Z]$`), "CZ": regexp.MustCompile(`^[0-9]{8,10}$`),
	"DE": regexp.MustCompile(`^[0-9]{9}$`), "DK": regexp.MustCompile(`^[0-9]{8}$`), "EE": regexp.MustCompile(`^[0-9]{9}$`),
	"EL": regexp.MustCompile(`^[0-9]{9}$`), "ES": regexp.MustCompile(`^[0-9A-Z][0-9]{7}[0-9A-Z]$`), "FI": regexp.MustCompile(`^[0-9]{8}$`),
	"FR": regexp.MustCompile(`^[0-9A-HJ-NP-Z]{2}[0-9]{9}$`), "HR": regexp.MustCompile(`^[0-9]{11}$`), "HU": regexp.MustCompile(`^[0-9]{8}$`),
	"IE": regexp.MustCompile(`^[0-9][0-9A-Z+*][0-9]{5}[A-Z]{1,2}$`), "IT": regexp.MustCompile(`^[0-9]{11}$`),
	"LT": regexp.MustCompile(`^([0-9]{9}|[0-9]{12})$`), "LU": regexp.MustCompile(`^[0-9]{8}$`), "LV": regexp.MustCompile(`^[0-9]{11}$`),
	"MT": regexp.MustCompile(`^[0-9]{8}$`), "NL": regexp.MustCompile(`^[0-9A-Z+*]{12}$`), "NO": regexp.MustCompile(`^[0-9]{9}$`),
	"PL": regexp.MustCompile(`^[0-9]{10}$`), "PT": regexp.MustCompile(`^[0-9]{9}$`), "RO": regexp.MustCompile(`^[0-9]{2,10}$`),
	"SE": regexp.MustCompile(`^[0-9]{12}$`), "SI": regexp.MustCompile(`^[0-9]{8}$`), "SK": regexp.MustCompile(`^[0-9]{10}$`),
}

// other is the shape of every other country's.
var other = regexp.MustCompile(`^[0-9A-Z]{4,20}$`)

var separators = strings.NewReplacer(" ", "", "\u00a0", "", ".", "", "-", "", "/", "")

// NormaliseTaxNumber brings a tax number to the one form in which two are compared: its country's prefix, upper case, no
// separators. TAX_NUMBER_INVALID when it can't be one of its country's.
func NormaliseTaxNumber(written string) (number, country string, err error) {
	number = separators.Replace(strings.ToUpper(strings.TrimSpace(written)))
	refused := failure.New(commonv1.Reason_REASON_TAX_NUMBER_INVALID, "number", written).
		WithField(failure.Field{Path: "tax_number", Text: "is no tax number with its country's prefix"})
	if len(number) < 4 || !isLetter(number[0]) || !isLetter(number[1]) {
		return "", "", refused
	}
	prefix := number[:2]
	form, known := forms[prefix]
	if !known {
		form = other
	}
	if !form.MatchString(number[2:]) {
		return "", "", refused
	}
	if prefix == "EL" { // Greece's prefix is not its ISO 3166 code.
		return number, "GR", nil
	}
	return number, prefix, nil
}

func isLetter(b byte) bool { return b >= 'A' && b <= 'Z' }
