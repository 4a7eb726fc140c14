package seat

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
)

// Turn is where somebody is in line.
type Turn struct {
	// Position from 1; 0 with an offer.
	Position int32
	// Frees is in how long the next lease ends.
	Frees time.Duration
	// Offered is until when a seat is kept; zero without an offer.
	Offered time.Time
	// Held says that there is nothing to wait for: the caller has a seat.
	Held bool
}

// Wait takes a place in line, or keeps it, and tells which. Whoever does not ask again for a while loses it.
func (p *Pools) Wait(ctx context.Context, of Pool, r Request, l Limits) (Turn, error) {
	a, err := p.opened(ctx, of, func() (answer, error) {
		return p.f.call(ctx, "wait", of.Licence, r.Account.String(), r.Company.String(), r.Product, r.Device, l.Seats, l.PerCompany,
			l.PerProduct, flag(l.PerPerson))
	})
	if err != nil {
		return Turn{}, err
	}
	var read reader
	switch a.word() {
	case wordHeld:
		return Turn{Held: true}, nil
	case wordOffered:
		return Turn{Offered: read.instant(a.text(1))}, read.err
	case wordRecovering:
		return Turn{}, recovering(a.duration(1))
	case wordCrowded:
		most, _ := a[1].(int64)
		return Turn{}, failure.New(commonv1.Reason_REASON_SEATS_QUEUE_FULL, "limit", strconv.FormatInt(most, 10))
	default:
		return Turn{Position: int32(read.number(a.text(1))), Frees: a.duration(2)}, read.err
	}
}

// Transfer ends a holding and keeps its seat for somebody, until when it tells. SEAT_LOST when it is held no longer.
func (p *Pools) Transfer(ctx context.Context, of Pool, held Seat, to uuid.UUID, by By) (time.Time, error) {
	a, err := p.opened(ctx, of, func() (answer, error) {
		return p.f.call(ctx, "transfer", of.Licence, held.ID.String(), to.String(), by.Account, by.Address, held.Company.String(), held.Device,
			held.Generation)
	})
	if err != nil {
		return time.Time{}, err
	}
	if a.word() != wordKept {
		return time.Time{}, failure.New(commonv1.Reason_REASON_SEAT_LOST)
	}
	var r reader
	return r.instant(a.text(1)), r.err
}

// Ask tells a holder that somebody would like to have the seat. SEAT_LOST when nobody holds it.
func (p *Pools) Ask(ctx context.Context, of Pool, seat, account uuid.UUID, text string) error {
	if over, err := p.resting(ctx, of); over || err != nil {
		return failure.New(commonv1.Reason_REASON_SEAT_LOST)
	}
	a, err := p.opened(ctx, of, func() (answer, error) {
		return p.f.call(ctx, "ask", of.Licence, seat.String(), p.deps.IDs().String(), account.String(), text)
	})
	if err == nil && a.word() != "told" {
		err = failure.New(commonv1.Reason_REASON_SEAT_LOST)
	}
	return err
}
