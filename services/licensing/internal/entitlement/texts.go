package entitlement

import (
	"embed"
	"strings"

	"kontor.internal/libs/locale"
	"kontor.internal/services/licensing/internal/catalogue"
)

//go:embed texts/*.json
var textFiles embed.FS

// Texts say conditions in people's languages.
type Texts struct {
	catalogue *catalogue.Catalogue
	sentences locale.Sentences
}

// LoadTexts reads the sentences that are built in. Plans and products are named as the catalogue names them.
func LoadTexts(c *catalogue.Catalogue) (*Texts, error) {
	sentences, err := locale.ReadSentences(textFiles, "texts")
	return &Texts{catalogue: c, sentences: sentences}, err
}

// Say puts a condition into the language that serves a caller's wish best; English where there are no texts in it.
func (t *Texts) Say(c Condition, wish string) string {
	lang, sentences := t.sentences.For(wish)
	pairs := make([]string, 0, 2*len(c.Values))
	for _, v := range c.Values {
		pairs = append(pairs, "{"+v.Key+"}", t.value(v, lang))
	}
	return strings.NewReplacer(pairs...).Replace(sentences[c.Key+"."+c.Case])
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
