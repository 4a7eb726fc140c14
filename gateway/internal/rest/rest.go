// Package rest is the gateway's HTTPS side: REST and JSON for every public
// method, resumable uploads and downloads, sign-in cookies, OpenAPI.
package rest

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"

	"kontor.internal/gateway/internal/door"
	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
)

// Server answers HTTP requests.
type Server struct {
	// Door admits, and passes on.
	Door *door.Door
	// Proxies that are trusted.
	Proxies door.Proxies
	// OpenAPI is the description of all public methods, JSON.
	OpenAPI []byte
	// BodyPatience is how long a JSON body may take to arrive.
	BodyPatience time.Duration
	// Patience is how long nothing may move in an upload or in an answer that is
	// being written.
	Patience time.Duration
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
	mux.HandleFunc("HEAD "+uploadPath, s.uploadOffset)
	downloads := s.newDownloads()
	mux.HandleFunc("GET /v1/", func(w http.ResponseWriter, r *http.Request) {
		if !downloads.serve(w, r) {
			transcoder.ServeHTTP(w, r)
		}
	})
	mux.Handle("/", transcoder)
	// Uploads stream, so the limit of bodies does not lie around them.
	outer := http.NewServeMux()
	outer.HandleFunc("PATCH "+uploadPath, s.uploadAppend)
	outer.Handle("/", s.limited(s.cookies(mux)))
	return s.visited(s.guarded(outer)), nil
}

const uploadPath = "/v1/subscribers/{subscriber}/uploads/{upload}"

// visited notes who comes, once for all handlers.
func (s *Server) visited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visit := door.NewVisit(r.Header.Get("Authorization"), r.Header.Get("Accept-Language"),
			s.Proxies.Visitor(r.RemoteAddr, strings.Join(r.Header.Values("X-Forwarded-For"), ",")))
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", "no-store")
		header.Set("Strict-Transport-Security", "max-age=31536000")
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		next.ServeHTTP(w, r.WithContext(door.WithVisit(r.Context(), visit)))
	})
}

// limited bounds bodies.
func (s *Server) limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limit := s.Door.MaxMessageBytes
		if r.ContentLength > limit {
			s.fail(w, r, door.TooLarge(limit))
			return
		}
		if body, ok := r.Body.(*pacedBody); ok { // It remembers that the limit was met.
			body.ReadCloser = http.MaxBytesReader(w, body.ReadCloser, limit)
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(s.OpenAPI) // A caller that went away needs no answer.
}

func (s *Server) jwks(w http.ResponseWriter, r *http.Request) {
	answer, err := identityv1.NewKeyServiceClient(s.Door).GetJwks(r.Context(), &identityv1.GetJwksRequest{})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(answer.GetJwks())
}
