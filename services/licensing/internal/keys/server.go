package keys

import (
	"context"

	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// Server answers KeyService.
type Server struct {
	licensingv1.UnimplementedKeyServiceServer
	ring *Ring
}

// NewServer returns a server for a ring.
func NewServer(ring *Ring) *Server { return &Server{ring: ring} }

// GetJwks answers the public keys.
func (s *Server) GetJwks(context.Context, *licensingv1.GetJwksRequest) (*licensingv1.GetJwksResponse, error) {
	return &licensingv1.GetJwksResponse{Jwks: s.ring.JWKS()}, nil
}
