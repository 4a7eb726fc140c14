// Package locale is what the six languages of Kontor differ in besides their words: which one a person gets, the
// direction of writing, dates (in Persian by the solar Hijri calendar), numbers and money. The forms follow CLDR.
package locale

import (
	"golang.org/x/text/language"
)

// Language is one of the languages in which Kontor speaks, as its BCP 47 code.
type Language string

// The languages. English stands in where none was asked for.
const (
	English   Language = "en" // British
	Latvian   Language = "lv"
	Persian   Language = "fa"
	Polish    Language = "pl"
	Swedish   Language = "sv"
	Hungarian Language = "hu"
)

// All lists the languages, English first.
func All() []Language {
	return []Language{English, Latvian, Persian, Polish, Swedish, Hungarian}
}

// Parse returns the language of an exact code, "lv"; ok is false for any other text.
func Parse(code string) (l Language, ok bool) {
	for _, l := range All() {
		if string(l) == code {
			return l, true
		}
	}
	return English, false
}

// Match picks the language that serves a person best. Preferences come in falling order of weight, each a code or a
// whole Accept-Language header; empty and malformed ones are passed over. Where nothing fits it is English.
func Match(preferences ...string) Language {
	tags := make([]language.Tag, 0, len(All()))
	for _, l := range All() {
		tags = append(tags, l.Tag())
	}
	matcher := language.NewMatcher(tags)
	for _, preference := range preferences {
		wanted, _, err := language.ParseAcceptLanguage(preference)
		if err != nil {
			continue
		}
		if _, index, confidence := matcher.Match(wanted...); confidence >= language.High {
			return All()[index]
		}
	}
	return English
}

// Tag returns the language as x/text knows it.
func (l Language) Tag() language.Tag {
	if l == English {
		return language.BritishEnglish
	}
	return language.Make(string(l))
}

// Name returns the language's name in itself, for a list to choose from.
func (l Language) Name() string {
	switch l {
	case Latvian:
		return "latviešu"
	case Persian:
		return "فارسی"
	case Polish:
		return "polski"
	case Swedish:
		return "svenska"
	case Hungarian:
		return "magyar"
	default:
		return "English"
	}
}

// Direction is the direction of writing, as HTML's dir attribute names it.
type Direction string

// The directions.
const (
	LeftToRight Direction = "ltr"
	RightToLeft Direction = "rtl"
)

// Direction returns the direction in which the language is written.
func (l Language) Direction() Direction {
	if l == Persian {
		return RightToLeft
	}
	return LeftToRight
}
