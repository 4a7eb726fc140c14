package seat

import (
	"context"
	"time"

	"github.com/google/uuid"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	"kontor.internal/services/licensing/internal/seat/seatdb"
)

// Renewal is what a holder knows of the seat that is to be renewed.
type Renewal struct {
	Seat
	// Idle is for how long the holder has not worked.
	Idle time.Duration
}

// Renewed is what became of one renewal.
type Renewed struct {
	Seat
	Held bool
}

// Renew lets the lease of a seat run anew. A holder whose seat Redis lost comes back to it. SEAT_LOST otherwise.
func (p *Pools) Renew(ctx context.Context, of Pool, held Renewal, by By) (Seat, error) {
	renewed, err := p.RenewAll(ctx, of, []Renewal{held}, by)
	if err != nil {
		return Seat{}, err
	}
	if !renewed[0].Held {
		return Seat{}, failure.New(commonv1.Reason_REASON_SEAT_LOST)
	}
	return renewed[0].Seat, nil
}

// RenewAll renews seats of one pool together. It answers for each in its order.
func (p *Pools) RenewAll(ctx context.Context, of Pool, all []Renewal, by By) ([]Renewed, error) {
	args := make([]any, 0, 6*len(all))
	for _, r := range all {
		args = append(args, r.ID.String(), r.Slot, r.Ends.UnixMilli(), r.Company.String(), r.Device, r.Idle.Milliseconds())
	}
	a, err := p.opened(ctx, of, func() (answer, error) { return p.f.call(ctx, "renew", of.Licence, args...) })
	if err != nil {
		return nil, err
	}
	renewed := make([]Renewed, len(all))
	for i := range all {
		one := a.list(1).list(i)
		if one.word() == wordEnter {
			if one, err = p.enter(ctx, of, all[i].Seat, by); err != nil {
				return nil, err
			}
		}
		if one.word() != wordHeld {
			continue
		}
		renewed[i].Held = true
		held, err := one.seat(1)
		if err != nil {
			return nil, err
		}
		renewed[i].Seat = held.in(all[i].Company, all[i].Device)
	}
	return renewed, nil
}

// enter brings a holder back, unless the holding is known to have ended.
func (p *Pools) enter(ctx context.Context, of Pool, held Seat, by By) (answer, error) {
	db := seatdb.New(p.deps.DB)
	past, err := db.EventsOfSeat(ctx, &held.ID)
	if err != nil {
		return nil, translate(err)
	}
	held.Title, held.Since = held.Device, p.deps.Clock.Now()
	if !stillHeld(&held, past) {
		return answer{wordLost}, nil
	}
	due, err := db.ForcesOf(ctx, []uuid.UUID{held.ID})
	if err != nil {
		return nil, translate(err)
	}
	for _, force := range due {
		held.Taking = force.Due
	}
	return p.opened(ctx, of, func() (answer, error) { return p.f.call(ctx, "enter", of.Licence, holding(held, by)...) })
}

// stillHeld says whether what is written of a seat, oldest first, leaves its holder in the place. It takes over since when
// it is held, and what the device is called.
func stillHeld(held *Seat, past []seatdb.EventsOfSeatRow) bool {
	here := true
	for _, e := range past {
		same := e.Company != nil && *e.Company == held.Company && e.DeviceID == held.Device
		switch kind(e.Kind) {
		case claimed:
			held.Title, held.Since = e.DeviceTitle, e.Happened
		case joined:
			if same {
				here, held.Title = true, e.DeviceTitle
			}
		case left:
			if same && e.Generation >= held.Generation { // Not one before the claim that the token is of.
				here = false
			}
		case released, taken, transferred:
			return false
		}
	}
	return here
}

// holding is a held seat as the functions want it.
func holding(s Seat, by By) []any {
	return []any{
		s.ID.String(), s.Account.String(), s.Company.String(), s.Product, s.Device, s.Title, s.Slot, s.Generation,
		s.Since.UnixMilli(), s.Ends.UnixMilli(), by.Account, by.Address, string(s.Mode), flag(s.PerPerson), millis(s.Cap), millis(s.Taking),
	}
}

// Release gives a seat back, or one of its places. Repeating it changes nothing; a pool that rests is not woken by it.
func (p *Pools) Release(ctx context.Context, of Pool, held Seat, by By) error {
	_, err := p.told(ctx, of.Licence, func() (answer, error) { return p.f.call(ctx, "release", of.Licence, holding(held, by)...) })
	return err
}

// Take takes a seat away from its holder after a time of grace, and answers when. What is to happen is in the database
// first: its holder can't bring it back, whatever Redis loses. Repeating it changes nothing.
func (p *Pools) Take(ctx context.Context, of Pool, seat uuid.UUID, grace time.Duration, reason string, by By) (time.Time, error) {
	at, err := p.now(ctx)
	if err != nil {
		return at, err
	}
	if over, err := p.resting(ctx, of); over || err != nil {
		return at, err
	}
	actor, err := uuid.Parse(by.Account)
	if err != nil {
		return at, err
	}
	err = seatdb.New(p.deps.DB).InsertForce(ctx, seatdb.InsertForceParams{
		Seat: seat, Licence: of.Licence, Actor: actor, Due: at.Add(grace), Reason: reason, Created: p.deps.Clock.Now(),
	})
	if err != nil {
		return at, translate(err)
	}
	a, err := p.opened(ctx, of, func() (answer, error) {
		return p.f.call(ctx, "take", of.Licence, seat.String(), by.Account, by.Address, grace.Milliseconds())
	})
	if err != nil || a.word() != wordTaken { // While the pool recovers its holder comes back, if at all, until then.
		return at.Add(grace), err
	}
	var r reader
	due := r.instant(a.text(1))
	if r.err != nil {
		return at.Add(grace), r.err
	}
	// What its holder is told holds after a loss as well.
	return due, translate(seatdb.New(p.deps.DB).SetForceDue(ctx, seatdb.SetForceDueParams{Seat: seat, Due: due}))
}

// now is the store's time, which leases and the evidence follow.
func (p *Pools) now(ctx context.Context) (time.Time, error) {
	at, err := p.deps.Redis.Time(ctx).Result()
	if err != nil {
		return time.Time{}, unavailable(err)
	}
	return at, nil
}

// resting says that surely nobody holds a seat. It asks Redis first.
func (p *Pools) resting(ctx context.Context, of Pool) (bool, error) {
	a, err := p.f.read(ctx, "list", of.Licence, 0, "")
	if err != nil || a.word() == wordOpen {
		return false, err
	}
	open, err := p.settle(ctx, of.Licence, false)
	return !open, err
}
