// Package rest is the gateway's HTTPS side: REST and JSON for every public
// method, resumable uploads and downloads, sign-in cookies, OpenAPI.
package rest

import (
	"context"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"

	"kontor.internal/gateway/internal/door"
	"kontor.internal/libs/failure"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
)

// Server answers HTTP requests.
type Server struct {
	// Door admits, and passes on.
	Door *door.Door
	// Texts of refusals.
	Texts *failure.Texts
	// Proxies that are trusted.
	Proxies door.Proxies
	// OpenAPI is the description of all public methods, JSON.
	OpenAPI []byte
	// MaxBodyBytes is the largest JSON body taken.
	MaxBodyBytes int64
	// Keys fetches the JSON Web Key Set of access tokens.
	Keys identityv1.KeyServiceClient
}

// Handler puts everything on one mux.
func (s *Server) Handler(ctx context.Context) (http.Handler, error) {
	transcoder := runtime.NewServeMux(
		runtime.WithMetadata(func(context.Context, *http.Request) metadata.MD { return nil }),
		runtime.WithIncomingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithOutgoingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.JSONPb{
			MarshalOptions:   protojson.MarshalOptions{EmitUnpopulated: false},
			UnmarshalOptions: protojson.UnmarshalOptions{DiscardUnknown: false},
		}),
		runtime.WithErrorHandler(s.transcodingError),
		runtime.WithStreamErrorHandler(s.streamError),
		runtime.WithRoutingErrorHandler(s.routingError),
		runtime.WithForwardResponseOption(keepRefreshTokenInCookie),
		runtime.WithDisablePathLengthFallback(),
	)
	if err := register(ctx, transcoder, s.Door); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /openapi.json", s.openAPI)
	mux.HandleFunc("GET /.well-known/jwks.json", s.jwks)
	mux.HandleFunc("HEAD /v1/subscribers/{subscriber}/uploads/{upload}", s.uploadOffset)
	mux.HandleFunc("PATCH /v1/subscribers/{subscriber}/uploads/{upload}", s.uploadAppend)
	downloads := s.newDownloads()
	mux.HandleFunc("GET /v1/", func(w http.ResponseWriter, r *http.Request) {
		if !downloads.serve(w, r) {
			transcoder.ServeHTTP(w, r)
		}
	})
	mux.Handle("/", transcoder)
	return s.visited(s.limited(s.cookies(mux))), nil
}

// visited notes who comes, once for all handlers.
func (s *Server) visited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		visit := door.Visit{
			Token: token, Locale: r.Header.Get("Accept-Language"),
			Address: s.Proxies.Visitor(r.RemoteAddr, strings.Join(r.Header.Values("X-Forwarded-For"), ",")),
		}
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", "no-store")
		header.Set("Strict-Transport-Security", "max-age=31536000")
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		next.ServeHTTP(w, r.WithContext(door.WithVisit(r.Context(), visit)))
	})
}

// limited bounds bodies, but for uploads, which stream.
func (s *Server) limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPatch || r.Header.Get("Upload-Offset") == "" {
			if r.ContentLength > s.MaxBodyBytes {
				s.fail(w, r, tooLarge(s.MaxBodyBytes))
				return
			}
			r.Body = http.MaxBytesReader(w, r.Body, s.MaxBodyBytes)
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(s.OpenAPI) // A caller that went away needs no answer.
}

func (s *Server) jwks(w http.ResponseWriter, r *http.Request) {
	answer, err := s.Keys.GetJwks(r.Context(), &identityv1.GetJwksRequest{})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(answer.GetJwks())
}
