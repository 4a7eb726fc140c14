package failure_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

func texts(t *testing.T) *failure.Texts {
	t.Helper()
	loaded, err := failure.LoadTexts()
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func TestEveryReasonHasACodeAndTextsWithTheSameValues(t *testing.T) {
	all := texts(t)
	variable := regexp.MustCompile(`\{[a-z_]+\}`)
	for number, name := range commonv1.Reason_name {
		reason := commonv1.Reason(number)
		if reason != commonv1.Reason_REASON_UNSPECIFIED && failure.Code(reason) == codes.Unknown {
			t.Errorf("%s: the contract gives it no code", name)
		}
		english := all.Text(reason, "en", nil)
		latvian := all.Text(reason, "lv", nil)
		if english == "" || latvian == "" || english == latvian {
			t.Errorf("%s: texts %q and %q", name, english, latvian)
		}
		for _, v := range variable.FindAllString(english, -1) {
			if !strings.Contains(latvian, v) {
				t.Errorf("%s: the Latvian text lacks %s", name, v)
			}
		}
	}
}

func TestStatusCarriesOneErrorInfoAndHidesTheCause(t *testing.T) {
	cause := errors.New(`pq: relation "secret_table" does not exist`)
	err := fmt.Errorf("store: %w", failure.NotFound("companies/7").Wrap(cause).WithRetry(3*time.Second))
	st := failure.Status(err, texts(t), "lv-LV,lv;q=0.9")

	if st.Code() != codes.NotFound || strings.Contains(st.String(), "secret_table") {
		t.Fatalf("status %v", st)
	}
	var infos int
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			infos++
			if d.GetReason() != "NOT_FOUND" || d.GetMetadata()["resource"] != "companies/7" {
				t.Errorf("info %v", d)
			}
		case *errdetails.LocalizedMessage:
			if d.GetLocale() != "lv" || !strings.Contains(d.GetMessage(), "nav atrasts") {
				t.Errorf("message %v", d)
			}
		}
	}
	if infos != 1 {
		t.Errorf("%d ErrorInfo", infos)
	}
}

func TestAnErrorSurvivesTheWayThroughAnotherService(t *testing.T) {
	sent := failure.Invalid("company.title", "is empty").WithRetry(time.Second)
	got := failure.From(failure.Status(sent, texts(t), "en").Err())
	if !errors.Is(got, sent) || got.Meta("field") != "company.title" || len(got.Fields()) != 1 {
		t.Fatalf("got %v", got)
	}
}

func TestErrorsThatNobodyTyped(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want commonv1.Reason
	}{
		"nil":                   {nil, commonv1.Reason_REASON_UNSPECIFIED},
		"a stranger":            {errors.New("x"), commonv1.Reason_REASON_INTERNAL},
		"a deadline":            {fmt.Errorf("q: %w", context.DeadlineExceeded), commonv1.Reason_REASON_DEADLINE_EXCEEDED},
		"a caller gone":         {context.Canceled, commonv1.Reason_REASON_CANCELLED},
		"a service gone":        {status.Error(codes.Unavailable, "x"), commonv1.Reason_REASON_UNAVAILABLE},
		"an unknown method":     {status.Error(codes.Unimplemented, "x"), commonv1.Reason_REASON_METHOD_UNKNOWN},
		"a foreign status":      {status.Error(codes.DataLoss, "x"), commonv1.Reason_REASON_INTERNAL},
		"gRPC's own size limit": {status.Error(codes.ResourceExhausted, "x"), commonv1.Reason_REASON_MESSAGE_TOO_LARGE},
	} {
		if got := failure.Reason(c.err); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestWhomToAskIsSaidWhenItIsKnown(t *testing.T) {
	texts, err := failure.LoadTexts()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{"permission": "P", "scope": "S"}
	for administrator, want := range map[string]string{
		"": "You do not have the right P in S.", "Ilze": "You do not have the right P in S. Please ask Ilze.",
	} {
		values["administrator"] = administrator
		if got := texts.Text(commonv1.Reason_REASON_PERMISSION_DENIED, "en", values); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestValuesAreFilledInAsTheyAre(t *testing.T) {
	all := texts(t)
	for values, want := range map[[2]string]string{
		{"P", "S"}:             "You do not have the right P in S.",
		{"{scope}", "{scope}"}: "You do not have the right {scope} in {scope}.",
		{"", "[x]"}:            "You do not have the right  in [x].",
	} {
		got := all.Text(commonv1.Reason_REASON_PERMISSION_DENIED, "en", map[string]string{"permission": values[0], "scope": values[1]})
		if got != want {
			t.Errorf("%q: %q", values, got)
		}
	}
	if got := all.Text(commonv1.Reason_REASON_PERMISSION_DENIED, "en", map[string]string{"scope": "S"}); got != "You do not have the right {permission} in S." {
		t.Errorf("%q", got)
	}
}

func BenchmarkStatus(b *testing.B) {
	all, err := failure.LoadTexts()
	if err != nil {
		b.Fatal(err)
	}
	refusal := failure.New(commonv1.Reason_REASON_SEATS_EXHAUSTED, "limit", "10", "holders", "A, B, C", "licence", "subscribers/S/licences/L")
	for b.Loop() {
		_ = failure.Status(refusal, all, "lv-LV,lv;q=0.9")
	}
}
