package seatreport

import (
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"kontor.internal/libs/locale"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

//go:embed texts/*.json
var textFiles embed.FS

// Texts say advice in people's languages.
type Texts map[locale.Language]map[string]string

// LoadTexts reads the sentences that are built in.
func LoadTexts() (Texts, error) {
	files, err := textFiles.ReadDir("texts")
	if err != nil {
		return nil, err
	}
	texts := Texts{}
	for _, file := range files {
		content, err := textFiles.ReadFile(path.Join("texts", file.Name()))
		if err != nil {
			return nil, err
		}
		lang, ok := locale.Parse(strings.TrimSuffix(file.Name(), ".json"))
		if !ok {
			return nil, fmt.Errorf("seatreport: %s is no language of Kontor's", file.Name())
		}
		sentences := map[string]string{}
		if err := json.Unmarshal(content, &sentences); err != nil {
			return nil, fmt.Errorf("seatreport: %s: %w", file.Name(), err)
		}
		texts[lang] = sentences
	}
	return texts, nil
}

// keys are the sentences for each advice.
var keys = map[licensingv1.SeatAdviceCode]string{
	licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_UNKNOWN: "unknown", licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_ENOUGH: "enough",
	licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_MORE: "more", licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_FEWER: "fewer",
}

// Say puts an advice into the language that serves a caller's wish best; English where there are no texts in it.
func (t Texts) Say(a Advice, limit int32, wish string) string {
	lang := locale.Match(wish)
	if t[lang] == nil {
		lang = locale.English
	}
	number := func(n int32) string { return lang.Integer(int64(n)) }
	text := t[lang]["facts"] + " " + t[lang][keys[a.Code]]
	return strings.NewReplacer("{peak}", number(a.Peak), "{limit}", number(limit), "{refusals}", number(a.Refusals),
		"{seats}", number(a.Seats)).Replace(text)
}
