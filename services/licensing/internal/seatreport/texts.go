package seatreport

import (
	"embed"
	"strings"

	"kontor.internal/libs/locale"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

//go:embed texts/*.json
var textFiles embed.FS

// Texts say advice in people's languages.
type Texts struct{ sentences locale.Sentences }

// LoadTexts reads the sentences that are built in.
func LoadTexts() (Texts, error) {
	sentences, err := locale.ReadSentences(textFiles, "texts")
	return Texts{sentences}, err
}

// keys are the sentences for each advice.
var keys = map[licensingv1.SeatAdviceCode]string{
	licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_UNKNOWN: "unknown", licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_ENOUGH: "enough",
	licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_MORE: "more", licensingv1.SeatAdviceCode_SEAT_ADVICE_CODE_FEWER: "fewer",
}

// Say puts an advice into the language that serves a caller's wish best; English where there are no texts in it.
func (t Texts) Say(a Advice, limit int32, wish string) string {
	lang, sentences := t.sentences.For(wish)
	number := func(n int32) string { return lang.Integer(int64(n)) }
	text := sentences["facts"] + " " + sentences[keys[a.Code]]
	return strings.NewReplacer("{peak}", number(a.Peak), "{limit}", number(limit), "{refusals}", number(a.Refusals),
		"{seats}", number(a.Seats)).Replace(text)
}
