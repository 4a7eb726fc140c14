package seat

import (
	"context"

	"github.com/google/uuid"

	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

// asked are the seats of one pool that a request names, and their places in it.
type asked struct {
	seats  []uuid.UUID
	places []int
}

// BatchGetSeatStates tells which seats are held. A name that is no seat's is not held.
func (s *Server) BatchGetSeatStates(ctx context.Context, req *licensingv1.BatchGetSeatStatesRequest) (*licensingv1.BatchGetSeatStatesResponse, error) {
	pools := map[uuid.UUID]*asked{}
	out := &licensingv1.BatchGetSeatStatesResponse{}
	for i, name := range req.GetSeats() {
		out.States = append(out.States, &licensingv1.SeatState{Seat: name})
		of, seat, err := parseName(name)
		if err != nil {
			continue
		}
		if pools[of.Licence] == nil {
			pools[of.Licence] = &asked{}
		}
		ask := pools[of.Licence]
		ask.seats, ask.places = append(ask.seats, seat), append(ask.places, i)
	}
	for of, ask := range pools {
		known, err := s.deps.Pools.States(ctx, of, ask.seats)
		if err != nil {
			return nil, err
		}
		for i, k := range known {
			state := out.States[ask.places[i]]
			state.Held, state.Unknown, state.ExpireTime = !k.Ends.IsZero(), k.Unknown, instant(k.Ends)
		}
	}
	return out, nil
}
