// Package right is RightService: what other services ask. Each method belongs to a concept; here they meet.
package right

import (
	"context"

	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// Rights decides.
type Rights interface {
	DecideRight(ctx context.Context, req *licensingv1.DecideRightRequest) (*licensingv1.DecideRightResponse, error)
}

// Contracts gives copies of contracts.
type Contracts interface {
	GetContractCopy(ctx context.Context, req *licensingv1.GetContractCopyRequest) (*licensingv1.GetContractCopyResponse, error)
}

// Seats knows who works.
type Seats interface {
	BatchGetSeatStates(ctx context.Context, req *licensingv1.BatchGetSeatStatesRequest) (*licensingv1.BatchGetSeatStatesResponse, error)
}

// Server hands each question to the concept that answers it.
type Server struct {
	licensingv1.UnimplementedRightServiceServer
	rights    Rights
	contracts Contracts
	seats     Seats
}

// NewServer returns a server.
func NewServer(rights Rights, contracts Contracts, seats Seats) *Server {
	return &Server{rights: rights, contracts: contracts, seats: seats}
}

// DecideRight is answered by entitlement.
func (s *Server) DecideRight(ctx context.Context, req *licensingv1.DecideRightRequest) (*licensingv1.DecideRightResponse, error) {
	return s.rights.DecideRight(ctx, req)
}

// GetContractCopy is answered by contract.
func (s *Server) GetContractCopy(ctx context.Context, req *licensingv1.GetContractCopyRequest) (*licensingv1.GetContractCopyResponse, error) {
	return s.contracts.GetContractCopy(ctx, req)
}

// BatchGetSeatStates is answered by seat.
func (s *Server) BatchGetSeatStates(ctx context.Context, req *licensingv1.BatchGetSeatStatesRequest) (*licensingv1.BatchGetSeatStatesResponse, error) {
	return s.seats.BatchGetSeatStates(ctx, req)
}
