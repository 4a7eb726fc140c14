package signingkey

import (
	"context"

	identityv1 "kontor.internal/proto/gen/go/kontor/identity/v1"
)

// Server publishes the keys.
type Server struct {
	identityv1.UnimplementedKeyServiceServer
	ring *Ring
}

// NewServer returns a server for a ring.
func NewServer(ring *Ring) *Server { return &Server{ring: ring} }

// GetJwks answers the public keys.
func (s *Server) GetJwks(ctx context.Context, _ *identityv1.GetJwksRequest) (*identityv1.GetJwksResponse, error) {
	set, err := s.ring.JSON(ctx)
	if err != nil {
		return nil, err
	}
	return &identityv1.GetJwksResponse{Jwks: set}, nil
}
