// Package password says what a good password is, and turns passwords into hashes.
package password

import (
	"strings"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// How many characters a password may have.
const (
	MinLength = 8
	MaxLength = 128
)

// Rule is one rule that passwords keep to; its value is the key that clients see.
type Rule string

// The rules. Those on characters speak of the Latin keyboard's: printable ASCII.
const (
	RuleLength    Rule = "length"
	RuleLatin     Rule = "latin"
	RuleLowerCase Rule = "lower_case"
	RuleUpperCase Rule = "upper_case"
	RuleDigit     Rule = "digit"
	RuleSpecial   Rule = "special"
	RuleNotEmail  Rule = "not_email"
)

// Rules lists every rule in the order in which screens show them.
func Rules() []Rule {
	return []Rule{RuleLength, RuleLatin, RuleLowerCase, RuleUpperCase, RuleDigit, RuleSpecial, RuleNotEmail}
}

// Broken lists the rules that a password breaks, all of them, in the order of
// Rules. The e-mail may be empty.
func Broken(password, email string) []Rule {
	var lower, upper, digit, special bool
	latin, length := true, 0
	for _, r := range password {
		length++
		switch {
		case r < ' ' || r > '~':
			latin = false
		case r >= 'a' && r <= 'z':
			lower = true
		case r >= 'A' && r <= 'Z':
			upper = true
		case r >= '0' && r <= '9':
			digit = true
		case r != ' ':
			special = true
		}
	}
	kept := map[Rule]bool{
		RuleLength: length >= MinLength && length <= MaxLength, RuleLatin: latin,
		RuleLowerCase: lower, RuleUpperCase: upper, RuleDigit: digit, RuleSpecial: special,
		RuleNotEmail: email == "" || !strings.EqualFold(strings.TrimSpace(password), strings.TrimSpace(email)),
	}
	var broken []Rule
	for _, rule := range Rules() {
		if !kept[rule] {
			broken = append(broken, rule)
		}
	}
	return broken
}

// Check answers PASSWORD_REFUSED with every broken rule on the request field
// that holds the password, in the caller's language.
func Check(password, email, field, language string) error {
	broken := Broken(password, email)
	if len(broken) == 0 {
		return nil
	}
	keys := make([]string, 0, len(broken))
	violations := make([]failure.Field, 0, len(broken))
	for _, rule := range broken {
		keys = append(keys, string(rule))
		violations = append(violations, failure.Field{Path: field, Rule: string(rule), Text: rule.Text(language)})
	}
	return failure.New(commonv1.Reason_REASON_PASSWORD_REFUSED, "rules", strings.Join(keys, ", ")).WithField(violations...)
}

// Text says what a rule asks, in English or, where there is one, in the given language.
func (r Rule) Text(language string) string {
	if text, ok := texts[language][r]; ok {
		return text
	}
	return texts["en"][r]
}

// texts are what the rules ask, by language.
var texts = map[string]map[Rule]string{ //nolint:gochecknoglobals // A constant table.
	"en": {
		RuleLength:    "It has 8 characters or more, 128 at the most.",
		RuleLatin:     "It is typed in Latin letters, digits and signs only; check the keyboard's language.",
		RuleLowerCase: "It has a lower-case letter (a–z).",
		RuleUpperCase: "It has an upper-case letter (A–Z).",
		RuleDigit:     "It has a digit (0–9).",
		RuleSpecial:   "It has a special character, such as ! ? # % + -.",
		RuleNotEmail:  "It is not your e-mail address.",
	},
	"lv": {
		RuleLength:    "Tajā ir 8 rakstzīmes vai vairāk, bet ne vairāk par 128.",
		RuleLatin:     "Tā rakstīta tikai ar latīņu burtiem, cipariem un zīmēm; pārbaudiet tastatūras valodu.",
		RuleLowerCase: "Tajā ir mazais burts (a–z).",
		RuleUpperCase: "Tajā ir lielais burts (A–Z).",
		RuleDigit:     "Tajā ir cipars (0–9).",
		RuleSpecial:   "Tajā ir īpaša rakstzīme, piemēram, ! ? # % + -.",
		RuleNotEmail:  "Tā nav jūsu e-pasta adrese.",
	},
}
