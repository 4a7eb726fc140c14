package rest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"kontor.internal/gateway/internal/door"
	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// nobody answers every call with UNAVAILABLE and remembers which it was.
type nobody struct{ called string }

func (n *nobody) Invoke(_ context.Context, method string, _, _ any, _ ...grpc.CallOption) error {
	n.called = method
	return failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", "tried")
}

func (n *nobody) NewStream(_ context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	n.called = method
	return nil, failure.New(commonv1.Reason_REASON_UNAVAILABLE, "part", "tried")
}

var wildcard = regexp.MustCompile(`\{[^}=]*=?([^}]*)\}`)

// example is a path that a pattern matches.
func example(pattern string) string {
	filled := wildcard.ReplaceAllStringFunc(pattern, func(field string) string {
		inside := wildcard.FindStringSubmatch(field)[1]
		if inside == "" {
			inside = "*"
		}
		return strings.NewReplacer("**", "x", "*", "x").Replace(inside)
	})
	return filled
}

func TestEveryPublicMethodWithAPathIsRouted(t *testing.T) {
	methods, err := door.LoadMethods()
	if err != nil {
		t.Fatal(err)
	}
	conn := &nobody{}
	mux := runtime.NewServeMux()
	if err := register(t.Context(), mux, conn); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for full, m := range methods {
		rule, ok := proto.GetExtension(m.Descriptor.Options(), annotations.E_Http).(*annotations.HttpRule)
		if !ok || rule == nil {
			continue
		}
		verb, path := http.MethodGet, rule.GetGet()
		switch {
		case rule.GetPost() != "":
			verb, path = http.MethodPost, rule.GetPost()
		case rule.GetPatch() != "":
			verb, path = http.MethodPatch, rule.GetPatch()
		case rule.GetDelete() != "":
			verb, path = http.MethodDelete, rule.GetDelete()
		case rule.GetPut() != "":
			verb, path = http.MethodPut, rule.GetPut()
		}
		conn.called = ""
		request := httptest.NewRequestWithContext(t.Context(), verb, example(path), strings.NewReader("{}"))
		mux.ServeHTTP(httptest.NewRecorder(), request)
		if conn.called != full {
			t.Errorf("%s %s reaches %q, not %s", verb, example(path), conn.called, full)
		}
		tried++
	}
	if tried < 40 {
		t.Errorf("only %d methods have a path", tried)
	}
}

func TestPatternsOfDownloads(t *testing.T) {
	pattern := patternOf("/v1/{name=subscribers/*/contracts/*}:download")
	for path, want := range map[string]string{
		"/v1/subscribers/s/contracts/k:download":   "subscribers/s/contracts/k",
		"/v1/subscribers/s/contracts/k":            "",
		"/v1/subscribers/s/contracts/k/x:download": "",
		"/v1/subscribers//contracts/k:download":    "",
		"/v1/subscribers/s/contracts/:download":    "",
	} {
		got := ""
		if found := pattern.FindStringSubmatch(path); found != nil {
			got = found[1]
		}
		if got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestRangesOfAFileOfTenBytes(t *testing.T) {
	for header, want := range map[string]struct {
		from, length int64
		whole, bad   bool
	}{
		"":              {length: 10, whole: true},
		"bytes=0-":      {length: 10},
		"bytes=4-":      {from: 4, length: 6},
		"bytes=4-5":     {from: 4, length: 2},
		"bytes=4-99":    {from: 4, length: 6},
		"bytes=-3":      {length: 10, whole: true},
		"bytes=0-1,3-4": {length: 10, whole: true},
		"items=0-1":     {length: 10, whole: true},
		"bytes=5-4":     {bad: true},
		"bytes=x-":      {bad: true},
		"bytes=":        {bad: true},
	} {
		got, err := parseRange(header)
		if (err != nil) != want.bad {
			t.Errorf("%q: %v", header, err)
			continue
		}
		if !want.bad && (got.from != want.from || got.length(10) != want.length || got.partial == want.whole) {
			t.Errorf("%q: %+v", header, got)
		}
	}
}
