package failure

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"sync"

	"golang.org/x/text/language"

	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// Texts of reasons: one file a service and language, `<service>.<language>.json`,
// each a map from reason to a sentence with {values}.
//
//go:embed texts/*.json
var files embed.FS

// fallback is the language that has every text.
const fallback = "en"

// Texts are the sentences of all reasons in all languages. It is safe for
// concurrent use.
type Texts struct {
	byLanguage map[string]map[commonv1.Reason]string
	tags       []string
	matcher    language.Matcher

	mu      sync.RWMutex
	matched map[string]string // languages by what callers wished for
}

// maxMatched and maxWish bound the wishes that are remembered, and each of them; callers may wish for anything.
const maxMatched, maxWish = 1000, 100

// LoadTexts reads the sentences that are built in.
func LoadTexts() (*Texts, error) {
	names, err := fs.Glob(files, "texts/*.json")
	if err != nil {
		return nil, err
	}
	t := &Texts{byLanguage: map[string]map[commonv1.Reason]string{}, matched: map[string]string{}}
	for _, name := range names {
		if err := t.load(name); err != nil {
			return nil, fmt.Errorf("failure: %s: %w", name, err)
		}
	}
	t.tags = []string{fallback} // The matcher falls back to its first.
	for lang := range t.byLanguage {
		if lang != fallback {
			t.tags = append(t.tags, lang)
		}
	}
	var tags []language.Tag
	for _, lang := range t.tags {
		tags = append(tags, language.Make(lang))
	}
	t.matcher = language.NewMatcher(tags)
	return t, nil
}

func (t *Texts) load(name string) error {
	raw, err := files.ReadFile(name)
	if err != nil {
		return err
	}
	var byName map[string]string
	if err := json.Unmarshal(raw, &byName); err != nil {
		return err
	}
	parts := strings.Split(path.Base(name), ".")
	if len(parts) != 3 {
		return fmt.Errorf("name is not <service>.<language>.json")
	}
	lang := parts[1]
	if t.byLanguage[lang] == nil {
		t.byLanguage[lang] = map[commonv1.Reason]string{}
	}
	for reason, text := range byName {
		number, ok := commonv1.Reason_value[reason]
		if !ok {
			return fmt.Errorf("%s is no reason of the contract", reason)
		}
		if _, twice := t.byLanguage[lang][commonv1.Reason(number)]; twice {
			return fmt.Errorf("%s has a text already", reason)
		}
		t.byLanguage[lang][commonv1.Reason(number)] = text
	}
	return nil
}

// Match picks the language that serves a caller's wish (an Accept-Language
// value or one tag) best.
func (t *Texts) Match(locale string) string {
	t.mu.RLock()
	known, ok := t.matched[locale]
	t.mu.RUnlock()
	if ok {
		return known
	}
	best := t.match(locale)
	if len(locale) > maxWish {
		return best
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.matched) >= maxMatched {
		clear(t.matched)
	}
	t.matched[strings.Clone(locale)] = best
	return best
}

func (t *Texts) match(locale string) string {
	wanted, _, err := language.ParseAcceptLanguage(locale)
	if err != nil || len(wanted) == 0 {
		return fallback
	}
	_, index, _ := t.matcher.Match(wanted...)
	return t.tags[index]
}

// Text fills the sentence of a reason. A language that lacks one uses English.
func (t *Texts) Text(reason commonv1.Reason, locale string, values map[string]string) string {
	text, ok := t.byLanguage[t.Match(locale)][reason]
	if !ok {
		text = t.byLanguage[fallback][reason]
	}
	return fill(known(text, values), values)
}

// fill puts values in the place of their names in braces; a name without a value stays.
func fill(text string, values map[string]string) string {
	var filled strings.Builder
	for {
		before, rest, opened := strings.Cut(text, "{")
		name, after, closed := strings.Cut(rest, "}")
		if !opened || !closed {
			filled.WriteString(text)
			return filled.String()
		}
		value, ok := values[name]
		if !ok {
			value, after = "{", rest
		}
		filled.WriteString(before)
		filled.WriteString(value)
		text = after
	}
}

// optional is a part of a text in square brackets that is said only when its value is known: whom to ask, for instance.
var optional = regexp.MustCompile(`\[[^\[\]]*\{([a-z0-9_]+)\}[^\[\]]*\]`)

// known leaves out the parts of a text whose value is not known.
func known(text string, values map[string]string) string {
	if !strings.Contains(text, "[") {
		return text
	}
	return optional.ReplaceAllStringFunc(text, func(part string) string {
		if values[optional.FindStringSubmatch(part)[1]] == "" {
			return ""
		}
		return strings.Trim(part, "[]")
	})
}
