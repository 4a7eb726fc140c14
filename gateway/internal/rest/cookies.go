package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
)

// Browsers keep no refresh token where a script could read it. A browser sends
// `Kontor-Session: cookie` with sign-in and refresh; the refresh token then
// travels in a cookie that only these paths get, and never in a body. The
// header is one that a foreign page cannot send, and its Origin is checked too.
// A cookie's path covers what lies below it, with a slash between (RFC 6265,
// 5.1.4), and `:refresh` does not lie below `sessions`: so each path has its own.
const (
	cookieMode   = "Kontor-Session"
	cookieValue  = "cookie"
	cookieName   = "__Secure-kontor-refresh"
	pathSignIn   = "/v1/sessions:signIn"
	pathRefresh  = "/v1/sessions:refresh"
	pathSignOut  = "/v1/sessions:signOut"
	maxTokenBody = 4096
)

type cookieKey struct{}

// cookies puts the refresh token of a browser's cookie into the request, and
// marks the request so that the answer's goes into the cookie.
func (s *Server) cookies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(cookieMode) != cookieValue || r.Method != http.MethodPost || !sessionPath(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		if !sameOrigin(r) {
			s.fail(w, r, failure.New(commonv1.Reason_REASON_CROSS_SITE_REQUEST, "origin", r.Header.Get("Origin")))
			return
		}
		if r.URL.Path != pathSignIn {
			if err := fillRefreshToken(r); err != nil {
				s.fail(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), cookieKey{}, true)))
	})
}

func sessionPath(path string) bool {
	return path == pathSignIn || path == pathRefresh || path == pathSignOut
}

// sameOrigin says whether a page of our own asks. Programs send neither header;
// browsers send Origin with every POST.
func sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		site := r.Header.Get("Sec-Fetch-Site")
		return site == "" || site == "same-origin" || site == "none"
	}
	parsed, err := url.Parse(origin)
	return err == nil && parsed.Scheme == "https" && strings.EqualFold(parsed.Host, r.Host)
}

// fillRefreshToken replaces the body: the token comes from the cookie alone. A
// sign-out without one is about the session of the access token.
func fillRefreshToken(r *http.Request) error {
	if _, err := io.Copy(io.Discard, io.LimitReader(r.Body, maxTokenBody)); err != nil {
		return brokenBody(err)
	}
	request := map[string]string{}
	switch cookie, err := r.Cookie(cookieName); {
	case err == nil:
		request["refreshToken"] = cookie.Value
	case r.URL.Path != pathSignOut:
		return failure.New(commonv1.Reason_REASON_TOKEN_MISSING)
	}
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return nil
}

// keepRefreshTokenInCookie moves the refresh token of an answer into the cookie.
func keepRefreshTokenInCookie(ctx context.Context, w http.ResponseWriter, answer proto.Message) error {
	if ctx.Value(cookieKey{}) == nil {
		return nil
	}
	if _, out := answer.(*identityv1.SignOutResponse); out {
		setRefreshCookies(w, "", -1)
		return nil
	}
	tokened, ok := answer.(interface {
		GetTokens() *identityv1.SessionTokens
	})
	if !ok || tokened.GetTokens() == nil {
		return nil
	}
	const untilItEnds = 90 * 24 * 60 * 60 // A session's longest life; identity ends it sooner.
	setRefreshCookies(w, tokened.GetTokens().GetRefreshToken(), untilItEnds)
	tokened.GetTokens().RefreshToken = ""
	return nil
}

func setRefreshCookies(w http.ResponseWriter, value string, maxAge int) {
	for _, path := range []string{pathRefresh, pathSignOut} {
		http.SetCookie(w, &http.Cookie{
			Name: cookieName, Value: value, Path: path, MaxAge: maxAge,
			Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		})
	}
}
