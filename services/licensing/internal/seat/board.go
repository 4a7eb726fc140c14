package seat

import (
	"context"
	"time"

	"github.com/google/uuid"

	"kontor.internal/services/licensing/internal/seat/seatdb"
)

// Board is who holds the seats of a pool.
type Board struct {
	// Version differs from board to board.
	Version string
	Seats   []Seat
	Held    int32 // that count
	Waiting int32 // in line
}

// List shows who holds seats, count of them at the most. Of a board whose version is known only the numbers are told.
func (p *Pools) List(ctx context.Context, of uuid.UUID, count int, known string) (Board, error) {
	a, err := p.told(ctx, of, func() (answer, error) { return p.f.read(ctx, "list", of, count, known) })
	if err != nil || a.word() == wordClosed {
		return Board{}, err
	}
	seats, err := a.seats(2)
	if err != nil {
		return Board{}, err
	}
	var r reader
	return Board{Version: a.text(1), Seats: seats, Held: int32(r.number(a.text(3))), Waiting: int32(r.number(a.text(4)))}, r.err
}

// See shows some seats of a pool as they are now; the zero Seat for those that are not held. While the pool recovers, what
// is not known to be held may be.
func (p *Pools) See(ctx context.Context, of uuid.UUID, seats []uuid.UUID) (seen []Seat, recovers bool, err error) {
	seen = make([]Seat, len(seats))
	a, err := p.told(ctx, of, func() (answer, error) { return p.f.read(ctx, "see", of, texts(seats)...) })
	if err != nil || a.word() == wordClosed {
		return seen, false, err
	}
	for i := range seats {
		if len(a.list(1).list(i)) == 0 {
			continue
		}
		if seen[i], err = a.list(1).seat(i); err != nil {
			return nil, false, err
		}
	}
	return seen, a.word() == wordRecovering, nil
}

func texts(seats []uuid.UUID) []any {
	args := make([]any, len(seats))
	for i, seat := range seats {
		args[i] = seat.String()
	}
	return args
}

// State is whether a seat is held, and until when; while the pool recovers that may be unknown.
type State struct {
	Ends    time.Time // zero unless it is held
	Unknown bool
}

// States tells of some seats of a pool. What is written down as ended is not held, whatever the pool knows.
func (p *Pools) States(ctx context.Context, of uuid.UUID, seats []uuid.UUID) ([]State, error) {
	states := make([]State, len(seats))
	a, err := p.told(ctx, of, func() (answer, error) { return p.f.read(ctx, "states", of, texts(seats)...) })
	if err != nil || a.word() == wordClosed {
		return states, err
	}
	ends, err := a.states()
	if err != nil {
		return nil, err
	}
	for i := range states {
		states[i] = State{Ends: ends[i], Unknown: ends[i].IsZero() && a.word() == wordRecovering}
	}
	return states, p.known(ctx, seats, states)
}

// known makes certain what is unknown of seats that are known to have ended.
func (p *Pools) known(ctx context.Context, seats []uuid.UUID, states []State) error {
	unknown := map[uuid.UUID]int{}
	var ask []uuid.UUID
	for i, state := range states {
		if state.Unknown {
			unknown[seats[i]] = i
			ask = append(ask, seats[i])
		}
	}
	if len(ask) == 0 {
		return nil
	}
	at, err := p.now(ctx)
	if err != nil {
		return err
	}
	ended, err := seatdb.New(p.deps.DB).EndedSeats(ctx, seatdb.EndedSeatsParams{Seats: ask, Now: at})
	if err != nil {
		return translate(err)
	}
	for _, seat := range ended {
		states[unknown[seat]].Unknown = false
	}
	return nil
}
