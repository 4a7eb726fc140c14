package door

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"kontor.internal/libs/caller"
	"kontor.internal/libs/failure"
	"kontor.internal/libs/servers/servertest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

func TestWhatAVisitBrings(t *testing.T) {
	for name, c := range map[string]struct{ authorization, language, token, locale string }{
		"nothing":                {"", "", "", ""},
		"a token":                {"Bearer abc", "lv", "abc", "lv"},
		"a scheme in small type": {"bearer abc", "lv,en;q=0.5", "abc", "lv,en;q=0.5"},
		"another scheme":         {"Basic abc", "", "", ""},
		"a token alone":          {"abc", "", "", ""},
		"a line end":             {"", "lv\r\nx: y", "", ""},
		"other letters":          {"", "lā", "", ""},
		"too much":               {"", strings.Repeat("lv,", 200), "", ""},
	} {
		v := NewVisit(c.authorization, c.language, "192.0.2.1")
		if v.Token != c.token || v.Locale != c.locale || v.Address != "192.0.2.1" {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestAnErrorHasOneReasonAndNoWordsOfTheNetwork(t *testing.T) {
	texts, err := failure.LoadTexts()
	if err != nil {
		t.Fatal(err)
	}
	d := &Door{Texts: texts, MaxMessageBytes: 100, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	ctx := WithVisit(t.Context(), NewVisit("", "lv", ""))
	lost := status.Error(codes.Unavailable, "dial tcp 10.1.2.3:5: connection refused")
	for name, c := range map[string]struct {
		err  error
		want commonv1.Reason
	}{
		"a lost connection":                    {lost, commonv1.Reason_REASON_UNAVAILABLE},
		"a typed error around it":              {failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", "identity").Wrap(fmt.Errorf("keys: %w", lost)), commonv1.Reason_REASON_UNAVAILABLE},
		"an answer of a service":               {failure.Status(failure.NotFound("x"), texts, "lv").Err(), commonv1.Reason_REASON_NOT_FOUND},
		"a deadline":                           {context.DeadlineExceeded, commonv1.Reason_REASON_DEADLINE_EXCEEDED},
		"a service that knows the method not":  {status.Error(codes.Unimplemented, "unknown method 10.1.2.3"), commonv1.Reason_REASON_METHOD_UNKNOWN},
		"a message too large for a connection": {status.Error(codes.ResourceExhausted, "10.1.2.3"), commonv1.Reason_REASON_MESSAGE_TOO_LARGE},
		"what nobody foresaw":                  {errors.New("10.1.2.3"), commonv1.Reason_REASON_INTERNAL},
	} {
		st := d.Status(ctx, c.err)
		if failure.Reason(st.Err()) != c.want || !hasInfo(st) {
			t.Errorf("%s: %v", name, st)
		}
		if text := fmt.Sprint(st.Proto()); strings.Contains(text, "10.1.2.3") || strings.Contains(text, "{") && strings.Contains(st.Message(), "{") {
			t.Errorf("%s says %s", name, text)
		}
	}
}

func TestOneIPv6CustomerIsOneVisitor(t *testing.T) {
	l := NewLimiter(limits(), nil)
	guess := Method{Public: true, Sensitive: true}
	passed := 0
	for i := range 10 {
		passed += allow(t, l, guess, caller.Caller{Address: fmt.Sprintf("2001:db8:0:1::%x", i)}, 1)
	}
	if passed != 3 || allow(t, l, guess, caller.Caller{Address: "2001:db8:0:2::1"}, 1) != 1 {
		t.Errorf("%d of 10 pass", passed)
	}
}

func TestAVisitorWhoGoesAwayDoesNotMakeRedisLookLost(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: servertest.Redis(t)})
	t.Cleanup(func() { _ = client.Close() })
	l := NewLimiter(limits(), redis_rate.NewLimiter(client))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Allow(gone, Method{}, caller.Caller{Address: "192.0.2.1"}); err != nil || l.skipping() {
		t.Errorf("%v, and Redis is left out: %v", err, l.skipping())
	}
}
