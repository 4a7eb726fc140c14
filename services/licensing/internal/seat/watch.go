package seat

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"kontor.internal/libs/failure"
	licensingv1 "kontor.internal/proto/gen/go/kontor/licensing/v1"
)

const (
	// glance is how often a watched board is looked at.
	glance = 500 * time.Millisecond
	// maxShown is how many seats a watched board shows.
	maxShown = 1000
)

// cursor is which boards somebody has seen, by licence.
type cursor map[uuid.UUID]string

func parseCursor(text string) (cursor, error) {
	if text == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	var c cursor
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil {
		return nil, failure.Invalid("cursor", "is not from a message of this stream")
	}
	return c, nil
}

func (c cursor) String() string {
	raw, _ := json.Marshal(c) // Texts by texts.
	return base64.RawURLEncoding.EncodeToString(raw)
}

// watched are the boards of one stream, as they were told last.
type watched struct {
	*Server
	ctx   context.Context //nolint:containedctx // The stream's own.
	seen  cursor
	told  map[string]*licensingv1.Seat // by name
	last  numbers
	fresh bool // nothing was told yet
}

type numbers struct{ limit, held, waiting int32 }

// WatchSeats shows the board, and then what changes on it.
func (s *Server) WatchSeats(req *licensingv1.WatchSeatsRequest, stream grpc.ServerStreamingServer[licensingv1.WatchSeatsResponse]) error {
	seen, err := parseCursor(req.GetCursor())
	if err != nil {
		return err
	}
	w := watched{Server: s, ctx: stream.Context(), seen: seen, told: map[string]*licensingv1.Seat{}, fresh: true}
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for {
		pools, err := s.watchedPools(stream.Context(), req.GetParent())
		if err != nil {
			return err
		}
		out, err := w.look(pools)
		if err != nil {
			return err
		}
		if out != nil {
			if err := stream.Send(out); err != nil {
				return err
			}
		}
		select {
		case <-stream.Context().Done():
			return context.Cause(stream.Context())
		case <-tick.C:
		}
	}
}

// watchedPools are the pools of a subscriber, or the one that is named.
func (s *Server) watchedPools(ctx context.Context, parent string) ([]Pool, error) {
	if of, err := parsePool(parent); err == nil {
		return []Pool{of}, nil
	}
	return s.deps.Entitled.Licences(ctx, parent)
}

// look answers what is new on the boards; nil when nothing is. The first time, a cursor that still holds says that all is
// known, though not what it was: then changes are found by being told whole boards.
func (w *watched) look(pools []Pool) (*licensingv1.WatchSeatsResponse, error) {
	now, at := cursor{}, numbers{}
	boards := make([]Board, len(pools))
	for i, of := range pools {
		board, limits, err := w.board(w.ctx, of, w.seen[of.Licence])
		if err != nil {
			return nil, err
		}
		boards[i], now[of.Licence] = board, board.Version
		at.limit, at.held, at.waiting = at.limit+limits.Seats, at.held+board.Held, at.waiting+board.Waiting
	}
	same := equal(w.seen, now)
	if same && !w.fresh && at == w.last {
		return nil, nil
	}
	whole := !same && len(w.told) == 0
	out := &licensingv1.WatchSeatsResponse{Limit: at.limit, Held: at.held, Waiting: at.waiting, Cursor: now.String(), Whole: whole}
	if !same {
		if err := w.changes(out, pools, boards, now); err != nil {
			return nil, err
		}
	}
	w.seen, w.last, w.fresh = now, at, false
	return out, nil
}

func equal(a, b cursor) bool {
	return len(a) == len(b) && !slices.ContainsFunc(keysOf(a), func(k uuid.UUID) bool { return a[k] != b[k] })
}

func keysOf(c cursor) []uuid.UUID {
	keys := make([]uuid.UUID, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	return keys
}

// changes fills in the seats that came or changed, and those that are gone. A board that did not change is as it was told.
func (w *watched) changes(out *licensingv1.WatchSeatsResponse, pools []Pool, boards []Board, now cursor) error {
	shown := map[string]*licensingv1.Seat{}
	for i, of := range pools {
		if w.seen[of.Licence] == now[of.Licence] && !out.GetWhole() {
			w.keep(of, shown)
			continue
		}
		board := boards[i]
		if w.seen[of.Licence] == now[of.Licence] { // Known by a cursor, and told anew with the others.
			var err error
			if board, _, err = w.board(w.ctx, of, ""); err != nil {
				return err
			}
		}
		for _, seat := range w.messages(w.ctx, of, board.Seats[:min(len(board.Seats), maxShown)]) {
			shown[seat.GetName()] = seat
		}
	}
	for name, seat := range shown {
		if !proto.Equal(settled(seat), settled(w.told[name])) {
			out.Seats = append(out.Seats, seat)
		}
	}
	slices.SortFunc(out.Seats, func(a, b *licensingv1.Seat) int {
		return cmp.Or(cmp.Compare(a.GetSlot(), b.GetSlot()), cmp.Compare(a.GetName(), b.GetName()))
	})
	for name := range w.told {
		if shown[name] == nil {
			out.Gone = append(out.Gone, name)
		}
	}
	slices.Sort(out.Gone)
	w.told = shown
	return nil
}

// keep takes over what was told of a pool.
func (w *watched) keep(of Pool, shown map[string]*licensingv1.Seat) {
	for name, seat := range w.told {
		if at, _, err := parseName(name); err == nil && at == of {
			shown[name] = seat
		}
	}
}

// settled is a seat without what each renewal changes.
func settled(seat *licensingv1.Seat) *licensingv1.Seat {
	if seat == nil {
		return nil
	}
	plain, _ := proto.Clone(seat).(*licensingv1.Seat)
	plain.RenewTime, plain.ExpireTime, plain.ActiveTime = nil, nil, nil
	for _, place := range plain.GetPlaces() {
		place.ExpireTime = nil
	}
	return plain
}
