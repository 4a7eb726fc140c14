package rest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
)

func TestWhoIsOfTheSameOrigin(t *testing.T) {
	for name, c := range map[string]struct {
		origin, site string
		want         bool
	}{
		"a program":                      {"", "", true},
		"our own page":                   {"https://kontor.example", "same-origin", true},
		"our own page, without Origin":   {"", "same-origin", true},
		"a foreign page":                 {"https://evil.example", "cross-site", false},
		"a foreign page, without Origin": {"", "cross-site", false},
		"a neighbour":                    {"https://other.kontor.example", "same-site", false},
		"a neighbour, without Origin":    {"", "same-site", false},
		"another port":                   {"https://kontor.example:8443", "", false},
		"somebody on the line":           {"http://kontor.example", "", false},
		"a page without an origin":       {"null", "", false},
		"what is no address":             {"https://%zz", "", false},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://kontor.example/v1/sessions:refresh", nil)
		r.Header.Set("Origin", c.origin)
		r.Header.Set("Sec-Fetch-Site", c.site)
		if got := sameOrigin(r); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestTheTokenComesFromTheCookieAlone(t *testing.T) {
	for name, c := range map[string]struct {
		path, cookie, want string
		reason             commonv1.Reason
	}{
		"a refresh":                   {pathRefresh, "kept", `{"refreshToken":"kept"}`, 0},
		"a refresh without cookie":    {pathRefresh, "", "", commonv1.Reason_REASON_TOKEN_MISSING},
		"a sign-out":                  {pathSignOut, "kept", `{"refreshToken":"kept"}`, 0},
		"a sign-out without a cookie": {pathSignOut, "", `{}`, 0},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://kontor.example"+c.path, strings.NewReader(`{"refreshToken":"sent"}`))
		if c.cookie != "" {
			r.AddCookie(&http.Cookie{Name: cookieName, Value: c.cookie})
		}
		if err := fillRefreshToken(r); failure.Reason(err) != c.reason {
			t.Errorf("%s: %v", name, err)
		}
		if c.reason != 0 {
			continue
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != c.want || r.ContentLength != int64(len(body)) {
			t.Errorf("%s: %s %v", name, body, err)
		}
	}
}

func TestOnlyABrowsersAnswerLosesItsToken(t *testing.T) {
	answer := &identityv1.SignInResponse{Tokens: &identityv1.SessionTokens{RefreshToken: "secret"}}
	w := httptest.NewRecorder()
	if err := keepRefreshTokenInCookie(t.Context(), w, answer); err != nil || answer.GetTokens().GetRefreshToken() != "secret" || len(w.Result().Cookies()) > 0 {
		t.Errorf("a program: %v %v", answer, err)
	}
}
