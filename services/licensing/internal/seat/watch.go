package seat

import (
	"time"

	"google.golang.org/grpc"

	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

const (
	// glance is how often a watched board is looked at.
	glance = 500 * time.Millisecond
	// maxShown is how many seats a watched board shows.
	maxShown = 1000
)

// WatchSeats shows the board, and again whenever somebody came or went, or the limit changed.
func (s *Server) WatchSeats(req *licensingv1.WatchSeatsRequest, stream grpc.ServerStreamingServer[licensingv1.WatchSeatsResponse]) error {
	of, err := parsePool(req.GetParent())
	if err != nil {
		return err
	}
	tick := time.NewTicker(glance)
	defer tick.Stop()
	var last struct {
		version string
		limit   int32
		held    int
	}
	for first := true; ; first = false {
		board, limits, err := s.board(stream.Context(), of)
		if err != nil {
			return err
		}
		now := last
		now.version, now.limit, now.held = board.Version, limits.Seats, len(board.Seats)
		if first || now != last {
			if err := stream.Send(s.shown(stream, of, board, limits)); err != nil {
				return err
			}
			last = now
		}
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-tick.C:
		}
	}
}

func (s *Server) shown(stream grpc.ServerStream, of Pool, board Board, limits Limits) *licensingv1.WatchSeatsResponse {
	seats := board.Seats[:min(len(board.Seats), maxShown)]
	return &licensingv1.WatchSeatsResponse{
		Seats: s.messages(stream.Context(), of, seats), Limit: limits.Seats, Held: count(board.Seats),
	}
}
