package entitlement

import (
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"kontor.internal/libs/locale"
	"kontor.internal/services/licensing/internal/catalogue"
)

//go:embed texts/*.json
var textFiles embed.FS

// Texts say conditions in people's languages.
type Texts struct {
	catalogue *catalogue.Catalogue
	sentences map[locale.Language]map[string]string
}

// LoadTexts reads the sentences that are built in. Plans and products are named as the catalogue names them.
func LoadTexts(c *catalogue.Catalogue) (*Texts, error) {
	files, err := textFiles.ReadDir("texts")
	if err != nil {
		return nil, err
	}
	t := &Texts{catalogue: c, sentences: map[locale.Language]map[string]string{}}
	for _, file := range files {
		content, err := textFiles.ReadFile(path.Join("texts", file.Name()))
		if err != nil {
			return nil, err
		}
		lang, ok := locale.Parse(strings.TrimSuffix(file.Name(), ".json"))
		if !ok {
			return nil, fmt.Errorf("entitlement: %s is no language of Kontor's", file.Name())
		}
		sentences := map[string]string{}
		if err := json.Unmarshal(content, &sentences); err != nil {
			return nil, fmt.Errorf("entitlement: %s: %w", file.Name(), err)
		}
		t.sentences[lang] = sentences
	}
	return t, nil
}

// Say puts a condition into the language that serves a caller's wish best; English where there are no texts in it.
func (t *Texts) Say(c Condition, wish string) string {
	lang := locale.Match(wish)
	if t.sentences[lang] == nil {
		lang = locale.English
	}
	pairs := make([]string, 0, 2*len(c.Values))
	for _, v := range c.Values {
		pairs = append(pairs, "{"+v.Key+"}", t.value(v, lang))
	}
	return strings.NewReplacer(pairs...).Replace(t.sentences[lang][c.Key+"."+c.Case])
}

func (t *Texts) value(v Value, lang locale.Language) string {
	switch {
	case !v.Date.IsZero():
		return lang.Date(v.Date)
	case v.Text == "":
		return lang.Integer(v.Number)
	}
	if plan, ok := t.catalogue.Plan(v.Text); ok && v.Key == "plan" {
		return plan.Title.In(string(lang))
	}
	if product, ok := t.catalogue.Product(v.Text); ok && v.Key == "item" {
		return product.Title.In(string(lang))
	}
	if addOn, ok := t.catalogue.AddOn(v.Text); ok && v.Key == "item" {
		return addOn.Title.In(string(lang))
	}
	return v.Text
}
