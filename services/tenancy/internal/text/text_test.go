package text_test

import (
	"strings"
	"testing"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/tenancy/internal/text"
)

func TestLine(t *testing.T) {
	for name, c := range map[string]struct {
		in, want string
		refused  bool
	}{
		"is trimmed":                      {in: "  SIA Bērzs ", want: "SIA Bērzs"},
		"is counted in characters":        {in: strings.Repeat("ā", 10), want: strings.Repeat("ā", 10)},
		"keeps joiners of other scripts":  {in: "می\u200cشود", want: "می\u200cشود"},
		"may be empty":                    {},
		"has a limit":                     {in: strings.Repeat("a", 11), refused: true},
		"has no line breaks":              {in: "a\nBcc: b", refused: true},
		"has no control characters":       {in: "a\x00b", refused: true},
		"cannot turn what stands beside":  {in: "a\u202eb", refused: true},
		"has no separators of paragraphs": {in: "a\u2029b", refused: true},
	} {
		got, err := text.Line("title", c.in, 10)
		if (failure.Reason(err) == commonv1.Reason_REASON_INVALID_ARGUMENT) != c.refused || got != c.want {
			t.Errorf("a line %s: %q, %v", name, got, err)
		}
	}
}

func TestBlockKeepsItsLines(t *testing.T) {
	got, err := text.Block("message", " one\r\ntwo\n", 20)
	if err != nil || got != "one\ntwo" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := text.Block("message", "a\x07", 20); failure.Reason(err) != commonv1.Reason_REASON_INVALID_ARGUMENT {
		t.Error(err)
	}
}
